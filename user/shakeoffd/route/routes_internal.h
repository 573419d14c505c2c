/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by routes.c and the files below it. */
#ifndef SHAKEOFFD_ROUTE_ROUTES_INTERNAL_H
#define SHAKEOFFD_ROUTE_ROUTES_INTERNAL_H

#include "shakeoffd/route/route_entry.h"
#include "shakeoffd/route/routes.h"

/* ---------------------------------------------------------------------------------------------------- route_world.c */

/* Returns whether there is an interface at which the hook answers by the routes that are read. */
bool route_world_has_interface(const struct interfaces *interfaces);

/* Reads the world again in which routes are read. */
void route_world_look(struct routes *routes);

/* ------------------------------------------------------------------------------------------------- route_reading.c */

/* The offers of a route, one for each next hop. */
struct route_offers {
	struct shakeoff_route list[ROUTE_HOPS_MAX];
	size_t count;
	bool trivial; /* all offers are */
};

void route_offers_find(const struct routes *routes, struct route_entry *route, struct route_offers *offers);

/* Why routes cannot be followed. */
struct route_finding {
	enum route_problem problem; /* ROUTE_PROBLEM_NONE: they can be followed */
	struct prefix where;
	uint32_t rule; /* its priority: ROUTE_PROBLEM_RULES, ROUTE_PROBLEM_REFUSE */
};

/* Reads the rules and routes of a family into its table. */
struct route_finding routes_read(struct routes *routes, bool ipv6);

/* ---------------------------------------------------------------------------------------------- route_neighbours.c */

/*
 * Reads the neighbours again if a message about them came, and publishes them to the hook. Returns whether they have
 * changed.
 */
bool route_neighbours_follow(struct routes *routes, uint64_t now_ns);

#endif
