/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Decides who gets an id in the table of services: counts each user's services, makes room, and reports sockets that
 * found none.
 */
#include "common/log.h"
#include "shakeoffd/discovery/auto_service.h"
#include "shakeoffd/discovery/auto_service_internal.h"

/* -------------------------------------------------------------------------------------------------- quotas of users */

static bool comes_first(const struct auto_services *services, const struct listener *listener)
{
	return !listener->facts.uid || listener->port < services->roots_ports;
}

void auto_service_count_in(struct auto_services *services, struct auto_service *discovered)
{
	const struct listener *listener = discovered->listener;

	discovered->quota = NULL;
	if (!comes_first(services, listener))
		discovered->quota = user_quota_of(&services->quotas, listener->facts.uid);
	if (discovered->quota) {
		discovered->quota->count++;
		services->ordinary++;
	} else {
		services->first++;
	}
}

void auto_service_count_out(struct auto_services *services, const struct auto_service *discovered)
{
	if (discovered->quota) {
		discovered->quota->count--;
		services->ordinary--;
	} else {
		services->first--;
	}
}

/* Returns the maximum of ids that services without priority may have together. */
static size_t remaining_for_ordinary(const struct auto_services *services)
{
	size_t waiting = services->waiting > services->waited ? services->waiting : services->waited;
	size_t needed = services->first + waiting, kept = USER_QUOTA_QUARTER(SHAKEOFF_MAX_SERVICES);

	if (needed < kept)
		needed = kept;
	return needed < services->most ? services->most - needed : 0;
}

bool auto_service_has_quota_remaining(struct auto_services *services, const struct listener *listener)
{
	const struct user_quota *quota;

	if (comes_first(services, listener))
		return true;
	quota = user_quota_of(&services->quotas, listener->facts.uid);
	return quota && quota->count < USER_QUOTA_QUARTER(SHAKEOFF_MAX_SERVICES) &&
	       services->ordinary < remaining_for_ordinary(services);
}

void auto_service_changes_owner(struct auto_services *services, struct auto_service *discovered)
{
	auto_service_count_out(services, discovered);
	auto_service_count_in(services, discovered);
}

struct auto_service *auto_services_evict(struct auto_services *services)
{
	const struct user_quota *greatest;

	if (!services->waiting || services->ordinary <= remaining_for_ordinary(services))
		return NULL;
	greatest = user_quotas_greatest(&services->quotas);
	for (struct auto_service *d = services->used.first; d; d = d->next) {
		if (d->evicted || d->quota != greatest)
			continue;
		d->evicted = true;
		auto_service_count_out(services, d); /* counted in again when its id ends, or is used again */
		return d;
	}
	return NULL;
}

bool auto_services_is_awaited(const struct auto_services *services)
{
	return services->waiting || services->waited;
}

/* -------------------------------------------------------------------------------------------- sockets without an id */

void auto_service_turn_away(struct auto_services *services, struct listener *listener)
{
	services->lacks_room = true;
	services->waiting += comes_first(services, listener) && listener->away_round != services->round;
	listener->away_round = services->round;
	services->changed |= !listener->lacks_room;
	listener->lacks_room = true;
}

void auto_service_note_room(struct auto_services *services, struct listener *listener)
{
	services->changed |= listener->lacks_room;
	listener->lacks_room = false;
}

bool auto_services_look_again(struct auto_services *services)
{
	bool lacks_room = services->lacks_room;

	services->lacks_room = false;
	services->waited = services->waiting;
	services->waiting = 0;
	services->round++;
	return lacks_room;
}

/* The sockets without an id. */
struct lack {
	uint32_t count;
	uint32_t port; /* the lowest */
	uint32_t uid;  /* the user with most such sockets, and their number */
	uint32_t of_user;
};

static struct lack count_lack(struct auto_services *services)
{
	struct lack lack = { 0 };
	const struct user_quota *most;

	for (size_t port = 1; port <= UINT16_MAX; port++) {
		for (struct listener *l = services->listeners->ports[port]; l; l = l->next_at_port) {
			struct user_quota *quota;

			l->lacks_room = l->lacks_room && l->facts.sockets;
			if (!l->lacks_room)
				continue;
			quota = user_quota_of(&services->quotas, l->facts.uid);
			if (quota)
				quota->away++;
			lack.port = lack.count++ ? lack.port : (uint32_t)port;
		}
	}
	most = user_quotas_most_away(&services->quotas);
	if (most) {
		lack.uid = most->uid;
		lack.of_user = most->away;
	}
	user_quotas_forget_away(&services->quotas);
	return lack;
}

void auto_services_report(struct auto_services *services)
{
	struct lack lack;

	if (!services->changed)
		return;
	services->changed = false;
	lack = count_lack(services);
	for (size_t i = 0; i < services->service_ids->count; i++) {
		struct shakeoff_control *control = datapath_control(services->service_ids->datapaths[i]);

		__atomic_store_n(&control->no_service_uid, lack.uid, __ATOMIC_RELAXED);
		__atomic_store_n(&control->no_service_port, lack.port, __ATOMIC_RELAXED);
		__atomic_store_n(&control->no_service, lack.count, __ATOMIC_RELAXED);
	}
	if (lack.count && !services->full)
		log_warn("the hook's table of services (%u) has no room for %u listening sockets, from port %u on, "
			 "which are bypassed: %u of them belong to user %u, and the maximum for a user other than root "
			 "is a quarter; `exclude =` in the configuration leaves out those that need no protection",
			 SHAKEOFF_MAX_SERVICES, lack.count, lack.port, lack.of_user, lack.uid);
	services->full = lack.count != 0;
}
