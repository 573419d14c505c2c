/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A worker takes events out of its rings and carries each connection as far as it goes: socket, held frames, accept queue,
 * server. It also runs the event loop of its share of the servers.
 */
#ifndef SHAKEOFFD_QUEUE_WORKER_H
#define SHAKEOFFD_QUEUE_WORKER_H

#include <stdint.h>

#include "datapath/datapath.h"
#include "shakeoffd/queue/delivery.h"

struct worker;

/* What workers have in common; outlives them. */
struct worker_shared {
	struct datapath *const *datapaths;
	const uint32_t *rings; /* of each datapath, how many there are */
	size_t datapath_count;
	const struct services *services;
	struct delivery *deliveries;     /* in the order of the services */
	struct event_loop *const *loops; /* one a worker */
	size_t worker_count;
};

/* Worker `index` of shared->worker_count takes the rings r with r % worker_count == index. */
int worker_open(struct worker **worker, const struct worker_shared *shared, size_t index);
int worker_start(struct worker *worker);

/* Empties its rings and ends. */
void worker_stop(struct worker *worker);
void worker_close(struct worker *worker);

/* Since when at the latest nothing that was handed over earlier is in its rings. Any thread. */
uint64_t worker_drained_ns(const struct worker *worker);

#endif
