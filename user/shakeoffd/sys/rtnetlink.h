/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads the kernel's lists over rtnetlink (rtnetlink(7)). */
#ifndef SHAKEOFFD_SYS_RTNETLINK_H
#define SHAKEOFFD_SYS_RTNETLINK_H

#include <libmnl/libmnl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Opens a bound socket; mnl_socket_close() closes it. 0 or a negative errno. */
int rtnetlink_open(struct mnl_socket **socket);

/*
 * Calls back for each object of a type, of all address families. type: RTM_GETADDR and so on; header_size: size of the
 * header of these messages (struct rtgenmsg, struct rtmsg ...). One dump per socket: after -EINTR (the list changed
 * meanwhile) the socket still holds the rest.
 */
int rtnetlink_dump(struct mnl_socket *socket, uint16_t type, size_t header_size, mnl_cb_t callback, void *context);

/* Does the same for one address family. */
int rtnetlink_dump_family(struct mnl_socket *socket, uint8_t family, uint16_t type, size_t header_size,
			  mnl_cb_t callback, void *context);

/*
 * Works as rtnetlink_dump() with its own socket, and starts again when the list changes meanwhile. It sets *count, the
 * number of objects that the callback has collected, to 0 first. -EINTR: the list changed in every try.
 */
int rtnetlink_list(uint16_t type, size_t header_size, mnl_cb_t callback, void *context, size_t *count);

/* Does the same for all addresses of the host. */
int rtnetlink_addresses(mnl_cb_t callback, void *context, size_t *count);

/*
 * Calls back for each route of the table `local`; kernels before 4.20 may add routes of other tables. -EINTR: the
 * routes changed in every try, so some may be missing. May call back for a route more than once.
 */
int rtnetlink_local_routes(mnl_cb_t callback, void *context);

/* An address of the host; IPv4 mapped. */
struct rtnetlink_address {
	int family; /* AF_INET or AF_INET6 */
	unsigned int ifindex;
	uint32_t flags;         /* IFA_F_* */
	uint8_t prefix_len;     /* as the kernel reports it: 0..32, 0..128 */
	struct in6_addr local;  /* the host's own */
	struct in6_addr remote; /* the peer's, on a point-to-point link; otherwise the host's own */
};

/* Reads a message of rtnetlink_addresses(). Returns false and leaves *address undefined if it has no IP address. */
bool rtnetlink_address_read(const struct nlmsghdr *header, struct rtnetlink_address *address);

/*
 * Opens a non-blocking socket for messages of these groups, one bit each; RTNLGRP_LINK is the first. Returns a
 * descriptor or a negative errno.
 */
int rtnetlink_subscribe(uint32_t groups);

/* The bit of a group; numbers up to 32. */
#define RTNETLINK_GROUP(number) (1u << ((number)-1))

#endif
