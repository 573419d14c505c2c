/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Follows the host's routes: what they say of SYN-ACKs (mtu, advmss, window, initrwnd, hoplimit, features), or by which device they
 * lead, is told to the hook, as far as it differs from what the attached interfaces say; and from where the kernel would take nothing,
 * or send nothing there: no route, one that refuses, rp_filter.
 *
 *	rtnetlink -> route_entry -> route_offer -> route_table -> route_publish
 *
 * Where routes cannot be followed, the addresses of the family are bypassed.
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

/* As of the last reading. */
struct routes_family {
	enum route_problem problem;
	struct route_rules rules;
	struct route_table table; /* its index, to tell which changes matter */
	bool dirty;               /* to be read again */
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
	uint64_t next_ns;                 /* not to be read again before */
	struct neighbours neighbours;     /* for `answer = route` */
	bool by_route;                    /* that is wanted */
	bool neighbours_changed;          /* are to be read again */
	uint64_t neighbours_ns;           /* when they were last read */
	bool local_changed;               /* local routes came or went; the reader of this clears it */
};

/* Reads them, and begins to listen for changes. `interfaces` have their profiles. by_route: `answer = route` */
int routes_open(struct routes *routes, struct event_loop *loop, const struct interfaces *interfaces,
		const struct devices *devices, const struct sysctls *sysctls, bool by_route);
void routes_close(struct routes *routes);

/* Devices, profiles or sysctls have changed. */
void routes_touch(struct routes *routes);

/* To be called several times a second: reads again what has changed, about once a second at most. */
void routes_tick(struct routes *routes, uint64_t now_ns);

/* Whether addresses of the family are to be bypassed. */
bool routes_bypassed(const struct routes *routes, bool ipv6);

#endif
