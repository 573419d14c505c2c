/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The server's side of delivery_protocol.h, shared by the API (libshakeoff.c) and the preload shim (preload*.c):
 * finding a service, registering with the daemon, taking connections, and noticing that the daemon has come back.
 *
 * It runs inside other people's programs: no global state, no output, no signal (SIGPIPE included). Functions return 0
 * or a descriptor, or a negative errno; output parameters are untouched on failure.
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

/* The environment's SHAKEOFF_RUN_DIR, else the default; never the environment's in a set-user-ID program. */
const char *queue_run_dir(void);

/*
 * Finds the service that a server bound to `bound` serves. In this order: the address itself; `*` with its port, unless
 * it is a loopback or link-local address, which `*` does not stand for; for a wildcard address the only service that is
 * listed with its port. -ENOENT: none; -ENOTUNIQ: a wildcard address, and several services have the port.
 */
int queue_find_service(const char *run_dir, const struct sockaddr *bound, bool v6only, char name[SHAKEOFF_NAME_LEN]);

/* Tells whether a daemon has listed any service: then RUN_DIR/listen is there. */
bool queue_any_service(const char *run_dir);

/* RUN_DIR/NAME.sock; -ENAMETOOLONG. */
int queue_socket_path(const char *run_dir, const char *name, char *path, size_t size);

/*
 * Connects to the daemon's socket of a service; the descriptor is blocking and close-on-exec. -ECONNREFUSED, -ENOENT:
 * no daemon, or it has no such service; -EPERM: it is neither root's nor of this process' user.
 */
int queue_connect(const char *run_dir, const char *name);

/*
 * Says LISTEN and waits for the answer. listening_fd: a listening TCP socket for what the hook does not see, or -1. A
 * negative errno is the daemon's refusal, -EPROTO (another version), -ETIMEDOUT or -ECONNRESET.
 */
int queue_register(int fd, int backlog, uint32_t flags, int listening_fd, int timeout_ms);

/* Changes the backlog of a registered socket; the answer is skipped by queue_take(). */
int queue_set_backlog(int fd, int backlog, uint32_t flags);

/*
 * Takes the next connection and acknowledges it. flags: SOCK_NONBLOCK, SOCK_CLOEXEC as for accept4(2), and they alone
 * decide what the descriptor is; recv_flags: 0 or MSG_DONTWAIT. Returns the descriptor. -EAGAIN and -EINTR as
 * recvmsg(2) gives them; -EMFILE: the process is at its descriptor limit, the connection is back in the queue; -EPIPE:
 * the daemon has gone and nothing is left to take.
 */
int queue_take(int fd, int flags, int recv_flags, struct delivery_message *message);

/* Copies a message's peer address as accept(2) does; to an AF_INET6 listener an IPv4 peer is a mapped address. */
void queue_copy_peer(const struct delivery_message *message, int family, struct sockaddr *address, socklen_t *length);

/*
 * While there is no daemon: two descriptors that become readable when it may be back. inotify sees its socket appear at
 * once; the timer (1 s) covers what inotify cannot: a run directory that does not exist yet, or a socket that was bound
 * but not yet listening when it was tried.
 */
struct queue_watch {
	int inotify_fd;
	int timer_fd;
};

int queue_watch_open(struct queue_watch *watch, const char *run_dir);
bool queue_watch_fired(const struct queue_watch *watch, const char *run_dir);

#pragma GCC visibility pop

#endif
