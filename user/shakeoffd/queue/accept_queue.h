/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A service's accept queue: connections that wait for a server, in order of arrival, with a separate list for each
 * endpoint where servers listen. Connections that wait for some time are watched, so that a client's reset takes them
 * out. The caller holds the service's lock.
 */
#ifndef SHAKEOFFD_QUEUE_ACCEPT_QUEUE_H
#define SHAKEOFFD_QUEUE_ACCEPT_QUEUE_H

#include <stddef.h>

#include "common/listener_match.h"
#include "shakeoffd/queue/connection.h"

struct connection_list {
	struct connection *first, *last;
	struct connection *near; /* position of the last connection_list_insert(); NULL: none */
	size_t length;
};

/* Appends a connection. Where order matters, it must have arrived after all others in the list. */
void connection_list_append(struct connection_list *list, struct connection *connection);
void connection_list_remove(struct connection_list *list, struct connection *connection);

/* Inserts a connection before the first that arrived later. */
void connection_list_insert(struct connection_list *list, struct connection *connection);

/* Returns the connection with this id. NULL: there is none. */
struct connection *connection_list_find(const struct connection_list *list, uint64_t id);

/*
 * How long a binding and its waiting connections are kept after its servers have gone, if the service trusts them.
 * Untrusted servers must not keep an endpoint from the next server, so their connections are removed at once, as the
 * kernel does.
 */
#define ACCEPT_QUEUE_GRACE_NS 60000000000ull

/* How long an accepted connection may wait before it is watched: most leave the queue long before. */
#define ACCEPT_QUEUE_UNWATCHED_NS 100000000ull

struct binding {
	struct binding *next;
	struct binding_key key;
	struct connection_list waiting;
	size_t servers;
	uint64_t no_server_ns;              /* since when it has no server; 0: it has one */
	bool untrusted;                     /* its servers are neither root's nor of the service's user */
	bool adopted;                       /* represents the servers of an earlier daemon at any endpoint */
	bool dualstack;                     /* its servers have IPv6 sockets that accept IPv4 */
	int receive_buffer;                 /* SO_RCVBUF of its servers' listening sockets if set; 0: the default */
	struct shakeoff_socket_offer offer; /* their other options */
};

struct accept_queue {
	struct binding *bindings;
	int watch_fd; /* an epoll instance: readable when a watched connection was reset */
};

int accept_queue_open(struct accept_queue *queue);
void accept_queue_close(struct accept_queue *queue); /* the caller handles the connections */

/*
 * Adds a server to the binding of an endpoint. Connections there that wait for servers that have gone move to it. NULL:
 * no memory.
 */
struct binding *accept_queue_bind(struct accept_queue *queue, const struct binding_key *key);
void accept_queue_unbind(struct binding *binding, uint64_t now_ns);

/*
 * Moves connections that wait for servers that have gone to present servers that accept them. accept_queue_bind() does
 * so, too.
 */
void accept_queue_take_over(struct accept_queue *queue);

/* Expects the servers of an earlier daemon to come back, at any endpoint. 0 or -ENOMEM. */
int accept_queue_adopt(struct accept_queue *queue, uint64_t now_ns);

/* Returns the binding for a connection to this address and port. NULL: no server listens there. */
struct binding *accept_queue_find(const struct accept_queue *queue, const struct in6_addr *address, uint16_t port);

/* Put a connection at the tail; back at its earlier position. */
void accept_queue_append(struct binding *binding, struct connection *connection);
void accept_queue_requeue(struct accept_queue *queue, struct binding *binding, struct connection *connection);
void accept_queue_remove(struct connection *connection);

/*
 * Removes bindings that have had no server for too long. Their connections move to other bindings that accept them, or
 * to `orphans`. Returns whether there was one.
 */
bool accept_queue_expire(struct accept_queue *queue, uint64_t now_ns, struct connection_list *orphans);

/* Returns the number of waiting connections. */
size_t accept_queue_length(const struct accept_queue *queue);

/* Watches a connection, which may wait in the queue or for a server's acknowledgment. */
void accept_queue_watch(struct accept_queue *queue, struct connection *connection);
void accept_queue_unwatch(struct accept_queue *queue, struct connection *connection);

/* Watches all connections that have waited for ACCEPT_QUEUE_UNWATCHED_NS. */
void accept_queue_watch_waiting(struct accept_queue *queue, uint64_t now_ns);

/* Returns a watched connection that the client has reset, and stops watching it. NULL: there are no more. */
struct connection *accept_queue_next_reset(struct accept_queue *queue);

#endif
