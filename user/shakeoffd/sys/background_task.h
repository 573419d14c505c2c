/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A thread that does one thing at a time for an event loop, which continues meanwhile. It does work whose duration
 * users control, such as reading the kernel's lists of sockets.
 */
#ifndef SHAKEOFFD_SYS_BACKGROUND_TASK_H
#define SHAKEOFFD_SYS_BACKGROUND_TASK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct event_loop;

/* Only background_task.c uses these fields. All zero: there is no thread, and work is done at once. */
struct background_task {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct event_loop *loop;
	bool started;
	bool busy, done; /* protected by the lock, if there is a thread */
	int (*run)(void *context);
	void *context;
	int result;
	uint64_t cost_ns;
	_Atomic(bool) stop;
};

/* Starts the thread, which wakes the loop when it has finished some work. 0 or a negative errno. */
int background_task_start(struct background_task *task, struct event_loop *loop);

/* Asks the present work to stop, and waits for its end: see background_task_is_to_stop(). */
void background_task_close(struct background_task *task);

/* Begins work. The task must not be busy. The thread owns the context until background_task_take() returns true. */
void background_task_begin(struct background_task *task, int (*run)(void *context), void *context);
bool background_task_is_busy(struct background_task *task);

/*
 * Returns whether work has finished since the last call. If so, gives the result of run() and the CPU time that it
 * took.
 */
bool background_task_take(struct background_task *task, int *result, uint64_t *cost_ns);

/* For run(): returns whether the task is being closed, so that the result is no longer needed. */
bool background_task_is_to_stop(const struct background_task *task);

#endif
