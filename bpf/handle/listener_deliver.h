/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* To the listening socket: a validated ACK passes, with what its cookie said in front of it for the tc program. */
#ifndef SHAKEOFF_BPF_HANDLE_LISTENER_DELIVER_H
#define SHAKEOFF_BPF_HANDLE_LISTENER_DELIVER_H

/*
 * Where the driver has no room for metadata the tc program reads the cookie itself, told by the filter's hint. Moves the
 * frame's start: packet pointers are void afterwards.
 */
static __always_inline void metadata_write(struct xdp_md *ctx, const struct hook_ctx *hook,
					   const struct shakeoff_interface *profile, const struct handshake *handshake,
					   __u8 rcv_wscale)
{
	struct metadata *metadata;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*metadata)))
		return;
	barrier_var(ctx); /* as in reply_build() */
	metadata = (void *)(long)ctx->data_meta;
	if ((void *)(metadata + 1) > (void *)(long)ctx->data) /* cannot be: for the verifier */
		return;
	metadata_fill(metadata, hook->control, hook->service_id, profile, handshake, rcv_wscale, &hook->scratch->opt);
}

/* The segment belongs to a connection whose ACK is on another CPU, on its way to the listening socket: see METADATA_WAITS. */
static __always_inline enum shakeoff_verdict segment_wait(struct xdp_md *ctx)
{
	const struct shakeoff_control *control;
	__u32 *mark, zero = 0;

	control = bpf_map_lookup_elem(&shakeoff_v7, &zero);
	if (!control || bpf_xdp_adjust_meta(ctx, -(int)sizeof(*mark)))
		return SHAKEOFF_SEGMENT_EARLY; /* the filter's hint tells the tc program */
	barrier_var(ctx);                      /* as in reply_build() */
	mark = (void *)(long)ctx->data_meta;
	if ((void *)(mark + 1) <= (void *)(long)ctx->data)
		*mark = metadata_magic(control, METADATA_WAITS);
	return SHAKEOFF_SEGMENT_EARLY;
}

/* Counts an ACK that goes on to the tc program of its interface. A global function: see scratch_get(). */
__noinline int metadata_claimed(void)
{
	const struct scratch *scratch = scratch_get();
	struct shakeoff_admissions *counts;
	__u32 ifindex;

	if (!scratch) /* cannot be: for the verifier */
		return 0;
	ifindex = scratch->recent.ifindex;
	counts = bpf_map_lookup_elem(&admissions, &ifindex);
	if (counts)
		__sync_fetch_and_add(&counts->claimed, 1);
	return 0;
}

/* A static function of its own, for the sake of the stack. */
static __noinline enum shakeoff_verdict admit(struct xdp_md *ctx, const struct packet *packet,
					      const struct hook_ctx *hook, const struct handshake *handshake,
					      __u64 seen_ns)
{
	const struct shakeoff_interface *profile = &hook->scratch->recent.profile;
	__u8 rcv_wscale;

	hook->scratch->handshake.claims = 0;
	if (!validated_claim(hook->service_id, seen_ns))
		return segment_wait(ctx); /* to another CPU: XDP does not interrupt itself */
	connection_established(packet, hook, SHAKEOFF_FILTER_PENDING | SHAKEOFF_FILTER_UNCONFIRMED);
	if (hook->control->claimed_tick != hook->scratch->now.tick)
		hook->control->claimed_tick = hook->scratch->now.tick;
	metadata_claimed();
	route_find(hook->scratch, hook->control);
	rcv_wscale = offer_wscale(hook->service_id);
	metadata_write(ctx, hook, profile, handshake, rcv_wscale);
	return SHAKEOFF_ACK_ADMITTED;
}

#endif
