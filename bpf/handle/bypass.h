/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bypassed services and addresses: only the kernel can serve them, and it does so as if the hook were not there. The
 * hook limits nothing, looks nothing up and remembers nothing of what passes. It drops packets of blocked sources, and
 * segments that no TCP sends; the latter pass, too, where netfilter decides about the address.
 */
#ifndef SHAKEOFF_BPF_HANDLE_BYPASS_H
#define SHAKEOFF_BPF_HANDLE_BYPASS_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/verdict.h>

#include "core/ctx.h"
#include "lib/compiler.h"
#include "packet/malformed.h"
#include "packet/parse.h"
#include "socket/lookup.h"
#include "socket/service.h"
#include "limit/source.h"
#include "cookie/verify.h"
#include "handle/ack.h"
#include "handle/history.h"
#include "handle/out_of_state.h"

/*
 * Returns whether the address is behind NAT or the like, or belongs to a VLAN device while the frame shows no tag: the
 * tag may be outside the frame.
 */
static __always_inline bool address_is_bypassed(const struct hook_ctx *hook)
{
	__u32 flags = hook->scratch->recent.address_flags;

	return (flags & SHAKEOFF_ADDRESS_BYPASSED) ||
	       ((flags & SHAKEOFF_ADDRESS_TAGGED) && hook->scratch->packet.l3_offset == sizeof(struct ethhdr));
}

/*
 * Returns whether the address, or the whole service, is behind NAT, a firewall or forwarding: its packets are not
 * touched.
 */
static __always_inline bool netfilter_decides(const struct hook_ctx *hook)
{
	return address_is_bypassed(hook) || hook->service->bypass == SHAKEOFF_BYPASS_NETFILTER ||
	       hook->service->bypass == SHAKEOFF_BYPASS_BRIDGE;
}

/* Returns whether the packet in scratch is for a bypassed service or address. */
static __always_inline bool is_bypassed(const struct hook_ctx *hook)
{
	return address_is_bypassed(hook) || service_is_bypassed(hook->service);
}

/* Passes a segment without a look-up. A few are looked up nevertheless, so that their sources become known. */
static __always_inline enum shakeoff_verdict segment_pass(struct xdp_md *ctx, const struct hook_ctx *hook)
{
	if (segment_is_sampled(hook))
		source_look(ctx, hook->service_id);
	return SHAKEOFF_ACK_IDLE;
}

/*
 * Returns the verdict on a segment without SYN. The kernel, too, drops the segments that are dropped here, in every
 * state except that of a connection that it begins itself.
 */
static __always_inline enum shakeoff_verdict bypass_segment(struct xdp_md *ctx, const struct packet *packet,
							    const struct hook_ctx *hook)
{
	struct bpf_sock *sk;
	bool has_socket;

	if (!tcp_lengths_fit(packet, hook->frame_len))
		return SHAKEOFF_BAD_HEADER;
	if (source_is_malformed(&packet->flow))
		return SHAKEOFF_BAD_SEGMENT;
	if (flags_are_malformed(packet->flags)) {
		sk = socket_look_up(ctx, &packet->flow);
		has_socket = sk && sk->state != BPF_TCP_LISTEN;
		if (sk)
			bpf_sk_release(sk);
		if (!has_socket)
			return SHAKEOFF_BAD_SEGMENT;
	}
	return segment_pass(ctx, hook);
}

/*
 * Returns whether a segment to a bypassed address belongs to one of our handshakes. Firewall rules may be reloaded at
 * any time, and the kernel would refuse with RST a handshake that it does not know. A good cookie exists only where the
 * hook answered shortly before.
 */
static __always_inline bool bypassed_is_own(struct xdp_md *ctx, const struct packet *packet,
					    const struct hook_ctx *hook)
{
	struct history history = {};

	if ((packet->flags & TCPHDR_SYN) || !tcp_lengths_fit(packet, hook->frame_len))
		return 0;
	history_look_up(&history, packet, hook);
	if (history.follows)
		return 1;
	return (packet->flags & (TCPHDR_ACK | TCPHDR_RST)) == TCPHDR_ACK && ack_cookie(ctx) == COOKIE_GOOD;
}

#endif
