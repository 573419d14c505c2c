/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a SYN-ACK offers that leaves by a route, where this differs from the interfaces' profiles. Pure functions. */
#ifndef SHAKEOFFD_ROUTE_ROUTE_OFFER_H
#define SHAKEOFFD_ROUTE_ROUTE_OFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <shakeoff/route.h>
#include "shakeoffd/hook/devices.h"
#include "shakeoffd/route/neighbours.h"
#include "shakeoffd/route/route_entry.h"

/* Values in which the profiles of all interfaces agree, for one family; 0: they differ, or there is none. */
struct route_usual {
	uint16_t mss;
	uint8_t hop_limit;
};

/* The interfaces (shakeoff_route.refused) whose strict rp_filter refuses packets if replies leave by this device. */
struct route_way {
	unsigned int ifindex;
	uint32_t refused;
};

int route_way_compare(const void *a, const void *b); /* for qsort() and bsearch() */

/* Index: 0 IPv4, 1 IPv6. */
struct route_world {
	const struct devices *devices;
	const struct route_way *ways; /* sorted; `strict` applies to other devices */
	size_t way_count;
	uint32_t strict; /* interfaces with a strict rp_filter; with `answer = route` all interfaces */
	const struct neighbours *neighbours; /* for `answer = route`; NULL: SYN-ACKs go to the sender */
	struct route_usual usual[2];
	uint32_t min_adv_mss[2];
};

/* Fills in a shakeoff_route with id 0. Returns false if the device is not known (yet). */
bool route_offer(const struct route_world *world, const struct route_entry *route, const struct route_hop *hop,
		 struct shakeoff_route *offer);

/*
 * Returns the interfaces at which the kernel takes no packets from the clients of a route: rp_filter, only IPv4
 * (ip-sysctl, rp_filter). With `answer = route` also those by which the kernel's SYN-ACK would not leave. All hops
 * count: fib_info_nh_uses_dev(), net/ipv4/fib_frontend.c.
 */
uint32_t route_refused(const struct route_world *world, const struct route_entry *route);

/* Returns whether a route offers the same as the interfaces' profiles. */
bool route_offer_is_trivial(const struct shakeoff_route *offer);
bool route_offer_equal(const struct shakeoff_route *a, const struct shakeoff_route *b); /* ignores the id */

#endif
