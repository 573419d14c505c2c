/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is known of a segment's tuple: whether its ACK was accepted, and when. */
#ifndef SHAKEOFF_BPF_HANDLE_HISTORY_H
#define SHAKEOFF_BPF_HANDLE_HISTORY_H

#include "core/kernel.h"

#include <shakeoff/abi.h>

#include "core/ctx.h"
#include "lib/compiler.h"
#include "socket/lookup.h"
#include "socket/validated.h"

/* What is known of the tuple of a segment without an open connection. */
struct history {
	struct shakeoff_validated *earlier; /* its last accepted ACK, or NULL */
	struct time_wait time_wait;
	bool in_time_wait; /* time_wait is set */
	bool follows;      /* earlier is recent: its socket is about to be made */
};

/*
 * Returns whether the segment follows an ACK whose socket does not exist yet. A socket in TIME-WAIT that the new
 * connection replaces may be there until the daemon has removed it. If it is the connection's own, the segment follows
 * nothing.
 */
static __always_inline bool history_follows(const struct history *history, const struct hook_ctx *hook)
{
	const struct shakeoff_validated *earlier = history->earlier;

	/* Signed: another CPU may have claimed the tuple after our clock was read. */
	if (!earlier || earlier->followed >= SHAKEOFF_FOLLOW_SEGMENTS ||
	    (__s64)(hook->now_ns - earlier->established_ns) >= (__s64)SHAKEOFF_FOLLOW_NS)
		return 0;
	return !history->in_time_wait || (earlier->replaced && earlier->replaced == history->time_wait.rcv_nxt);
}

static __always_inline void history_look_up(struct history *history, const struct packet *packet,
					    const struct hook_ctx *hook)
{
	tuple_of(&packet->flow, &hook->scratch->tuple);
	history->earlier = validated_find(&packet->flow);
	history->follows = history_follows(history, hook);
}

/* Returns seen_ns for validated_claim(). */
static __always_inline __u64 history_seen_ns(const struct history *history)
{
	return history->earlier ? history->earlier->established_ns : 0;
}

/* Returns whether the ACK whose cookie is in scratch has opened a connection before. */
static __always_inline bool history_has_handshake(const struct history *history, const struct hook_ctx *hook)
{
	const struct shakeoff_validated *earlier = history->earlier;
	const struct handshake *handshake = &hook->scratch->handshake;

	return earlier && earlier->cookie == handshake->cookie && earlier->client_isn == handshake->client_isn;
}

#endif
