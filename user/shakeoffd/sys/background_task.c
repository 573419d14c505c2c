/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <signal.h>

#include "common/clock.h"
#include "shakeoffd/sys/background_task.h"
#include "shakeoffd/sys/event_loop.h"

static void carry_out(struct background_task *task)
{
	uint64_t before = clock_cpu_ns();

	task->result = task->run(task->context);
	task->cost_ns = clock_cpu_ns() - before;
}

static void *run(void *argument)
{
	struct background_task *task = argument;

	pthread_mutex_lock(&task->lock);
	for (;;) {
		while (!atomic_load(&task->stop) && (!task->busy || task->done))
			pthread_cond_wait(&task->changed, &task->lock);
		if (atomic_load(&task->stop))
			break;
		pthread_mutex_unlock(&task->lock);
		carry_out(task);
		pthread_mutex_lock(&task->lock);
		task->done = true;
		event_loop_wake(task->loop);
	}
	pthread_mutex_unlock(&task->lock);
	return NULL;
}

int background_task_start(struct background_task *task, struct event_loop *loop)
{
	sigset_t all, before;
	int error;

	task->loop = loop;
	pthread_mutex_init(&task->lock, NULL);
	pthread_cond_init(&task->changed, NULL);
	/* Only the main thread takes signals. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&task->thread, NULL, run, task);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	task->started = !error;
	return -error;
}

void background_task_close(struct background_task *task)
{
	if (!task->started)
		return;
	pthread_mutex_lock(&task->lock);
	atomic_store(&task->stop, true);
	pthread_cond_signal(&task->changed);
	pthread_mutex_unlock(&task->lock);
	pthread_join(task->thread, NULL);
	pthread_cond_destroy(&task->changed);
	pthread_mutex_destroy(&task->lock);
	task->started = false;
}

static void lock(struct background_task *task)
{
	if (task->started)
		pthread_mutex_lock(&task->lock);
}

static void unlock(struct background_task *task)
{
	if (task->started)
		pthread_mutex_unlock(&task->lock);
}

void background_task_begin(struct background_task *task, int (*to_run)(void *context), void *context)
{
	task->run = to_run;
	task->context = context;
	if (!task->started)
		carry_out(task);
	lock(task);
	task->busy = true;
	task->done = !task->started;
	if (task->started)
		pthread_cond_signal(&task->changed);
	unlock(task);
}

bool background_task_is_busy(struct background_task *task)
{
	bool busy;

	lock(task);
	busy = task->busy;
	unlock(task);
	return busy;
}

bool background_task_take(struct background_task *task, int *result, uint64_t *cost_ns)
{
	bool done;

	lock(task);
	done = task->busy && task->done;
	if (done) {
		task->busy = task->done = false;
		*result = task->result;
		*cost_ns = task->cost_ns;
	}
	unlock(task);
	return done;
}

bool background_task_is_to_stop(const struct background_task *task)
{
	return atomic_load_explicit(&task->stop, memory_order_relaxed);
}
