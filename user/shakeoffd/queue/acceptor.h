/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A thread for one listening socket that a server has passed. The open file is the server's as well: it may clear
 * O_NONBLOCK at any time, so that accept() sleeps, and it may hold the socket's lock for long, so that getsockname()
 * does. That must only ever hold up this thread, which has no lock and no other work.
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

/* All are called by the thread of the acceptor, which holds no lock. */
struct acceptor_calls {
	/* Looks at the socket once, at the beginning. False: it is of no use. */
	bool (*examine)(struct acceptor *acceptor);

	/* Looks whether it still is what it was, about once a second and when poll() says that it is not. False: no. */
	bool (*holds)(struct acceptor *acceptor);

	/* Whether there is room for one more. False: none is accepted before acceptor_resume(). */
	bool (*has_room)(struct acceptor *acceptor);

	/* Gets the connection and its peer. */
	void (*accepted)(struct acceptor *acceptor, int fd, const union socket_address *peer);

	/* accept() has failed for a reason that does not pass by itself at once. */
	void (*failed)(struct acceptor *acceptor, int error);

	/* Releases the memory. Called by acceptor_tick() or acceptor_end_all(), when the thread has ended. */
	void (*release)(struct acceptor *acceptor);
};

struct acceptor {
	struct acceptor *next; /* of those that are to end */
	const struct acceptor_calls *calls;
	uid_t user; /* whose process has passed the socket */
	pthread_t thread;
	int fd, wake_fd;
	_Atomic(bool) paused, stop, done;
};

/* Takes over fd on success. 0 or a negative errno. */
int acceptor_start(struct acceptor *acceptor, int fd, uid_t user, const struct acceptor_calls *calls);

void acceptor_pause(struct acceptor *acceptor);
void acceptor_resume(struct acceptor *acceptor);

/* It is to end soon; fd must not be used any more. Once only. Any thread, also its own. */
void acceptor_end(struct acceptor *acceptor);

/* About every 100 ms: wakes those that are to end, releases those that have ended. */
void acceptor_tick(void);

/* How many of this user's are to end, and do not: their sockets hold them up. */
size_t acceptor_count_stuck(uid_t user);

/* Waits for those that are to end, at most so long. Returns whether all have ended. */
bool acceptor_end_all(uint64_t timeout_ns);

#endif
