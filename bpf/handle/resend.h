/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SYN-ACKs that wait for their ACK, so that the daemon can send them again: a client whose ACK got lost, of a server
 * that speaks first, would otherwise wait for ever.
 *
 * It is memory spent on strangers, so it ends where a flood begins: then nothing is taken in, for the price of a
 * comparison, and the daemon drops what is there.
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

/* The cheap questions first: in a flood the second is the last. */
static __always_inline bool half_open_wanted(const struct hook_ctx *hook)
{
	const struct shakeoff_service *service = hook->service;

	return (hook->control->flags & SHAKEOFF_RESENDS) && !in_flood(service, hook->now_ns) &&
	       (__s64)(hook->now_ns - hook->control->heartbeat_ns) <= (__s64)SHAKEOFF_HEARTBEAT_TIMEOUT_NS &&
	       service->half_open < SHAKEOFF_SERVICE_HALF_OPEN;
}

/*
 * Remembers the SYN-ACK to the packet in scratch, which the frame is by now. One to an earlier SYN of the tuple gives way.
 * Returns whether there was room. A global function: see scratch_get().
 */
__noinline int half_open_insert(struct xdp_md *ctx, __u32 service_id)
{
	struct scratch *scratch = scratch_get();
	struct shakeoff_half_open *entry;

	if (!scratch) /* cannot be: for the verifier */
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

/* A SYN-ACK is about to leave. */
static __always_inline void half_open_answered(struct xdp_md *ctx, const struct hook_ctx *hook)
{
	if (half_open_wanted(hook) && half_open_insert(ctx, hook->service_id) && !hook->control->half_open)
		hook->control->half_open = 1;
}

/* The tuple in scratch is open, or refused: its SYN-ACK is not to be sent again. */
static __always_inline void half_open_forget(const struct hook_ctx *hook)
{
	if (hook->control->half_open)
		bpf_map_delete_elem(&half_open, &hook->scratch->tuple);
}

/* An RST from the tuple in scratch. The client that the SYN-ACK went to knows its number; whoever makes RSTs up does not. */
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
