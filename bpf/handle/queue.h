/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * To the daemon: events through the ring buffer. Where the kernel has BPF programs at netfilter's hooks (SHAKEOFF_INPUT), only once the
 * packet has come through the kernel's input path: then it passes, and input.bpf.c finds here what the hook knows of it.
 */
#ifndef SHAKEOFF_BPF_HANDLE_QUEUE_H
#define SHAKEOFF_BPF_HANDLE_QUEUE_H

/* Reserves a record of a size class and copies the packet to it. */
#define EVENT_RESERVE(ctx, ring, offset, len, size)                                                                    \
	({                                                                                                             \
		struct shakeoff_event *event_ = bpf_ringbuf_reserve((ring), sizeof(struct shakeoff_event) + (size),    \
								    0);                                                \
		if (event_ && !packet_copy((ctx), (offset), event_->packet, (len), (size))) {                          \
			bpf_ringbuf_discard(event_, 0);                                                                \
			event_ = NULL;                                                                                 \
		}                                                                                                      \
		event_;                                                                                                \
	})

/* Fills what every event has. */
static __always_inline void event_head(struct shakeoff_event *event, enum shakeoff_event_type type, struct xdp_md *ctx,
				       const struct packet *packet, const struct hook_ctx *hook)
{
	event->type = type;
	event->service = hook->service_id;
	event->ifindex = ctx->ingress_ifindex;
	event->time_ns = hook->now_ns;
	event->tuple = hook->scratch->tuple;
	event->packet_len = packet->l4_offset - packet->l3_offset + packet->segment_len;
	event->tcp_offset = packet->l4_offset - packet->l3_offset;
	event->flags = 0;
	event->rcv_nxt = event->snd_nxt = event->rcv_wnd = event->snd_wnd = event->tsval = event->tsecr = 0;
	event->mss = event->snd_wscale = event->rcv_wscale = 0;
	__builtin_memset(event->mac, 0, sizeof(event->mac));
	event->taken = 0;
}

static __always_inline void event_handshake(struct shakeoff_event *event, const struct hook_ctx *hook,
					    const struct handshake *handshake)
{
	event->rcv_nxt = handshake->client_isn + 1;
	event->snd_nxt = handshake->cookie + 1;
	event->rcv_wnd = handshake->rcv_wnd;
	event->snd_wnd = handshake->snd_wnd;
	event->mss = mss_clamp(hook->service->offer.user_mss, handshake->options.mss);
	event->snd_wscale = handshake->options.wscale;
	event->rcv_wscale = handshake->rcv_wscale;
	event->flags = (handshake->options.sack ? SHAKEOFF_EVENT_SACK : 0) |
		       (handshake->replaced ? SHAKEOFF_EVENT_TIME_WAIT : 0);
	if (handshake->options.timestamps) {
		event->flags |= SHAKEOFF_EVENT_TIMESTAMPS;
		event->tsval = handshake->tsval;
		event->tsecr = (__u32)(hook->now_ns / NSEC_PER_MSEC) + handshake->ts_base;
	}
}

/*
 * Opens a connection (handshake != NULL) or sends a segment after one. The record is reserved before the tuple is claimed:
 * whoever sees the claim reserves later, so that no segment overtakes the ACK that it follows.
 */
static __always_inline enum shakeoff_verdict handoff_with(struct xdp_md *ctx, struct shakeoff_event *event,
							  const struct packet *packet, const struct hook_ctx *hook,
							  const struct handshake *handshake, __u64 seen_ns)
{
	if (!event)
		return SHAKEOFF_RING_FULL;
	event_head(event, SHAKEOFF_EVENT_SEGMENT, ctx, packet, hook);
	if (!handshake || !validated_claim(hook->service_id, seen_ns)) {
		bpf_ringbuf_submit(event, 0);
		return SHAKEOFF_SEGMENT_QUEUED;
	}
	event->type = SHAKEOFF_EVENT_OPEN;
	event_handshake(event, hook, handshake);
	connection_established(packet, hook, 0);
	bpf_ringbuf_submit(event, 0);
	return SHAKEOFF_ACK_VALID;
}

/*
 * Whether the kernel's input path is to let the packet through first. A netfilter program that went with its daemon is no longer there to
 * take it, and the kernel would refuse it with RST: the second heartbeat that is missing says so.
 */
static __always_inline bool input_decides(const struct hook_ctx *hook)
{
	__u32 flags = hook->control->flags;

	/* Signed: another CPU may have written the heartbeat after our clock was read. */
	return (flags & SHAKEOFF_INPUT) &&
	       (!(flags & SHAKEOFF_INPUT_MORTAL) ||
		(__s64)(hook->now_ns - hook->control->heartbeat_ns) <= (__s64)(2 * SHAKEOFF_HEARTBEAT_PERIOD_NS));
}

/* Notes the handshake in scratch for input.bpf.c. A global function: see scratch_get(). */
__noinline int handshake_note(struct xdp_md *ctx, __u32 service_id)
{
	struct hook_ctx hook = { .scratch = scratch_get(), .service_id = service_id };
	const struct ethhdr *eth = FRAME_START(ctx);
	struct shakeoff_event *event;

	hook.service = bpf_map_lookup_elem(&service_state, &service_id);
	if (!hook.scratch || !hook.service || (void *)(eth + 1) > FRAME_END(ctx)) /* cannot be: for the verifier */
		return 0;
	hook.now_ns = hook.scratch->now.now_ns;
	event = (void *)hook.scratch->event;
	event_head(event, SHAKEOFF_EVENT_OPEN, ctx, &hook.scratch->packet, &hook);
	event_handshake(event, &hook, &hook.scratch->handshake);
	event->flags |= SHAKEOFF_EVENT_INPUT;
	__builtin_memcpy(event->mac, eth, sizeof(event->mac));
	bpf_map_update_elem(&handshakes, &hook.scratch->tuple, event, BPF_ANY);
	return 0;
}

/*
 * The position in the accept queue is taken by input.bpf.c: what a firewall refuses has none. Of an ACK's duplicates on several CPUs one
 * claims the tuple; whichever gets through first opens the connection.
 */
static __always_inline enum shakeoff_verdict handoff_to_input(struct xdp_md *ctx, const struct packet *packet,
							      const struct hook_ctx *hook,
							      const struct handshake *handshake, __u64 seen_ns)
{
	if (hook->control->input_tick != hook->scratch->now.tick)
		hook->control->input_tick = hook->scratch->now.tick;
	if (!handshake || !validated_claim(hook->service_id, seen_ns))
		return SHAKEOFF_SEGMENT_TO_INPUT;
	connection_noted(packet, hook, SHAKEOFF_FILTER_PENDING | SHAKEOFF_FILTER_UNCONFIRMED, 0);
	if (hook->control->claimed_tick != hook->scratch->now.tick)
		hook->control->claimed_tick = hook->scratch->now.tick;
	handshake_note(ctx, hook->service_id);
	return SHAKEOFF_ACK_TO_INPUT;
}

static __noinline enum shakeoff_verdict handoff(struct xdp_md *ctx, const struct packet *packet,
						const struct hook_ctx *hook, const struct handshake *handshake,
						__u64 seen_ns)
{
	__u32 len = packet->l4_offset - packet->l3_offset + packet->segment_len;
	void *ring = ring_of(&hook->scratch->tuple, hook->control);
	bool input = input_decides(hook);
	struct shakeoff_event *event;

	/* What follows goes where its ACK went: the netfilter program takes nothing of a connection that it does not know. */
	if (handshake)
		hook->scratch->handshake.claims = input ? SHAKEOFF_VALIDATED_INPUT : 0;
	else if (!(hook->scratch->handshake.claims & SHAKEOFF_VALIDATED_INPUT))
		input = 0;
	if (input)
		return handoff_to_input(ctx, packet, hook, handshake, seen_ns);
	if (!ring)
		return SHAKEOFF_RING_FULL;
	if (len <= EVENT_SMALL_PACKET)
		event = EVENT_RESERVE(ctx, ring, packet->l3_offset, len, EVENT_SMALL_PACKET);
	else if (len <= EVENT_MEDIUM_PACKET)
		event = EVENT_RESERVE(ctx, ring, packet->l3_offset, len, EVENT_MEDIUM_PACKET);
	else
		event = EVENT_RESERVE(ctx, ring, packet->l3_offset, len, EVENT_LARGE_PACKET);
	return handoff_with(ctx, event, packet, hook, handshake, seen_ns);
}

#endif
