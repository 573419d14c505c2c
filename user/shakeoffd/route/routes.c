/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "shakeoffd/route/routes_internal.h"
#include "common/clock.h"
#include "shakeoffd/sys/rtnetlink.h"

/* Minimum time between two readings if routes change all the time, and the maximum part of a CPU for reading. */
#define READ_PERIOD_NS (800 * NS_PER_MS)
#define READ_SHARE 20

static const char *const family_names[2] = { "IPv4", "IPv6" };

/* ----------------------------------------------------------------------------------------------------------- follow */

static const char *problem_text(enum route_problem problem)
{
	static const char *const texts[ROUTE_PROBLEM_COUNT] = {
#define X(constant, text) text,
		ROUTE_PROBLEMS(X)
#undef X
	};

	return texts[problem];
}

static void report(const struct route_finding *found, bool ipv6, enum route_problem before)
{
	char where[PREFIX_TEXT], rule[40] = "";
	struct prefix prefix = found->where;

	if (found->problem == before)
		return;
	if (!found->problem) {
		log_info("%s routes can be followed again", family_names[ipv6]);
		return;
	}
	if (found->problem == ROUTE_PROBLEM_RULES || found->problem == ROUTE_PROBLEM_REFUSE)
		snprintf(rule, sizeof(rule), " (rule %u)", found->rule);
	prefix.ipv6 = ipv6;
	prefix_write(&prefix, where, sizeof(where));
	log_warn("servers that listen are bypassed at %s addresses, because of routes: %s%s: %s", family_names[ipv6],
		 problem_text(found->problem), rule, where);
}

static void follow(struct routes *routes, bool ipv6)
{
	struct routes_family *family = &routes->families[ipv6];
	struct route_finding found = routes_read(routes, ipv6);
	int error = route_publish(&routes->publisher, ipv6, family->table.published,
				  found.problem ? 0 : family->table.published_count);

	if (error && !found.problem)
		found.problem = ROUTE_PROBLEM_UNTOLD;
	report(&found, ipv6, family->problem);
	family->problem = found.problem;
	/* These may succeed another time. */
	family->dirty = found.problem == ROUTE_PROBLEM_UNREAD || found.problem == ROUTE_PROBLEM_UNTOLD;
}

static void follow_dirty(struct routes *routes)
{
	if (!route_world_has_interface(routes->interfaces))
		return;
	route_world_look(routes);
	if (route_nexthops_read(&routes->nexthops))
		log_debug("next hop objects could not be listed");
	for (int ipv6 = 0; ipv6 < 2; ipv6++)
		if (routes->families[ipv6].dirty)
			follow(routes, ipv6);
}

void routes_touch(struct routes *routes)
{
	routes->families[0].dirty = routes->families[1].dirty = true;
}

void routes_tick(struct routes *routes, uint64_t now_ns)
{
	uint64_t pause, end;

	if (route_neighbours_follow(routes, now_ns))
		routes_touch(routes);
	if (now_ns < routes->next_ns || (!routes->families[0].dirty && !routes->families[1].dirty))
		return;
	follow_dirty(routes);
	end = clock_ns();
	pause = (end - now_ns) * READ_SHARE;
	routes->next_ns = pause > READ_PERIOD_NS ? end + pause : now_ns + READ_PERIOD_NS;
}

bool routes_bypassed(const struct routes *routes, bool ipv6)
{
	return routes->families[ipv6].problem != ROUTE_PROBLEM_NONE;
}

/* -------------------------------------------------------------------------------------------------------- messages */

/* Returns whether a route matters. On a router with a million routes that come and go, few do. */
static bool matters(const struct routes *routes, const struct nlmsghdr *header)
{
	const struct routes_family *family;
	struct route_entry route;
	struct route_offers offers;
	uint32_t priority;

	if (!route_entry_parse(header, &route))
		return false;
	family = &routes->families[route.prefix.ipv6];
	if (family->dirty || !route.prefix.len || route.throws)
		return true;
	if (route_rules_rank(&family->rules, route.table, route.prefix.len) == ROUTE_NOT_LOOKED_UP)
		return route_rules_have_other(&family->rules, route.table, &priority);
	route_offers_find(routes, &route, &offers);
	return offers.count != route.hop_count || !offers.trivial || family->problem ||
	       route_table_touches(&family->table, &route.prefix);
}

static bool is_local(const struct nlmsghdr *header)
{
	const struct rtmsg *message = mnl_nlmsg_get_payload(header);

	return mnl_nlmsg_get_payload_len(header) >= sizeof(*message) && message->rtm_table == RT_TABLE_LOCAL &&
	       !(message->rtm_flags & RTM_F_CLONED);
}

static void message(struct routes *routes, const struct nlmsghdr *header)
{
	const uint8_t *family = mnl_nlmsg_get_payload(header);

	switch (header->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		routes->local_changed |= is_local(header);
		if (matters(routes, header))
			routes->families[*family == AF_INET6].dirty = true;
		break;
	case RTM_NEWRULE:
	case RTM_DELRULE: routes->families[*family == AF_INET6].dirty = true; break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH: routes->neighbours_changed = true; break;
	/* The kernel sends no message for routes that go with devices, addresses or next hops. */
	case RTM_NEWLINK:
	case RTM_DELLINK:
	case RTM_NEWADDR:
	case RTM_DELADDR:
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP: routes_touch(routes); break;
	}
}

static void ready(struct event_source *source, uint32_t events)
{
	struct routes *routes = (struct routes *)source;
	_Alignas(struct nlmsghdr) char buffer[32 * 1024];
	ssize_t size;

	(void)events;
	while ((size = recv(source->fd, buffer, sizeof(buffer), MSG_DONTWAIT)) != 0) {
		if (size < 0 && errno == ENOBUFS) {
			routes_touch(routes); /* messages were lost, so anything may have changed */
			routes->local_changed = routes->neighbours_changed = true;
			continue;
		}
		if (size < 0)
			return;
		for (struct nlmsghdr *header = (struct nlmsghdr *)buffer; NLMSG_OK(header, (size_t)size);
		     header = NLMSG_NEXT(header, size))
			if (header->nlmsg_len > NLMSG_HDRLEN)
				message(routes, header);
	}
}

static int listen_for_messages(struct routes *routes, struct event_loop *loop)
{
	int fd = rtnetlink_subscribe(RTNETLINK_GROUP(RTNLGRP_LINK) | RTNETLINK_GROUP(RTNLGRP_IPV4_IFADDR) |
				     RTNETLINK_GROUP(RTNLGRP_IPV6_IFADDR) | RTNETLINK_GROUP(RTNLGRP_IPV4_ROUTE) |
				     RTNETLINK_GROUP(RTNLGRP_IPV6_ROUTE) | RTNETLINK_GROUP(RTNLGRP_IPV4_RULE) |
				     RTNETLINK_GROUP(RTNLGRP_IPV6_RULE) | RTNETLINK_GROUP(RTNLGRP_NEXTHOP) |
				     (routes->by_route ? RTNETLINK_GROUP(RTNLGRP_NEIGH) : 0));
	int error;

	if (fd < 0)
		return fd;
	error = event_loop_add(loop, &routes->source, fd, EPOLLIN, ready);
	if (error)
		close(fd);
	return error;
}

int routes_open(struct routes *routes, struct event_loop *loop, const struct interfaces *interfaces,
		const struct devices *devices, const struct sysctls *sysctls, bool by_route)
{
	int error;

	*routes = (struct routes){
		.interfaces = interfaces,
		.sysctls = sysctls,
		.world.devices = devices,
		.world.neighbours = by_route ? &routes->neighbours : NULL,
		.by_route = by_route,
		.neighbours_changed = true,
	};
	error = listen_for_messages(routes, loop);
	if (!error)
		error = route_publisher_open(&routes->publisher, interfaces->datapaths, interfaces->datapath_count);
	if (error)
		return error;
	route_neighbours_follow(routes, clock_ns());
	routes_touch(routes);
	follow_dirty(routes);
	return 0;
}

void routes_close(struct routes *routes)
{
	if (routes->source.loop)
		close(routes->source.fd);
	for (int ipv6 = 0; ipv6 < 2; ipv6++)
		route_table_free(&routes->families[ipv6].table);
	route_nexthops_free(&routes->nexthops);
	route_publisher_close(&routes->publisher);
	free(routes->ways);
	neighbours_free(&routes->neighbours);
}
