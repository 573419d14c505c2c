/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A thread for a listening socket that a server has passed. The server shares the open file: it may clear O_NONBLOCK at
 * any time, so that accept() sleeps, or hold the socket's lock for long, so that getsockname() sleeps. That must only
 * hold up this thread, which has no lock and no other work.
 */
#ifndef SHAKEOFFD_QUEUE_ACCEPTOR_H
#define SHAKEOFFD_QUEUE_ACCEPTOR_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/tuple.h"

struct acceptor;

/* The thread of the acceptor calls all of these, and holds no lock. */
struct acceptor_calls {
	/* Examines the socket once at the beginning. Returns whether it is of use. */
	bool (*examine)(struct acceptor *acceptor);

	/* Returns whether it still is what it was. Called about once a second and when poll() reports an error. */
	bool (*holds)(struct acceptor *acceptor);

	/* Returns whether there is room for one more connection. False: none is accepted before acceptor_resume(). */
	bool (*has_room)(struct acceptor *acceptor);

	/* Takes a connection and its peer. */
	void (*accepted)(struct acceptor *acceptor, int fd, const union socket_address *peer);

	/* Reports that accept() has failed for a reason that may last. */
	void (*failed)(struct acceptor *acceptor, int error);

	/* Frees the memory. Called by acceptor_tick() or acceptor_end_all() after the thread has ended. */
	void (*release)(struct acceptor *acceptor);
};

struct acceptor {
	struct acceptor *next; /* in the list of those that have to end */
	const struct acceptor_calls *calls;
	uid_t user; /* the user whose process has passed the socket */
	pthread_t thread;
	int fd, wake_fd;
	_Atomic(bool) paused, stop, done;
};

/* Starts a thread. Takes over fd on success. 0 or a negative errno. */
int acceptor_start(struct acceptor *acceptor, int fd, uid_t user, const struct acceptor_calls *calls);

void acceptor_pause(struct acceptor *acceptor);
void acceptor_resume(struct acceptor *acceptor);

/* Asks a thread to end; fd must not be used any more. Call it only once. Any thread, also its own. */
void acceptor_end(struct acceptor *acceptor);

/* Wakes threads that have to end, and releases those that have ended. Call it about every 100 ms. */
void acceptor_tick(void);

/* Returns how many threads of this user have to end but cannot, because their sockets hold them up. */
size_t acceptor_count_stuck(uid_t user);

/* Waits until all threads that have to end have ended, or until the timeout. Returns whether all have. */
bool acceptor_end_all(uint64_t timeout_ns);

#endif
