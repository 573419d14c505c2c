/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Makes the kernel socket of a handshake that the hook carried out, with TCP_REPAIR. */
#ifndef SHAKEOFFD_QUEUE_REPAIR_H
#define SHAKEOFFD_QUEUE_REPAIR_H

#include <stdbool.h>

#include <shakeoff/abi.h>

struct repair_options {
	bool dualstack;     /* AF_INET6 with mapped addresses for IPv4 */
	int receive_buffer; /* SO_RCVBUF as getsockopt() tells it, of a server that has set it; 0: the kernel's default */
	struct shakeoff_socket_offer offer; /* of it: how what the socket sends is marked */
};

/*
 * Makes the ESTABLISHED socket of an OPEN event. The descriptor is close-on-exec and non-blocking; its file has seen
 * nothing of the client's data yet. Returns 0 and *fd, or a negative errno: -EADDRNOTAVAIL: the local address is gone, or
 * another socket holds the tuple.
 */
int repair_socket(const struct shakeoff_event *event, const struct repair_options *options, int *fd);

/* Whether the error is one of the moment: no descriptors, no memory. */
bool repair_error_passes(int error);

#endif
