/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads the routes of a family: finds those with an offer of their own, and whether they can be followed. */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "shakeoffd/route/routes_internal.h"
#include "shakeoffd/sys/rtnetlink.h"

/*
 * Without a default route, addresses that no route holds are published as refused, and then all routes have to be
 * published. This is not done for a router with a full table, which has a route for nearly every address.
 */
#define ROUTES_WITHOUT_DEFAULT (SHAKEOFF_MAX_ROUTES / 2)
#define RANK_NONE (UINT8_MAX - 1) /* later than all tables */

#define DUMP_TRIES 5

static uint8_t family_of(bool ipv6)
{
	return ipv6 ? AF_INET6 : AF_INET;
}

void route_offers_find(const struct routes *routes, struct route_entry *route, struct route_offers *offers)
{
	uint32_t refused;

	*offers = (struct route_offers){ .trivial = true };
	if (route->nexthop)
		route_nexthops_resolve(&routes->nexthops, route);
	refused = route_refused(&routes->world, route);
	if (route->rejects || route->throws) {
		*offers = (struct route_offers){ .list[0].refused = refused, .count = 1 };
		return;
	}
	for (size_t i = 0; i < route->hop_count; i++) {
		struct shakeoff_route *offer = &offers->list[offers->count];

		/* The device is new: its own message is still to be read. */
		if (!route_offer(&routes->world, route, &route->hops[i], offer))
			continue;
		offer->refused = refused;
		offers->trivial &= route_offer_is_trivial(offer);
		offers->count++;
	}
}

/* The same routes are read up to three times. A route speaks if its offer differs from the interfaces' profiles. */
enum pass {
	PASS_SPEAKING, /* routes that speak */
	PASS_THROWN,   /* throw routes of the last table: no other table follows */
	PASS_SILENT,   /* trivial routes that hide others, or are hidden by them */
};

struct reading {
	struct routes *routes;
	struct routes_family *family;
	enum pass pass;
	bool has_default, throws; /* found in the first pass */
	int last_rank;            /* of the tables with usable routes; from the first pass */
	size_t count;             /* routes that are looked up; from the first pass */
	uint32_t number;
	struct route_finding found; /* the first problem */
};

static void find_problem(struct reading *reading, enum route_problem problem, const struct prefix *where)
{
	if (reading->found.problem)
		return;
	reading->found.problem = problem;
	reading->found.where = *where;
}

/*
 * Returns whether a route that speaks has these addresses. A missing default route does not count: the kernel serves
 * its clients.
 */
static bool touches_spoken(const struct reading *reading, const struct prefix *prefix)
{
	return route_table_touches_from(&reading->family->table, prefix, reading->has_default ? 0 : 1);
}

/* Reads a route that only some connections use. Which ones is unknown. */
static void read_other(struct reading *reading, const struct route_entry *route, const struct route_offers *offers)
{
	uint32_t priority;

	if (!route_rules_have_other(&reading->family->rules, route->table, &priority))
		return;
	/* A trivial route is a problem only if other routes speak for the same addresses; the second pass knows. */
	if (offers->trivial && (reading->pass != PASS_SILENT || !touches_spoken(reading, &route->prefix)))
		return;
	find_problem(reading, ROUTE_PROBLEM_RULES, &route->prefix);
	reading->found.rule = priority;
}

static int add_candidates(struct reading *reading, const struct route_entry *route, const struct route_offers *offers,
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

/* Reads a throw route: the look-up continues in the next table, or ends without a route. */
static int read_throw(struct reading *reading, const struct route_entry *route, int rank)
{
	int error = 0;

	if (rank == ROUTE_NOT_LOOKED_UP)
		return 0;
	reading->throws |= reading->pass == PASS_SPEAKING;
	if (reading->pass == PASS_THROWN && rank >= reading->last_rank)
		error = add_refused(reading, &route->prefix, rank);
	/* Routes of other tables for a part of this prefix are not followed. */
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
	struct route_offers offers;
	int rank;

	reading->number++;
	if (header->nlmsg_type != RTM_NEWROUTE || !route_entry_parse(header, &route))
		return MNL_CB_OK;
	rank = route_rules_rank(&reading->family->rules, route.table, route.prefix.len);
	if (route.throws)
		return read_throw(reading, &route, rank) ? MNL_CB_ERROR : MNL_CB_OK;
	if (reading->pass == PASS_THROWN)
		return MNL_CB_OK;
	route_offers_find(reading->routes, &route, &offers);
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

/* Opens a socket that leaves out what the kernel has learnt about single hosts, which may be as many as connections. */
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

static void settle(struct reading *reading)
{
	struct routes_family *family = reading->family;
	const struct prefix all = { 0 };
	struct prefix where;
	enum route_problem problem;

	if (family->rules.overflow)
		find_problem(reading, ROUTE_PROBLEM_RULES, &all);
	if (family->rules.refuse && !reading->found.problem) {
		find_problem(reading, ROUTE_PROBLEM_REFUSE, &all);
		reading->found.rule = family->rules.refuse_priority;
	}
	if (reading->found.problem)
		return;
	problem = route_table_settle(&family->table, SHAKEOFF_MAX_ROUTES, &where);
	if (problem)
		find_problem(reading, problem, &where);
}

struct route_finding routes_read(struct routes *routes, bool ipv6)
{
	struct routes_family *family = &routes->families[ipv6];
	struct reading reading;
	int error = -EINTR;

	for (int i = 0; i < DUMP_TRIES && error == -EINTR; i++) {
		reading = (struct reading){ .routes = routes, .family = family };
		error = read_once(&reading, ipv6);
	}
	if (error)
		reading.found.problem = ROUTE_PROBLEM_UNREAD;
	else
		settle(&reading);
	return reading.found;
}
