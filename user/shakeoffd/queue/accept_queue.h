/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A service's accept queue: connections that wait for a server, in order of arrival, apart for each endpoint where servers
 * listen. Those that wait for longer than a moment are watched, so that a client's reset takes them out. The caller
 * holds the service's lock.
 */
#ifndef SHAKEOFFD_QUEUE_ACCEPT_QUEUE_H
#define SHAKEOFFD_QUEUE_ACCEPT_QUEUE_H

#include <stddef.h>

#include "common/listener_match.h"
#include "shakeoffd/queue/connection.h"

struct connection_list {
	struct connection *first, *last;
	struct connection *near; /* where connection_list_insert() was last; NULL: nowhere */
	size_t length;
};

/* One that arrived later than all in the list, where order matters. */
void connection_list_append(struct connection_list *list, struct connection *connection);
void connection_list_remove(struct connection_list *list, struct connection *connection);

/* Puts it before the first that arrived later. */
void connection_list_insert(struct connection_list *list, struct connection *connection);

/* The one with this id, NULL: none. */
struct connection *connection_list_find(const struct connection_list *list, uint64_t id);

/*
 * So long a binding is kept for servers that have gone, and what waits there with it, if the service trusts them. Others must
 * not keep an endpoint from the server that comes to it next: theirs goes at once, as from the kernel.
 */
#define ACCEPT_QUEUE_GRACE_NS 60000000000ull

/* So long an accepted connection may wait without being watched: mostly it is gone long before. */
#define ACCEPT_QUEUE_UNWATCHED_NS 100000000ull

struct binding {
	struct binding *next;
	struct binding_key key;
	struct connection_list waiting;
	size_t servers;
	uint64_t no_server_ns; /* since when there has been no server; 0: there is one */
	bool untrusted;        /* of servers that are neither root's nor of the service's user */
	bool adopted;          /* stands for the servers of an earlier daemon, wherever they listened */
	bool dualstack;        /* its servers have IPv6 sockets that take IPv4 */
	int receive_buffer;    /* SO_RCVBUF of its servers' listening sockets if they have set it; 0: the default */
	struct shakeoff_socket_offer offer; /* their other options */
};

struct accept_queue {
	struct binding *bindings;
	int watch_fd; /* an epoll instance: readable when a watched connection was reset */
};

int accept_queue_open(struct accept_queue *queue);
void accept_queue_close(struct accept_queue *queue); /* the connections are the caller's business */

/* One more server listens there. What waits for servers that have gone and belongs there now moves. NULL: no memory. */
struct binding *accept_queue_bind(struct accept_queue *queue, const struct binding_key *key);
void accept_queue_unbind(struct binding *binding, uint64_t now_ns);

/* What waits for servers that have gone, and that others take who are there, moves to them. accept_queue_bind() does it, too. */
void accept_queue_take_over(struct accept_queue *queue);

/* The servers of an earlier daemon are likely to come back, wherever they listened. 0 or -ENOMEM. */
int accept_queue_adopt(struct accept_queue *queue, uint64_t now_ns);

/* Which binding a connection to this address and port belongs to. NULL: nobody listens there. */
struct binding *accept_queue_find(const struct accept_queue *queue, const struct in6_addr *address, uint16_t port);

/* Puts it on the tail; back to where it was. */
void accept_queue_append(struct binding *binding, struct connection *connection);
void accept_queue_requeue(struct accept_queue *queue, struct binding *binding, struct connection *connection);
void accept_queue_remove(struct connection *connection);

/*
 * Removes bindings that have had no server for too long. What waited there goes to others that take it, or to `orphans`.
 * Returns whether there was one.
 */
bool accept_queue_expire(struct accept_queue *queue, uint64_t now_ns, struct connection_list *orphans);

/* How many wait. */
size_t accept_queue_length(const struct accept_queue *queue);

/* Watches the connection, which may wait in the queue or for a server's acknowledgment. */
void accept_queue_watch(struct accept_queue *queue, struct connection *connection);
void accept_queue_unwatch(struct accept_queue *queue, struct connection *connection);

/* Watches all that have waited for ACCEPT_QUEUE_UNWATCHED_NS. */
void accept_queue_watch_waiting(struct accept_queue *queue, uint64_t now_ns);

/* A watched connection that the client has reset; it is not watched any more. NULL: none (left). */
struct connection *accept_queue_next_reset(struct accept_queue *queue);

#endif
