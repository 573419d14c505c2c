/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <common/log.h>
#include "shakeoffd/hook/advmss.h"
#include "shakeoffd/sys/clock.h"
#include "shakeoffd/route/route_entry.h"
#include "shakeoffd/route/routes.h"
#include "shakeoffd/sys/rtnetlink.h"

/*
 * Without a default route what no route holds is published as refused, and then all routes: not those of a router with a full table, from
 * which nearly every address has one.
 */
#define ROUTES_WITHOUT_DEFAULT (SHAKEOFF_MAX_ROUTES / 2)
#define RANK_NONE (UINT8_MAX - 1) /* behind all tables */

/* A host whose routes change all the time has them read so often, and spends this part of a CPU on it. */
#define READ_PERIOD_NS (800 * NS_PER_MS)
#define READ_SHARE 20

/* Those of a busy network come and go all the time. */
#define NEIGHBOURS_PERIOD_NS (200 * NS_PER_MS)

#define DUMP_TRIES 5
static const char *const family_names[2] = { "IPv4", "IPv6" };

static uint8_t family_of(bool ipv6)
{
	return ipv6 ? AF_INET6 : AF_INET;
}

/* --------------------------------------------------------------------------------------------------------- the world */

/* Whether the hook answers there by the routes that are read: those of a VRF are others. */
static bool is_answered(const struct interface *interface)
{
	return interface->ifindex && !interface->in_vrf && !interface->unserved;
}

/* What all interfaces say alike. */
static struct route_usual usual_of(const struct interfaces *interfaces, bool ipv6)
{
	struct route_usual usual = { 0 };
	bool first = true;

	for (size_t i = 0; i < interfaces->count; i++) {
		const struct interface *interface = &interfaces->list[i];
		const struct shakeoff_interface *profile = &interface->profile;

		if (!is_answered(interface))
			continue;
		if (first)
			usual = (struct route_usual){ profile->mss[ipv6], profile->hop_limit[ipv6] };
		if (usual.mss != profile->mss[ipv6])
			usual.mss = 0;
		if (usual.hop_limit != profile->hop_limit[ipv6])
			usual.hop_limit = 0;
		first = false;
	}
	return usual;
}

static bool any_interface(const struct interfaces *interfaces)
{
	for (size_t i = 0; i < interfaces->count; i++)
		if (is_answered(&interfaces->list[i]))
			return true;
	return false;
}

/* As IN_DEV_RPFILTER() (include/linux/inetdevice.h) has it; of several devices at which packets may be taken in, the strictest. */
static bool is_strict(const struct routes *routes, const struct interface *interface)
{
	const struct topology *topology = &routes->interfaces->topology;
	const struct link_entry *below = topology_find(topology, interface->ifindex);
	int all = sysctls_get(routes->sysctls, SYSCTL_RP_FILTER, 0, 0);

	for (size_t i = 0; i < topology->count && below; i++) {
		const struct device *device = devices_find(routes->world.devices, topology->list[i].ifindex);
		int own = device ? (int)device->rp_filter : 0;

		if ((own > all ? own : all) == 1 && device_is_above(topology, &topology->list[i], below))
			return true;
	}
	return false;
}

/* By which devices what a strict interface takes in is answered: by itself and those above it. */
static void find_ways(struct routes *routes)
{
	const struct interfaces *interfaces = routes->interfaces;
	const struct topology *topology = &interfaces->topology;
	struct route_world *world = &routes->world;

	world->strict = 0;
	world->way_count = 0;
	free(routes->ways);
	routes->ways = calloc(topology->count + 1, sizeof(*routes->ways));
	world->ways = routes->ways;
	for (size_t i = 0; i < topology->count && routes->ways; i++)
		routes->ways[world->way_count++].ifindex = topology->list[i].ifindex;
	for (size_t i = 0; i < interfaces->count; i++) {
		const struct interface *interface = &interfaces->list[i];
		const struct link_entry *below = topology_find(topology, interface->ifindex);
		uint32_t bit = interfaces_route_bit(interfaces, interface);

		if (!is_answered(interface) || (!routes->by_route && !is_strict(routes, interface)))
			continue;
		world->strict |= bit;
		for (size_t w = 0; w < world->way_count; w++)
			if (!below || !device_is_above(topology, &topology->list[w], below))
				routes->ways[w].refused |= bit;
	}
	if (world->way_count)
		qsort(routes->ways, world->way_count, sizeof(*routes->ways), route_way_compare);
}

static void look_at_the_world(struct routes *routes)
{
	struct route_world *world = &routes->world;

	find_ways(routes);
	for (int ipv6 = 0; ipv6 < 2; ipv6++)
		world->usual[ipv6] = usual_of(routes->interfaces, ipv6);
	world->min_adv_mss[0] = (uint32_t)sysctls_get(routes->sysctls, SYSCTL_MIN_ADV_MSS4, 0, ADVMSS_MIN4_DEFAULT);
	world->min_adv_mss[1] = (uint32_t)sysctls_get(routes->sysctls, SYSCTL_MIN_ADV_MSS6, 0, ADVMSS_MIN6_DEFAULT);
}

/* ----------------------------------------------------------------------------------------------------- one route */

/* What a route offers, by each of its next hops. */
struct offers {
	struct shakeoff_route list[ROUTE_HOPS_MAX];
	size_t count;
	bool trivial; /* all of them */
};

static void find_offers(const struct routes *routes, struct route_entry *route, struct offers *offers)
{
	uint32_t refused;

	*offers = (struct offers){ .trivial = true };
	if (route->nexthop)
		route_nexthops_resolve(&routes->nexthops, route);
	refused = route_refused(&routes->world, route);
	if (route->rejects || route->throws) {
		*offers = (struct offers){ .list[0].refused = refused, .count = 1 };
		return;
	}
	for (size_t i = 0; i < route->hop_count; i++) {
		struct shakeoff_route *offer = &offers->list[offers->count];

		/* A device that came since: a message of it has come, too. */
		if (!route_offer(&routes->world, route, &route->hops[i], offer))
			continue;
		offer->refused = refused;
		offers->trivial &= route_offer_is_trivial(offer);
		offers->count++;
	}
}

/* --------------------------------------------------------------------------------------------------------- reading */

/* The same routes are read up to three times. */
enum pass {
	PASS_SPEAKING, /* those that say something of their own */
	PASS_THROWN,   /* those of the last table that throw: behind it there is nothing */
	PASS_SILENT,   /* those that say nothing, but hide others, or are hidden by them */
};

struct reading {
	struct routes *routes;
	struct routes_family *family;
	enum pass pass;
	bool has_default, throws; /* these were met in the first pass */
	int last_rank;            /* of tables that have routes of use; likewise */
	size_t count;             /* routes that are looked up; likewise */
	uint32_t number;
	enum route_problem problem; /* that is known already */
	struct prefix where;
	uint32_t rule;
};

static void find_problem(struct reading *reading, enum route_problem problem, const struct prefix *where)
{
	if (reading->problem)
		return;
	reading->problem = problem;
	reading->where = *where;
}

/* Whether a route says something of these addresses. That there is no default route says nothing: its clients are the kernel's. */
static bool touches_spoken(const struct reading *reading, const struct prefix *prefix)
{
	return route_table_touches_from(&reading->family->table, prefix, reading->has_default ? 0 : 1);
}

/* Some connections go by it, and nobody knows which. */
static void read_other(struct reading *reading, const struct route_entry *route, const struct offers *offers)
{
	uint32_t priority;

	if (!route_rules_have_other(&reading->family->rules, route->table, &priority))
		return;
	/* One that says nothing differs from the others if those say something of the same addresses: the second pass knows. */
	if (offers->trivial && (reading->pass != PASS_SILENT || !touches_spoken(reading, &route->prefix)))
		return;
	find_problem(reading, ROUTE_PROBLEM_RULES, &route->prefix);
	reading->rule = priority;
}

static int add_candidates(struct reading *reading, const struct route_entry *route, const struct offers *offers,
			  int rank)
{
	struct route_candidate candidate = {
		.prefix = route->prefix,
		.preference = route->preference,
		.partial = route->partial,
		.rank = (uint8_t)rank,
		.number = reading->number,
		.priority = route->priority,
	};
	int error = 0;

	for (size_t i = 0; i < offers->count && !error; i++) {
		candidate.offer = offers->list[i];
		error = route_table_add(&reading->family->table, &candidate);
	}
	return error;
}

static int add_refused(struct reading *reading, const struct prefix *prefix, int rank)
{
	const struct route_candidate candidate = {
		.prefix = *prefix,
		.rank = (uint8_t)rank,
		.priority = UINT32_MAX,
		.offer.refused = SHAKEOFF_ROUTE_REFUSED_ALL,
	};

	return route_table_add(&reading->family->table, &candidate);
}

/* The look-up goes on in the next table, or ends without a route. */
static int read_throw(struct reading *reading, const struct route_entry *route, int rank)
{
	int error = 0;

	if (rank == ROUTE_NOT_LOOKED_UP)
		return 0;
	reading->throws |= reading->pass == PASS_SPEAKING;
	if (reading->pass == PASS_THROWN && rank >= reading->last_rank)
		error = add_refused(reading, &route->prefix, rank);
	/* What another table says of a part of this one is not followed. */
	if (reading->pass == PASS_SILENT && rank < reading->last_rank && touches_spoken(reading, &route->prefix))
		find_problem(reading, ROUTE_PROBLEM_RULES, &route->prefix);
	if (error)
		errno = -error;
	return error;
}

static void note_route(struct reading *reading, const struct route_entry *route, int rank)
{
	if (reading->pass != PASS_SPEAKING || rank == ROUTE_NOT_LOOKED_UP)
		return;
	reading->has_default |= !route->prefix.len && !route->partial;
	reading->count++;
	if (rank > reading->last_rank)
		reading->last_rank = rank;
}

static int route_message(const struct nlmsghdr *header, void *context)
{
	struct reading *reading = context;
	struct route_entry route;
	struct offers offers;
	int rank;

	reading->number++;
	if (header->nlmsg_type != RTM_NEWROUTE || !route_entry_parse(header, &route))
		return MNL_CB_OK;
	rank = route_rules_rank(&reading->family->rules, route.table, route.prefix.len);
	if (route.throws)
		return read_throw(reading, &route, rank) ? MNL_CB_ERROR : MNL_CB_OK;
	if (reading->pass == PASS_THROWN)
		return MNL_CB_OK;
	find_offers(reading->routes, &route, &offers);
	note_route(reading, &route, rank);
	if (rank == ROUTE_NOT_LOOKED_UP) {
		read_other(reading, &route, &offers);
		return MNL_CB_OK;
	}
	if (route.hops_unknown)
		find_problem(reading, ROUTE_PROBLEM_UNKNOWN, &route.prefix);
	if (offers.trivial != (reading->pass == PASS_SILENT) ||
	    (offers.trivial && !route_table_touches(&reading->family->table, &route.prefix)) ||
	    !add_candidates(reading, &route, &offers, rank))
		return MNL_CB_OK;
	errno = ENOMEM;
	return MNL_CB_ERROR;
}

static int rule_message(const struct nlmsghdr *header, void *context)
{
	if (header->nlmsg_type == RTM_NEWRULE)
		route_rules_add(context, header);
	return MNL_CB_OK;
}

/* Without what the kernel has learnt of single hosts: it would be of as many as have connections. */
static int open_strict(struct mnl_socket **socket)
{
	int on = 1, error = rtnetlink_open(socket);

	if (!error)
		mnl_socket_setsockopt(*socket, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return error;
}

static int dump(uint8_t family, uint16_t type, size_t header_size, mnl_cb_t callback, void *context)
{
	struct mnl_socket *socket;
	int error = open_strict(&socket);

	if (error)
		return error;
	error = rtnetlink_dump_family(socket, family, type, header_size, callback, context);
	mnl_socket_close(socket);
	return error;
}

static int read_once(struct reading *reading, bool ipv6)
{
	struct routes_family *family = reading->family;
	const struct prefix all = { .ipv6 = ipv6 };
	uint8_t number = family_of(ipv6);
	int error;

	route_table_free(&family->table);
	family->rules = (struct route_rules){ 0 };
	error = dump(number, RTM_GETRULE, sizeof(struct fib_rule_hdr), rule_message, &family->rules);
	if (!error)
		error = dump(number, RTM_GETROUTE, sizeof(struct rtmsg), route_message, reading);
	if (!error && reading->throws) {
		reading->pass = PASS_THROWN;
		error = dump(number, RTM_GETROUTE, sizeof(struct rtmsg), route_message, reading);
	}
	if (!error && !reading->has_default && reading->count <= ROUTES_WITHOUT_DEFAULT)
		error = add_refused(reading, &all, RANK_NONE);
	if (!error)
		error = route_table_index(&family->table);
	if (error || !family->table.count)
		return error;
	reading->pass = PASS_SILENT;
	reading->number = 0;
	return dump(number, RTM_GETROUTE, sizeof(struct rtmsg), route_message, reading);
}

static enum route_problem settle(struct reading *reading)
{
	struct routes_family *family = reading->family;
	const struct prefix all = { 0 };
	struct prefix where;
	enum route_problem problem;

	if (family->rules.overflow)
		find_problem(reading, ROUTE_PROBLEM_RULES, &all);
	if (family->rules.refuse && !reading->problem) {
		find_problem(reading, ROUTE_PROBLEM_REFUSE, &all);
		reading->rule = family->rules.refuse_priority;
	}
	if (reading->problem)
		return reading->problem;
	problem = route_table_settle(&family->table, SHAKEOFF_MAX_ROUTES, &where);
	if (problem)
		find_problem(reading, problem, &where);
	return reading->problem;
}

/* -------------------------------------------------------------------------------------------------------- following */

static const char *problem_text(enum route_problem problem)
{
	static const char *const texts[ROUTE_PROBLEM_COUNT] = {
#define X(constant, text) text,
		ROUTE_PROBLEMS(X)
#undef X
	};

	return texts[problem];
}

static void say(const struct reading *reading, bool ipv6, enum route_problem before)
{
	char where[PREFIX_TEXT], rule[40] = "";
	struct prefix prefix = reading->where;

	if (reading->problem == before)
		return;
	if (!reading->problem) {
		log_info("%s routes can be followed again", family_names[ipv6]);
		return;
	}
	if (reading->problem == ROUTE_PROBLEM_RULES || reading->problem == ROUTE_PROBLEM_REFUSE)
		snprintf(rule, sizeof(rule), " (rule %u)", reading->rule);
	prefix.ipv6 = ipv6;
	prefix_write(&prefix, where, sizeof(where));
	log_warn("servers that listen are left to the kernel at %s addresses, because of routes: %s%s: %s",
		 family_names[ipv6], problem_text(reading->problem), rule, where);
}

static void follow(struct routes *routes, bool ipv6)
{
	struct routes_family *family = &routes->families[ipv6];
	struct reading reading = { .routes = routes, .family = family };
	enum route_problem before = family->problem;
	int error = -EINTR;

	for (int i = 0; i < DUMP_TRIES && error == -EINTR; i++) {
		reading = (struct reading){ .routes = routes, .family = family };
		error = read_once(&reading, ipv6);
	}
	if (error)
		reading.problem = ROUTE_PROBLEM_UNREAD;
	else
		settle(&reading);
	error = route_publish(&routes->publisher, ipv6, family->table.published,
			      reading.problem ? 0 : family->table.published_count);
	if (error && !reading.problem)
		reading.problem = ROUTE_PROBLEM_UNTOLD;
	say(&reading, ipv6, before);
	family->problem = reading.problem;
	/* What could not be done may be done another time. */
	family->dirty = reading.problem == ROUTE_PROBLEM_UNREAD || reading.problem == ROUTE_PROBLEM_UNTOLD;
}

static void follow_dirty(struct routes *routes)
{
	if (!any_interface(routes->interfaces))
		return;
	look_at_the_world(routes);
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

/* ----------------------------------------------------------------------------------------------------- neighbours */

static int append_neighbour(const struct interfaces *interfaces, const struct neighbour *neighbour,
			    struct shakeoff_neighbour *keys, struct shakeoff_next_hop *hops, size_t count)
{
	const struct topology *topology = &interfaces->topology;
	const struct link_entry *device = topology_find(topology, neighbour->ifindex);

	for (size_t i = 0; i < interfaces->count && device; i++) {
		const struct link_entry *below = topology_find(topology, interfaces->list[i].ifindex);

		if (!below || !device_is_above(topology, device, below))
			continue;
		memcpy(keys[count].address, &neighbour->address, sizeof(keys[count].address));
		keys[count].route_bit = interfaces_route_bit(interfaces, &interfaces->list[i]);
		memcpy(hops[count].mac, neighbour->mac, sizeof(hops[count].mac));
		return 1;
	}
	return 0;
}

static int publish_neighbours(const struct routes *routes)
{
	const struct interfaces *interfaces = routes->interfaces;
	size_t most = routes->neighbours.count, count = 0;
	struct shakeoff_neighbour *keys = calloc(most + 1, sizeof(*keys));
	struct shakeoff_next_hop *hops = calloc(most + 1, sizeof(*hops));
	int error = keys && hops ? 0 : -ENOMEM;

	for (size_t i = 0; i < most && !error; i++)
		count += (size_t)append_neighbour(interfaces, &routes->neighbours.list[i], keys, hops, count);
	for (size_t i = 0; i < interfaces->datapath_count && !error; i++)
		error = datapath_neighbours_set(interfaces->datapaths[i], keys, hops, count);
	free(keys);
	free(hops);
	return error;
}

/* What is in the map is right at all times but this moment; gateways are in the routes. */
static void follow_neighbours(struct routes *routes, uint64_t now_ns)
{
	bool changed = false;
	int error;

	if (!routes->by_route || !routes->neighbours_changed || now_ns - routes->neighbours_ns < NEIGHBOURS_PERIOD_NS)
		return;
	routes->neighbours_ns = now_ns;
	routes->neighbours_changed = false;
	error = neighbours_read(&routes->neighbours, &changed);
	if (!error && changed)
		error = publish_neighbours(routes);
	if (changed)
		routes_touch(routes);
	if (error) {
		routes->neighbours_changed = true;
		log_warn_limited("the neighbours could not be listed, or told to the hook: %s", strerror(-error));
	}
}

void routes_tick(struct routes *routes, uint64_t now_ns)
{
	uint64_t pause, end;

	follow_neighbours(routes, now_ns);
	if (now_ns < routes->next_ns || (!routes->families[0].dirty && !routes->families[1].dirty))
		return;
	follow_dirty(routes);
	end = clock_ns();
	pause = (end - now_ns) * READ_SHARE;
	routes->next_ns = pause > READ_PERIOD_NS ? end + pause : now_ns + READ_PERIOD_NS;
}

bool routes_left(const struct routes *routes, bool ipv6)
{
	return routes->families[ipv6].problem != ROUTE_PROBLEM_NONE;
}

/* -------------------------------------------------------------------------------------------------------- messages */

/* Of a million routes of a router that come and go few say anything. */
static bool matters(const struct routes *routes, const struct nlmsghdr *header)
{
	const struct routes_family *family;
	struct route_entry route;
	struct offers offers;
	uint32_t priority;

	if (!route_entry_parse(header, &route))
		return false;
	family = &routes->families[route.prefix.ipv6];
	if (family->dirty || !route.prefix.len || route.throws)
		return true;
	if (route_rules_rank(&family->rules, route.table, route.prefix.len) == ROUTE_NOT_LOOKED_UP)
		return route_rules_have_other(&family->rules, route.table, &priority);
	find_offers(routes, &route, &offers);
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
	/* Routes go with devices, addresses and next hops, without a message of their own. */
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
			routes_touch(routes); /* messages were lost: it may have been anything */
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
	follow_neighbours(routes, clock_ns());
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
