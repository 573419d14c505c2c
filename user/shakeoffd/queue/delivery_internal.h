/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shared by the files delivery*.c. Everything is under the service's lock. The event loop that watches a server frees
 * its memory; a listener's memory is freed when its thread has ended.
 */
#ifndef SHAKEOFFD_QUEUE_DELIVERY_INTERNAL_H
#define SHAKEOFFD_QUEUE_DELIVERY_INTERNAL_H

#include "shakeoffd/queue/acceptor.h"
#include "shakeoffd/queue/delivery.h"
#include "shakeoffd/queue/listening_socket.h"
#include "shakeoffd/queue/peer.h"
#include "shakeoffd/queue/server_socket.h"

/* A listening socket that servers have passed, for connections that the hook does not see. */
struct kernel_listener {
	struct acceptor acceptor;
	struct kernel_listener *next; /* in the list of registered listeners */
	struct delivery *delivery;
	struct server
		*candidate; /* its registration waits until the socket is examined; NULL: it does not wait any more */
	struct listening_socket found; /* filled in then */
	struct binding *binding;       /* NULL: not registered (yet) */
	size_t servers;                /* number of servers that have passed it */
	bool ended;                    /* its thread may still be about to call */
};

struct server {
	struct event_source source;
	struct server *next;
	struct delivery *delivery;
	struct peer peer;
	struct kernel_listener *listener;  /* NULL: it has passed no socket */
	struct kernel_listener *candidate; /* the listener that is being examined */
	struct binding *binding;           /* NULL: not registered yet */
	struct connection_list unacknowledged;
	uint64_t connected_ns;
	uint64_t paused_ns;   /* no connection is sent before; 0: not paused */
	unsigned int listens; /* LISTEN messages in the present second, reset by delivery_tick() */
	uint32_t backlog;
	bool dualstack;
	bool announced; /* it has the confirmation that it listens, and gets connections from then on */
	bool unread;    /* its messages wait until descriptors of its user are closed */
	bool displaced; /* delivery_dispatch() has to end it */
	bool ended;     /* retired; its event loop may still call it once */
};

/* The maximum of a user's threads that may be held up by its listening sockets. */
#define DELIVERY_MAX_STUCK 64

/* Finished connections, to be closed after the lock is released. */
struct finished {
	struct connection_list list;
};

/* Reports of a listening socket's thread to the service that owns it. Under the service's lock. */
struct kernel_listener_calls {
	/* A candidate has been examined: `found` describes it, or `error` (a negative errno) is why it is refused. */
	void (*examined)(struct kernel_listener *listener, int error, struct finished *finished);

	/* It does not listen any more where it did. It may have ended. */
	void (*lost)(struct kernel_listener *listener, struct finished *finished);

	/* The kernel's handshake brought a connection, which the callee owns from now on. */
	void (*accepted)(struct kernel_listener *listener, struct connection *connection, struct finished *finished);
};

/* The following files are in order: each calls only those above it. */

/* ------------------------------------------------------------------------------------------------ delivery_finish.c */

/*
 * Put a finished connection on the list; close and free all of them (without the lock, because a close() takes time).
 */
void delivery_finish(struct delivery *delivery, struct connection *connection, struct finished *finished);
void delivery_finish_all(struct finished *finished);

/* Counts out a connection that leaves by this transition, with the reason if it was not accepted. */
void delivery_count(struct delivery *delivery, const struct connection *connection,
		    const struct connection_transition *transition, enum shakeoff_refusal reason);

/* Reset connections that wait or are in delivery, because the service or the daemon ends, or there is no server. */
void delivery_withdraw(struct delivery *delivery, struct connection *connection, enum shakeoff_refusal reason);
void delivery_withdraw_all(struct delivery *delivery, struct connection_list *list, enum shakeoff_refusal reason);

/* ---------------------------------------------------------------------------------------------- delivery_listener.c */

/* Has a thread examine a passed socket; calls->examined() follows. Takes over fd on success. */
int kernel_listener_examine(struct server *server, int fd);

/*
 * Returns the listener to use for a newly examined one: an existing one for the same socket at the same endpoint, or
 * itself.
 */
struct kernel_listener *kernel_listener_use(struct kernel_listener *fresh, struct binding *binding);
void kernel_listener_drop(struct kernel_listener *listener);

/* Notes that its server does not wait for it any more. */
void kernel_listener_abandon(struct kernel_listener *listener);
void kernel_listener_resume(struct kernel_listener *listener);
bool kernel_listener_listens(const struct kernel_listener *listener);

/* ------------------------------------------------------------------------------------------------- delivery_offer.c */

/* Returns whether this is one of the service's own servers, whether it has passed a socket or not. */
bool server_is_of_the_service(const struct server *server);

/* Gives the service the number of servers, their owner, and the greatest backlog that they ask for. */
void delivery_notify_service(struct delivery *delivery);

/*
 * Returns whether a new server, with this listening socket (or NULL), decides what SYN-ACKs offer. Among the servers of
 * the user that decides, the one that registered last does.
 */
bool delivery_decides(const struct delivery *delivery, const struct listening_socket *found);
void delivery_set_window(struct delivery *delivery, const struct listening_socket *found);

/* Updates what SYN-ACKs offer after a server has gone, because another user's sockets may decide now. */
void delivery_choose_window(struct delivery *delivery);

/* ------------------------------------------------------------------------------------------------ delivery_server.c */

int server_start(struct delivery *delivery, int fd, const struct peer *peer, struct event_loop *loop,
		 void (*ready)(struct event_source *source, uint32_t events));
int server_send_message(const struct server *server, enum delivery_type type, int32_t value);
int server_send(struct server *server, struct connection *connection);

/*
 * Reads messages as server_socket_receive() does, as many as there is room for: each may bring the maximum of
 * descriptors. -EAGAIN: no room at present. -EUSERS: no room before descriptors of this user are closed.
 */
int server_read(struct server *server, struct server_message *messages);

/* Reads its messages again if they had to wait. Call it about every 100 ms. */
void server_read_on(struct server *server);

/* Handles TAKEN and RETURNED. A server that names a connection that it was not given is not to be trusted. */
int server_acknowledge(struct server *server, uint64_t id, enum connection_event event, struct finished *finished);
void server_announce(struct server *server, struct finished *finished);
void server_end(struct server *server, struct finished *finished);
void server_cut_off(struct server *server, const char *why, struct finished *finished);

/* Ends every server that passed this socket, because it does not listen any more where it did. */
void server_end_all_of(struct kernel_listener *listener, struct finished *finished);

/* Returns whether its socket, if it passed one, still listens, as far as a check without waiting shows. */
bool server_holds(const struct server *server);

/* ------------------------------------------------------------------------------------------ delivery_registration.c */

/* Handles a LISTEN: registers the server, has its socket examined first, or refuses it (a negative errno). */
int server_register(struct server *server, const struct server_message *received, struct finished *finished);

/* Registers a server whose socket has been examined, or refuses it with a negative errno. */
void server_examined(struct server *server, struct kernel_listener *listener, int error, struct finished *finished);

/* Ends servers that server_examined() or a LISTEN has displaced. */
void server_end_displaced(struct delivery *delivery, struct finished *finished);

/* ----------------------------------------------------------------------------------------------- delivery_message.c */

/* Reads and handles one batch, so that a server that floods the daemon does not keep it from others. */
void server_receive(struct server *server, struct finished *finished);

/* ---------------------------------------------------------------------------------------------- delivery_dispatch.c */

/* Sends waiting connections of a binding to servers with room. */
void delivery_dispatch_binding(struct delivery *delivery, struct binding *binding, struct finished *finished);

/*
 * Ends displaced servers, and sends waiting connections to servers with room. Not while the list of servers is in use.
 */
void delivery_dispatch(struct delivery *delivery, struct finished *finished);

/* --------------------------------------------------------------------------------------------- delivery_admission.c */

/*
 * Returns whether a server of this peer may connect; another one may have to give way. The limits keep a user's servers
 * from taking the room of other users' servers, and any of them from taking that of the service's own servers.
 */
bool delivery_admits(const struct delivery *delivery, const struct peer *peer, struct finished *finished);

#endif
