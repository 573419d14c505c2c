/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bypassed services and addresses: the kernel alone can serve them, and is to serve them as if the hook were not there. Nothing is
 * limited, nothing is looked up, and nothing is remembered of what passes. Dropped is what is
 * certain: what is blocked, and what no TCP sends (but of an address that netfilter decides about, not even that).
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

/* One that is behind NAT and so on, or a VLAN device's, in a frame whose tag is not there to see: it may be beside it. */
static __always_inline bool address_is_bypassed(const struct hook_ctx *hook)
{
	__u32 flags = hook->scratch->recent.address_flags;

	return (flags & SHAKEOFF_ADDRESS_BYPASSED) ||
	       ((flags & SHAKEOFF_ADDRESS_TAGGED) && hook->scratch->packet.l3_offset == sizeof(struct ethhdr));
}

/* Whether the address, or all of the service's, is behind NAT, a firewall or forwarding: not to be touched. */
static __always_inline bool netfilter_decides(const struct hook_ctx *hook)
{
	return address_is_bypassed(hook) || hook->service->bypass == SHAKEOFF_BYPASS_NETFILTER ||
	       hook->service->bypass == SHAKEOFF_BYPASS_BRIDGE;
}

/* Whether the packet in scratch is for one. */
static __always_inline bool is_bypassed(const struct hook_ctx *hook)
{
	return address_is_bypassed(hook) || service_is_bypassed(hook->service);
}

/* A segment that passes unseen. A few are looked at all the same: their sources are known. */
static __always_inline enum shakeoff_verdict segment_pass(struct xdp_md *ctx, const struct hook_ctx *hook)
{
	if (segment_is_sampled(hook))
		source_look(ctx, hook->service_id);
	return SHAKEOFF_ACK_IDLE;
}

/* A segment without SYN. The kernel drops what is dropped here in every state but that of a connection it begins itself. */
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
 * Whether a segment to what is bypassed is of a handshake of ours all the same: firewalls are loaded again at any moment, and
 * the kernel would refuse with RST what it knows nothing of. There is a good cookie only where the hook answered a moment ago.
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
