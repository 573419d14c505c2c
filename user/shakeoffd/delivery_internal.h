/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What delivery.c, delivery_server.c and delivery_listener.c share. Everything is under the service's lock; memory of
 * servers and listeners is released by the event loop that watches them.
 */
#ifndef SHAKEOFF_DELIVERY_INTERNAL_H
#define SHAKEOFF_DELIVERY_INTERNAL_H

#include <shakeoffd/delivery.h>

/* A listening socket of servers, for what the hook does not see. */
struct kernel_listener {
	struct event_source source;
	struct kernel_listener *next;
	struct delivery *delivery;
	struct binding *binding;
	uint64_t cookie;
	uint32_t inode;
	size_t servers; /* that brought it */
	bool paused;    /* not watched: no room, or no descriptors; delivery_tick() goes on */
	bool ended;     /* retired; its event loop may still call it once */
};

struct server {
	struct event_source source;
	struct server *next;
	struct delivery *delivery;
	struct kernel_listener *listener; /* NULL: it brought none */
	struct binding *binding;          /* NULL: not registered yet */
	struct connection_list unacknowledged;
	uint64_t connected_ns;
	uint64_t paused_ns;   /* nothing is sent before; 0: not paused */
	unsigned int listens; /* LISTEN messages since the last delivery_tick() of a second's turn */
	uint32_t backlog;
	bool announced; /* it was told that it listens: from then on it gets connections */
	bool ended;     /* retired; its event loop may still call it once */
};

/* Connections that are done with: closed after the lock is released. */
struct finished {
	struct connection_list list;
};

void finish(struct delivery *delivery, struct connection *connection, struct finished *finished);
void finish_all(struct finished *finished);

/* Sends what waits to servers that have room. */
void delivery_dispatch(struct delivery *delivery, struct finished *finished);

/* Counts a connection out that leaves by this event, with the reason if it was not accepted. */
void delivery_count(struct delivery *delivery, const struct connection *connection,
		    const struct connection_transition *transition, enum shakeoff_refusal reason);

/* On the tail of the queue. */
void delivery_append(struct binding *binding, struct connection *connection);

/* delivery_server.c */
int server_send(struct server *server, struct connection *connection);
void server_receive(struct server *server, struct finished *finished);
void server_end(struct server *server, struct finished *finished);
void server_announce(struct server *server, struct finished *finished);
int server_start(struct delivery *delivery, int fd, struct event_loop *loop);

/* delivery_listener.c */
int kernel_listener_use(struct delivery *delivery, int fd, uint64_t cookie, struct binding *binding,
			struct event_loop *loop, struct kernel_listener **listener);
void kernel_listener_drop(struct kernel_listener *listener);
void kernel_listener_resume(struct kernel_listener *listener);

#endif
