/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The self-test's questions to the kernel about an address: which interface leads to it, and whether a host has it. */
#ifndef SHAKEOFFD_SELFTEST_PROBE_NETLINK_H
#define SHAKEOFFD_SELFTEST_PROBE_NETLINK_H

#include <libmnl/libmnl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sends a request for one object and reads the reply into the request's own buffer. */
int probe_ask(struct mnl_socket *socket, struct nlmsghdr *request, size_t room, mnl_cb_t callback, void *context);

/*
 * Returns the index of the interface by which packets to another host's address leave. 0: there is no route, or the
 * address is not another host's.
 */
unsigned int probe_route_interface(struct mnl_socket *socket, const struct in6_addr *address);

/* Returns whether it is the gateway of any route, in any table. Returns true if the kernel cannot be asked. */
bool probe_is_gateway(struct mnl_socket *socket, const struct in6_addr *address);

/*
 * Returns whether the neighbour table has the address, in one of the states (NUD_*). Returns true if the kernel cannot
 * be asked.
 */
bool probe_neighbour_known(struct mnl_socket *socket, unsigned int ifindex, const struct in6_addr *address,
			   uint16_t states);

#endif
