/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "shakeoffd/route/neighbours.h"
#include "shakeoffd/sys/rtnetlink.h"
#include "common/tuple.h"

/* NUD_VALID, include/net/neighbour.h: the kernel sends to these neighbours at once. */
#define VALID (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

static int message(const struct nlmsghdr *header, void *context)
{
	const struct ndmsg *message = mnl_nlmsg_get_payload(header);
	struct neighbours *neighbours = context;
	const struct nlattr *attribute, *address = NULL, *mac = NULL;
	size_t size = message->ndm_family == AF_INET ? 4 : sizeof(struct in6_addr);
	struct neighbour fresh = { .ifindex = (unsigned int)message->ndm_ifindex };

	if (header->nlmsg_type != RTM_NEWNEIGH || !(message->ndm_state & VALID) ||
	    (message->ndm_family != AF_INET && message->ndm_family != AF_INET6))
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, header, sizeof(*message)) {
		switch (mnl_attr_get_type(attribute)) {
		case NDA_DST: address = attribute; break;
		case NDA_LLADDR: mac = attribute; break;
		}
	}
	if (!address || !mac || mnl_attr_get_payload_len(address) != size ||
	    mnl_attr_get_payload_len(mac) != sizeof(fresh.mac))
		return MNL_CB_OK;
	address_map(message->ndm_family, mnl_attr_get_payload(address), &fresh.address);
	memcpy(fresh.mac, mnl_attr_get_payload(mac), sizeof(fresh.mac));
	return array_append(neighbours->list, neighbours->count, fresh) ? MNL_CB_ERROR : MNL_CB_OK;
}

static int compare(const void *a, const void *b)
{
	const struct neighbour *first = a, *second = b;
	int order = memcmp(&first->address, &second->address, sizeof(first->address));

	return order ? order : first->ifindex < second->ifindex ? -1 : first->ifindex > second->ifindex;
}

static bool same(const struct neighbours *a, const struct neighbours *b)
{
	bool same = a->count == b->count;

	for (size_t i = 0; i < a->count && same; i++)
		same = !compare(&a->list[i], &b->list[i]) &&
		       !memcmp(a->list[i].mac, b->list[i].mac, sizeof(a->list[i].mac));
	return same;
}

int neighbours_read(struct neighbours *neighbours, bool *changed)
{
	struct neighbours fresh = { 0 };
	int error = rtnetlink_list(RTM_GETNEIGH, sizeof(struct ndmsg), message, &fresh, &fresh.count);

	if (error) {
		neighbours_free(&fresh);
		return error;
	}
	if (fresh.count)
		qsort(fresh.list, fresh.count, sizeof(*fresh.list), compare);
	*changed = !same(neighbours, &fresh);
	neighbours_free(neighbours);
	*neighbours = fresh;
	return 0;
}

void neighbours_free(struct neighbours *neighbours)
{
	free(neighbours->list);
	*neighbours = (struct neighbours){ 0 };
}

const struct neighbour *neighbours_find(const struct neighbours *neighbours, unsigned int ifindex,
					const struct in6_addr *address)
{
	const struct neighbour key = { .ifindex = ifindex, .address = *address };

	return neighbours->count ? bsearch(&key, neighbours->list, neighbours->count, sizeof(key), compare) : NULL;
}
