/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The process at the other end of a service's UNIX socket, and whether it may serve. */
#ifndef SHAKEOFFD_QUEUE_PEER_H
#define SHAKEOFFD_QUEUE_PEER_H

#include <stdbool.h>
#include <sys/types.h>

#include "config/config.h"

struct peer {
	uid_t uid;
	pid_t pid;    /* 0: in another PID namespace */
	bool trusted; /* root, the daemon's user, or the service's `user =` or `group =` */
};

/* Fills in the peer. 0 or a negative errno. */
int peer_of(int fd, const struct config_service *service, struct peer *peer);

/* Returns whether this user is root, the daemon's, or the service's `user =`. */
bool peer_is_trusted_user(uid_t uid, const struct config_service *service);

/* Returns whether the peer may pass a socket. Without `user =` and `group =` every peer may, if the socket listens. */
bool peer_may_pass_socket(const struct peer *peer, const struct config_service *service);

#endif
