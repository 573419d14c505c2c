/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* To the daemon: events through the ring buffer. */
#ifndef SHAKEOFF_BPF_HANDOFF_H
#define SHAKEOFF_BPF_HANDOFF_H

/*
 * A record's size must be a constant for bpf_ringbuf_reserve(), so there are three: for an ACK with no or little
 * payload, for a segment of an ordinary MTU, and for all that can be (an aggregated packet of 64 KiB).
 */
#define EVENT_SMALL_PACKET 160
#define EVENT_MEDIUM_PACKET 1536
#define EVENT_LARGE_PACKET 65536

/* Spreads tuples over the rings; a tuple keeps its ring. Not a secret: an uneven spread costs only balance. */
static __always_inline void *ring_of(const struct shakeoff_tuple *tuple, const struct shakeoff_control *control)
{
	__u32 hash = tuple->remote[0] ^ tuple->remote[1] ^ tuple->remote[2] ^ tuple->remote[3] ^
		     (tuple->remote_port | ((__u32)tuple->local_port << 16));
	__u32 count = control->rings, index;

	if (!count)
		return NULL;
	hash *= 0x9e3779b1; /* 2^32 divided by the golden ratio: mixes upwards (Knuth, TAOCP 3, section 6.4) */
	index = (hash >> 16) % count;
	return bpf_map_lookup_elem(&rings, &index);
}

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
				       const struct packet *packet, const struct walk *walk)
{
	event->type = type;
	event->service = walk->service_id;
	event->ifindex = ctx->ingress_ifindex;
	event->time_ns = walk->now_ns;
	event->tuple = walk->scratch->tuple;
	event->packet_len = packet->l4_offset - packet->l3_offset + packet->segment_len;
	event->tcp_offset = packet->l4_offset - packet->l3_offset;
	event->flags = 0;
	event->rcv_nxt = event->snd_nxt = event->rcv_wnd = event->snd_wnd = event->tsval = event->tsecr = 0;
	event->mss = event->snd_wscale = event->rcv_wscale = 0;
	event->pad[0] = event->pad[1] = 0;
}

static __always_inline void event_opening(struct shakeoff_event *event, const struct walk *walk,
					  const struct opening *opening)
{
	event->rcv_nxt = opening->client_isn + 1;
	event->snd_nxt = opening->cookie + 1;
	event->rcv_wnd = opening->rcv_wnd;
	event->snd_wnd = opening->snd_wnd;
	event->mss = mss_clamp(walk->service->offer.user_mss, opening->options.mss);
	event->snd_wscale = opening->options.wscale;
	event->rcv_wscale = opening->rcv_wscale;
	event->flags = (opening->options.sack ? SHAKEOFF_EVENT_SACK : 0) |
		       (opening->replaced ? SHAKEOFF_EVENT_TIME_WAIT : 0);
	if (opening->options.timestamps) {
		event->flags |= SHAKEOFF_EVENT_TIMESTAMPS;
		event->tsval = opening->tsval;
		event->tsecr = (__u32)(walk->now_ns / NSEC_PER_MSEC) + opening->ts_base;
	}
}

/*
 * Opens a connection (opening != NULL) or sends a segment after one. The record is reserved before the tuple is claimed:
 * whoever sees the claim reserves later, so that no segment overtakes the ACK that it follows.
 */
static __always_inline enum shakeoff_verdict handoff_with(struct xdp_md *ctx, struct shakeoff_event *event,
							  const struct packet *packet, const struct walk *walk,
							  const struct opening *opening, __u64 seen_ns)
{
	if (!event)
		return SHAKEOFF_RING_FULL;
	event_head(event, SHAKEOFF_EVENT_SEGMENT, ctx, packet, walk);
	if (!opening || !validated_claim(walk->service_id, seen_ns)) {
		bpf_ringbuf_submit(event, 0);
		return SHAKEOFF_SEGMENT_HELD;
	}
	event->type = SHAKEOFF_EVENT_OPEN;
	event_opening(event, walk, opening);
	connection_opened(packet, walk, 0);
	bpf_ringbuf_submit(event, 0);
	return SHAKEOFF_ACK_VALID;
}

static __noinline enum shakeoff_verdict handoff(struct xdp_md *ctx, const struct packet *packet,
						const struct walk *walk, const struct opening *opening, __u64 seen_ns)
{
	__u32 len = packet->l4_offset - packet->l3_offset + packet->segment_len;
	void *ring = ring_of(&walk->scratch->tuple, walk->control);
	struct shakeoff_event *event;

	if (!ring)
		return SHAKEOFF_RING_FULL;
	if (len <= EVENT_SMALL_PACKET)
		event = EVENT_RESERVE(ctx, ring, packet->l3_offset, len, EVENT_SMALL_PACKET);
	else if (len <= EVENT_MEDIUM_PACKET)
		event = EVENT_RESERVE(ctx, ring, packet->l3_offset, len, EVENT_MEDIUM_PACKET);
	else
		event = EVENT_RESERVE(ctx, ring, packet->l3_offset, len, EVENT_LARGE_PACKET);
	return handoff_with(ctx, event, packet, walk, opening, seen_ns);
}

#endif
