/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel lists over rtnetlink (rtnetlink(7)). */
#ifndef SHAKEOFF_RTNETLINK_H
#define SHAKEOFF_RTNETLINK_H

#include <libmnl/libmnl.h>
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
 * Calls back for every address of the host, and begins again when they change meanwhile: with *count, of what the callback
 * has collected, made 0. -EINTR: they did so every time.
 */
int rtnetlink_addresses(mnl_cb_t callback, void *context, size_t *count);

#endif
