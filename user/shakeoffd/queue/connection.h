/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A connection's path from its validated ACK to a server, as a table of states and events. It has no effects itself:
 * the caller reports an event and gets an action to carry out.
 *
 *	CLOSED --ACK valid--> SYN-RECEIVED --socket made--> ESTABLISHED --> queued <--> in delivery --> accepted
 *	                           |                             |            |             |
 *	                           +-----------------------------+------------+-------------+--> refused, with a reason
 *
 * The names are those of RFC 9293 (section 3.3.2); queued, in delivery and accepted are ESTABLISHED, seen from the
 * accept queue. The later states, FIN-WAIT-1 to TIME-WAIT, are between the server and the kernel.
 */
#ifndef SHAKEOFFD_QUEUE_CONNECTION_H
#define SHAKEOFFD_QUEUE_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/tuple.h"

/* X(CONSTANT, name for display) */
#define CONNECTION_STATES(X)                                                                                           \
	X(CLOSED, "CLOSED")                                                                                            \
	X(SYN_RECEIVED, "SYN-RECEIVED")                                                                                \
	X(ESTABLISHED, "ESTABLISHED")                                                                                  \
	X(QUEUED, "ESTABLISHED, queued")                                                                               \
	X(DELIVERING, "ESTABLISHED, in delivery")                                                                      \
	X(RESET_IN_DELIVERY, "CLOSED, in delivery")                                                                    \
	X(ACCEPTED, "ESTABLISHED, accepted")                                                                           \
	X(REFUSED, "CLOSED, refused")

/* X(CONSTANT, description) */
#define CONNECTION_EVENTS(X)                                                                                           \
	X(ACK_VALID, "the hook validated the final ACK")                                                               \
	X(KERNEL_HANDSHAKE, "accepted from a listening socket of the kernel")                                          \
	X(SOCKET_MADE, "the kernel has the socket")                                                                    \
	X(SOCKET_LACKING, "no resources for a socket now")                                                             \
	X(SOCKET_IMPOSSIBLE, "the kernel refused the socket for good")                                                 \
	X(ENQUEUED, "put on the accept queue")                                                                         \
	X(SENT, "sent to a server")                                                                                    \
	X(TAKEN, "the server acknowledged it")                                                                         \
	X(RETURNED, "the server could not take the descriptor")                                                        \
	X(SERVER_GONE, "the server closed its socket before it acknowledged")                                          \
	X(CLIENT_RESET, "the client reset it")                                                                         \
	X(WITHDRAWN, "the service or the daemon ends")

/* X(CONSTANT, what the caller has to do) */
#define CONNECTION_ACTIONS(X)                                                                                          \
	X(NOTHING, "nothing")                                                                                          \
	X(MAKE_SOCKET, "make the socket with TCP_REPAIR")                                                              \
	X(ENQUEUE, "put it on the accept queue's tail")                                                                \
	X(REQUEUE, "put it back on the accept queue, where it was")                                                    \
	X(FORGET, "forget the tuple, so that the client's next segment validates again")                               \
	X(RESET, "send the client an RST and close")                                                                   \
	X(CLOSE, "close the daemon's descriptor")

enum connection_state {
#define X(constant, name) CONNECTION_##constant,
	CONNECTION_STATES(X)
#undef X
		CONNECTION_STATE_COUNT
};

enum connection_event {
#define X(constant, name) CONNECTION_EVENT_##constant,
	CONNECTION_EVENTS(X)
#undef X
		CONNECTION_EVENT_COUNT
};

enum connection_action {
#define X(constant, name) CONNECTION_DO_##constant,
	CONNECTION_ACTIONS(X)
#undef X
		CONNECTION_ACTION_COUNT
};

struct connection_transition {
	bool possible;
	bool leaves; /* it no longer counts as waiting: true exactly once on every path through the table */
	enum connection_state next;
	enum connection_action action;
};

/* Returns the transition for an event. An impossible event has possible = false and changes nothing. */
const struct connection_transition *connection_transition(enum connection_state state, enum connection_event event);

const char *connection_state_name(enum connection_state state);
const char *connection_event_name(enum connection_event event);

struct binding;
struct server;

struct connection {
	struct connection *next, *previous; /* in the accept queue, or in its server's window */
	enum connection_state state;
	int fd;                  /* -1: none yet */
	int datapath;            /* index, or CONNECTION_FROM_KERNEL (hook/service.h) */
	bool watched;            /* the accept queue watches the descriptor for a reset */
	struct binding *binding; /* QUEUED: the part of the accept queue that it waits in */
	struct server *server;   /* DELIVERING and RESET_IN_DELIVERY */
	uint64_t id;             /* on the wire to the server, and the order of arrival; never 0 */
	uint64_t since_ns;       /* when it was enqueued first */
	struct in6_addr local;   /* IPv4 mapped */
	uint16_t local_port;     /* host byte order */
	union socket_address peer;
	bool shared;  /* it was sent to a server, which may still have it and so may delay a close() */
	uid_t holder; /* that server's user */
};

/* Changes the state by an event and returns the transition. An impossible event changes nothing. */
const struct connection_transition *connection_step(struct connection *connection, enum connection_event event);

/* Makes a connection in CLOSED with a new id. NULL: no memory. */
struct connection *connection_new(int datapath);

/* Returns the number of connections, which is about the number of their descriptors. */
size_t connection_count(void);
void connection_free(struct connection *connection); /* frees only memory; the caller handles the descriptor */

#endif
