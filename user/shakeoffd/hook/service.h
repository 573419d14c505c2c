/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A service as the hook sees it: its id in each datapath, what is counted there, and how many connections may wait.
 *
 * Queue handoff: the hook counts a connection in (`enqueued`) when it hands over a validated ACK; the daemon counts it
 * out (`dequeued`) when the connection leaves the accept queue: taken by a server, or refused. What the kernel's own
 * handshake brought takes a place too, and so does what another datapath counts: each datapath is told the capacity
 * that is left for it.
 *
 * Listener handoff: the tc program counts out, the hook reads the capacity from the listening socket, and the daemon
 * only describes the service, and corrects what was lost on the way between the two programs.
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

/* When a service stops answering, clients bring cookies back for so long; the round trip of most is shorter. */
#define SERVICE_RETURN_NS (300 * NS_PER_MS)

struct service_instance {
	struct shakeoff_service *shared;
	uint32_t id;
	uint64_t held;       /* connections that this datapath counted in and the daemon has not counted out */
	uint64_t adopted_ns; /* what the hook handed over before is not in `enqueued` - `dequeued` until it is read */
	uint64_t seen_enqueued, seen_ns; /* for service_settle() */
	int64_t least, most; /* for service_settle_listening(): on the way to the listening socket, since seen_ns */
};

/* The listening sockets of a service, and what they allow. */
struct service_listening {
	uint32_t sockets;                    /* 0: none, and the rest means nothing */
	uint32_t backlog;                    /* the greatest */
	uint8_t bypass;                      /* enum shakeoff_bypass */
	uint32_t uid;                        /* whose they are */
	uint8_t queue_bypass;                /* the same, of a service with the queue handoff */
	char bypass_rule[SHAKEOFF_RULE_LEN]; /* as in shakeoff_service */
};

struct service {
	const struct config_service *config; /* handoff LISTENER and no `listen` for a discovered one */
	size_t index;                        /* of a configured one */
	bool discovered;
	pthread_mutex_t lock;               /* for all that follows, and for the delivery of this service */
	struct service_instance *instances; /* one a datapath */
	size_t instance_count;
	enum shakeoff_handoff handoff; /* that the hook uses: LISTENER or QUEUE */

	uint64_t held_from_kernel; /* these for the queue handoff */
	uint32_t servers;
	uint32_t listen_capacity; /* as in shakeoff_service */
	bool served;              /* a server of the daemon's has listened, and may come back if it has gone */
	bool strangers;           /* but none that the service trusts (peer.h); then it was this user's: */
	uint32_t stranger;
	struct shakeoff_socket_offer offer; /* as in shakeoff_service */

	struct service_listening listening; /* for the listener handoff */
};

struct services {
	struct service *list; /* the configured ones */
	size_t count;
	struct service **by_id; /* [datapath * SHAKEOFF_MAX_SERVICES + id] */
};

/*
 * Finds or takes a service id for every service of the configuration in every datapath. What an earlier daemon left in a service id
 * is kept. -ENOSPC: no id is left.
 */
int services_open(struct services *services, const struct config *config, struct service_ids *service_ids);
void services_close(struct services *services);

/* Does the same for a single discovered one. `config` stays the caller's. -ENOSPC as above. */
int service_open(struct service *service, const struct config_service *config, bool discovered,
		 struct service_ids *service_ids);

/* Gives a discovered one's ids back, to which no address may lead any more. */
void service_release(struct service *service, struct service_ids *service_ids);
void service_close(struct service *service);

/* Returns the service of a service id. NULL: the id belongs to no configured service (any more). */
struct service *services_find(const struct services *services, size_t datapath, uint32_t id);

/* Returns how many connections may wait. */
uint32_t service_capacity(const struct service *service);

/* Returns whether one more connection from the kernel's own handshake may wait. */
bool service_has_room(const struct service *service);

/*
 * Returns which handoff the service is to have now. auto: queue as long as servers of the daemon's have it, or may come
 * back; otherwise listener if there is a listening socket. Servers of a user whom the service does not trust have it
 * only where no other user has a listening socket.
 */
enum shakeoff_handoff service_wants(struct service *service);

/* Changes the handoff. Connections that have been validated before still go the old way. */
void service_change_handoff(struct service *service, enum shakeoff_handoff handoff);

/* Tells the hook which listening sockets there are, and what they allow. Takes the lock itself. */
void service_set_listening(struct service *service, const struct service_listening *listening);

/*
 * Ends the answering of a service with the listener handoff: SYNs pass to the kernel, ACKs are still admitted.
 * Returns whether cookies are out: then its addresses are to stay for SERVICE_RETURN_NS. Takes the lock itself.
 */
bool service_stop_answering(struct service *service, uint64_t now_ns);

/* Tells the hook how many servers listen. places: as listen_capacity of shakeoff_service; 0: as it was. */
void service_set_servers(struct service *service, uint32_t servers, uint32_t capacity);

/* Notes whose servers decide: the service's own, or another user's. */
void service_set_owner(struct service *service, bool is_stranger, uint32_t uid);

/*
 * Tells the hook from what the window of SYN-ACKs is computed: tcp_full_space() of the server's socket, and whether its
 * owner has set SO_RCVBUF.
 */
void service_set_offer(struct service *service, const struct shakeoff_socket_offer *offer);

/* Stops the answering for a service, until a server listens again. */
void service_disarm(struct service *service);

/* Where a connection came from: the index of a datapath, or this. */
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
 * Corrects the count of waiting connections. Once nothing moves, what the hook counted and what the daemon holds have
 * to agree; after a crash they may not. To be called about once a second. drained_ns: since when at the latest nothing
 * that was handed over earlier is in a ring.
 */
void service_settle(struct service *service, uint64_t now_ns, uint64_t drained_ns);

/*
 * Does the same for the listener handoff: counts out what was validated but never came to the tc program, because it
 * would take room in the queue for ever. For the thread that changes the handoff. Takes the lock. Returns whether there
 * is something to watch: then it is to be called several times a second, otherwise now and then.
 */
bool service_settle_listening(struct service *service, uint64_t now_ns);

#endif
