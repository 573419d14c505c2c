/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <signal.h>

#include "shakeoffd/sys/clock.h"
#include "shakeoffd/sys/errand.h"
#include "shakeoffd/sys/event_loop.h"

static void carry_out(struct errand *errand)
{
	uint64_t before = clock_cpu_ns();

	errand->result = errand->run(errand->context);
	errand->cost_ns = clock_cpu_ns() - before;
}

static void *run(void *argument)
{
	struct errand *errand = argument;

	pthread_mutex_lock(&errand->lock);
	for (;;) {
		while (!atomic_load(&errand->stop) && (!errand->busy || errand->done))
			pthread_cond_wait(&errand->changed, &errand->lock);
		if (atomic_load(&errand->stop))
			break;
		pthread_mutex_unlock(&errand->lock);
		carry_out(errand);
		pthread_mutex_lock(&errand->lock);
		errand->done = true;
		event_loop_wake(errand->loop);
	}
	pthread_mutex_unlock(&errand->lock);
	return NULL;
}

int errand_start(struct errand *errand, struct event_loop *loop)
{
	sigset_t all, before;
	int error;

	errand->loop = loop;
	pthread_mutex_init(&errand->lock, NULL);
	pthread_cond_init(&errand->changed, NULL);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&errand->thread, NULL, run, errand);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errand->started = !error;
	return -error;
}

void errand_close(struct errand *errand)
{
	if (!errand->started)
		return;
	pthread_mutex_lock(&errand->lock);
	atomic_store(&errand->stop, true);
	pthread_cond_signal(&errand->changed);
	pthread_mutex_unlock(&errand->lock);
	pthread_join(errand->thread, NULL);
	pthread_cond_destroy(&errand->changed);
	pthread_mutex_destroy(&errand->lock);
	errand->started = false;
}

static void lock(struct errand *errand)
{
	if (errand->started)
		pthread_mutex_lock(&errand->lock);
}

static void unlock(struct errand *errand)
{
	if (errand->started)
		pthread_mutex_unlock(&errand->lock);
}

void errand_begin(struct errand *errand, int (*to_run)(void *context), void *context)
{
	errand->run = to_run;
	errand->context = context;
	if (!errand->started)
		carry_out(errand);
	lock(errand);
	errand->busy = true;
	errand->done = !errand->started;
	if (errand->started)
		pthread_cond_signal(&errand->changed);
	unlock(errand);
}

bool errand_is_busy(struct errand *errand)
{
	bool busy;

	lock(errand);
	busy = errand->busy;
	unlock(errand);
	return busy;
}

bool errand_take(struct errand *errand, int *result, uint64_t *cost_ns)
{
	bool done;

	lock(errand);
	done = errand->busy && errand->done;
	if (done) {
		errand->busy = errand->done = false;
		*result = errand->result;
		*cost_ns = errand->cost_ns;
	}
	unlock(errand);
	return done;
}

bool errand_is_to_stop(const struct errand *errand)
{
	return atomic_load_explicit(&errand->stop, memory_order_relaxed);
}
