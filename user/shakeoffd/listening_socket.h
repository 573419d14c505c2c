/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a server's own listening socket is, and whether it proves that the server may take a service's connections. */
#ifndef SHAKEOFF_LISTENING_SOCKET_H
#define SHAKEOFF_LISTENING_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <common/config.h>
#include <shakeoffd/binding.h>

struct listening_socket {
	struct binding_key key;
	uint64_t cookie;                    /* the kernel's name of the socket, however many descriptors there are */
	int buffer;                         /* SO_RCVBUF */
	int receive_buffer;                 /* the same if its owner has set it, otherwise 0 */
	struct shakeoff_socket_offer offer; /* but for rcv_space */
};

/*
 * Is it a TCP socket in LISTEN, of the daemon's network namespace, on an address of the service, and not bound to lo? 0, or
 * -EINVAL or another negative errno.
 */
int listening_socket_check(int fd, const struct config_service *service, struct listening_socket *socket);

/* Whether the process at the other end of a UNIX socket runs as root, as the daemon's user, or has the group. */
bool peer_is_trusted(int fd, gid_t group);

#endif
