/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the files delivery*.c share. Everything is under the service's lock; memory of servers is released by the event
 * loop that watches them, that of listeners when their thread has ended.
 */
#ifndef SHAKEOFFD_QUEUE_DELIVERY_INTERNAL_H
#define SHAKEOFFD_QUEUE_DELIVERY_INTERNAL_H

#include "shakeoffd/queue/acceptor.h"
#include "shakeoffd/queue/delivery.h"
#include "shakeoffd/queue/listening_socket.h"
#include "shakeoffd/queue/peer.h"
#include "shakeoffd/queue/server_socket.h"

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

/* The maximum of threads of one user that may hang at its listening sockets. */
#define DELIVERY_MAX_STUCK 64

/* Connections that are done with: closed after the lock is released. */
struct finished {
	struct connection_list list;
};

/* What the thread of a listening socket reports, to the service of which it is. Under the service's lock. */
struct kernel_listener_calls {
	/* A candidate has been looked at: `found` says what it is, or `error` (a negative errno) why it is refused. */
	void (*examined)(struct kernel_listener *listener, int error, struct finished *finished);

	/* It does not listen any more where it did. It may have ended. */
	void (*lost)(struct kernel_listener *listener, struct finished *finished);

	/* The kernel's handshake brought a connection, which is the callee's from now on. */
	void (*accepted)(struct kernel_listener *listener, struct connection *connection, struct finished *finished);
};

/* The files from here on stand in order: each calls those above it, none calls one below. */

/* ------------------------------------------------------------------------------------------------ delivery_finish.c */

/*
 * Puts a connection that is done with on the list; closes and frees all of them (outside the lock: a close() is work).
 */
void delivery_finish(struct delivery *delivery, struct connection *connection, struct finished *finished);
void delivery_finish_all(struct finished *finished);

/* Counts a connection out that leaves by this event, with the reason if it was not accepted. */
void delivery_count(struct delivery *delivery, const struct connection *connection,
		    const struct connection_transition *transition, enum shakeoff_refusal reason);

/* Resets what waits and what is on its way: the service or the daemon ends, or no server is there. */
void delivery_withdraw(struct delivery *delivery, struct connection *connection, enum shakeoff_refusal reason);
void delivery_withdraw_all(struct delivery *delivery, struct connection_list *list, enum shakeoff_refusal reason);

/* ---------------------------------------------------------------------------------------------- delivery_listener.c */

/* Has a thread look at a passed socket; calls->examined() follows. Takes over fd on success. */
int kernel_listener_examine(struct server *server, int fd);

/* Returns the one to use in place of a fresh one that was looked at: of the same socket at the same endpoint. */
struct kernel_listener *kernel_listener_use(struct kernel_listener *fresh, struct binding *binding);
void kernel_listener_drop(struct kernel_listener *listener);

/* Its server does not wait for it any more. */
void kernel_listener_abandon(struct kernel_listener *listener);
void kernel_listener_resume(struct kernel_listener *listener);
bool kernel_listener_listens(const struct kernel_listener *listener);

/* ------------------------------------------------------------------------------------------------- delivery_offer.c */

/* Tells whether this is one of the service's own servers, whether it has brought a socket or not. */
bool server_is_of_the_service(const struct server *server);

/* Tells the service how many servers there are, whose they are, and the greatest backlog that they ask for. */
void delivery_notify_service(struct delivery *delivery);

/*
 * Tells whether the next server, with this listening socket (or NULL), decides what SYN-ACKs offer. Of the servers of
 * the user that decides, the one that registered last does.
 */
bool delivery_decides(const struct delivery *delivery, const struct listening_socket *found);
void delivery_set_window(struct delivery *delivery, const struct listening_socket *found);

/* A server has gone: if another user decides now, its sockets say what SYN-ACKs offer. */
void delivery_choose_window(struct delivery *delivery);

/* ------------------------------------------------------------------------------------------------ delivery_server.c */

int server_start(struct delivery *delivery, int fd, const struct peer *peer, struct event_loop *loop,
		 void (*ready)(struct event_source *source, uint32_t events));
int server_send_message(const struct server *server, enum delivery_type type, int32_t value);
int server_send(struct server *server, struct connection *connection);

/*
 * Reads as server_socket_receive() does, as many messages at once as there is room for: each may bring as many
 * descriptors as can come. -EAGAIN: none, in a moment. -EUSERS: not before descriptors of this user are closed.
 */
int server_read(struct server *server, struct server_message *messages);

/* About every 100 ms: what it says is read again if it has had to wait. */
void server_read_on(struct server *server);

/* TAKEN and RETURNED. A server that speaks of a connection that it was not given is not to be trusted. */
int server_acknowledge(struct server *server, uint64_t id, enum connection_event event, struct finished *finished);
void server_announce(struct server *server, struct finished *finished);
void server_end(struct server *server, struct finished *finished);
void server_cut_off(struct server *server, const char *why, struct finished *finished);

/* Ends every server that passed this socket, for it does not listen any more where it did. */
void server_end_all_of(struct kernel_listener *listener, struct finished *finished);

/* Tells whether its socket, if it passed one, still listens, as far as can be seen without waiting. */
bool server_holds(const struct server *server);

/* ------------------------------------------------------------------------------------------ delivery_registration.c */

/* Acts on a LISTEN: registers the server, has its socket looked at first, or refuses (a negative errno). */
int server_register(struct server *server, const struct server_message *received, struct finished *finished);

/* Its socket has been looked at: it is registered, or refused with a negative errno. */
void server_examined(struct server *server, struct kernel_listener *listener, int error, struct finished *finished);

/* Ends servers that server_examined() or a LISTEN has displaced. */
void server_end_displaced(struct delivery *delivery, struct finished *finished);

/* ----------------------------------------------------------------------------------------------- delivery_message.c */

/* Reads and does one batch: a server that floods the daemon does not keep it from others. */
void server_receive(struct server *server, struct finished *finished);

/* ---------------------------------------------------------------------------------------------- delivery_dispatch.c */

/* Sends what waits to those that have room: of one part of the queue. */
void delivery_dispatch_binding(struct delivery *delivery, struct binding *binding, struct finished *finished);

/*
 * Ends servers that were displaced, and sends what waits to those that have room. Not while servers are gone through.
 */
void delivery_dispatch(struct delivery *delivery, struct finished *finished);

/* --------------------------------------------------------------------------------------------- delivery_admission.c */

/*
 * Tells whether a server of this peer finds room to connect; another one may have to give way. No user's servers take
 * the endpoints of another user's, and none takes those of the service's own servers.
 */
bool delivery_admits(const struct delivery *delivery, const struct peer *peer, struct finished *finished);

#endif
