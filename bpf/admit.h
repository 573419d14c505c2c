/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* To the listening socket: a validated ACK passes, with what its cookie said in front of it for the tc program. */
#ifndef SHAKEOFF_BPF_ADMIT_H
#define SHAKEOFF_BPF_ADMIT_H

/*
 * Where the driver has no room for metadata the tc program reads the cookie itself, told by the filter's hint. Moves the
 * frame's start: packet pointers are void afterwards.
 */
static __always_inline void admission_write(struct xdp_md *ctx, const struct walk *walk,
					    const struct shakeoff_interface *profile, const struct opening *opening,
					    __u8 rcv_wscale)
{
	struct admission *admission;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*admission)))
		return;
	asm volatile("" : "+r"(ctx)); /* as in reply_build() */
	admission = (void *)(long)ctx->data_meta;
	if ((void *)(admission + 1) > (void *)(long)ctx->data) /* cannot be: for the verifier */
		return;
	admission_fill(admission, walk->service_id, profile, &opening->options, rcv_wscale, &walk->scratch->opt);
}

/* A static function of its own, for the sake of the stack. */
static __noinline enum shakeoff_verdict admit(struct xdp_md *ctx, const struct packet *packet, const struct walk *walk,
					      const struct opening *opening, __u64 seen_ns)
{
	const struct shakeoff_interface *profile = &walk->scratch->recent.profile;
	__u8 rcv_wscale = service_wscale(walk->service, profile, &opening->options);

	if (!validated_claim(walk->service_id, seen_ns))
		return SHAKEOFF_SEGMENT_FOLLOWS;
	connection_opened(packet, walk, SHAKEOFF_FILTER_PENDING | SHAKEOFF_FILTER_UNCONFIRMED);
	if (walk->control->claimed_tick != walk->scratch->moment.tick)
		walk->control->claimed_tick = walk->scratch->moment.tick;
	admission_write(ctx, walk, profile, opening, rcv_wscale);
	return SHAKEOFF_ACK_ADMITTED;
}

#endif
