/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How the daemon follows changes around it: follow_servers.c after each round of the event loop, follow_host.c several
 * times a second.
 */
#ifndef SHAKEOFFD_FOLLOW_H
#define SHAKEOFFD_FOLLOW_H

#include "shakeoffd/daemon.h"

/* Follows registered servers and listening servers. */
void follow_servers(struct daemon *daemon);

/* Follows the host, and runs the timed work that is due. */
void follow_host(struct daemon *daemon, uint64_t now);

/* Reads the network devices again. Returns whether one has changed. */
bool follow_devices(struct daemon *daemon, uint64_t now);

/*
 * Gives the reader of rules the names of the devices that packets come in by: the interfaces and the devices above
 * them, as rules may name either. Uses the topology that was read last.
 */
void follow_device_names(struct daemon *daemon);

/*
 * Gives the self-test the interfaces to which the tc program is attached. Leaves out inactive members of a bond: the tc
 * program lets no packet in there, so a test there proves nothing.
 */
void follow_test_interfaces(struct daemon *daemon);

/*
 * Publishes the host's own addresses. If this fails, packets may use them as spoofed sources and local routes are not
 * protected, but the services still are.
 */
void follow_own_addresses(struct daemon *daemon);

/* Returns how many times the host's kernel retransmits a SYN-ACK: sysctl net.ipv4.tcp_synack_retries. */
unsigned int follow_synack_retries(const struct daemon *daemon);

/* Returns the settings of the host that discovery depends on. */
struct discovery_host follow_discovery_host(const struct daemon *daemon);

/* Returns a time. The workers have taken out of the rings everything that the hook put there before it. */
uint64_t follow_drained_ns(const struct daemon *daemon);

#endif
