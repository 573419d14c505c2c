/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The accept queue is full, or the source holds its fair share of it: drop, or send an RST, by the service's
 * `overflow`.
 */
#ifndef SHAKEOFF_BPF_HANDLE_OVERFLOW_H
#define SHAKEOFF_BPF_HANDLE_OVERFLOW_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/verdict.h>

#include "core/ctx.h"
#include "lib/compiler.h"
#include "packet/reply.h"
#include "socket/host.h"
#include "limit/source.h"
#include "limit/synack_rate.h"
#include "handle/resend.h"

static __always_inline enum shakeoff_verdict syn_refuse(struct xdp_md *ctx, const struct packet *packet,
							const struct hook_ctx *hook, enum shakeoff_verdict drop,
							enum shakeoff_verdict reset)
{
	struct reply *reply = &hook->scratch->reply;

	if (hook->service->overflow != SHAKEOFF_OVERFLOW_RESET)
		return drop;
	if (!reply_is_within_budget(hook))
		return SHAKEOFF_SYN_PREFIX_RATE;
	reply_reset_syn(reply, packet);
	return reply_write(ctx, hook->frame_len) ? reset : drop;
}

static __always_inline enum shakeoff_verdict ack_refuse(struct xdp_md *ctx, const struct packet *packet,
							const struct hook_ctx *hook, enum shakeoff_verdict drop,
							enum shakeoff_verdict reset)
{
	struct reply *reply = &hook->scratch->reply;

	if (hook->service->overflow != SHAKEOFF_OVERFLOW_RESET || !reply_is_within_budget(hook))
		return drop;
	half_open_forget(hook);
	reply_reset_ack(reply, packet);
	return reply_write(ctx, hook->frame_len) ? reset : drop;
}

static __always_inline enum shakeoff_verdict syn_overflow(struct xdp_md *ctx, const struct packet *packet,
							  const struct hook_ctx *hook)
{
	return syn_refuse(ctx, packet, hook, SHAKEOFF_SYN_OVERFLOW_DROP, SHAKEOFF_SYN_OVERFLOW_RESET);
}

/* Returns the verdict on a SYN that finds few free positions, or none. */
static __noinline enum shakeoff_verdict syn_queue_low(struct xdp_md *ctx, const struct packet *packet,
						      const struct hook_ctx *hook, __s64 free)
{
	if (free <= 0)
		return syn_overflow(ctx, packet, hook);
	if (!source_holds_fair_share(hook->service_id, hook->allowed))
		return VERDICT_NONE;
	return syn_refuse(ctx, packet, hook, SHAKEOFF_SYN_SHARE_DROP, SHAKEOFF_SYN_SHARE_RESET);
}

/*
 * Returns VERDICT_NONE if a final ACK with a good cookie makes a connection, or the verdict that gives the reason why
 * not.
 */
static __always_inline enum shakeoff_verdict ack_check(struct xdp_md *ctx, const struct packet *packet,
						       const struct hook_ctx *hook)
{
	if (source_is_unrouted(hook))
		return SHAKEOFF_ACK_UNROUTED;
	switch (source_check(hook->service_id, hook->allowed)) {
	case SOURCE_QUEUE_FULL:
		return ack_refuse(ctx, packet, hook, SHAKEOFF_ACK_OVERFLOW_DROP, SHAKEOFF_ACK_OVERFLOW_RESET);
	case SOURCE_LIMITED: return SHAKEOFF_ACK_SOURCE_RATE;
	case SOURCE_HOLDS_FAIR_SHARE:
		return ack_refuse(ctx, packet, hook, SHAKEOFF_ACK_SHARE_DROP, SHAKEOFF_ACK_SHARE_RESET);
	default: return VERDICT_NONE;
	}
}

#endif
