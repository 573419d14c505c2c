/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages of common/delivery_protocol.h on a server's socket: sent and received without blocking, checked for their form. */
#ifndef SHAKEOFFD_QUEUE_SERVER_SOCKET_H
#define SHAKEOFFD_QUEUE_SERVER_SOCKET_H

#include <sys/types.h>

#include "common/delivery_protocol.h"

/* passed_fd: -1: none. 0 or a negative errno; -EAGAIN: there is no room in the socket now. */
int server_socket_send(int fd, const struct delivery_message *message, int passed_fd);

struct server_message {
	struct delivery_message message;
	int passed_fd; /* -1: none; the receiver owns it */
};

#define SERVER_SOCKET_BATCH 16
#define SERVER_SOCKET_INVALID 0 /* the type given to what is no message: wrong length or version */

/*
 * Receives up to `room` messages, SERVER_SOCKET_BATCH at most. Returns how many, 0 at the end of the connection, -EAGAIN when
 * there is none now, or another negative errno. A message that brings more than one descriptor is invalid. What cannot be
 * used is closed by descriptor_close() as `sender`'s, never here.
 */
int server_socket_receive(int fd, uid_t sender, struct server_message *messages, int room);

#endif
