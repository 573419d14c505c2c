/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A service's accept queue: connections that wait for a server, in order of arrival. Those that wait for longer than a
 * moment are watched, so that a client's reset takes them out. The caller holds the service's lock.
 */
#ifndef SHAKEOFF_ACCEPT_QUEUE_H
#define SHAKEOFF_ACCEPT_QUEUE_H

#include <stddef.h>

#include <shakeoffd/connection.h>

struct connection_list {
	struct connection *first, *last;
	size_t length;
};

void connection_list_append(struct connection_list *list, struct connection *connection);
void connection_list_remove(struct connection_list *list, struct connection *connection);

/* Puts it before the first that arrived later. */
void connection_list_insert(struct connection_list *list, struct connection *connection);

/* The one with this id, NULL: none. */
struct connection *connection_list_find(const struct connection_list *list, uint64_t id);

/* So long an accepted connection may wait without being watched: mostly it is gone long before. */
#define ACCEPT_QUEUE_UNWATCHED_NS 100000000ull

struct accept_queue {
	struct connection_list waiting;
	int watch_fd; /* an epoll instance: readable when a watched connection was reset */
};

int accept_queue_open(struct accept_queue *queue);
void accept_queue_close(struct accept_queue *queue); /* the connections are the caller's business */

/* Watches the connection, which may wait in the queue or for a server's acknowledgment. */
void accept_queue_watch(struct accept_queue *queue, struct connection *connection);
void accept_queue_unwatch(struct accept_queue *queue, struct connection *connection);

/* Watches all that have waited for ACCEPT_QUEUE_UNWATCHED_NS. */
void accept_queue_watch_waiting(struct accept_queue *queue, uint64_t now_ns);

/* A watched connection that the client has reset; it is not watched any more. NULL: none (left). */
struct connection *accept_queue_next_reset(struct accept_queue *queue);

#endif
