/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "shakeoffd/route/route_offer.h"
#include "shakeoffd/route/route_publish.h"

/* ------------------------------------------------------------------------------------------------------------- ids */

static bool is_used(const struct route_ids *ids, uint16_t id)
{
	for (size_t i = 0; i < ids->count; i++)
		if (ids->list[i].id == id)
			return true;
	return !id;
}

static int remember(struct route_ids *ids, const struct shakeoff_route *offer)
{
	return array_append(ids->list, ids->count, *offer);
}

/* Gives an offer its id. There is always a free one: there are more ids than routes may be published. */
static int give_id(struct route_ids *ids, struct shakeoff_route *offer)
{
	for (size_t i = 0; i < ids->count; i++) {
		if (!route_offer_equal(&ids->list[i], offer))
			continue;
		offer->id = ids->list[i].id;
		return 0;
	}
	do
		ids->last++;
	while (is_used(ids, ids->last));
	offer->id = ids->last;
	return remember(ids, offer);
}

static bool has_id(const struct route_list *list, uint16_t id)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->list[i].offer.id == id)
			return true;
	return false;
}

static void forget_unused(struct route_publisher *publisher)
{
	struct route_ids *ids = &publisher->ids;
	size_t kept = 0;

	for (size_t i = 0; i < ids->count; i++) {
		bool used = false;

		for (size_t k = 0; k < 2 * publisher->count && !used; k++)
			used = has_id(&publisher->lists[k], ids->list[i].id);
		if (used)
			ids->list[kept++] = ids->list[i];
	}
	ids->count = kept;
}

/* --------------------------------------------------------------------------------------------------------- the maps */

static int compare(const void *a, const void *b)
{
	const struct route_published *first = a, *second = b;

	return route_prefix_compare(&first->prefix, &second->prefix);
}

static const struct route_published *find(const struct route_list *list, const struct route_published *wanted)
{
	return list->count ? bsearch(wanted, list->list, list->count, sizeof(*wanted), compare) : NULL;
}

/*
 * Writes new and changed routes, the longest prefix first. So an address never falls back to a shorter prefix that is
 * meant to be hidden.
 */
static int put(struct datapath *datapath, const struct route_list *before, const struct route_list *after,
	       bool *changed)
{
	int error = 0;

	for (int len = 128; len >= 0; len--) {
		for (size_t i = 0; i < after->count && !error; i++) {
			const struct route_published *now = &after->list[i], *then;

			if (now->prefix.len != len)
				continue;
			then = find(before, now);
			if (then && !memcmp(&then->offer, &now->offer, sizeof(now->offer)))
				continue;
			*changed = true;
			error = datapath_route_set(datapath, &now->prefix, &now->offer);
		}
	}
	return error;
}

/* Removes routes that are gone, the shortest prefix first. */
static void take_away(struct datapath *datapath, const struct route_list *before, const struct route_list *after,
		      bool *changed)
{
	for (int len = 0; len <= 128; len++) {
		for (size_t i = 0; i < before->count; i++) {
			const struct route_published *then = &before->list[i];

			if (then->prefix.len != len || find(after, then))
				continue;
			*changed = true;
			datapath_route_remove(datapath, &then->prefix);
		}
	}
}

static int copy(struct route_list *list, const struct route_list *from)
{
	struct route_published *fresh = calloc(from->count + 1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	if (from->count)
		memcpy(fresh, from->list, from->count * sizeof(*fresh));
	free(list->list);
	*list = (struct route_list){ fresh, from->count };
	return 0;
}

static bool is_announced(struct datapath *datapath, bool ipv6)
{
	return __atomic_load_n(&datapath_control(datapath)->flags, __ATOMIC_RELAXED) &
	       (ipv6 ? SHAKEOFF_ROUTES6 : SHAKEOFF_ROUTES4);
}

/* ------------------------------------------------------------------------------------------------- plain prefixes */

static size_t plain_size(bool ipv6)
{
	return ipv6 ? SHAKEOFF_PLAIN6 : SHAKEOFF_PLAIN4;
}

static void take_plain_back(struct datapath *datapath, bool ipv6)
{
	for (size_t index = 0; index < plain_size(ipv6); index++)
		datapath_routes_plain(datapath, ipv6, index, NULL);
}

/* Returns whether a prefix is trivial and contains no other, which would be the next in the list. */
static bool is_plain(const struct route_list *list, size_t i)
{
	const struct prefix *prefix = &list->list[i].prefix;

	return route_offer_is_trivial(&list->list[i].offer) && prefix->len && prefix->len <= 64 &&
	       (i + 1 == list->count || !route_prefix_contains(prefix, &list->list[i + 1].prefix));
}

/* Publishes the shortest plain prefixes, which most clients are likely to be in. */
static void publish_plain(struct datapath *datapath, bool ipv6, const struct route_list *list)
{
	size_t index = 0;

	for (unsigned int len = 1; len <= 64 && index < plain_size(ipv6); len++)
		for (size_t i = 0; i < list->count && index < plain_size(ipv6); i++)
			if (list->list[i].prefix.len == len && is_plain(list, i))
				datapath_routes_plain(datapath, ipv6, index++, &list->list[i].prefix);
}

/* Replaces the routes of a map. If it has no room for both lists, old routes are removed first. */
static int change(struct datapath *datapath, bool ipv6, const struct route_list *before, const struct route_list *after)
{
	bool tight = before->count + after->count > SHAKEOFF_MAX_ROUTES, changed = false;
	int error;

	take_plain_back(datapath, ipv6);
	if (tight)
		take_away(datapath, before, after, &changed);
	error = put(datapath, before, after, &changed);
	if (!error && !tight)
		take_away(datapath, before, after, &changed);
	if (!error && (changed || !is_announced(datapath, ipv6)))
		datapath_routes_announce(datapath, ipv6, true);
	if (!error)
		publish_plain(datapath, ipv6, after);
	return error;
}

/* Empties a map. `failed`: other routes that may be in it. */
static void clear(struct datapath *datapath, bool ipv6, struct route_list *list, const struct route_list *failed)
{
	const struct route_list none = { 0 };
	bool changed;

	datapath_routes_announce(datapath, ipv6, false);
	take_plain_back(datapath, ipv6);
	take_away(datapath, list, &none, &changed);
	take_away(datapath, failed, &none, &changed);
	list->count = 0;
}

static int publish_to(struct datapath *datapath, bool ipv6, struct route_list *before, const struct route_list *after)
{
	struct route_list fresh = { 0 };
	int error;

	if (!after->count) {
		if (before->count || is_announced(datapath, ipv6))
			clear(datapath, ipv6, before, after);
		return 0;
	}
	error = copy(&fresh, after);
	if (!error)
		error = change(datapath, ipv6, before, after);
	if (error) {
		clear(datapath, ipv6, before, after);
		free(fresh.list);
		return error;
	}
	free(before->list);
	*before = fresh;
	return 0;
}

int route_publish(struct route_publisher *publisher, bool ipv6, struct route_published *list, size_t count)
{
	struct route_list after = { list, count };
	int error = 0;

	for (size_t i = 0; i < count && !error; i++)
		error = give_id(&publisher->ids, &list[i].offer);
	if (error)
		after.count = 0;
	for (size_t i = 0; i < publisher->count; i++) {
		int failure = publish_to(publisher->datapaths[i], ipv6, &publisher->lists[2 * i + ipv6], &after);

		error = error ? error : failure;
	}
	forget_unused(publisher);
	return error;
}

/* ------------------------------------------------------------------------------------------------------------- open */

static int note(void *context, const struct prefix *prefix, const struct shakeoff_route *route)
{
	struct route_list *list = context;
	return array_append(list->list, list->count, (struct route_published){ *prefix, *route });
}

/* Keeps the ids of an earlier daemon, unless two datapaths have the same id for different offers. */
static int adopt(struct route_publisher *publisher, const struct route_list *list)
{
	struct route_ids *ids = &publisher->ids;
	int error = 0;

	for (size_t i = 0; i < list->count && !error; i++) {
		const struct shakeoff_route *offer = &list->list[i].offer;
		bool known = is_used(ids, offer->id);

		for (size_t k = 0; k < ids->count && !known; k++)
			known = route_offer_equal(&ids->list[k], offer);
		if (!known)
			error = remember(ids, offer);
		if (offer->id > ids->last)
			ids->last = offer->id;
	}
	return error;
}

int route_publisher_open(struct route_publisher *publisher, struct datapath *const *datapaths, size_t count)
{
	int error = 0;

	*publisher = (struct route_publisher){
		.datapaths = datapaths,
		.count = count,
		.lists = calloc(2 * count + 1, sizeof(*publisher->lists)),
	};
	if (!publisher->lists)
		return -ENOMEM;
	for (size_t i = 0; i < 2 * count && !error; i++) {
		struct route_list *list = &publisher->lists[i];

		error = datapath_route_each(datapaths[i / 2], i % 2, note, list);
		if (list->count)
			qsort(list->list, list->count, sizeof(*list->list), compare);
		if (!error)
			error = adopt(publisher, list);
	}
	return error;
}

void route_publisher_close(struct route_publisher *publisher)
{
	for (size_t i = 0; i < 2 * publisher->count && publisher->lists; i++)
		free(publisher->lists[i].list);
	free(publisher->lists);
	free(publisher->ids.list);
	*publisher = (struct route_publisher){ 0 };
}
