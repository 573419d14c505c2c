/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "shakeoffd/sys/rtnetlink.h"
#include "shakeoffd/discovery/upper_addresses.h"
#include "common/tuple.h"

struct reading {
	struct upper_addresses fresh;
	const struct interfaces *interfaces;
};

static int remember(struct upper_addresses *upper, const struct upper_address *address)
{
	return array_append(upper->list, upper->count, *address);
}

static int address_message(const struct nlmsghdr *header, void *context)
{
	struct reading *reading = context;
	struct rtnetlink_address address;
	struct upper_address found = { 0 };

	if (!rtnetlink_address_read(header, &address))
		return MNL_CB_OK;
	found.tagged = interfaces_tag(reading->interfaces, address.ifindex);
	found.bridged = interfaces_bridge(reading->interfaces, address.ifindex);
	if (!found.tagged && !found.bridged)
		return MNL_CB_OK;
	found.address = address.local;
	return remember(&reading->fresh, &found) ? MNL_CB_ERROR : MNL_CB_OK;
}

static int compare(const void *a, const void *b)
{
	const struct upper_address *first = a, *second = b;

	return memcmp(&first->address, &second->address, sizeof(first->address));
}

static bool same(const struct upper_addresses *a, const struct upper_addresses *b)
{
	bool same = a->count == b->count;

	for (size_t i = 0; i < a->count && same; i++)
		same = !compare(&a->list[i], &b->list[i]) && a->list[i].tagged == b->list[i].tagged &&
		       a->list[i].bridged == b->list[i].bridged;
	return same;
}

/*
 * Sorts the addresses and merges duplicates. An address may be on several devices: a property of one of them holds for
 * it.
 */
static void sort(struct upper_addresses *upper)
{
	size_t distinct = 0;

	if (upper->count)
		qsort(upper->list, upper->count, sizeof(*upper->list), compare);
	for (size_t i = 0; i < upper->count; i++) {
		if (distinct && !compare(&upper->list[distinct - 1], &upper->list[i])) {
			upper->list[distinct - 1].tagged |= upper->list[i].tagged;
			upper->list[distinct - 1].bridged |= upper->list[i].bridged;
		} else {
			upper->list[distinct++] = upper->list[i];
		}
	}
	upper->count = distinct;
}

int upper_addresses_read(struct upper_addresses *upper, const struct interfaces *interfaces, bool *changed)
{
	struct reading reading = { .interfaces = interfaces };
	struct upper_addresses *fresh = &reading.fresh;
	int error = 0;

	if (interfaces_are_below_others(interfaces))
		error = rtnetlink_addresses(address_message, &reading, &fresh->count);
	if (error) {
		free(fresh->list);
		return error;
	}
	sort(fresh);
	*changed = !same(upper, fresh);
	upper_addresses_free(upper);
	*upper = *fresh;
	return 0;
}

void upper_addresses_free(struct upper_addresses *upper)
{
	free(upper->list);
	*upper = (struct upper_addresses){ 0 };
}

static const struct upper_address *find(const struct upper_addresses *upper, const struct in6_addr *address)
{
	struct upper_address key = { .address = *address };

	return upper->count ? bsearch(&key, upper->list, upper->count, sizeof(key), compare) : NULL;
}

bool upper_addresses_are_tagged(const struct upper_addresses *upper, const struct in6_addr *address)
{
	const struct upper_address *found = find(upper, address);

	return found && found->tagged;
}

bool upper_addresses_are_bridged(const struct upper_addresses *upper, const struct in6_addr *address)
{
	const struct upper_address *found = find(upper, address);

	return found && found->bridged;
}
