/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The accept queue is full: no answer, or an RST, as the service says. */
#ifndef SHAKEOFF_BPF_OVERFLOW_H
#define SHAKEOFF_BPF_OVERFLOW_H

static __always_inline enum shakeoff_verdict syn_overflow(struct xdp_md *ctx, const struct packet *packet,
							  const struct walk *walk)
{
	struct reply *reply = &walk->scratch->reply;

	if (walk->service->overflow != SHAKEOFF_OVERFLOW_RESET)
		return SHAKEOFF_SYN_OVERFLOW_DROP;
	reply_reset_syn(reply, packet);
	return reply_write(ctx, walk->frame_len) ? SHAKEOFF_SYN_OVERFLOW_RESET : SHAKEOFF_SYN_OVERFLOW_DROP;
}

static __always_inline enum shakeoff_verdict ack_overflow(struct xdp_md *ctx, const struct packet *packet,
							  const struct walk *walk)
{
	struct reply *reply = &walk->scratch->reply;

	if (walk->service->overflow != SHAKEOFF_OVERFLOW_RESET)
		return SHAKEOFF_ACK_OVERFLOW_DROP;
	half_open_forget(walk);
	reply_reset_ack(reply, packet);
	return reply_write(ctx, walk->frame_len) ? SHAKEOFF_ACK_OVERFLOW_RESET : SHAKEOFF_ACK_OVERFLOW_DROP;
}

#endif
