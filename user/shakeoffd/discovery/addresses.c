/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <common/array.h>
#include <common/log.h>
#include "shakeoffd/discovery/addresses.h"
#include "shakeoffd/sys/clock.h"

#define PORTS (1u << 16)

struct published {
	struct in6_addr address;
	uint32_t value; /* in the map: service id and SHAKEOFF_ADDRESS_FLAGS, or SHAKEOFF_ADDRESS_ITSELF */
	uint32_t uid;   /* as in struct address */
	bool first;
};

/* What an earlier daemon left, until it is published again. */
#define UID_UNKNOWN UINT32_MAX

struct published_list {
	struct published *list; /* in the order of the addresses */
	size_t count;
};

struct published_port {
	struct published_list in_map;
	struct published_list no_room;
};

/* ---------------------------------------------------------------------------------------------------------- opening */

static int append(struct published_list *to, const struct published *published)
{
	void *larger = array_grow(to->list, to->count, sizeof(*to->list));

	if (!larger)
		return -ENOMEM;
	to->list = larger;
	to->list[to->count++] = *published;
	return 0;
}

/* The share that it counts for; NULL: none, or no memory. */
static struct share *share_of(const struct addresses *addresses, size_t datapath, uint16_t port,
			      const struct published *published)
{
	if (!port || published->first)
		return NULL;
	return shares_of(&addresses->shares[datapath][!IN6_IS_ADDR_V4MAPPED(&published->address)], published->uid);
}

static void count_in(const struct addresses *addresses, size_t datapath, uint16_t port,
		     const struct published *published)
{
	struct share *share = share_of(addresses, datapath, port, published);

	if (!share)
		return;
	share->count++;
	if (share->top < port)
		share->top = port;
}

static void count_out(const struct addresses *addresses, size_t datapath, uint16_t port,
		      const struct published *published)
{
	struct share *share = share_of(addresses, datapath, port, published);

	if (share && share->count)
		share->count--;
}

struct reading {
	struct addresses *addresses;
	size_t datapath;
};

static int read_one(void *context, const struct in6_addr *address, uint16_t port, uint32_t value)
{
	const struct reading *reading = context;
	const struct published left = { .address = *address, .value = value, .uid = UID_UNKNOWN };

	count_in(reading->addresses, reading->datapath, port, &left);
	return append(&reading->addresses->ports[reading->datapath * PORTS + port].in_map, &left);
}

static int compare(const void *a, const void *b)
{
	const struct published *first = a, *second = b;

	return memcmp(&first->address, &second->address, sizeof(first->address));
}

static void sort(struct published_list *list)
{
	if (list->count)
		qsort(list->list, list->count, sizeof(*list->list), compare);
}

static int read_all(struct addresses *addresses, size_t datapath)
{
	struct reading reading = { addresses, datapath };
	int error = datapath_address_each(addresses->datapaths[datapath], read_one, &reading);

	for (size_t port = 0; port < PORTS && !error; port++)
		sort(&addresses->ports[datapath * PORTS + port].in_map);
	return error;
}

int addresses_open(struct addresses *addresses, struct datapath *const *datapaths, size_t count,
		   struct socket_filter *filter)
{
	struct addresses fresh = {
		.datapaths = datapaths,
		.count = count,
		.filter = filter,
		.changed = true,
		.ports = calloc(count * PORTS, sizeof(*fresh.ports)),
		.top = calloc(count + 1, sizeof(*fresh.top)),
		.quarter = SHARES_QUARTER(SHAKEOFF_MAX_ADDRESSES),
		.shares = calloc(count + 1, sizeof(*fresh.shares)),
	};
	int error = fresh.ports && fresh.top && fresh.shares ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !error; i++) {
		fresh.top[i] = PORTS - 1;
		error = read_all(&fresh, i);
	}
	if (error) {
		addresses_close(&fresh);
		return error;
	}
	*addresses = fresh;
	return 0;
}

void addresses_close(struct addresses *addresses)
{
	for (size_t i = 0; i < addresses->count * PORTS && addresses->ports; i++) {
		free(addresses->ports[i].in_map.list);
		free(addresses->ports[i].no_room.list);
	}
	for (size_t i = 0; i < addresses->count && addresses->shares; i++)
		for (int ipv6 = 0; ipv6 < 2; ipv6++)
			shares_close(&addresses->shares[i][ipv6]);
	free(addresses->shares);
	free(addresses->ports);
	free(addresses->top);
	*addresses = (struct addresses){ 0 };
}

/* ------------------------------------------------------------------------------------------------------ publication */

static bool same_family(const struct in6_addr *a, const struct in6_addr *b)
{
	return !IN6_IS_ADDR_V4MAPPED(a) == !IN6_IS_ADDR_V4MAPPED(b);
}

/* Whose addresses may be taken out. */
struct victims {
	const struct in6_addr *family; /* of the same */
	bool first;                    /* those that come first, too */
	const uint32_t *uid;           /* of this user alone; NULL: any */
};

static bool is_victim(const struct victims *victims, const struct published *published)
{
	return same_family(&published->address, victims->family) && (victims->first || !published->first) &&
	       (!victims->uid || published->uid == *victims->uid);
}

/* The last of them in the list; its count: there is none. */
static size_t last_of(const struct published_list *list, const struct victims *victims)
{
	size_t i = list->count;

	while (i && !is_victim(victims, &list->list[i - 1]))
		i--;
	return i ? i - 1 : list->count;
}

/* Takes the last of them at this port out. Returns false if there is none. */
static bool take_one(struct addresses *addresses, size_t datapath, uint16_t port, const struct victims *victims)
{
	struct published_port *at_port = &addresses->ports[datapath * PORTS + port];
	struct published_list *list = &at_port->in_map;
	size_t last = last_of(list, victims);

	if (last == list->count || append(&at_port->no_room, &list->list[last]))
		return false;
	sort(&at_port->no_room);
	datapath_address_remove(addresses->datapaths[datapath], &list->list[last].address, port);
	count_out(addresses, datapath, port, &list->list[last]);
	list->count--;
	memmove(&list->list[last], &list->list[last + 1], (list->count - last) * sizeof(*list->list));
	return true;
}

/*
 * What comes first takes room from the user who has most of the family: his address with the highest port, but not at the port that is
 * being published, whose list is in use.
 */
static bool take_from_greatest(struct addresses *addresses, size_t datapath, uint16_t port,
			       const struct published *wanted)
{
	bool ipv6 = !IN6_IS_ADDR_V4MAPPED(&wanted->address);
	struct share *greatest = shares_greatest(&addresses->shares[datapath][ipv6]);
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

/* Takes the address with the highest port above `port` out, for another of its family. Returns false if there is none. */
static bool make_room(struct addresses *addresses, size_t datapath, uint16_t port, const struct published *wanted)
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

/* Whether its user has his share already; what replaces one of his does not raise it. */
static bool is_too_much(const struct addresses *addresses, size_t datapath, uint16_t port,
			const struct published *wanted, const struct published *old)
{
	const struct share *share = share_of(addresses, datapath, port, wanted);
	bool replaces = old && !old->first && old->uid == wanted->uid;

	return share && share->count >= addresses->quarter && !replaces;
}

/* An address itself (port 0) takes no service's place. */
static int put(struct addresses *addresses, size_t datapath, uint16_t port, const struct published *wanted)
{
	int error;

	do
		error = datapath_address_set(addresses->datapaths[datapath], &wanted->address, port, wanted->value);
	while ((error == -E2BIG || error == -ENOMEM) && port && make_room(addresses, datapath, port, wanted));
	return error;
}

/*
 * Adds one, or changes an old one (or NULL). is_unknown: the socket filter may not know the connections that the kernel has made there.
 * Returns whether it stands in the map.
 */
static bool set(struct addresses *addresses, size_t datapath, uint16_t port, const struct published *wanted,
		const struct published *old, bool is_unknown)
{
	int error;

	if (is_too_much(addresses, datapath, port, wanted, old)) {
		addresses->turned_away = addresses->changed = true;
		return false;
	}
	if (is_unknown && port && !addresses->noted) {
		socket_filter_note_sockets(addresses->filter);
		addresses->noted = true;
	}
	addresses->changed |= port != 0;
	error = put(addresses, datapath, port, wanted);
	if (error == -E2BIG || error == -ENOMEM)
		addresses->turned_away = addresses->changed = true;
	else if (error)
		log_warn_limited("an address of a service could not be published: %s", strerror(-error));
	if (!error && old)
		count_out(addresses, datapath, port, old);
	if (!error)
		count_in(addresses, datapath, port, wanted);
	return !error;
}

static void take_out(struct addresses *addresses, size_t datapath, uint16_t port, const struct published *old)
{
	addresses->changed |= port != 0;
	datapath_address_remove(addresses->datapaths[datapath], &old->address, port);
	count_out(addresses, datapath, port, old);
}

/* It stays in the map as it is; but it may be another user's by now, or an earlier daemon's no more. */
static void keep(struct addresses *addresses, size_t datapath, uint16_t port, const struct published *old,
		 const struct published *wanted, struct published_list *in_map)
{
	struct published kept = *old;

	kept.first = wanted->first;
	kept.uid = wanted->uid;
	count_out(addresses, datapath, port, old);
	count_in(addresses, datapath, port, &kept);
	in_map->list[in_map->count++] = kept;
}

/* What only stays until more is known stays as it is. */
static bool leads_there(const struct published *old, const struct published *wanted, bool keep_only)
{
	return old->value == wanted->value || (keep_only && !((old->value ^ wanted->value) & ~SHAKEOFF_ADDRESS_FLAGS));
}

static uint32_t value_of(const struct address *address, size_t datapath)
{
	return address->service->slots[datapath].id | (address->left ? SHAKEOFF_ADDRESS_LEFT : 0) |
	       (address->tagged ? SHAKEOFF_ADDRESS_TAGGED : 0) | (address->untested ? SHAKEOFF_ADDRESS_UNTESTED : 0);
}

/* Tells the hook, before it finds the address so, that it is left to the kernel from now on, or no more: cookies are still out. */
static void note_left(const struct address *address, size_t datapath, const struct published *old, uint32_t value)
{
	struct shakeoff_service *shared = address->service->slots[datapath].shared;

	if (((old ? old->value : 0) ^ value) & SHAKEOFF_ADDRESS_LEFT)
		__atomic_store_n(&shared->places_s, shakeoff_places_s(clock_ns()), __ATOMIC_RELAXED);
}

/* Both lists are in the same order: walks along them. What stands in the map at the end goes to `next`. */
static int publish_in(struct addresses *addresses, size_t datapath, uint16_t port, const struct address *list,
		      size_t count, struct published_port *next)
{
	const struct published_list *old = &addresses->ports[datapath * PORTS + port].in_map;
	struct published_list *in_map = &next->in_map;
	size_t o = 0;
	int error = 0;

	for (size_t i = 0; i < count; i++) {
		struct published wanted = {
			.address = list[i].address,
			.value = value_of(&list[i], datapath),
			.uid = list[i].uid,
			.first = list[i].first,
		};
		bool there;

		for (; o < old->count && compare(&old->list[o], &wanted) < 0; o++)
			take_out(addresses, datapath, port, &old->list[o]);
		there = o < old->count && !compare(&old->list[o], &wanted);
		if (there && leads_there(&old->list[o], &wanted, list[i].keep_only)) {
			keep(addresses, datapath, port, &old->list[o++], &wanted, in_map);
			continue;
		}
		if (there && list[i].keep_only)
			continue; /* it leads elsewhere: removed below, in its turn */
		if (!list[i].keep_only)
			note_left(&list[i], datapath, there ? &old->list[o] : NULL, wanted.value);
		if (!list[i].keep_only && set(addresses, datapath, port, &wanted, there ? &old->list[o] : NULL,
					      !there || old->list[o].value & SHAKEOFF_ADDRESS_LEFT))
			in_map->list[in_map->count++] = wanted;
		else if (there)
			in_map->list[in_map->count++] = old->list[o];
		else if (!list[i].keep_only && !error)
			error = append(&next->no_room, &wanted);
		o += there;
	}
	for (; o < old->count; o++)
		take_out(addresses, datapath, port, &old->list[o]);
	return error;
}

void addresses_begin(struct addresses *addresses)
{
	addresses->noted = false;
}

int addresses_publish(struct addresses *addresses, uint16_t port, const struct address *list, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < addresses->count; i++) {
		struct published_port *at_port = &addresses->ports[i * PORTS + port];
		struct published_port next = { 0 };

		if (!count && !at_port->in_map.count && !at_port->no_room.count)
			continue;
		next.in_map.list = calloc(count + 1, sizeof(*next.in_map.list));
		if (!next.in_map.list)
			return -ENOMEM;
		if (count && addresses->top[i] < port)
			addresses->top[i] = port;
		addresses->changed |= at_port->no_room.count != 0;
		error |= publish_in(addresses, i, port, list, count, &next);
		free(at_port->in_map.list);
		free(at_port->no_room.list);
		*at_port = next;
	}
	return error;
}

/* Each address that leads to a service and is not left to the kernel, once, and in order. */
static int find_protected(const struct addresses *addresses, size_t datapath, struct published_list *found)
{
	size_t distinct = 0;
	int error = 0;

	for (size_t port = 1; port < PORTS; port++) {
		const struct published_list *in_map = &addresses->ports[datapath * PORTS + port].in_map;

		for (size_t i = 0; i < in_map->count && !error; i++)
			if (!(in_map->list[i].value & SHAKEOFF_ADDRESS_LEFT))
				error = append(found, &(struct published){ .address = in_map->list[i].address,
									   .value = SHAKEOFF_ADDRESS_ITSELF });
	}
	sort(found);
	for (size_t i = 0; i < found->count; i++)
		if (!distinct || compare(&found->list[distinct - 1], &found->list[i]))
			found->list[distinct++] = found->list[i];
	found->count = distinct;
	return error;
}

/* Both lists are in the same order. What finds no room in the map is taken out of `next`. */
static void publish_protected(struct addresses *addresses, size_t datapath, struct published_list *next)
{
	const struct published_list *old = &addresses->ports[datapath * PORTS].in_map;
	size_t o = 0, kept = 0;

	for (size_t i = 0; i < next->count; i++) {
		bool there;

		for (; o < old->count && compare(&old->list[o], &next->list[i]) < 0; o++)
			take_out(addresses, datapath, 0, &old->list[o]);
		there = o < old->count && !compare(&old->list[o], &next->list[i]);
		o += there;
		if (there || set(addresses, datapath, 0, &next->list[i], NULL, true))
			next->list[kept++] = next->list[i];
	}
	for (; o < old->count; o++)
		take_out(addresses, datapath, 0, &old->list[o]);
	next->count = kept;
}

/* ----------------------------------------------------------------------------------------------- what has no room */

static void count_one(struct shakeoff_service *services, uint16_t port, const struct published *turned_away)
{
	struct shakeoff_service *service = &services[turned_away->value & ~SHAKEOFF_ADDRESS_FLAGS];

	if (!service->no_room) {
		memcpy(service->no_room_address, &turned_away->address, sizeof(service->no_room_address));
		service->no_room_port = port;
	}
	service->no_room++;
}

/* What of the table of addresses is told. */
struct lack {
	size_t count;
	size_t first; /* the lowest port */
	uint32_t uid; /* the user who lacks most, so many */
	size_t his;
};

static void count_away(const struct addresses *addresses, size_t datapath, uint16_t port,
		       const struct published *turned_away)
{
	struct share *share = share_of(addresses, datapath, port, turned_away);

	if (share)
		share->away++;
}

static void find_most(const struct addresses *addresses, size_t datapath, struct lack *lack)
{
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct shares *shares = &addresses->shares[datapath][ipv6];
		const struct share *most = shares_most_away(shares);

		if (most && most->away > lack->his) {
			lack->uid = most->uid;
			lack->his = most->away;
		}
		shares_forget_away(shares);
	}
}

/* Counts anew what has no room, for `shakeoff status`. */
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

static void tell_no_room(struct addresses *addresses)
{
	struct lack lack = { 0 };

	for (size_t i = 0; i < addresses->count; i++)
		count_no_room(addresses, i, &lack);
	if (lack.count && !addresses->full && lack.his)
		log_warn(
			"the hook's table of addresses (%u of a family) has no room for %zu addresses and ports of services, from port "
			"%zu on, which stay the kernel's: %zu of them are user %u's, and a user other than root has a quarter at most; "
			"`exclude =` in the configuration leaves out what needs no protection",
			SHAKEOFF_MAX_ADDRESSES, lack.count, lack.first, lack.his, lack.uid);
	else if (lack.count && !addresses->full)
		log_warn(
			"the hook's table of addresses is full (%u of a family): %zu addresses and ports of services find no room, "
			"from port %zu on, and stay the kernel's; `exclude =` in the configuration leaves out what needs no "
			"protection",
			SHAKEOFF_MAX_ADDRESSES, lack.count, lack.first);
	addresses->full = lack.count != 0;
}

int addresses_end(struct addresses *addresses)
{
	if (!addresses->changed)
		return 0;
	addresses->changed = false; /* until something finds no room */
	for (size_t i = 0; i < addresses->count; i++) {
		struct published_list next = { 0 };
		int error = find_protected(addresses, i, &next);

		if (error) {
			free(next.list);
			addresses->changed = true;
			return error;
		}
		publish_protected(addresses, i, &next);
		free(addresses->ports[i * PORTS].in_map.list);
		addresses->ports[i * PORTS].in_map = next;
	}
	tell_no_room(addresses);
	return 0;
}

bool addresses_have(const struct addresses *addresses, const struct in6_addr *address, uint16_t port)
{
	struct published key = { .address = *address };

	for (size_t i = 0; i < addresses->count; i++) {
		const struct published_list *in_map = &addresses->ports[i * PORTS + port].in_map;

		if (in_map->count && bsearch(&key, in_map->list, in_map->count, sizeof(key), compare))
			return true;
	}
	return false;
}

bool addresses_look_again(struct addresses *addresses)
{
	bool turned_away = addresses->turned_away;

	addresses->turned_away = false;
	return turned_away;
}

static int remove_one(void *context, const struct in6_addr *address, uint16_t port, uint32_t service)
{
	(void)service;
	return datapath_address_remove(context, address, port);
}

int addresses_withdraw(struct datapath *const *datapaths, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++)
		error = datapath_address_each(datapaths[i], remove_one, datapaths[i]);
	return error;
}
