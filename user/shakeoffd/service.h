/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A service as the hook sees it: its slot in each datapath, what is counted there, and how many connections may wait.
 *
 * The hook counts a connection in (`enqueued`) when it hands over a validated ACK; the daemon counts it out (`dequeued`)
 * when the connection leaves the accept queue: taken by a server, or refused. What the kernel's own handshake brought
 * takes a place too, and so does what another datapath counts: each datapath is told the capacity that is left for it.
 */
#ifndef SHAKEOFF_SERVICE_H
#define SHAKEOFF_SERVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <common/config.h>
#include <common/datapath.h>

struct service_slot {
	struct shakeoff_service *shared;
	uint32_t id;
	uint64_t held;       /* connections that this datapath counted in and the daemon has not counted out */
	uint64_t adopted_ns; /* what the hook handed over before is not in `enqueued` - `dequeued` until it is read */
	uint64_t seen_enqueued, seen_ns; /* for service_settle() */
};

struct service {
	const struct config_service *config;
	size_t index;
	pthread_mutex_t lock;       /* for all that follows, and for the delivery of this service */
	struct service_slot *slots; /* one a datapath */
	size_t slot_count;
	uint64_t held_from_kernel;
	uint32_t servers;
	uint32_t listen_backlog; /* 0: none has listened yet */
	bool served;             /* as SHAKEOFF_SERVICE_SERVED */
};

struct services {
	struct service *list;
	size_t count;
	struct service **by_id; /* [datapath * SHAKEOFF_MAX_SERVICES + id] */
};

/*
 * Finds or takes a slot for every service of the configuration in every datapath, and clears those of services that are
 * configured no more. What an earlier daemon left in a slot is kept. -ENOSPC: no slot is left.
 */
int services_open(struct services *services, const struct config *config, struct datapath *const *datapaths,
		  size_t count);
void services_close(struct services *services);

/* NULL: the slot belongs to no service (any more). */
struct service *services_find(const struct services *services, size_t datapath, uint32_t id);

/* How many connections may wait. */
uint32_t service_capacity(const struct service *service);

/* Whether one more from the kernel's own handshake may wait. */
bool service_has_room(const struct service *service);

/* Who listens has changed: tells the hook. `backlog`: the greatest that a server asked for; 0: as it was. */
void service_set_servers(struct service *service, uint32_t servers, uint32_t backlog);

/* The window of SYN-ACKs and its scale, where a server's SO_RCVBUF asks for others than the interface's. */
void service_set_window(struct service *service, uint16_t window_max, uint8_t wscale);

/* Not answered any more, until a server listens again. */
void service_disarm(struct service *service);

/* `datapath`: an index, or CONNECTION_FROM_KERNEL. */
void service_arrived(struct service *service, int datapath, uint64_t time_ns);
void service_established(struct service *service, int datapath);
void service_accepted(struct service *service, int datapath);
void service_refused(struct service *service, int datapath, enum shakeoff_refusal reason);

/*
 * Once nothing moves, what the hook counted and what the daemon holds have to agree; after a crash they may not. To be called
 * about once a second. drained_ns: since when at the latest nothing that was handed over earlier is in a ring.
 */
void service_settle(struct service *service, uint64_t now_ns, uint64_t drained_ns);

#endif
