/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What routes.c and the files below it share. */
#ifndef SHAKEOFFD_ROUTE_ROUTES_INTERNAL_H
#define SHAKEOFFD_ROUTE_ROUTES_INTERNAL_H

#include "shakeoffd/route/route_entry.h"
#include "shakeoffd/route/routes.h"

/* --------------------------------------------------------------------------------------------------- route_world.c */

/* Tells whether there is an interface at which the hook answers by the routes that are read. */
bool route_world_has_interface(const struct interfaces *interfaces);

/* Reads anew what routes are read against. */
void route_world_look(struct routes *routes);

/* ------------------------------------------------------------------------------------------------- route_reading.c */

/* What a route offers, by each of its next hops. */
struct route_offers {
	struct shakeoff_route list[ROUTE_HOPS_MAX];
	size_t count;
	bool trivial; /* all of them */
};

void route_offers_find(const struct routes *routes, struct route_entry *route, struct route_offers *offers);

/* Why routes cannot be followed. */
struct route_finding {
	enum route_problem problem; /* ROUTE_PROBLEM_NONE: they can */
	struct prefix where;
	uint32_t rule; /* its priority: ROUTE_PROBLEM_RULES, ROUTE_PROBLEM_REFUSE */
};

/* Reads the rules and routes of a family into its table. */
struct route_finding routes_read(struct routes *routes, bool ipv6);

/* ---------------------------------------------------------------------------------------------- route_neighbours.c */

/*
 * Reads the neighbours again if a message came of them, and tells the hook. Returns whether they are others than
 * before.
 */
bool route_neighbours_follow(struct routes *routes, uint64_t now_ns);

#endif
