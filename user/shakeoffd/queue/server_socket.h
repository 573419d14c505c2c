/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sends and receives messages of common/delivery_protocol.h on a server's socket, without blocking, and checks their
 * form.
 */
#ifndef SHAKEOFFD_QUEUE_SERVER_SOCKET_H
#define SHAKEOFFD_QUEUE_SERVER_SOCKET_H

#include <sys/types.h>

#include "common/delivery_protocol.h"

/* Sends a message. passed_fd: -1: none. 0 or a negative errno; -EAGAIN: there is no room in the socket now. */
int server_socket_send(int fd, const struct delivery_message *message, int passed_fd);

struct server_message {
	struct delivery_message message;
	int passed_fd; /* -1: none; the receiver owns it */
};

#define SERVER_SOCKET_BATCH 16
#define SERVER_SOCKET_INVALID 0 /* the type given to a packet that is no message: wrong length or version */

/*
 * Receives up to `room` messages, at most SERVER_SOCKET_BATCH. Returns their number, 0 at the end of the connection,
 * -EAGAIN if there is none now, or another negative errno. A message with more than one descriptor is invalid.
 * Descriptors that cannot be used are closed by descriptor_close_passed() with `sender` as owner.
 */
int server_socket_receive(int fd, uid_t sender, struct server_message *messages, int room);

#endif
