/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <common/log.h>
#include "shakeoffd/discovery/auto_service.h"

/* ------------------------------------------------------------------------------------------------------------ lists */

static void list_append(struct discovered_list *list, struct discovered *discovered)
{
	discovered->list = list;
	discovered->next = NULL;
	discovered->link = list->end;
	*list->end = discovered;
	list->end = &discovered->next;
	list->length++;
}

static void list_remove(struct discovered *discovered)
{
	struct discovered_list *list = discovered->list;

	*discovered->link = discovered->next;
	if (discovered->next)
		discovered->next->link = discovered->link;
	else
		list->end = discovered->link;
	list->length--;
}

static void list_open(struct discovered_list *list)
{
	*list = (struct discovered_list){ .end = &list->first };
}

/* ------------------------------------------------------------------------------------------------------ description */

static void say_left(const struct service *service, enum shakeoff_left before, enum shakeoff_left now, const char *rule)
{
	if (now == before)
		return;
	/* Those of the host concern every service: they are said once, elsewhere. */
	if (now == SHAKEOFF_LEFT_MPTCP || now == SHAKEOFF_LEFT_TCP_AUTH || now == SHAKEOFF_LEFT_DEVICE ||
	    now == SHAKEOFF_LEFT_NETFILTER || now == SHAKEOFF_LEFT_BRIDGE)
		log_warn_limited("service %s is left to the kernel: %s", service->config->name, left_help(now));
	else if (now == SHAKEOFF_LEFT_SYN_RULES)
		log_warn_limited("service %s is left to the kernel because of the firewall's rules: %s",
				 service->config->name, rule);
	else if (!now)
		log_debug("service %s is no longer left to the kernel", service->config->name);
}

void listening_describe(struct listening_service *listening, const struct left_host *host)
{
	const struct listener_facts *facts = &listening->facts;
	/* About to change counts: what sockets are matters to the listener handoff alone. */
	bool queue = listening->service->handoff == SHAKEOFF_HANDOFF_QUEUE ||
		     service_wants(listening->service) == SHAKEOFF_HANDOFF_QUEUE;
	const struct service_listening *was = &listening->service->listening;
	enum shakeoff_left before = queue ? was->queue_left : was->left;
	struct service_listening now = {
		.sockets = facts->sockets,
		.backlog = facts->backlog,
		.uid = facts->uid,
		.left = (uint8_t)left_reason(host, facts, &listening->left),
		.queue_left = listening->left.syn_rules ? SHAKEOFF_LEFT_SYN_RULES : SHAKEOFF_LEFT_NOT,
	};

	memcpy(now.left_rule, listening->rule, sizeof(now.left_rule));

	service_set_listening(listening->service, &now);
	if (queue || facts->sockets)
		say_left(listening->service, before, queue ? now.queue_left : now.left, listening->rule);
}

/* -------------------------------------------------------------------------------------------------------- discovered */

void discovered_open(struct discovered_services *services, const struct config_policy *policy, struct slots *slots,
		     struct listeners *listeners, const struct left_host *host, size_t configured)
{
	*services = (struct discovered_services){
		.policy = policy,
		.slots = slots,
		.listeners = listeners,
		.host = host,
		.round = 1,
		.most = SHAKEOFF_MAX_SERVICES - configured,
	};
	list_open(&services->used);
	list_open(&services->idle);
	list_open(&services->hasty);
}

static void close_list(struct discovered_list *list)
{
	struct discovered *discovered;

	while ((discovered = list->first)) {
		list_remove(discovered);
		service_close(&discovered->service);
		free(discovered);
	}
}

void discovered_close(struct discovered_services *services)
{
	if (!services->slots)
		return;
	close_list(&services->used);
	close_list(&services->idle);
	close_list(&services->hasty);
	shares_close(&services->shares);
}

/* ------------------------------------------------------------------------------------------------------------ shares */

static bool comes_first(const struct discovered_services *services, const struct listener *listener)
{
	return !listener->facts.uid || listener->port < services->roots_ports;
}

static void count_in(struct discovered_services *services, struct discovered *discovered)
{
	const struct listener *listener = discovered->listener;

	discovered->share = NULL;
	if (!comes_first(services, listener))
		discovered->share = shares_of(&services->shares, listener->facts.uid);
	if (discovered->share) {
		discovered->share->count++;
		services->ordinary++;
	} else {
		services->first++;
	}
}

static void count_out(struct discovered_services *services, const struct discovered *discovered)
{
	if (discovered->share) {
		discovered->share->count--;
		services->ordinary--;
	} else {
		services->first--;
	}
}

/* So many slots those may have together that do not come first. */
static size_t left_for_ordinary(const struct discovered_services *services)
{
	size_t waiting = services->waiting > services->waited ? services->waiting : services->waited;
	size_t needed = services->first + waiting, kept = SHARES_QUARTER(SHAKEOFF_MAX_SERVICES);

	if (needed < kept)
		needed = kept;
	return needed < services->most ? services->most - needed : 0;
}

static bool has_share_left(struct discovered_services *services, const struct listener *listener)
{
	const struct share *share;

	if (comes_first(services, listener))
		return true;
	share = shares_of(&services->shares, listener->facts.uid);
	return share && share->count < SHARES_QUARTER(SHAKEOFF_MAX_SERVICES) &&
	       services->ordinary < left_for_ordinary(services);
}

void discovered_changes_owner(struct discovered_services *services, struct discovered *discovered)
{
	count_out(services, discovered);
	count_in(services, discovered);
}

struct discovered *discovered_evict(struct discovered_services *services)
{
	const struct share *greatest;

	if (!services->waiting || services->ordinary <= left_for_ordinary(services))
		return NULL;
	greatest = shares_greatest(&services->shares);
	for (struct discovered *d = services->used.first; d; d = d->next) {
		if (d->evicted || d->share != greatest)
			continue;
		d->evicted = true;
		count_out(services, d); /* counted in again with its slot's end, or use */
		return d;
	}
	return NULL;
}

bool discovered_is_awaited(const struct discovered_services *services)
{
	return services->waiting || services->waited;
}

/* ----------------------------------------------------------------------------------------------------- slots that end */

static void end(struct discovered_services *services, struct discovered *discovered)
{
	struct listener *listener = discovered->listener;

	list_remove(discovered);
	if (!discovered->evicted)
		count_out(services, discovered);
	service_release(&discovered->service, services->slots);
	free(discovered);
	listener->discovered = NULL;
	if (!listener->facts.sockets)
		listeners_forget(services->listeners, listener);
}

void discovered_expire(struct discovered_services *services, uint64_t now_ns)
{
	while (services->idle.first && now_ns - services->idle.first->idle_ns >= DISCOVERED_GRACE_NS)
		end(services, services->idle.first);
	while (services->hasty.first && now_ns - services->hasty.first->idle_ns >= DISCOVERED_QUARANTINE_NS)
		end(services, services->hasty.first);
}

static void turn_away(struct discovered_services *services, struct listener *listener)
{
	services->turned_away = true;
	services->waiting += comes_first(services, listener) && listener->away_round != services->round;
	listener->away_round = services->round;
	services->changed |= !listener->turned_away;
	listener->turned_away = true;
}

static void find_room_for(struct discovered_services *services, struct listener *listener)
{
	services->changed |= listener->turned_away;
	listener->turned_away = false;
}

bool discovered_look_again(struct discovered_services *services)
{
	bool turned_away = services->turned_away;

	services->turned_away = false;
	services->waited = services->waiting;
	services->waiting = 0;
	services->round++;
	return turned_away;
}

/* What has no slot. */
struct lack {
	uint32_t count;
	uint32_t port; /* the lowest */
	uint32_t uid;  /* the user who lacks most, and so many */
	uint32_t his;
};

static struct lack count_lack(struct discovered_services *services)
{
	struct lack lack = { 0 };
	const struct share *most;

	for (size_t port = 1; port <= UINT16_MAX; port++) {
		for (struct listener *l = services->listeners->ports[port]; l; l = l->next_at_port) {
			struct share *share;

			l->turned_away = l->turned_away && l->facts.sockets;
			if (!l->turned_away)
				continue;
			share = shares_of(&services->shares, l->facts.uid);
			if (share)
				share->away++;
			lack.port = lack.count++ ? lack.port : (uint32_t)port;
		}
	}
	most = shares_most_away(&services->shares);
	if (most) {
		lack.uid = most->uid;
		lack.his = most->away;
	}
	shares_forget_away(&services->shares);
	return lack;
}

void discovered_tell(struct discovered_services *services)
{
	struct lack lack;

	if (!services->changed)
		return;
	services->changed = false;
	lack = count_lack(services);
	for (size_t i = 0; i < services->slots->count; i++) {
		struct shakeoff_control *control = datapath_control(services->slots->datapaths[i]);

		__atomic_store_n(&control->no_service_uid, lack.uid, __ATOMIC_RELAXED);
		__atomic_store_n(&control->no_service_port, lack.port, __ATOMIC_RELAXED);
		__atomic_store_n(&control->no_service, lack.count, __ATOMIC_RELAXED);
	}
	if (lack.count && !services->full)
		log_warn(
			"the hook's table of services (%u) has no room for %u listening sockets, from port %u on, which stay the kernel's: "
			"%u of them are user %u's, and a user other than root has a quarter at most; `exclude =` in the configuration "
			"leaves out what needs no protection",
			SHAKEOFF_MAX_SERVICES, lack.count, lack.port, lack.his, lack.uid);
	services->full = lack.count != 0;
}

static struct discovered *oldest_idle(const struct discovered_services *services, uint64_t now_ns)
{
	struct discovered *idle = services->hasty.first;

	if (!idle || now_ns - idle->idle_ns < DISCOVERED_QUARANTINE_NS)
		idle = services->idle.first;
	return idle && now_ns - idle->idle_ns >= DISCOVERED_QUARANTINE_NS ? idle : NULL;
}

static int open_service(struct discovered_services *services, struct discovered *discovered, uint64_t now_ns)
{
	struct discovered *idle = oldest_idle(services, now_ns);
	int error = service_open(&discovered->service, &discovered->config, true, services->slots);

	if (error != -ENOSPC || !idle)
		return error;
	end(services, idle);
	return service_open(&discovered->service, &discovered->config, true, services->slots);
}

static struct discovered *make(struct discovered_services *services, struct listener *listener, uint64_t now_ns)
{
	struct discovered *discovered;
	int error;

	if (!has_share_left(services, listener)) {
		turn_away(services, listener);
		return NULL;
	}
	discovered = calloc(1, sizeof(*discovered));
	if (!discovered)
		return NULL;
	discovered->config = (struct config_service){
		.handoff = SHAKEOFF_HANDOFF_LISTENER,
		.policy = *services->policy,
	};
	listener_name(listener, discovered->config.name, sizeof(discovered->config.name));
	error = open_service(services, discovered, now_ns);
	if (error) {
		if (error == -ENOSPC)
			turn_away(services, listener);
		free(discovered);
		return NULL;
	}
	discovered->listener = listener;
	discovered->listening.service = &discovered->service;
	listener->discovered = discovered;
	count_in(services, discovered);
	find_room_for(services, listener);
	list_append(&services->used, discovered);
	return discovered;
}

struct discovered *discovered_use(struct discovered_services *services, struct listener *listener, uint64_t now_ns)
{
	struct discovered *discovered = listener->discovered;

	if (discovered && discovered->evicted) {
		turn_away(services, listener);
		return NULL;
	}
	if (discovered && !discovered->idle_ns)
		return discovered;
	if (!discovered) {
		discovered = make(services, listener, now_ns);
		if (!discovered)
			return NULL;
	} else {
		list_remove(discovered);
		list_append(&services->used, discovered);
		discovered->idle_ns = 0;
	}
	discovered->listening.since_ns = now_ns;
	discovered->listening.left = (struct left_addresses){ 0 };
	discovered->listening.facts = listener->facts;
	listening_describe(&discovered->listening, services->host);
	log_debug("service %s: %u listening, backlog %u", discovered->config.name, listener->facts.sockets,
		  listener->facts.backlog);
	return discovered;
}

void discovered_idle(struct discovered_services *services, struct discovered *discovered, uint64_t now_ns)
{
	bool hasty;

	if (discovered->idle_ns)
		return;
	hasty = discovered->evicted ||
		(discovered->share && discovered->share->count > SHARES_QUARTER(SHAKEOFF_MAX_SERVICES) / 2);
	list_remove(discovered);
	list_append(hasty ? &services->hasty : &services->idle, discovered);
	discovered->idle_ns = now_ns;
	discovered->listening.since_ns = 0;
	discovered->listening.facts = (struct listener_facts){ 0 };
	listening_describe(&discovered->listening, services->host);
	log_debug("service %s: nothing listens at an address of the host any more", discovered->config.name);
}
