/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel lists over rtnetlink (rtnetlink(7)). */
#ifndef SHAKEOFFD_SYS_RTNETLINK_H
#define SHAKEOFFD_SYS_RTNETLINK_H

#include <libmnl/libmnl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A bound socket; mnl_socket_close() ends it. A negative errno on failure. */
int rtnetlink_open(struct mnl_socket **socket);

/*
 * Calls back for everything of a kind, of all address families. type: RTM_GETADDR and so on; header_size: of the message that goes
 * with it (struct rtgenmsg, struct rtmsg ...). One dump a socket: -EINTR, the list changed meanwhile, leaves the rest in it.
 */
int rtnetlink_dump(struct mnl_socket *socket, uint16_t type, size_t header_size, mnl_cb_t callback, void *context);

/* The same for one address family. */
int rtnetlink_dump_family(struct mnl_socket *socket, uint8_t family, uint16_t type, size_t header_size,
			  mnl_cb_t callback, void *context);

/*
 * As rtnetlink_dump(), with a socket of its own, and begins again when the list changes meanwhile: with *count, of what the callback
 * has collected, made 0. -EINTR: it did so every time.
 */
int rtnetlink_list(uint16_t type, size_t header_size, mnl_cb_t callback, void *context, size_t *count);

/* The same of every address of the host. */
int rtnetlink_addresses(mnl_cb_t callback, void *context, size_t *count);

/*
 * Calls back for every route of the table `local`; kernels before 4.20 may give others beside them. -EINTR: they changed meanwhile, and
 * did so every time; then what was called back for is not all there is. May call back for one more than once.
 */
int rtnetlink_local_routes(mnl_cb_t callback, void *context);

/* An address of the host; IPv4 mapped. */
struct rtnetlink_address {
	int family; /* AF_INET or AF_INET6 */
	unsigned int ifindex;
	uint32_t flags;         /* IFA_F_* */
	uint8_t prefix_len;     /* as the kernel tells it: 0..32, 0..128 */
	struct in6_addr local;  /* the host's own */
	struct in6_addr remote; /* the peer's, on a point-to-point link; otherwise the host's own */
};

/* Reads a message of rtnetlink_addresses(). Returns false, *address undefined, if it is none of an IP address. */
bool rtnetlink_address_read(const struct nlmsghdr *header, struct rtnetlink_address *address);

/* A socket that does not block, on which messages of these groups arrive: a bit each, RTNLGRP_LINK being the first. Or a negative errno. */
int rtnetlink_subscribe(uint32_t groups);

/* The bit of a group up to 32. */
#define RTNETLINK_GROUP(number) (1u << ((number)-1))

#endif
