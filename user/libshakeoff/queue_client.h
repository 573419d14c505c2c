/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The server's side of delivery_protocol.h, shared by the API (libshakeoff.c) and the preload shim (preload*.c): finds
 * a service, registers with the daemon, takes connections, and notices that the daemon has come back.
 *
 * It runs inside other programs: no global state, no output, no signal (SIGPIPE included). Functions return 0 or a
 * descriptor, or a negative errno; output parameters are untouched on failure.
 */
#ifndef SHAKEOFF_QUEUE_CLIENT_H
#define SHAKEOFF_QUEUE_CLIENT_H

#include <stdbool.h>
#include <sys/socket.h>

#include "common/delivery_protocol.h"
#include <shakeoff/abi.h>

#pragma GCC visibility push(hidden)

#define QUEUE_REGISTER_TIMEOUT_MS 5000

/* Returns CLOCK_MONOTONIC in milliseconds. */
int64_t queue_now_ms(void);

/* Returns the environment's SHAKEOFF_RUN_DIR, else the default. Ignores the environment in a set-user-ID program. */
const char *queue_run_dir(void);

/*
 * Finds the service that a server bound to `bound` serves. In this order: the address itself; `*` with its port, unless
 * it is a loopback or link-local address, which `*` does not cover; for a wildcard address the only service that is
 * listed with its port. -ENOENT: none; -ENOTUNIQ: a wildcard address, and several services have the port.
 */
int queue_find_service(const char *run_dir, const struct sockaddr *bound, bool v6only, char name[SHAKEOFF_NAME_LEN]);

/* Returns whether a daemon has listed any service: then RUN_DIR/listen exists. */
bool queue_any_service(const char *run_dir);

/* Writes RUN_DIR/NAME.sock. 0 or -ENAMETOOLONG. */
int queue_socket_path(const char *run_dir, const char *name, char *path, size_t size);

/*
 * Connects to the daemon's socket of a service; the descriptor is blocking and close-on-exec. -ECONNREFUSED, -ENOENT:
 * no daemon, or it has no such service; -EPERM: the daemon's user is neither root nor this process's user.
 */
int queue_connect(const char *run_dir, const char *name);

/*
 * Sends LISTEN and waits for the reply. listening_fd: a listening TCP socket for connections that the hook does not
 * see, or -1. A negative errno is the daemon's refusal, -EPROTO (another version), -ETIMEDOUT or -ECONNRESET.
 */
int queue_register(int fd, int backlog, uint32_t flags, int listening_fd, int timeout_ms);

/* Changes the backlog of a registered socket; queue_take() skips the reply. */
int queue_set_backlog(int fd, int backlog, uint32_t flags);

/*
 * Takes the next connection and acknowledges it. flags: SOCK_NONBLOCK, SOCK_CLOEXEC as for accept4(2); only they set
 * the flags of the descriptor. recv_flags: 0 or MSG_DONTWAIT. Returns the descriptor. -EAGAIN and -EINTR as from
 * recvmsg(2); -EMFILE: the process is at its descriptor limit, the connection is back in the queue; -EPIPE: the daemon
 * has gone and there are no more connections to take.
 */
int queue_take(int fd, int flags, int recv_flags, struct delivery_message *message);

/* Copies a message's peer address as accept(2) does. For an AF_INET6 listener an IPv4 peer becomes a mapped address. */
void queue_copy_peer(const struct delivery_message *message, int family, struct sockaddr *address, socklen_t *length);

/*
 * Used while there is no daemon: two descriptors that become readable when it may be back. inotify sees its socket
 * appear at once. The timer (1 s) covers cases without an inotify event: a run directory that does not exist yet, or a
 * socket that was bound but not yet listening when it was tried.
 */
struct queue_watch {
	int inotify_fd;
	int timer_fd;
};

int queue_watch_open(struct queue_watch *watch, const char *run_dir);
bool queue_watch_fired(const struct queue_watch *watch, const char *run_dir);

#pragma GCC visibility pop

#endif
