/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdatomic.h>
#include <stdlib.h>

#include "shakeoffd/queue/connection.h"

/* clang-format off */
#define TO(next_state, what) \
	{ .possible = true, .next = CONNECTION_##next_state, .action = CONNECTION_DO_##what }
#define LEAVE(next_state, what) \
	{ .possible = true, .leaves = true, .next = CONNECTION_##next_state, .action = CONNECTION_DO_##what }

static const struct connection_transition table[CONNECTION_STATE_COUNT][CONNECTION_EVENT_COUNT] = {
	[CONNECTION_CLOSED] = {
		[CONNECTION_EVENT_ACK_VALID]         = TO(SYN_RECEIVED, MAKE_SOCKET),
		[CONNECTION_EVENT_KERNEL_HANDSHAKE]  = TO(ESTABLISHED, ENQUEUE),
	},
	[CONNECTION_SYN_RECEIVED] = {
		[CONNECTION_EVENT_SOCKET_MADE]       = TO(ESTABLISHED, ENQUEUE),
		[CONNECTION_EVENT_SOCKET_LACKING]    = LEAVE(REFUSED, FORGET),
		[CONNECTION_EVENT_SOCKET_IMPOSSIBLE] = LEAVE(REFUSED, RESET),
		[CONNECTION_EVENT_WITHDRAWN]         = LEAVE(REFUSED, RESET),
	},
	[CONNECTION_ESTABLISHED] = {
		[CONNECTION_EVENT_ENQUEUED]          = TO(QUEUED, NOTHING),
		[CONNECTION_EVENT_WITHDRAWN]         = LEAVE(REFUSED, RESET),
	},
	[CONNECTION_QUEUED] = {
		[CONNECTION_EVENT_SENT]              = TO(DELIVERING, NOTHING),
		[CONNECTION_EVENT_CLIENT_RESET]      = LEAVE(REFUSED, CLOSE),
		[CONNECTION_EVENT_WITHDRAWN]         = LEAVE(REFUSED, RESET),
	},
	[CONNECTION_DELIVERING] = {
		[CONNECTION_EVENT_TAKEN]             = LEAVE(ACCEPTED, CLOSE),
		[CONNECTION_EVENT_RETURNED]          = TO(QUEUED, REQUEUE),
		[CONNECTION_EVENT_SERVER_GONE]       = TO(QUEUED, REQUEUE),
		/* The server holds a descriptor already, or soon will; only the position in the queue is free again. */
		[CONNECTION_EVENT_CLIENT_RESET]      = LEAVE(RESET_IN_DELIVERY, NOTHING),
		/* It may still find the connection in its socket, and serve it. */
		[CONNECTION_EVENT_WITHDRAWN]         = LEAVE(REFUSED, CLOSE),
	},
	[CONNECTION_RESET_IN_DELIVERY] = {
		[CONNECTION_EVENT_TAKEN]             = TO(REFUSED, CLOSE),
		[CONNECTION_EVENT_RETURNED]          = TO(REFUSED, CLOSE),
		[CONNECTION_EVENT_SERVER_GONE]       = TO(REFUSED, CLOSE),
		[CONNECTION_EVENT_WITHDRAWN]         = TO(REFUSED, CLOSE),
	},
};
/* clang-format on */

const struct connection_transition *connection_transition(enum connection_state state, enum connection_event event)
{
	return &table[state][event];
}

const char *connection_state_name(enum connection_state state)
{
	static const char *const names[] = {
#define X(constant, name) [CONNECTION_##constant] = name,
		CONNECTION_STATES(X)
#undef X
	};

	return state < CONNECTION_STATE_COUNT ? names[state] : "?";
}

const char *connection_event_name(enum connection_event event)
{
	static const char *const names[] = {
#define X(constant, name) [CONNECTION_EVENT_##constant] = name,
		CONNECTION_EVENTS(X)
#undef X
	};

	return event < CONNECTION_EVENT_COUNT ? names[event] : "?";
}

const struct connection_transition *connection_step(struct connection *connection, enum connection_event event)
{
	const struct connection_transition *transition = connection_transition(connection->state, event);

	if (transition->possible)
		connection->state = transition->next;
	return transition;
}

static _Atomic(size_t) count;

size_t connection_count(void)
{
	return atomic_load_explicit(&count, memory_order_relaxed);
}

struct connection *connection_new(int datapath)
{
	static _Atomic(uint64_t) last_id;
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return NULL;
	atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
	connection->fd = -1;
	connection->datapath = datapath;
	connection->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
	return connection;
}

void connection_free(struct connection *connection)
{
	atomic_fetch_sub_explicit(&count, 1, memory_order_relaxed);
	free(connection);
}
