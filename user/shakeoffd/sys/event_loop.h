/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A thread's epoll loop. A source belongs to one loop, whose thread calls its ready(). Any thread may retire it. The
 * loop releases the memory of a retired source between two rounds, when no kernel event can refer to it any more.
 */
#ifndef SHAKEOFFD_SYS_EVENT_LOOP_H
#define SHAKEOFFD_SYS_EVENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct event_loop;

struct event_source {
	struct event_loop *loop;
	int fd;
	void (*ready)(struct event_source *source, uint32_t events);
	void (*release)(struct event_source *source);
	struct event_source *next_retired;
};

int event_loop_open(struct event_loop **loop);
void event_loop_close(struct event_loop *loop); /* releases retired sources */

/* Adds a descriptor, level triggered. events: EPOLL* bits as in epoll_ctl(2). 0 or a negative errno. */
int event_loop_add(struct event_loop *loop, struct event_source *source, int fd, uint32_t events,
		   void (*ready)(struct event_source *source, uint32_t events));
void event_loop_change(struct event_source *source, uint32_t events);

/* Stops waiting for a source's events. The loop's own thread calls release(source) later. Call it once per source. */
void event_loop_retire(struct event_source *source, void (*release)(struct event_source *source));

/*
 * Runs one round: waits at most timeout_ms (-1: without limit), then calls ready() of each ready source. 0 or a
 * negative errno.
 */
int event_loop_round(struct event_loop *loop, int timeout_ms);

/*
 * Returns since when the loop has been handling events of the present round (CLOCK_MONOTONIC); 0: it waits. Any thread.
 */
uint64_t event_loop_busy_since(const struct event_loop *loop);

/* Ends the wait of the present or next round. Any thread. */
void event_loop_wake(struct event_loop *loop);

#endif
