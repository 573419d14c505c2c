/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Next hop objects (ip-nexthop(8)). If sysctl net.ipv4.nexthop_compat_mode is 0, routes name them only by number. */
#ifndef SHAKEOFFD_ROUTE_ROUTE_NEXTHOPS_H
#define SHAKEOFFD_ROUTE_ROUTE_NEXTHOPS_H

#include "shakeoffd/route/route_entry.h"

struct route_nexthop {
	uint32_t id;
	struct route_hop hop;
	uint32_t *group; /* numbers of other objects; NULL: it is no group */
	size_t group_size;
	bool dead;
};

struct route_nexthops {
	struct route_nexthop *list; /* sorted by number */
	size_t count;
};

/* Reads them again. On failure the old ones stay. */
int route_nexthops_read(struct route_nexthops *nexthops);
void route_nexthops_free(struct route_nexthops *nexthops);

/* Gives a route the next hops of its object. If none of them is alive, the route gets none. */
void route_nexthops_resolve(const struct route_nexthops *nexthops, struct route_entry *route);

#endif
