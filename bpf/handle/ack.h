/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A final ACK: whether its cookie is good, why not, and what a new connection changes, with either handoff. */
#ifndef SHAKEOFF_BPF_HANDLE_ACK_H
#define SHAKEOFF_BPF_HANDLE_ACK_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/socket_filter.h>
#include <shakeoff/verdict.h>

#include "core/ctx.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "packet/options.h"
#include "socket/socket_filter.h"
#include "socket/validated.h"
#include "limit/source.h"
#include "cookie/issued.h"
#include "cookie/verify.h"
#include "handle/history.h"
#include "handle/resend.h"

/*
 * Checks whether the ACK in scratch brings back one of our cookies. Returns enum cookie_status and fills scratch->opt
 * and scratch->handshake. A global function: see scratch_get().
 */
__noinline int ack_cookie(struct xdp_md *ctx)
{
	struct hook_ctx hook = { .scratch = scratch_get(), .control = control_get() };

	if (!hook.scratch || !hook.control) /* only for the verifier */
		return COOKIE_BAD;
	if (options_find(FRAME_START(ctx), FRAME_END(ctx), &hook.scratch->packet, hook.scratch) == OPTIONS_MISSING)
		return COOKIE_UNREADABLE;
	return ack_verify(&hook.scratch->packet, &hook, &hook.scratch->opt);
}

/* Returns the status of an ACK's cookie; a forgery that passed the check is COOKIE_NOT_ISSUED. */
static __always_inline enum cookie_status ack_verify_issued(struct xdp_md *ctx, const struct hook_ctx *hook,
							    const struct history *history)
{
	enum cookie_status status = ack_cookie(ctx);

	if (status == COOKIE_GOOD && hook->service->forgery.since_ns && !history_has_handshake(history, hook) &&
	    ack_is_not_issued(hook->service_id))
		return COOKIE_NOT_ISSUED;
	return status;
}

/* Counts an ACK without a socket and without a good cookie, and returns the verdict on it. */
static __always_inline enum shakeoff_verdict ack_invalid(const struct hook_ctx *hook, enum cookie_status status)
{
	forgery_count(hook);
	switch (status) {
	case COOKIE_UNREADABLE: return SHAKEOFF_BAD_HEADER;
	case COOKIE_NOT_ISSUED: return SHAKEOFF_ACK_NOT_ISSUED;
	case COOKIE_EXPIRED: return SHAKEOFF_ACK_EXPIRED;
	default: return SHAKEOFF_ACK_BAD_COOKIE;
	}
}

/* Handles an RST without a socket: it can only end a half-open entry. */
static __always_inline enum shakeoff_verdict rst_ignore(const struct packet *packet, const struct hook_ctx *hook)
{
	half_open_reset(packet, hook);
	return SHAKEOFF_RST_NO_SOCKET;
}

/*
 * Notes a connection that is about to be opened. hints: of filter_note(); established: the connection has its position
 * in the accept queue.
 */
static __always_inline void connection_noted(const struct packet *packet, const struct hook_ctx *hook, __u8 hints,
					     bool established)
{
	filter_note(&packet->flow, hook->control, hints);
	source_proved(hook->service_id, hook->service->enqueued, established);
}

/* Notes a connection that from now on waits for its server, or is on the way there. */
static __always_inline void connection_established(const struct packet *packet, const struct hook_ctx *hook, __u8 hints)
{
	half_open_forget(hook);
	connection_noted(packet, hook, hints, 1);
	__sync_fetch_and_add(&hook->service->enqueued, 1);
}

/*
 * Notes that a segment has met the socket of an admitted connection: from then on the ACK must not open it again. Only
 * tuples with the hint cost the look-up.
 */
static __always_inline void connection_confirm(const struct packet *packet, const struct hook_ctx *hook)
{
	struct shakeoff_validated *entry;

	if (!filter_has_hint(&packet->flow, hook->control, SHAKEOFF_FILTER_UNCONFIRMED))
		return;
	tuple_of(&packet->flow, &hook->scratch->tuple);
	entry = validated_find(&packet->flow);
	if (!entry || (entry->flags & SHAKEOFF_VALIDATED_CONFIRMED))
		return; /* the hint is of another tuple in this slot */
	entry->flags |= SHAKEOFF_VALIDATED_CONFIRMED;
	filter_drop_hint(&packet->flow, hook->control, SHAKEOFF_FILTER_UNCONFIRMED);
}

#endif
