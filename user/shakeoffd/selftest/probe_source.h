/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Source addresses for probes: not the host's, but routed over the interface, so that reverse path filters (sysctl
 * rp_filter, nftables' fib) let them in.
 */
#ifndef SHAKEOFFD_SELFTEST_PROBE_SOURCE_H
#define SHAKEOFFD_SELFTEST_PROBE_SOURCE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shakeoffd/selftest/probe_host.h"

/*
 * Addresses of an interface's network that no host has. Probes from them may make this host send ARP or neighbour
 * solicitations, and firewall rules may remember them. So there are few, they take turns, and each is kept until a host
 * turns up that has it.
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
 * Rules may let in only the neighbours, or refuse them, so each class is tried by itself if there is a route to it. For
 * sources outside, firewalls often refuse the addresses reserved for documentation; then a network that is in use
 * decides.
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
	size_t counts[PROBE_CLASSES]; /* 0: no source of this class is routed over the interface */
	size_t turn;                  /* index of the neighbour that is next */
};

/*
 * Returns a source address of a class, which must have some. Sources outside alternate with `try`, and each call gives
 * a new address.
 */
struct in6_addr probe_sources_pick(struct probe_sources *sources, enum probe_class class, unsigned int try);

/*
 * Chooses the sources for an interface. family: AF_INET or AF_INET6. Takes the neighbours from `neighbours`, and adds
 * some there while there are too few.
 */
int probe_sources_choose(const struct probe_port *port, const struct probe_hosts *hosts,
			 struct probe_neighbours *neighbours, int family, struct probe_sources *sources);

#endif
