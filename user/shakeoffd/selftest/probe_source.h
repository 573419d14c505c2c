/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a probe may say that it comes from: an address that is not the host's and that the host routes over the
 * interface, so that reverse path filters (sysctl rp_filter, nftables' fib) let it in.
 */
#ifndef SHAKEOFFD_SELFTEST_PROBE_SOURCE_H
#define SHAKEOFFD_SELFTEST_PROBE_SOURCE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shakeoffd/selftest/probe_host.h"

/*
 * Addresses that no host has on the network of an interface. Packets in their name may make this host ask who has them,
 * and rules of a firewall may remember them: they are few, take turns, and are kept as long as no host turns up that
 * has them.
 */
#define PROBE_NEIGHBOURS 16

struct probe_neighbour {
	unsigned int ifindex;
	int family;
	struct in6_addr addresses[PROBE_NEIGHBOURS]; /* IPv4 mapped */
	size_t count;
};

struct probe_neighbours {
	struct probe_neighbour *list;
	size_t count;
};

void probe_neighbours_free(struct probe_neighbours *neighbours);

/*
 * Rules may let in only the neighbours, or refuse them: each class is tried by itself, if there is a route to it.
 * Outside, firewalls often refuse the reserved addresses of documentation; what comes in by a network that is in use is
 * tried then.
 */
enum probe_class { PROBE_OUTSIDE, PROBE_NEIGHBOUR, PROBE_CLASSES };

#define PROBE_OUTSIDES 2

struct probe_network {
	struct in6_addr network; /* IPv4 mapped */
	uint8_t prefix_len;
};

struct probe_sources {
	struct probe_network outside[PROBE_OUTSIDES];
	struct in6_addr neighbours[PROBE_NEIGHBOURS];
	size_t counts[PROBE_CLASSES]; /* 0: none is routed over the interface */
	size_t turn;                  /* whose neighbour's it is */
};

/* An address of a class that has some: of the try with this number, of a new address each. */
struct in6_addr probe_sources_pick(struct probe_sources *sources, enum probe_class class, unsigned int try);

/*
 * family: AF_INET or AF_INET6. Neighbours are those of `neighbours`, to which one is added where there are not enough
 * yet.
 */
int probe_sources_choose(const struct probe_port *port, const struct probe_hosts *hosts,
			 struct probe_neighbours *neighbours, int family, struct probe_sources *sources);

#endif
