/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hands the connections of a service's accept queue to its servers: the daemon's side of common/delivery_protocol.h.
 *
 * Who may serve: a service that names a `user =` or a `group =` takes servers of root, of that user and of that group's
 * members alone: other processes cannot connect. Otherwise every process can open RUN_DIR/NAME.sock, but a server is
 * registered only if it
 *  - runs as root or as the daemon's user, or
 *  - brings a socket that listens on the service's address, in the daemon's network namespace: then it may take these
 *    connections by the kernel's own rules. So the workers of a server that has dropped its privileges can register
 *    again after a restart of the daemon, with the listening socket that they inherited.
 * The second kind of registration ends when the socket stops to listen, or is bound elsewhere. Where sockets of two
 * users claim one address and port, the one that listens now has it.
 */
#ifndef SHAKEOFFD_QUEUE_DELIVERY_H
#define SHAKEOFFD_QUEUE_DELIVERY_H

#include <stddef.h>

#include "shakeoffd/queue/accept_queue.h"
#include "shakeoffd/sys/event_loop.h"
#include "shakeoffd/queue/repair.h"
#include "shakeoffd/hook/service.h"

struct kernel_listener;
struct kernel_listener_calls;

/* The maximum of connections that are on their way to a server at once. */
#define DELIVERY_WINDOW 16

struct delivery {
	struct service *service;
	struct accept_queue queue;
	struct server *servers;            /* connected, registered or not yet */
	struct kernel_listener *listeners; /* listening sockets of the servers, each once */
	const struct kernel_listener_calls *listener_calls;
	size_t connected, registered;
	uint32_t receive_buffer;            /* that the service's window is made for; 0: the default */
	struct shakeoff_socket_offer offer; /* of the server that registered last, of those that decide */
	uint64_t settled_ns;

	bool stopped;             /* by delivery_stop() */
	_Atomic(uint32_t) device; /* that servers' sockets may be bound to; 0: to none */

	_Atomic(bool) changed;           /* where servers listen, since delivery_take_change() */
	struct event_loop *loop;         /* is woken then */
	struct event_source incoming;    /* RUN_DIR/NAME.sock */
	bool incoming_paused;            /* not watched: no descriptor was left */
	struct event_source watching;    /* the queue's watch_fd */
	struct event_loop *const *loops; /* servers are spread over these */
	size_t loop_count, next_loop;
};

/* Whether the addresses of a service are to be published for the hook. */
enum delivery_coverage {
	DELIVERY_UNCOVERED,
	DELIVERY_KEPT, /* if it is: an earlier daemon may have had a server there, which may come back */
	DELIVERY_COVERED,
};

/*
 * Takes over listen_fd, a listening socket of AF_UNIX. `loop` watches it and the queue; `loops` will watch the servers.
 */
int delivery_open(struct delivery *delivery, struct service *service, int listen_fd, struct event_loop *loop,
		  struct event_loop *const *loops, size_t loop_count);

/*
 * The hook sees what comes in by the device with this index, and by no other. 0: it sees several devices' clients, or
 * none.
 */
void delivery_set_device(struct delivery *delivery, uint32_t device);

/* Takes no more servers; those that are connected are cut off and what waits is reset. Ends before the loops. */
void delivery_stop(struct delivery *delivery);
void delivery_close(struct delivery *delivery); /* after the loops have ended */

/*
 * Returns how the socket has to be made for the servers that listen at the local end. False: no server listens there.
 * Any thread.
 */
bool delivery_socket_options(struct delivery *delivery, const struct shakeoff_tuple *tuple,
			     struct repair_options *options);

/* Puts an ESTABLISHED connection on the accept queue and hands out what can be. Any thread. */
void delivery_enqueue(struct delivery *delivery, struct connection *connection);

/*
 * When a server begins to listen somewhere, the hook has to know before the server is told that it listens. For the
 * thread of `loop`: has something changed? Is the address to be published? Then: servers may be told.
 */
bool delivery_take_change(struct delivery *delivery);
enum delivery_coverage delivery_covers(struct delivery *delivery, const struct in6_addr *address, uint16_t port);
void delivery_announce(struct delivery *delivery);

/*
 * Calls back with the inode of every listening socket that servers have passed. Stops at a non-zero return, and returns
 * it.
 */
int delivery_each_inode(struct delivery *delivery, int (*callback)(void *context, uint32_t inode), void *context);

/* After changes of sysctls: the window of SYN-ACKs may be another. */
void delivery_publish_window(struct delivery *delivery);

/*
 * About every 100 ms: watches what waits, ends pauses, and gives up when there has been no server for too long.
 * drained_ns: see service_settle().
 */
void delivery_tick(struct delivery *delivery, uint64_t now_ns, uint64_t drained_ns);

#endif
