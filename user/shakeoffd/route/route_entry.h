/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A route as rtnetlink tells it (rtnetlink(7), RTM_NEWROUTE). */
#ifndef SHAKEOFFD_ROUTE_ROUTE_ENTRY_H
#define SHAKEOFFD_ROUTE_ROUTE_ENTRY_H

#include <libmnl/libmnl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/prefix.h"

/* Of several next hops those by one device count once, unless they differ in having a gateway. */
#define ROUTE_HOPS_MAX 16

/* RTA_METRICS, as far as a SYN-ACK depends on them; 0: not set */
struct route_metrics {
	uint32_t mtu, advmss, window, initrwnd, hop_limit;
	bool mtu_locked;
	bool ecn;
};

struct route_hop {
	unsigned int ifindex;
	bool gateway;
	bool several;        /* there are others by the same device with other gateways */
	struct in6_addr via; /* the gateway, IPv4 mapped */
};

struct route_entry {
	struct prefix prefix;
	uint32_t table;
	uint32_t priority;  /* the metric: the lowest wins */
	uint8_t preference; /* of IPv6 routers (RFC 4191): the highest wins */
	bool partial;       /* for one TOS, or (IPv6) for one source alone */
	bool throws;        /* RTN_THROW: the look-up goes on in the next table */
	bool rejects;       /* RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT: nothing is sent there */
	bool hops_unknown;  /* there are too many */
	uint32_t
		nexthop; /* number of the next hop object, if the kernel does not spell it out: route_nexthops.h; 0: none */
	struct route_metrics metrics;
	size_t hop_count;
	struct route_hop hops[ROUTE_HOPS_MAX];
};

/*
 * Reads RTM_NEWROUTE or RTM_DELROUTE. False: not a route by which a SYN-ACK leaves: of another type, dead, expired, a cached
 * exception, link-local or multicast.
 */
bool route_entry_parse(const struct nlmsghdr *header, struct route_entry *route);

/* One that is there is not added again. */
void route_entry_add_hop(struct route_entry *route, const struct route_hop *hop);

#endif
