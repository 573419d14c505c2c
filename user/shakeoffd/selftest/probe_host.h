/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The host's addresses, and what it takes to be received at an interface. */
#ifndef SHAKEOFFD_SELFTEST_PROBE_HOST_H
#define SHAKEOFFD_SELFTEST_PROBE_HOST_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROBE_MAPPED_BITS 96 /* ::ffff:0:0/96 (RFC 4291, section 2.5.5.2) */

/* An address of the host. */
struct probe_host {
	struct in6_addr address; /* IPv4 mapped */
	struct in6_addr network; /* an address of the prefix: the peer's on a point-to-point link */
	uint8_t prefix_len;      /* of the address as it is here: 96 more than it has in IPv4 */
	unsigned int ifindex;
};

struct probe_hosts {
	struct probe_host *list; /* sorted by address */
	size_t count;
};

/* Reads them anew. On failure what was there stays. */
int probe_hosts_read(struct probe_hosts *hosts);
void probe_hosts_free(struct probe_hosts *hosts);

/* What it takes to be received at an interface. */
struct probe_port {
	unsigned int ifindex;
	unsigned int upper; /* the bridge or bond that it belongs to, which IP sees in its place; otherwise itself */
	uint8_t mac[6];
};

/* -EPROTONOSUPPORT: not Ethernet. */
int probe_port_read(unsigned int ifindex, struct probe_port *port);

/* Tells whether packets to this address of the host are expected there: IP on that interface has it. */
bool probe_port_has(const struct probe_port *port, const struct probe_hosts *hosts, const struct in6_addr *address);

#endif
