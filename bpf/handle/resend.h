/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SYN-ACKs that wait for their ACK, so that the daemon can send them again. If the ACK gets lost and the server speaks
 * first, the client would otherwise wait for ever.
 *
 * This spends memory on unproved sources, so it stops when a flood begins: then the hook takes no SYN-ACK in, at the
 * cost of a comparison, and the daemon drops those that are there.
 */
#ifndef SHAKEOFF_BPF_HANDLE_RESEND_H
#define SHAKEOFF_BPF_HANDLE_RESEND_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>

#include "core/ctx.h"
#include "core/maps.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "packet/copy.h"
#include "socket/validated.h"
#include "limit/surge.h"

/* Returns whether to remember a SYN-ACK. Checks cheap conditions first: in a flood the second one is the last. */
static __always_inline bool half_open_wanted(const struct hook_ctx *hook)
{
	const struct shakeoff_service *service = hook->service;

	return (hook->control->flags & SHAKEOFF_RESENDS) && !in_flood(service, hook->now_ns) &&
	       (__s64)(hook->now_ns - hook->control->heartbeat_ns) <= (__s64)SHAKEOFF_HEARTBEAT_TIMEOUT_NS &&
	       service->half_open < SHAKEOFF_SERVICE_HALF_OPEN;
}

/*
 * Remembers the frame, by now the SYN-ACK to the packet in scratch. Replaces a SYN-ACK to an earlier SYN of the tuple.
 * Returns whether there was room. A global function: see scratch_get().
 */
__noinline int half_open_insert(struct xdp_md *ctx, __u32 service_id)
{
	struct scratch *scratch = scratch_get();
	struct shakeoff_half_open *entry;

	if (!scratch) /* only for the verifier */
		return 0;
	entry = &scratch->half_open;
	entry->answered_ns = scratch->now.now_ns;
	entry->ifindex = ctx->ingress_ifindex;
	entry->service = service_id;
	entry->rcv_nxt = scratch->recent.synack.reply.ack;
	entry->frame_len = ctx->data_end - ctx->data;
	if (!packet_copy(ctx, 0, entry->frame, entry->frame_len, sizeof(entry->frame)))
		return 0;
	tuple_of(&scratch->packet.flow, &scratch->tuple);
	return !bpf_map_update_elem(&half_open, &scratch->tuple, entry, BPF_ANY);
}

/* Notes a SYN-ACK that is about to leave. */
static __always_inline void half_open_answered(struct xdp_md *ctx, const struct hook_ctx *hook)
{
	if (half_open_wanted(hook) && half_open_insert(ctx, hook->service_id) && !hook->control->half_open)
		hook->control->half_open = 1;
}

/* Forgets the SYN-ACK of the tuple in scratch, which is open or refused: it must not be sent again. */
static __always_inline void half_open_forget(const struct hook_ctx *hook)
{
	if (hook->control->half_open)
		bpf_map_delete_elem(&half_open, &hook->scratch->tuple);
}

/*
 * Handles an RST of the tuple in scratch. The client that got the SYN-ACK knows the number; an attacker that forges
 * RSTs does not.
 */
static __always_inline void half_open_reset(const struct packet *packet, const struct hook_ctx *hook)
{
	const struct shakeoff_half_open *entry;

	if (!hook->control->half_open)
		return;
	entry = bpf_map_lookup_elem(&half_open, &hook->scratch->tuple);
	if (entry && entry->rcv_nxt == packet->seq)
		bpf_map_delete_elem(&half_open, &hook->scratch->tuple);
}

#endif
