/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "shakeoffd/sys/event_loop.h"

#define ROUND_EVENTS 64

struct event_loop {
	int epoll_fd;
	int wake_fd;
	pthread_mutex_t lock;
	struct event_source *retired; /* protected by the lock */
	_Atomic(uint64_t) busy_ns;    /* 0: the loop waits */
};

int event_loop_open(struct event_loop **loop)
{
	struct event_loop *fresh = calloc(1, sizeof(*fresh));
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	int error;

	if (!fresh)
		return -ENOMEM;
	pthread_mutex_init(&fresh->lock, NULL);
	fresh->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	fresh->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fresh->epoll_fd < 0 || fresh->wake_fd < 0 ||
	    epoll_ctl(fresh->epoll_fd, EPOLL_CTL_ADD, fresh->wake_fd, &event)) {
		error = -errno;
		event_loop_close(fresh);
		return error;
	}
	*loop = fresh;
	return 0;
}

static void release_retired(struct event_loop *loop)
{
	struct event_source *source, *next;

	pthread_mutex_lock(&loop->lock);
	source = loop->retired;
	loop->retired = NULL;
	pthread_mutex_unlock(&loop->lock);
	for (; source; source = next) {
		next = source->next_retired;
		source->release(source);
	}
}

void event_loop_close(struct event_loop *loop)
{
	if (!loop)
		return;
	release_retired(loop);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

int event_loop_add(struct event_loop *loop, struct event_source *source, int fd, uint32_t events,
		   void (*ready)(struct event_source *source, uint32_t events))
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	source->loop = loop;
	source->fd = fd;
	source->ready = ready;
	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

void event_loop_change(struct event_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event);
}

void event_loop_retire(struct event_source *source, void (*release)(struct event_source *source))
{
	struct event_loop *loop = source->loop;

	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->release = release;
	pthread_mutex_lock(&loop->lock);
	source->next_retired = loop->retired;
	loop->retired = source;
	pthread_mutex_unlock(&loop->lock);
	event_loop_wake(loop); /* the thread may sleep for long with the descriptor open */
}

int event_loop_round(struct event_loop *loop, int timeout_ms)
{
	struct epoll_event events[ROUND_EVENTS];
	uint64_t wakes;
	int count;

	release_retired(loop);
	atomic_store_explicit(&loop->busy_ns, 0, memory_order_relaxed);
	count = epoll_wait(loop->epoll_fd, events, ROUND_EVENTS, timeout_ms);
	atomic_store_explicit(&loop->busy_ns, clock_ns(), memory_order_relaxed);
	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < count; i++) {
		struct event_source *source = events[i].data.ptr;

		if (source)
			source->ready(source, events[i].events);
		else if (read(loop->wake_fd, &wakes, sizeof(wakes)) < 0 && errno != EAGAIN)
			return -errno;
	}
	return 0;
}

uint64_t event_loop_busy_since(const struct event_loop *loop)
{
	return atomic_load_explicit(&loop->busy_ns, memory_order_relaxed);
}

void event_loop_wake(struct event_loop *loop)
{
	uint64_t one = 1;

	/* EAGAIN means that it is readable already. */
	if (write(loop->wake_fd, &one, sizeof(one)) < 0)
		return;
}
