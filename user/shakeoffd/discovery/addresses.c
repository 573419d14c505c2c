/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/log.h"
#include "shakeoffd/discovery/addresses.h"
#include "shakeoffd/discovery/addresses_internal.h"
#include "common/clock.h"

/* ------------------------------------------------------------------------------------------------------------ lists */

int published_append(struct published_list *to, const struct published *published)
{
	return array_append(to->list, to->count, *published);
}

/* Compares two entries by their addresses: for qsort() and bsearch(). */
static int compare(const void *a, const void *b)
{
	const struct published *first = a, *second = b;

	return memcmp(&first->address, &second->address, sizeof(first->address));
}

void published_sort(struct published_list *list)
{
	if (list->count)
		qsort(list->list, list->count, sizeof(*list->list), compare);
}

/* --------------------------------------------------------------------------------------------------- open and close */

struct reading {
	struct addresses *addresses;
	size_t datapath;
};

static int read_one(void *context, const struct in6_addr *address, uint16_t port, uint32_t value)
{
	const struct reading *reading = context;
	const struct published stale = { .address = *address, .value = value, .uid = UID_UNKNOWN };

	addresses_count_in(reading->addresses, reading->datapath, port, &stale);
	return published_append(&reading->addresses->ports[reading->datapath * PORTS + port].in_map, &stale);
}

static int read_all(struct addresses *addresses, size_t datapath)
{
	struct reading reading = { addresses, datapath };
	int error = datapath_address_each(addresses->datapaths[datapath], read_one, &reading);

	for (size_t port = 0; port < PORTS && !error; port++)
		published_sort(&addresses->ports[datapath * PORTS + port].in_map);
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
		.quarter = USER_QUOTA_QUARTER(SHAKEOFF_MAX_ADDRESSES),
		.quotas = calloc(count + 1, sizeof(*fresh.quotas)),
	};
	int error = fresh.ports && fresh.top && fresh.quotas ? 0 : -ENOMEM;

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
	for (size_t i = 0; i < addresses->count && addresses->quotas; i++)
		for (int ipv6 = 0; ipv6 < 2; ipv6++)
			user_quotas_close(&addresses->quotas[i][ipv6]);
	free(addresses->quotas);
	free(addresses->ports);
	free(addresses->top);
	*addresses = (struct addresses){ 0 };
}

/* ------------------------------------------------------------------------------------------------------ publication */

/*
 * Writes an address into the map, and makes room if the map is full. An address by itself (port 0) takes no room from
 * services.
 */
static int put(struct addresses *addresses, size_t datapath, uint16_t port, const struct published *wanted)
{
	int error;

	do
		error = datapath_address_set(addresses->datapaths[datapath], &wanted->address, port, wanted->value);
	while ((error == -E2BIG || error == -ENOMEM) && port && addresses_make_room(addresses, datapath, port, wanted));
	return error;
}

/*
 * Adds an address, or changes an old one (NULL: there is none). is_unknown: the socket filter may not know the
 * connections that the kernel has made there. Returns whether the address is in the map.
 */
static bool set(struct addresses *addresses, size_t datapath, uint16_t port, const struct published *wanted,
		const struct published *old, bool is_unknown)
{
	int error;

	if (addresses_is_too_much(addresses, datapath, port, wanted, old)) {
		addresses->lacks_room = addresses->changed = true;
		return false;
	}
	if (is_unknown && port && !addresses->noted) {
		socket_filter_note_sockets(addresses->filter);
		addresses->noted = true;
	}
	addresses->changed |= port != 0;
	error = put(addresses, datapath, port, wanted);
	if (error == -E2BIG || error == -ENOMEM)
		addresses->lacks_room = addresses->changed = true;
	else if (error)
		log_warn_limited("an address of a service could not be published: %s", strerror(-error));
	if (!error && old)
		addresses_count_out(addresses, datapath, port, old);
	if (!error)
		addresses_count_in(addresses, datapath, port, wanted);
	return !error;
}

static void take_out(struct addresses *addresses, size_t datapath, uint16_t port, const struct published *old)
{
	addresses->changed |= port != 0;
	datapath_address_remove(addresses->datapaths[datapath], &old->address, port);
	addresses_count_out(addresses, datapath, port, old);
}

/*
 * Keeps an address in the map as it is, but updates its user: the address may now belong to another user, or no longer
 * to an earlier daemon.
 */
static void keep(struct addresses *addresses, size_t datapath, uint16_t port, const struct published *old,
		 const struct published *wanted, struct published_list *in_map)
{
	struct published kept = *old;

	kept.first = wanted->first;
	kept.uid = wanted->uid;
	addresses_count_out(addresses, datapath, port, old);
	addresses_count_in(addresses, datapath, port, &kept);
	in_map->list[in_map->count++] = kept;
}

/* Returns whether an address already leads where it should. A keep_only address may differ in its flags. */
static bool leads_there(const struct published *old, const struct published *wanted, bool keep_only)
{
	return old->value == wanted->value || (keep_only && !((old->value ^ wanted->value) & ~SHAKEOFF_ADDRESS_FLAGS));
}

static uint32_t value_of(const struct address *address, size_t datapath)
{
	return address->service->instances[datapath].id | (address->bypassed ? SHAKEOFF_ADDRESS_BYPASSED : 0) |
	       (address->tagged ? SHAKEOFF_ADDRESS_TAGGED : 0) | (address->untested ? SHAKEOFF_ADDRESS_UNTESTED : 0);
}

/*
 * Notes for the hook that an address becomes bypassed, or stops being bypassed. The hook has to know before it finds
 * the address changed, because clients still hold cookies.
 */
static void note_bypass(const struct address *address, size_t datapath, const struct published *old, uint32_t value)
{
	struct shakeoff_service *shared = address->service->instances[datapath].shared;

	if (((old ? old->value : 0) ^ value) & SHAKEOFF_ADDRESS_BYPASSED)
		__atomic_store_n(&shared->bypass_changed_s, shakeoff_bypass_clock_s(clock_ns()), __ATOMIC_RELAXED);
}

/*
 * Publishes a list for one datapath. Goes through both lists side by side, as they are in the same order. `next` gets
 * what is in the map at the end.
 */
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
			continue; /* it leads elsewhere: removed below */
		if (!list[i].keep_only)
			note_bypass(&list[i], datapath, there ? &old->list[o] : NULL, wanted.value);
		if (!list[i].keep_only && set(addresses, datapath, port, &wanted, there ? &old->list[o] : NULL,
					      !there || old->list[o].value & SHAKEOFF_ADDRESS_BYPASSED))
			in_map->list[in_map->count++] = wanted;
		else if (there)
			in_map->list[in_map->count++] = old->list[o];
		else if (!list[i].keep_only && !error)
			error = published_append(&next->no_room, &wanted);
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

/* Finds each address that leads to a service and is not bypassed, once, and in order. */
static int find_protected(const struct addresses *addresses, size_t datapath, struct published_list *found)
{
	size_t distinct = 0;
	int error = 0;

	for (size_t port = 1; port < PORTS; port++) {
		const struct published_list *in_map = &addresses->ports[datapath * PORTS + port].in_map;

		for (size_t i = 0; i < in_map->count && !error; i++)
			if (!(in_map->list[i].value & SHAKEOFF_ADDRESS_BYPASSED))
				error = published_append(found,
							 &(struct published){ .address = in_map->list[i].address,
									      .value = SHAKEOFF_ADDRESS_ITSELF });
	}
	published_sort(found);
	for (size_t i = 0; i < found->count; i++)
		if (!distinct || compare(&found->list[distinct - 1], &found->list[i]))
			found->list[distinct++] = found->list[i];
	found->count = distinct;
	return error;
}

/*
 * Publishes these addresses by themselves. Both lists are in the same order. Takes out of `next` the addresses that
 * find no room in the map.
 */
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

int addresses_end(struct addresses *addresses)
{
	if (!addresses->changed)
		return 0;
	addresses->changed = false; /* set again if an address finds no room */
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
	addresses_report_no_room(addresses);
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
	bool lacks_room = addresses->lacks_room;

	addresses->lacks_room = false;
	return lacks_room;
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
