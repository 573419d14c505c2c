/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Describes a server's own listening socket, and checks whether it proves that the server may take a service's
 * connections.
 */
#ifndef SHAKEOFFD_QUEUE_LISTENING_SOCKET_H
#define SHAKEOFFD_QUEUE_LISTENING_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"
#include "common/listener_match.h"

struct listening_socket {
	struct binding_key key;
	uint64_t cookie;                    /* the kernel's name of the socket, the same for all its descriptors */
	uint32_t inode;                     /* as in sock_diag */
	uid_t owner;                        /* its creator: the kernel lets sockets of one user share an endpoint */
	uint32_t device;                    /* the bound device; 0: none */
	int buffer;                         /* SO_RCVBUF */
	int receive_buffer;                 /* the same if its owner has set it, otherwise 0 */
	struct shakeoff_socket_offer offer; /* without rcv_space */
};

/*
 * Returns whether it is a TCP socket in LISTEN. Unlike the functions below it never waits, neither for a file system's
 * server, nor for the socket's lock, which its owner can hold for any time.
 */
bool listening_socket_listens(int fd);

/*
 * Checks that it is a TCP socket in LISTEN, in the daemon's network namespace, on an address of the service. 0 or a
 * negative errno; -EINVAL: it is not. -ENODEV: it is bound to a device other than `device`, the only one whose clients
 * the hook sees (0: there is none).
 */
int listening_socket_check(int fd, const struct config_service *service, uint32_t device,
			   struct listening_socket *socket);

/* Returns whether it still listens at the same endpoint. */
bool listening_socket_holds(int fd, const struct listening_socket *socket);

#endif
