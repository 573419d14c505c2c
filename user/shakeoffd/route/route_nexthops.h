/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Next hop objects (ip-nexthop(8)), which routes name by number alone where sysctl net.ipv4.nexthop_compat_mode is 0. */
#ifndef SHAKEOFFD_ROUTE_ROUTE_NEXTHOPS_H
#define SHAKEOFFD_ROUTE_ROUTE_NEXTHOPS_H

#include "shakeoffd/route/route_entry.h"

struct route_nexthop {
	uint32_t id;
	struct route_hop hop;
	uint32_t *group; /* numbers of others; NULL: it is none */
	size_t group_size;
	bool dead;
};

struct route_nexthops {
	struct route_nexthop *list; /* sorted by number */
	size_t count;
};

/* Reads them anew. On failure what was there stays. */
int route_nexthops_read(struct route_nexthops *nexthops);
void route_nexthops_free(struct route_nexthops *nexthops);

/* Gives a route the next hops that its object has. Without any left alive it has none. */
void route_nexthops_resolve(const struct route_nexthops *nexthops, struct route_entry *route);

#endif
