/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hands the connections of a service's accept queue to its servers: the daemon's side of common/delivery_protocol.h.
 *
 * Who may serve: a service with `user =` or `group =` accepts only servers of root, of that user and of that group's
 * members: other processes cannot connect. Otherwise every process can open RUN_DIR/NAME.sock, but a server is
 * registered only if it
 *  - runs as root or as the daemon's user, or
 *  - passes a socket that listens on the service's address, in the daemon's network namespace: then it may take these
 *    connections by the kernel's own rules. So the workers of a server that has dropped its privileges can register
 *    again after a restart of the daemon, with the listening socket that they inherited.
 * The second kind of registration ends when the socket stops listening, or is bound elsewhere. If sockets of two users
 * claim the same address and port, the socket that listens now has it.
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
	struct kernel_listener *listeners; /* listening sockets of the servers, without duplicates */
	const struct kernel_listener_calls *listener_calls;
	size_t connected, registered;
	uint32_t receive_buffer;            /* the service's window is computed for it; 0: the default */
	struct shakeoff_socket_offer offer; /* of the server that registered last among those that decide */
	uint64_t settled_ns;

	bool stopped;             /* delivery_stop() was called */
	_Atomic(uint32_t) device; /* device to which servers' sockets may be bound; 0: none */

	_Atomic(bool) changed;           /* the endpoints where servers listen, since delivery_take_change() */
	struct event_loop *loop;         /* woken then */
	struct event_source incoming;    /* RUN_DIR/NAME.sock */
	bool incoming_paused;            /* not watched because no descriptor was left */
	struct event_source watching;    /* the queue's watch_fd */
	struct event_loop *const *loops; /* servers are spread over these loops */
	size_t loop_count, next_loop;
};

/* Whether the addresses of a service have to be published for the hook. */
enum delivery_coverage {
	DELIVERY_UNCOVERED,
	DELIVERY_KEPT, /* only if they are already: an earlier daemon may have had a server there that may come back */
	DELIVERY_COVERED,
};

/*
 * Opens a delivery. Takes over listen_fd, a listening socket of AF_UNIX. `loop` watches it and the queue; `loops` will
 * watch the servers.
 */
int delivery_open(struct delivery *delivery, struct service *service, int listen_fd, struct event_loop *loop,
		  struct event_loop *const *loops, size_t loop_count);

/* Sets the index of the only device whose packets the hook sees. 0: it sees those of several devices, or of none. */
void delivery_set_device(struct delivery *delivery, uint32_t device);

/*
 * Stops the delivery: accepts no more servers, cuts off connected servers and resets waiting connections. Call it
 * before the loops end.
 */
void delivery_stop(struct delivery *delivery);
void delivery_close(struct delivery *delivery); /* after the loops have ended */

/*
 * Fills in how to make the socket for the servers that listen at the local end. Returns false if no server listens
 * there. Any thread.
 */
bool delivery_socket_options(struct delivery *delivery, const struct shakeoff_tuple *tuple,
			     struct repair_options *options);

/* Puts an ESTABLISHED connection on the accept queue, and sends connections to servers with room. Any thread. */
void delivery_enqueue(struct delivery *delivery, struct connection *connection);

/*
 * Announce a new endpoint: when a server begins to listen, the hook has to know before the server gets its
 * confirmation. The thread of `loop` calls, in this order: has something changed? Does the address have to be
 * published? Servers may be confirmed.
 */
bool delivery_take_change(struct delivery *delivery);
enum delivery_coverage delivery_covers(struct delivery *delivery, const struct in6_addr *address, uint16_t port);
void delivery_announce(struct delivery *delivery);

/*
 * Calls back with the inode of each listening socket that servers have passed. Stops at a non-zero result, and returns
 * it.
 */
int delivery_each_inode(struct delivery *delivery, int (*callback)(void *context, uint32_t inode), void *context);

/* Computes the window of SYN-ACKs again, after changes of sysctls. */
void delivery_publish_window(struct delivery *delivery);

/*
 * Watches waiting connections, ends pauses, and gives up when there has been no server for too long. Call it about
 * every 100 ms. drained_ns: see service_settle().
 */
void delivery_tick(struct delivery *delivery, uint64_t now_ns, uint64_t drained_ns);

#endif
