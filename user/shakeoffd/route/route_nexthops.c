/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "shakeoffd/route/route_nexthops.h"
#include "shakeoffd/sys/rtnetlink.h"
#include "common/tuple.h"

static int take_group(struct route_nexthop *nexthop, const struct nlattr *attribute)
{
	const struct nexthop_grp *members = mnl_attr_get_payload(attribute);
	size_t count = mnl_attr_get_payload_len(attribute) / sizeof(*members);

	free(nexthop->group);
	nexthop->group = calloc(count + 1, sizeof(*nexthop->group));
	if (!nexthop->group)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		nexthop->group[i] = members[i].id;
	nexthop->group_size = count;
	return 0;
}

static int nexthop_message(const struct nlmsghdr *header, void *context)
{
	const struct nhmsg *message = mnl_nlmsg_get_payload(header);
	struct route_nexthop nexthop = { .dead = message->nh_flags & RTNH_F_DEAD };
	struct route_nexthops *nexthops = context;
	const struct nlattr *attribute;
	int error = 0;

	if (header->nlmsg_type != RTM_NEWNEXTHOP)
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, header, sizeof(*message)) {
		switch (mnl_attr_get_type(attribute)) {
		case NHA_ID: nexthop.id = mnl_attr_get_u32(attribute); break;
		case NHA_OIF: nexthop.hop.ifindex = mnl_attr_get_u32(attribute); break;
		case NHA_GATEWAY:
			nexthop.hop.gateway = true;
			address_map(message->nh_family, mnl_attr_get_payload(attribute), &nexthop.hop.via);
			break;
		case NHA_BLACKHOLE: nexthop.dead = true; break;
		case NHA_GROUP: error = take_group(&nexthop, attribute); break;
		}
	}
	if (!error)
		error = array_append(nexthops->list, nexthops->count, nexthop);
	if (!error)
		return MNL_CB_OK;
	free(nexthop.group);
	errno = ENOMEM;
	return MNL_CB_ERROR;
}

static int compare(const void *a, const void *b)
{
	const struct route_nexthop *first = a, *second = b;

	return first->id < second->id ? -1 : first->id > second->id;
}

int route_nexthops_read(struct route_nexthops *nexthops)
{
	struct route_nexthops fresh = { 0 };
	struct mnl_socket *socket;
	int error = rtnetlink_open(&socket);

	if (error)
		return error;
	error = rtnetlink_dump(socket, RTM_GETNEXTHOP, sizeof(struct nhmsg), nexthop_message, &fresh);
	mnl_socket_close(socket);
	if (error) {
		route_nexthops_free(&fresh);
		return error;
	}
	if (fresh.count)
		qsort(fresh.list, fresh.count, sizeof(*fresh.list), compare);
	route_nexthops_free(nexthops);
	*nexthops = fresh;
	return 0;
}

void route_nexthops_free(struct route_nexthops *nexthops)
{
	for (size_t i = 0; i < nexthops->count; i++)
		free(nexthops->list[i].group);
	free(nexthops->list);
	*nexthops = (struct route_nexthops){ 0 };
}

static const struct route_nexthop *find(const struct route_nexthops *nexthops, uint32_t id)
{
	const struct route_nexthop key = { .id = id };

	return nexthops->count ? bsearch(&key, nexthops->list, nexthops->count, sizeof(key), compare) : NULL;
}

static void add(struct route_entry *route, const struct route_nexthop *nexthop)
{
	if (nexthop && !nexthop->dead && !nexthop->group && nexthop->hop.ifindex)
		route_entry_add_hop(route, &nexthop->hop);
}

void route_nexthops_resolve(const struct route_nexthops *nexthops, struct route_entry *route)
{
	const struct route_nexthop *nexthop = find(nexthops, route->nexthop);

	route->hops_unknown = !nexthop;
	if (!nexthop)
		return;
	add(route, nexthop);
	for (size_t i = 0; i < nexthop->group_size; i++)
		add(route, find(nexthops, nexthop->group[i]));
}
