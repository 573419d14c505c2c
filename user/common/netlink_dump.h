/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Netlink requests whose reply is a list. */
#ifndef SHAKEOFF_NETLINK_DUMP_H
#define SHAKEOFF_NETLINK_DUMP_H

#include <libmnl/libmnl.h>

/*
 * Begins a request for a list. The buffer has at least MNL_NLMSG_HDRLEN bytes and room for what the caller appends
 * (mnl_nlmsg_put_extra_header()). type: RTM_GETROUTE, XFRM_MSG_GETPOLICY ...
 */
struct nlmsghdr *netlink_dump_request(void *buffer, uint16_t type);

/*
 * Sends it on a bound socket and gives each message of the reply to the callback, which may end it with MNL_CB_ERROR
 * and errno. Returns 0 or a negative errno; -EINTR: the list has changed meanwhile, ask again.
 */
int netlink_dump(struct mnl_socket *socket, const struct nlmsghdr *request, mnl_cb_t callback, void *context);

#endif
