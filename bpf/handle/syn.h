/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The entry for SYNs: by handoff, a SYN passes, is dropped or refused, or is answered with a cookie. */
#ifndef SHAKEOFF_BPF_HANDLE_SYN_H
#define SHAKEOFF_BPF_HANDLE_SYN_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/verdict.h>

#include "core/ctx.h"
#include "packet/malformed.h"
#include "socket/service.h"
#include "limit/syn_rate.h"
#include "handle/bypass.h"
#include "handle/listener.h"
#include "handle/queue.h"
#include "handle/synack.h"

static __noinline enum shakeoff_verdict handle_syn(struct xdp_md *ctx, const struct packet *packet,
						   const struct hook_ctx *hook)
{
	enum shakeoff_verdict verdict;

	if (!netfilter_decides(hook) && syn_is_malformed(packet, hook->frame_len))
		return SHAKEOFF_SYN_INVALID;
	verdict = by_listener(hook) ? listener_syn(ctx, packet, hook) : queue_syn(ctx, packet, hook);
	if (verdict != VERDICT_NONE)
		return verdict;
	if (!limit_admits_syn(hook))
		return SHAKEOFF_SYN_SOURCE_RATE;
	return syn_send_synack(ctx, packet, hook, &hook->scratch->opt);
}

#endif
