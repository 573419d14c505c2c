/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a server's own listening socket is, and whether it proves that the server may take a service's connections. */
#ifndef SHAKEOFFD_QUEUE_LISTENING_SOCKET_H
#define SHAKEOFFD_QUEUE_LISTENING_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"
#include "common/listener_match.h"

struct listening_socket {
	struct binding_key key;
	uint64_t cookie;                    /* the kernel's name of the socket, however many descriptors there are */
	uint32_t inode;                     /* as sock_diag names it */
	uid_t owner;                        /* who made it: the kernel lets sockets of one user share an endpoint */
	uint32_t device;                    /* that it is bound to; 0: none */
	int buffer;                         /* SO_RCVBUF */
	int receive_buffer;                 /* the same if its owner has set it, otherwise 0 */
	struct shakeoff_socket_offer offer; /* but for rcv_space */
};

/*
 * Whether it is a TCP socket in LISTEN. Unlike all that follows this never waits: neither for a file system's server, nor
 * for the socket's lock, which its owner can hold for as long as it likes.
 */
bool listening_socket_listens(int fd);

/*
 * Is it a TCP socket in LISTEN, of the daemon's network namespace, on an address of the service? 0 or a negative errno,
 * -EINVAL: no. -ENODEV: it is bound to a device, and not to `device`, the only one whose clients the hook sees (0: there is no
 * such one).
 */
int listening_socket_check(int fd, const struct config_service *service, uint32_t device,
			   struct listening_socket *socket);

/* Whether it still listens at the same endpoint. */
bool listening_socket_holds(int fd, const struct listening_socket *socket);

#endif
