/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A thread that does one thing at a time for an event loop, which goes on meanwhile. For what may take long, as long as users like: the
 * kernel's lists of sockets.
 */
#ifndef SHAKEOFFD_SYS_BACKGROUND_TASK_H
#define SHAKEOFFD_SYS_BACKGROUND_TASK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct event_loop;

/* All of this belongs to background_task.c; all zero: there is no thread, and what is begun is done at once. */
struct background_task {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct event_loop *loop;
	bool started;
	bool busy, done; /* these under lock, if there is a thread */
	int (*run)(void *context);
	void *context;
	int result;
	uint64_t cost_ns;
	_Atomic(bool) stop;
};

/* Starts the thread, which wakes the loop when something is done. 0 or a negative errno. */
int background_task_start(struct background_task *task, struct event_loop *loop);

/* Waits for what is being done: see background_task_is_to_stop(). */
void background_task_close(struct background_task *task);

/* Not while it is busy. The context is the thread's until background_task_take() says that it is done. */
void background_task_begin(struct background_task *task, int (*run)(void *context), void *context);
bool background_task_is_busy(struct background_task *task);

/* Whether something is done since the last call: then what run() returned, and the CPU time that it took. */
bool background_task_take(struct background_task *task, int *result, uint64_t *cost_ns);

/* For run(): nobody will ask for the result. */
bool background_task_is_to_stop(const struct background_task *task);

#endif
