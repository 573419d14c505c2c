/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Checks of every SYN that may be answered, for either handoff. */
#ifndef SHAKEOFF_BPF_HANDLE_SYN_CHECK_H
#define SHAKEOFF_BPF_HANDLE_SYN_CHECK_H

#include "core/kernel.h"

#include <shakeoff/verdict.h>

#include "core/ctx.h"
#include "lib/compiler.h"
#include "lib/tcpopt.h"
#include "packet/options.h"
#include "socket/host.h"
#include "socket/socket_filter.h"
#include "limit/budget.h"

/*
 * Checks whether the kernel could answer the SYN's source, and reads the SYN's options to scratch->opt. Returns
 * VERDICT_NONE if the hook can answer, with *may_have_socket and *options set.
 */
static __always_inline enum shakeoff_verdict syn_read(struct xdp_md *ctx, const struct packet *packet,
						      const struct hook_ctx *hook, bool *may_have_socket,
						      enum options_found *options)
{
	if (source_is_unrouted(hook))
		return unrouted_budget_takes(hook->service_id) ? SHAKEOFF_SYN_UNROUTED : SHAKEOFF_SYN_UNROUTED_RATE;
	if (!next_hop_is_known(hook))
		return kernel_budget_takes(hook->service_id, hook->allowed) ? SHAKEOFF_SYN_UNROUTED :
									      SHAKEOFF_SYN_UNROUTED_RATE;
	/* Early, before it is needed: the filter's byte is seldom in the nearest cache. */
	*may_have_socket = filter_may_have(&packet->flow, hook->control);
	*options = options_find(FRAME_START(ctx), FRAME_END(ctx), packet, hook->scratch);
	return *options == OPTIONS_MISSING ? SHAKEOFF_SYN_INVALID : VERDICT_NONE;
}

/* Returns whether the client takes only segments smaller than those that every path carries. */
static __always_inline bool mss_is_small(const struct packet *packet, const struct tcpopt *offer)
{
	return offer->mss && offer->mss < default_mss(packet);
}

#endif
