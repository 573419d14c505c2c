/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A route in a message of rtnetlink(7) (RTM_NEWROUTE). */
#ifndef SHAKEOFFD_ROUTE_ROUTE_ENTRY_H
#define SHAKEOFFD_ROUTE_ROUTE_ENTRY_H

#include <libmnl/libmnl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/prefix.h"

/* Next hops on the same device count as one, unless only one of them has a gateway. */
#define ROUTE_HOPS_MAX 16

/* The RTA_METRICS that affect a SYN-ACK; 0: not set */
struct route_metrics {
	uint32_t mtu, advmss, window, initrwnd, hop_limit;
	bool mtu_locked;
	bool ecn;
};

struct route_hop {
	unsigned int ifindex;
	bool gateway;
	bool several;        /* other next hops on this device have other gateways */
	struct in6_addr via; /* the gateway, IPv4 mapped */
};

struct route_entry {
	struct prefix prefix;
	uint32_t table;
	uint32_t priority;  /* the metric: the lowest wins */
	uint8_t preference; /* of IPv6 routers (RFC 4191): the highest wins */
	bool partial;       /* only for one TOS, or (IPv6) for one source */
	bool throws;        /* RTN_THROW: the look-up continues in the next table */
	bool rejects;       /* RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT: nothing is sent there */
	bool hops_unknown;  /* there are too many */
	uint32_t nexthop;   /* number of an object whose hops the kernel does not list: route_nexthops.h; 0: none */
	struct route_metrics metrics;
	size_t hop_count;
	struct route_hop hops[ROUTE_HOPS_MAX];
};

/*
 * Reads RTM_NEWROUTE or RTM_DELROUTE. Returns false for a route that no SYN-ACK takes: of another type, dead, expired,
 * a cached exception, link-local or multicast.
 */
bool route_entry_parse(const struct nlmsghdr *header, struct route_entry *route);

/* Adds a next hop, unless the route has it already. */
void route_entry_add_hop(struct route_entry *route, const struct route_hop *hop);

#endif
