/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A service as the hook sees it: its id in each datapath, its counters there, and its capacity for waiting connections.
 *
 * Queue handoff: the hook counts a connection in (`enqueued`) when it hands over a validated ACK. The daemon counts it
 * out (`dequeued`) when the connection leaves the accept queue: taken by a server, or refused. Connections from the
 * kernel's own handshake also take a position, and so do those of other datapaths: each datapath gets only the capacity
 * that is left for it.
 *
 * Listener handoff: the tc program counts out, and the hook reads the capacity from the listening socket. The daemon
 * only describes the service, and corrects the count for packets lost between the two programs.
 */
#ifndef SHAKEOFFD_HOOK_SERVICE_H
#define SHAKEOFFD_HOOK_SERVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "datapath/datapath.h"
#include "common/clock.h"
#include "shakeoffd/hook/service_ids.h"

/* How long clients still send cookies back after a service stops answering; most round trips are shorter. */
#define SERVICE_RETURN_NS (300 * NS_PER_MS)

struct service_instance {
	struct shakeoff_service *shared;
	uint32_t id;
	uint64_t held;       /* connections that this datapath counted in and the daemon has not counted out */
	uint64_t adopted_ns; /* earlier connections are in `enqueued` - `dequeued` only once the daemon reads them */
	uint64_t seen_enqueued, seen_ns; /* for service_settle() */
	int64_t least, most; /* for service_settle_listening(): under way to the listening socket, since seen_ns */
};

/* The listening sockets of a service, and their common properties. */
struct service_listening {
	uint32_t sockets;                    /* 0: none, and the other fields are unused */
	uint32_t backlog;                    /* the greatest */
	uint8_t bypass;                      /* enum shakeoff_bypass */
	uint32_t uid;                        /* their owner */
	uint8_t queue_bypass;                /* the same for a service with the queue handoff */
	char bypass_rule[SHAKEOFF_RULE_LEN]; /* as in shakeoff_service */
};

struct service {
	const struct config_service *config; /* discovered service: its handoff is LISTENER and `listen` is empty */
	size_t index;                        /* of a configured service */
	bool discovered;
	pthread_mutex_t lock;               /* protects the fields below, and the delivery of this service */
	struct service_instance *instances; /* one per datapath */
	size_t instance_count;
	enum shakeoff_handoff handoff; /* in use by the hook: LISTENER or QUEUE */

	uint64_t held_from_kernel; /* these fields are for the queue handoff */
	uint32_t servers;
	uint32_t listen_capacity; /* as in shakeoff_service */
	bool served;              /* a server has registered with the daemon; it may come back after it has gone */
	bool strangers;           /* only servers that the service does not trust (peer.h), of this user: */
	uint32_t stranger;
	struct shakeoff_socket_offer offer; /* as in shakeoff_service */

	struct service_listening listening; /* for the listener handoff */
};

struct services {
	struct service *list; /* the configured services */
	size_t count;
	struct service **by_id; /* [datapath * SHAKEOFF_MAX_SERVICES + id] */
};

/*
 * Finds or takes a service id for every service of the configuration in every datapath. Keeps the state that an earlier
 * daemon left under an id. -ENOSPC: no id is free.
 */
int services_open(struct services *services, const struct config *config, struct service_ids *service_ids);
void services_close(struct services *services);

/* Does the same for a discovered service. The caller owns `config`. -ENOSPC: no id is free. */
int service_open(struct service *service, const struct config_service *config, bool discovered,
		 struct service_ids *service_ids);

/* Gives back the ids of a discovered service. No address may lead to them any more. */
void service_release(struct service *service, struct service_ids *service_ids);
void service_close(struct service *service);

/* Returns the service of a service id. NULL: the id belongs to no configured service (any more). */
struct service *services_find(const struct services *services, size_t datapath, uint32_t id);

/* Returns the maximum of connections that may wait. */
uint32_t service_capacity(const struct service *service);

/* Returns whether one more connection from the kernel's own handshake may wait. */
bool service_has_room(const struct service *service);

/*
 * Returns the handoff that the service should have now. auto: queue if servers have registered with the daemon, or may
 * come back; otherwise listener if there is a listening socket. Servers of a user whom the service does not trust get
 * the queue handoff only if no other user has a listening socket.
 */
enum shakeoff_handoff service_wants(struct service *service);

/* Changes the handoff. Connections that are already validated still use the old one. */
void service_change_handoff(struct service *service, enum shakeoff_handoff handoff);

/* Publishes the listening sockets to the hook. Takes the lock itself. */
void service_set_listening(struct service *service, const struct service_listening *listening);

/*
 * Stops answering for a service with the listener handoff: SYNs pass to the kernel, ACKs are still admitted. Returns
 * whether clients still hold cookies: then its addresses have to stay for SERVICE_RETURN_NS. Takes the lock itself.
 */
bool service_stop_answering(struct service *service, uint64_t now_ns);

/* Publishes the number of servers that listen. capacity: as listen_capacity of shakeoff_service; 0: unchanged. */
void service_set_servers(struct service *service, uint32_t servers, uint32_t capacity);

/* Notes who owns the servers: the service's own user, or another user. */
void service_set_owner(struct service *service, bool is_stranger, uint32_t uid);

/*
 * Publishes what the window of SYN-ACKs is computed from: tcp_full_space() of the server's socket, and whether its
 * owner has set SO_RCVBUF.
 */
void service_set_offer(struct service *service, const struct shakeoff_socket_offer *offer);

/* Stops answering for a service until a server listens again. */
void service_disarm(struct service *service);

/* The origin of a connection: the index of a datapath, or this. */
#define CONNECTION_FROM_KERNEL (-1)

/*
 * Count a connection of the queue handoff: into the accept queue (time_ns: when the hook handed it over), as
 * established, and out of the queue again.
 */
void service_arrived(struct service *service, int datapath, uint64_t time_ns);
void service_established(struct service *service, int datapath);
void service_accepted(struct service *service, int datapath);
void service_refused(struct service *service, int datapath, enum shakeoff_refusal reason);

/*
 * Corrects the count of waiting connections. While nothing moves, the hook's count and the daemon's have to agree;
 * after a crash they may not. Call it about once a second. drained_ns: everything handed over before this time has left
 * the rings.
 */
void service_settle(struct service *service, uint64_t now_ns, uint64_t drained_ns);

/*
 * Does the same for the listener handoff: counts out connections that were validated but never reached the tc program,
 * because they would take room in the queue for ever. Only for the thread that changes the handoff. Takes the lock.
 * Returns whether there are such candidates: then call it several times a second, otherwise now and then.
 */
bool service_settle_listening(struct service *service, uint64_t now_ns);

#endif
