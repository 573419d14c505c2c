/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Decides who gets room in the tables of addresses: counts each user's addresses, makes room, and reports addresses
 * that found none.
 */
#include <string.h>

#include "common/log.h"
#include "shakeoffd/discovery/addresses.h"
#include "shakeoffd/discovery/addresses_internal.h"

/* -------------------------------------------------------------------------------------------------- quotas of users */

/* Returns the user quota that an address counts for. NULL: it counts for none, or no memory. */
static struct user_quota *quota_of(const struct addresses *addresses, size_t datapath, uint16_t port,
				   const struct published *published)
{
	if (!port || published->first)
		return NULL;
	return user_quota_of(&addresses->quotas[datapath][!IN6_IS_ADDR_V4MAPPED(&published->address)], published->uid);
}

void addresses_count_in(const struct addresses *addresses, size_t datapath, uint16_t port,
			const struct published *published)
{
	struct user_quota *quota = quota_of(addresses, datapath, port, published);

	if (!quota)
		return;
	quota->count++;
	if (quota->top < port)
		quota->top = port;
}

void addresses_count_out(const struct addresses *addresses, size_t datapath, uint16_t port,
			 const struct published *published)
{
	struct user_quota *quota = quota_of(addresses, datapath, port, published);

	if (quota && quota->count)
		quota->count--;
}

bool addresses_is_too_much(const struct addresses *addresses, size_t datapath, uint16_t port,
			   const struct published *wanted, const struct published *old)
{
	const struct user_quota *quota = quota_of(addresses, datapath, port, wanted);
	bool replaces = old && !old->first && old->uid == wanted->uid;

	return quota && quota->count >= addresses->quarter && !replaces;
}

/* -------------------------------------------------------------------------------------------------- room for others */

static bool same_family(const struct in6_addr *a, const struct in6_addr *b)
{
	return !IN6_IS_ADDR_V4MAPPED(a) == !IN6_IS_ADDR_V4MAPPED(b);
}

/* The addresses that may be taken out. */
struct victims {
	const struct in6_addr *family; /* of this address's family */
	bool first;                    /* also those with priority */
	const uint32_t *uid;           /* only of this user; NULL: of any */
};

static bool is_victim(const struct victims *victims, const struct published *published)
{
	return same_family(&published->address, victims->family) && (victims->first || !published->first) &&
	       (!victims->uid || published->uid == *victims->uid);
}

/* Returns the index of the last address in the list that may be taken out, or the list's count if there is none. */
static size_t last_of(const struct published_list *list, const struct victims *victims)
{
	size_t i = list->count;

	while (i && !is_victim(victims, &list->list[i - 1]))
		i--;
	return i ? i - 1 : list->count;
}

/* Takes out the last suitable address at this port. Returns false if there is none. */
static bool take_one(struct addresses *addresses, size_t datapath, uint16_t port, const struct victims *victims)
{
	struct published_port *at_port = &addresses->ports[datapath * PORTS + port];
	struct published_list *list = &at_port->in_map;
	size_t last = last_of(list, victims);

	if (last == list->count || published_append(&at_port->no_room, &list->list[last]))
		return false;
	published_sort(&at_port->no_room);
	datapath_address_remove(addresses->datapaths[datapath], &list->list[last].address, port);
	addresses_count_out(addresses, datapath, port, &list->list[last]);
	list->count--;
	memmove(&list->list[last], &list->list[last + 1], (list->count - last) * sizeof(*list->list));
	return true;
}

/*
 * Makes room for an address with priority: takes the address with the highest port from the user who has most of the
 * family. Skips the port that is being published, whose list is in use. Returns false if there is none.
 */
static bool take_from_greatest(struct addresses *addresses, size_t datapath, uint16_t port,
			       const struct published *wanted)
{
	bool ipv6 = !IN6_IS_ADDR_V4MAPPED(&wanted->address);
	struct user_quota *greatest = user_quotas_greatest(&addresses->quotas[datapath][ipv6]);
	struct victims victims = { .family = &wanted->address };
	uint32_t high;

	if (!greatest)
		return false;
	victims.uid = &greatest->uid;
	for (high = greatest->top; high; high--)
		if (high != port && take_one(addresses, datapath, (uint16_t)high, &victims))
			break;
	greatest->top = greatest->top >= port && high < port ? port : high;
	return high != 0;
}

bool addresses_make_room(struct addresses *addresses, size_t datapath, uint16_t port, const struct published *wanted)
{
	const struct victims victims = { .family = &wanted->address, .first = wanted->first };

	if (wanted->first && take_from_greatest(addresses, datapath, port, wanted))
		return true;
	while (addresses->top[datapath] && !addresses->ports[datapath * PORTS + addresses->top[datapath]].in_map.count)
		addresses->top[datapath]--;
	for (size_t high = addresses->top[datapath]; high > port; high--)
		if (take_one(addresses, datapath, (uint16_t)high, &victims))
			return true;
	return false;
}

/* ------------------------------------------------------------------------------------------- addresses without room */

static void count_one(struct shakeoff_service *services, uint16_t port, const struct published *refused)
{
	struct shakeoff_service *service = &services[refused->value & ~SHAKEOFF_ADDRESS_FLAGS];

	if (!service->no_room) {
		memcpy(service->no_room_address, &refused->address, sizeof(service->no_room_address));
		service->no_room_port = port;
	}
	service->no_room++;
}

/* What is reported about a table of addresses. */
struct lack {
	size_t count;
	size_t first; /* the lowest port */
	uint32_t uid; /* the user with most addresses without room, and their number */
	size_t of_user;
};

static void count_away(const struct addresses *addresses, size_t datapath, uint16_t port,
		       const struct published *refused)
{
	struct user_quota *quota = quota_of(addresses, datapath, port, refused);

	if (quota)
		quota->away++;
}

static void find_most(const struct addresses *addresses, size_t datapath, struct lack *lack)
{
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct user_quotas *quotas = &addresses->quotas[datapath][ipv6];
		const struct user_quota *most = user_quotas_most_away(quotas);

		if (most && most->away > lack->of_user) {
			lack->uid = most->uid;
			lack->of_user = most->away;
		}
		user_quotas_forget_away(quotas);
	}
}

/* Counts the addresses without room again, for `shakeoff status`. */
static void count_no_room(const struct addresses *addresses, size_t datapath, struct lack *lack)
{
	struct shakeoff_service *services = datapath_services(addresses->datapaths[datapath]);

	for (size_t i = 0; i < SHAKEOFF_MAX_SERVICES; i++)
		if (services[i].no_room)
			services[i].no_room = 0;
	for (size_t port = 1; port < PORTS; port++) {
		const struct published_list *no_room = &addresses->ports[datapath * PORTS + port].no_room;

		for (size_t i = 0; i < no_room->count; i++) {
			count_one(services, (uint16_t)port, &no_room->list[i]);
			count_away(addresses, datapath, (uint16_t)port, &no_room->list[i]);
		}
		if (no_room->count && (!lack->first || port < lack->first))
			lack->first = port;
		lack->count += no_room->count;
	}
	find_most(addresses, datapath, lack);
}

void addresses_report_no_room(struct addresses *addresses)
{
	struct lack lack = { 0 };

	for (size_t i = 0; i < addresses->count; i++)
		count_no_room(addresses, i, &lack);
	if (lack.count && !addresses->full && lack.of_user)
		log_warn("the hook's table of addresses (%u of a family) has no room for %zu addresses and ports of "
			 "services, from port %zu on, which are bypassed: %zu of them belong to user %u, and the "
			 "maximum for a user other than root is a quarter; `exclude =` in the configuration leaves out "
			 "those that need no protection",
			 SHAKEOFF_MAX_ADDRESSES, lack.count, lack.first, lack.of_user, lack.uid);
	else if (lack.count && !addresses->full)
		log_warn(
			"the hook's table of addresses is full (%u of a family): %zu addresses and ports of services "
			"find no room, from port %zu on, and are bypassed; `exclude =` in the configuration leaves out "
			"those that need no protection",
			SHAKEOFF_MAX_ADDRESSES, lack.count, lack.first);
	addresses->full = lack.count != 0;
}
