/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What delivery.c, delivery_server.c and delivery_listener.c share. Everything is under the service's lock; memory of
 * servers is released by the event loop that watches them, that of listeners when their thread has ended.
 */
#ifndef SHAKEOFFD_QUEUE_DELIVERY_INTERNAL_H
#define SHAKEOFFD_QUEUE_DELIVERY_INTERNAL_H

#include "shakeoffd/queue/acceptor.h"
#include "shakeoffd/queue/delivery.h"
#include "shakeoffd/queue/listening_socket.h"
#include "shakeoffd/queue/peer.h"

/* A listening socket that servers have passed, for what the hook does not see. */
struct kernel_listener {
	struct acceptor acceptor;
	struct kernel_listener *next; /* of those that are registered */
	struct delivery *delivery;
	struct server *candidate;      /* its registration waits until the socket has been looked at; NULL: no more */
	struct listening_socket found; /* once it has */
	struct binding *binding;       /* NULL: not registered (yet) */
	size_t servers;                /* that brought it */
	bool ended;                    /* its thread may still be about to call */
};

struct server {
	struct event_source source;
	struct server *next;
	struct delivery *delivery;
	struct peer peer;
	struct kernel_listener *listener;  /* NULL: it brought none */
	struct kernel_listener *candidate; /* that is being looked at */
	struct binding *binding;           /* NULL: not registered yet */
	struct connection_list unacknowledged;
	uint64_t connected_ns;
	uint64_t paused_ns;   /* nothing is sent before; 0: not paused */
	unsigned int listens; /* LISTEN messages since the last delivery_tick() of a second's turn */
	uint32_t backlog;
	bool dualstack;
	bool announced; /* it was told that it listens: from then on it gets connections */
	bool unread;    /* what it says waits until descriptors of its user are closed */
	bool displaced; /* delivery_dispatch() is to end it */
	bool ended;     /* retired; its event loop may still call it once */
};

/* So many threads of one user may hang at its listening sockets. */
#define DELIVERY_MAX_STUCK 64

/* Connections that are done with: closed after the lock is released. */
struct finished {
	struct connection_list list;
};

void finish(struct delivery *delivery, struct connection *connection, struct finished *finished);
void finish_all(struct finished *finished);

/* Ends servers that were displaced, and sends what waits to those that have room. Not while servers are gone through. */
void delivery_dispatch(struct delivery *delivery, struct finished *finished);

/* Counts a connection out that leaves by this event, with the reason if it was not accepted. */
void delivery_count(struct delivery *delivery, const struct connection *connection,
		    const struct connection_transition *transition, enum shakeoff_refusal reason);

/* One that the kernel's handshake brought. binding: of the listening socket, NULL: it is not registered any more. */
void delivery_accept(struct delivery *delivery, struct binding *binding, struct connection *connection);

/* On the tail of the queue. */
void delivery_append(struct binding *binding, struct connection *connection);

/* delivery_server.c */
int server_send(struct server *server, struct connection *connection);
void server_receive(struct server *server, struct finished *finished);
void server_end(struct server *server, struct finished *finished);

/* About every 100 ms: what it says is read again if it has had to wait. */
void server_read_on(struct server *server);
void server_announce(struct server *server, struct finished *finished);
int server_start(struct delivery *delivery, int fd, const struct peer *peer, struct event_loop *loop);

/* Its socket has been looked at: it is registered, or refused with a negative errno. */
void server_examined(struct server *server, struct kernel_listener *listener, int error, struct finished *finished);

/* Ends servers that server_examined() or a LISTEN has displaced. */
void server_end_displaced(struct delivery *delivery, struct finished *finished);

/* Ends every server that passed this socket, for it does not listen any more where it did. */
void server_end_all_of(struct kernel_listener *listener, struct finished *finished);

/* Whether its socket, if it passed one, still listens, as far as can be seen without waiting. */
bool server_holds(const struct server *server);

void server_cut_off(struct server *server, const char *why, struct finished *finished);

/* delivery_listener.c */

/* Has a thread look at a passed socket; server_examined() follows. Takes over fd on success. */
int kernel_listener_examine(struct server *server, int fd);

/* The one to use in place of a fresh one that was looked at: of the same socket at the same place. */
struct kernel_listener *kernel_listener_use(struct kernel_listener *fresh, struct binding *binding);
void kernel_listener_drop(struct kernel_listener *listener);

/* Its server does not wait for it any more. */
void kernel_listener_abandon(struct kernel_listener *listener);
void kernel_listener_resume(struct kernel_listener *listener);
bool kernel_listener_listens(const struct kernel_listener *listener);

#endif
