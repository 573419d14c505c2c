/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Follows the host's routes and publishes to the hook those that change a SYN-ACK (mtu, advmss, window, initrwnd,
 * hoplimit, features) or its device, where they differ from the profiles of the attached interfaces. Also publishes the
 * addresses from which the kernel would take no packets, or to which it would send none: no route, a route that
 * refuses, rp_filter.
 *
 *	rtnetlink -> route_entry -> route_offer -> route_table -> route_publish
 *
 * If routes cannot be followed, the addresses of the family are bypassed.
 */
#ifndef SHAKEOFFD_ROUTE_ROUTES_H
#define SHAKEOFFD_ROUTE_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shakeoffd/hook/devices.h"
#include "shakeoffd/sys/event_loop.h"
#include "shakeoffd/hook/interfaces.h"
#include "shakeoffd/route/route_nexthops.h"
#include "shakeoffd/route/route_offer.h"
#include "shakeoffd/route/route_publish.h"
#include "shakeoffd/route/route_rules.h"
#include "shakeoffd/route/route_table.h"
#include "shakeoffd/sys/sysctls.h"

/* The state at the last reading. */
struct routes_family {
	enum route_problem problem;
	struct route_rules rules;
	struct route_table table; /* its index decides which changes matter */
	bool dirty;               /* has to be read again */
};

struct routes {
	struct event_source source; /* messages of the kernel */
	const struct interfaces *interfaces;
	const struct sysctls *sysctls;
	struct route_world world;
	struct route_way *ways;
	struct route_nexthops nexthops;
	struct route_publisher publisher;
	struct routes_family families[2]; /* IPv4, IPv6 */
	uint64_t next_ns;                 /* earliest time of the next reading */
	struct neighbours neighbours;     /* for `answer = route` */
	bool by_route;                    /* `answer = route` is set */
	bool neighbours_changed;          /* have to be read again */
	uint64_t neighbours_ns;           /* when they were last read */
	bool local_changed;               /* local routes came or went; the reader of this clears it */
};

/*
 * Reads the routes, and begins to listen for changes. `interfaces` must have their profiles. by_route: `answer = route`
 */
int routes_open(struct routes *routes, struct event_loop *loop, const struct interfaces *interfaces,
		const struct devices *devices, const struct sysctls *sysctls, bool by_route);
void routes_close(struct routes *routes);

/* Notes that devices, profiles or sysctls have changed. */
void routes_touch(struct routes *routes);

/* Reads again what has changed, at most about once a second. Call it several times a second. */
void routes_tick(struct routes *routes, uint64_t now_ns);

/* Returns whether addresses of the family have to be bypassed. */
bool routes_bypassed(const struct routes *routes, bool ipv6);

#endif
