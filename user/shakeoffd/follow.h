/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How the daemon follows what changes around it: follow_servers.c with every round of the event loop, follow_host.c
 * several times a second.
 */
#ifndef SHAKEOFFD_FOLLOW_H
#define SHAKEOFFD_FOLLOW_H

#include "shakeoffd/daemon.h"

/* Follows servers: those that are registered, and those that listen. */
void follow_servers(struct daemon *daemon);

/* Follows the host, and does what time makes due. */
void follow_host(struct daemon *daemon, uint64_t now);

/* Reads the network devices again. Returns whether one has changed. */
bool follow_devices(struct daemon *daemon, uint64_t now);

/*
 * Tells the reader of rules by which devices packets come: the interfaces, and the devices above them, which rules know
 * them by. Those above are found as the topology was last read.
 */
void follow_device_names(struct daemon *daemon);

/*
 * Tells the self-test where the tc program hangs, but for inactive members of a bond: it lets nothing in by them, which
 * says nothing.
 */
void follow_test_interfaces(struct daemon *daemon);

/*
 * Publishes the host's own addresses. Without them they are possible as sources, and local routes are not protected;
 * the services are protected all the same.
 */
void follow_own_addresses(struct daemon *daemon);

/* Returns how often the host's kernel sends a SYN-ACK again: sysctl net.ipv4.tcp_synack_retries. */
unsigned int follow_synack_retries(const struct daemon *daemon);

/* Returns what discovery depends on of the host's settings. */
struct discovery_host follow_discovery_host(const struct daemon *daemon);

/* Returns since when at the latest nothing that was handed over earlier is in a ring. */
uint64_t follow_drained_ns(const struct daemon *daemon);

#endif
