/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/prefix.h"
#include "shakeoffd/discovery/own_publish.h"

static bool have(const struct own_route *list, size_t count, const struct own_route *wanted)
{
	return count && bsearch(wanted, list, count, sizeof(*wanted), own_route_compare);
}

static bool is_whole(const struct own_route *route)
{
	return route->prefix.len == PREFIX_LEN_MAX(route->prefix.ipv6);
}

/* Sets the bits of a route: the bit of its address, or all bits for a prefix, which may hold any address. */
static void add_bits(const struct own_route *route, uint32_t bits[SHAKEOFF_OWN_WORDS])
{
	const __be32 *word = route->prefix.address;
	uint32_t bit = shakeoff_own_bit(word[0] ^ word[1] ^ word[2] ^ word[3]);

	if (is_whole(route))
		bits[bit / 32] |= 1u << bit % 32;
	else
		memset(bits, 0xff, SHAKEOFF_OWN_WORDS * sizeof(*bits));
}

static void announce(const struct own_publisher *publisher)
{
	uint32_t bits[SHAKEOFF_OWN_WORDS] = { 0 };
	bool prefixes = false;

	for (size_t i = 0; i < publisher->list_count; i++) {
		add_bits(&publisher->list[i], bits);
		prefixes |= !is_whole(&publisher->list[i]);
	}
	for (size_t i = 0; i < publisher->count; i++)
		datapath_own_announce(publisher->datapaths[i], bits, prefixes);
}

static int change(struct datapath *datapath, const struct own_publisher *before, const struct own_addresses *own)
{
	int error = 0;

	for (size_t i = 0; i < before->list_count; i++)
		if (!have(own->routes, own->route_count, &before->list[i]))
			datapath_own_remove(datapath, &before->list[i].prefix);
	for (size_t i = 0; i < own->route_count && !error; i++)
		if (!have(before->list, before->list_count, &own->routes[i]))
			error = datapath_own_set(datapath, &own->routes[i].prefix);
	return error;
}

static int clear(struct own_publisher *publisher)
{
	int error = 0;

	for (size_t i = 0; i < publisher->count && !error; i++)
		error = datapath_own_clear(publisher->datapaths[i]);
	publisher->cleared = !error;
	publisher->list_count = 0;
	return error;
}

static bool unchanged(const struct own_publisher *publisher, const struct own_addresses *own)
{
	if (!publisher->cleared || publisher->list_count != own->route_count)
		return false;
	for (size_t i = 0; i < own->route_count; i++)
		if (own_route_compare(&publisher->list[i], &own->routes[i]))
			return false;
	return true;
}

int own_publish(struct own_publisher *publisher, const struct own_addresses *own)
{
	struct own_route *list;
	int error = 0;

	if (unchanged(publisher, own))
		return 0;
	list = calloc(own->route_count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	if (own->route_count)
		memcpy(list, own->routes, own->route_count * sizeof(*list));
	if (!publisher->cleared)
		error = clear(publisher);
	for (size_t i = 0; i < publisher->count && !error; i++)
		error = change(publisher->datapaths[i], publisher, own);
	free(publisher->list);
	publisher->list = list;
	publisher->list_count = own->route_count;
	announce(publisher);
	if (error)
		publisher->cleared = false; /* the next call begins again */
	return error;
}

void own_publisher_close(struct own_publisher *publisher)
{
	free(publisher->list);
	*publisher = (struct own_publisher){ 0 };
}
