/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A worker takes events from its rings and carries each connection as far as possible: socket, held frames, accept
 * queue, server. It also runs an event loop for some of the servers.
 */
#ifndef SHAKEOFFD_QUEUE_WORKER_H
#define SHAKEOFFD_QUEUE_WORKER_H

#include <stdint.h>

#include "datapath/datapath.h"
#include "shakeoffd/queue/delivery.h"

struct worker;

/* Shared by all workers; outlives them. */
struct worker_shared {
	struct datapath *const *datapaths;
	const uint32_t *rings; /* number of rings of each datapath */
	size_t datapath_count;
	const struct services *services;
	struct delivery *deliveries;     /* in the order of the services */
	struct event_loop *const *loops; /* one per worker */
	size_t worker_count;
};

/* Opens worker `index` of shared->worker_count, which reads the rings r with r % worker_count == index. */
int worker_open(struct worker **worker, const struct worker_shared *shared, size_t index);
int worker_start(struct worker *worker);

/* Has the worker empty its rings and end. */
void worker_stop(struct worker *worker);
void worker_close(struct worker *worker);

/* Returns a time: everything handed over before it has left the worker's rings. Any thread. */
uint64_t worker_drained_ns(const struct worker *worker);

#endif
