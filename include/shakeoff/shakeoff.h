/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libshakeoff: take connections from an accept queue of shakeoffd.
 *
 *	int fd = shakeoff_listen("web", 511, NULL);
 *	...poll fd for POLLIN, or simply:
 *	int conn = shakeoff_accept(fd, (struct sockaddr *)&peer, &peerlen, SOCK_CLOEXEC);
 *
 * The descriptor of shakeoff_listen() is pollable with poll, select and epoll (level and edge triggered), may be set
 * non-blocking with fcntl, is inherited over fork, and is shared by threads and processes like a listening socket. It
 * survives a restart of the daemon: the library registers again by itself.
 *
 * Functions return -1 and set errno on failure, as system calls do.
 */
#ifndef SHAKEOFF_SHAKEOFF_H
#define SHAKEOFF_SHAKEOFF_H

#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHAKEOFF_RUN_DIR_DEFAULT "/run/shakeoff" /* the environment's SHAKEOFF_RUN_DIR overrides it */

/*
 * Registers as a server of the service `name` of the daemon's configuration.
 *
 * backlog: maximum number of waiting connections, as for listen(2); the daemon takes the smaller of it and the
 * service's own.
 * run_dir: directory of the daemon's sockets; NULL: the environment's SHAKEOFF_RUN_DIR, else SHAKEOFF_RUN_DIR_DEFAULT.
 * Returns a descriptor (close-on-exec, blocking). Errors: ENOENT no such service, ECONNREFUSED no daemon, EINVAL,
 * EPROTO the daemon speaks another version, EMFILE, ENOMEM.
 */
int shakeoff_listen(const char *name, int backlog, const char *run_dir);

/*
 * Takes the first connection from the queue, as accept4(2) does: blocks unless fd is non-blocking (EAGAIN).
 *
 * addr, addrlen: filled with the peer's address when addr is not NULL. flags: SOCK_NONBLOCK, SOCK_CLOEXEC.
 * Returns the connection's descriptor. Errors: those of accept4(2). At the descriptor limit (EMFILE, ENFILE) the
 * connection stays in the queue.
 */
int shakeoff_accept(int fd, struct sockaddr *addr, socklen_t *addrlen, int flags);

/*
 * Stops listening. Waiting connections stay in the daemon's queue for the service's other servers or its next server.
 */
int shakeoff_close(int fd);

#ifdef __cplusplus
}
#endif

#endif
