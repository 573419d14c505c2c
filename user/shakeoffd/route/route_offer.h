/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a SYN-ACK offers that leaves by a route, beside what the interfaces' profiles say. Pure. */
#ifndef SHAKEOFFD_ROUTE_ROUTE_OFFER_H
#define SHAKEOFFD_ROUTE_ROUTE_OFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <shakeoff/route.h>
#include "shakeoffd/hook/devices.h"
#include "shakeoffd/route/neighbours.h"
#include "shakeoffd/route/route_entry.h"

/* What the profiles of all interfaces say alike, of one family; 0: they differ, or there is none. */
struct route_usual {
	uint16_t mss;
	uint8_t hop_limit;
};

/* At which interfaces (shakeoff_route.refused) a strict rp_filter refuses what would be answered by this device. */
struct route_way {
	unsigned int ifindex;
	uint32_t refused;
};

int route_way_compare(const void *a, const void *b); /* for qsort() and bsearch() */

/* Index: 0 IPv4, 1 IPv6. */
struct route_world {
	const struct devices *devices;
	const struct route_way *ways; /* sorted; of devices that are not among them `strict` holds */
	size_t way_count;
	uint32_t strict; /* interfaces whose rp_filter is strict; with `answer = route` all of them */
	const struct neighbours *neighbours; /* for `answer = route`; NULL: SYN-ACKs go to the sender */
	struct route_usual usual[2];
	uint32_t min_adv_mss[2];
};

/* As in shakeoff_route, with id 0. False: the device is not known (yet). */
bool route_offer(const struct route_world *world, const struct route_entry *route, const struct route_hop *hop,
		 struct shakeoff_route *offer);

/*
 * At which interfaces the kernel takes nothing from the clients of a route: rp_filter, IPv4 alone (ip-sysctl, rp_filter); with
 * `answer = route`, at which its answer would not leave. All hops
 * count: fib_info_nh_uses_dev(), net/ipv4/fib_frontend.c.
 */
uint32_t route_refused(const struct route_world *world, const struct route_entry *route);

/* Whether it says what the interfaces say. */
bool route_offer_is_trivial(const struct shakeoff_route *offer);
bool route_offer_equal(const struct shakeoff_route *a, const struct shakeoff_route *b); /* but for the id */

#endif
