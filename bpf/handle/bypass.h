/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bypassed services and addresses: the kernel alone can serve them, and is to serve them as if the hook were not there. Nothing is
 * limited, nothing is looked up, and nothing is remembered of what passes. Dropped is what is
 * certain: what is blocked, and what no TCP sends (but of an address that netfilter decides about, not even that).
 */
#ifndef SHAKEOFF_BPF_HANDLE_BYPASS_H
#define SHAKEOFF_BPF_HANDLE_BYPASS_H

/* Whether the packet in scratch is for one. */
static __always_inline bool is_bypassed(const struct hook_ctx *hook)
{
	return address_is_bypassed(hook) || service_is_bypassed(hook->service);
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
	if (segment_is_sampled(hook))
		source_look(ctx, hook->service_id);
	return SHAKEOFF_ACK_IDLE;
}

#endif
