/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets made by hand: frames that the hook held back, returned to the kernel as if they had just arrived, and RSTs to
 * clients.
 *
 * A packet with a client's source that is sent to one of the host's own addresses goes over the loopback interface (lo has
 * to be up) and keeps the route it was sent with, so that neither rp_filter nor the check for martians applies. The
 * kernel's TCP takes it like any other: checksum, PAWS, FIN and RST included.
 */
#ifndef SHAKEOFF_RAW_SOCKET_H
#define SHAKEOFF_RAW_SOCKET_H

#include <shakeoff/abi.h>

struct raw_socket {
	int fd4;
	int fd6; /* -1: no IPv6 here */
};

int raw_socket_open(struct raw_socket *raw);
void raw_socket_close(struct raw_socket *raw);

/* Gives the packet of an event back to the kernel. 0 or a negative errno. */
int raw_give_back(const struct raw_socket *raw, const struct shakeoff_event *event);

/* Refuses the connection of an OPEN event: RST with the number that its ACK asks for (RFC 9293, 3.10.7.1). */
int raw_reset(const struct raw_socket *raw, const struct shakeoff_event *event);

#endif
