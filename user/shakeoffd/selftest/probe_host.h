/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The host's addresses, and the properties that a frame needs to be received on an interface. */
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
	uint8_t prefix_len;      /* of the mapped address: 96 more than the prefix in IPv4 */
	unsigned int ifindex;
};

struct probe_hosts {
	struct probe_host *list; /* sorted by address */
	size_t count;
};

/* Reads them again. On failure the old ones stay. */
int probe_hosts_read(struct probe_hosts *hosts);
void probe_hosts_free(struct probe_hosts *hosts);

/* The properties that a frame needs to be received on an interface. */
struct probe_port {
	unsigned int ifindex;
	unsigned int upper; /* the bridge or bond that it belongs to, which IP sees instead; otherwise itself */
	uint8_t mac[6];
};

/* Reads them. -EPROTONOSUPPORT: the interface is not Ethernet. */
int probe_port_read(unsigned int ifindex, struct probe_port *port);

/* Returns whether packets to this address of the host are expected there, because the interface for IP has it. */
bool probe_port_has(const struct probe_port *port, const struct probe_hosts *hosts, const struct in6_addr *address);

#endif
