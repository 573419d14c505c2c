/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Makes the kernel socket for a handshake of the hook, with TCP_REPAIR. */
#ifndef SHAKEOFFD_QUEUE_REPAIR_H
#define SHAKEOFFD_QUEUE_REPAIR_H

#include <stdbool.h>

#include <shakeoff/abi.h>

struct repair_options {
	bool dualstack;     /* AF_INET6 with mapped addresses for IPv4 */
	int receive_buffer; /* SO_RCVBUF as getsockopt() returns it, if set by the server; 0: the kernel's default */
	struct shakeoff_socket_offer offer; /* of the server: marks for the packets that the socket sends */
};

/*
 * Makes the ESTABLISHED socket of an OPEN event. The descriptor is close-on-exec and non-blocking. The socket has
 * received nothing of the client's data yet. Returns 0 and *fd, or a negative errno: -EADDRNOTAVAIL: the local address
 * is gone, or another socket holds the tuple.
 */
int repair_socket(const struct shakeoff_event *event, const struct repair_options *options, int *fd);

/* Returns whether the error may pass by itself: no descriptors, no memory. */
bool repair_error_passes(int error);

#endif
