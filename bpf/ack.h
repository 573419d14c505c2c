/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A segment without SYN for a service: of a socket, of a handshake of ours, or of nobody. */
#ifndef SHAKEOFF_BPF_ACK_H
#define SHAKEOFF_BPF_ACK_H

/* The rest of the opening: what our SYN-ACK promised, and what the ACK itself says. */
static __always_inline void ack_opening(const struct packet *packet, const struct walk *walk,
					const struct shakeoff_interface *profile, const struct tcpopt *opt,
					struct opening *opening)
{
	opening->tsval = opt->tsval;
	opening->tsecr = opt->tsecr;
	opening->rcv_wnd = synack_window(walk->service, profile, packet->flow.ipv6, opening->options.timestamps);
	opening->rcv_wscale = service_wscale(walk->service, profile, &opening->options);
	opening->snd_wnd = packet->window;
	opening->replaced = 0;
	if (opening->options.wscale != SHAKEOFF_NO_WSCALE)
		opening->snd_wnd = (__u32)packet->window << (opening->options.wscale & 0xf);
}

/* What is known of the tuple of a segment that belongs to no open connection. */
struct past {
	struct shakeoff_validated *earlier; /* its last accepted ACK, or NULL */
	struct time_wait time_wait;
	_Bool in_time_wait; /* time_wait is set */
	_Bool follows;      /* earlier is fresh: its socket is about to be made */
};

/*
 * Does the segment follow an ACK whose socket does not exist yet? A socket in TIME-WAIT that the new connection replaces
 * is in the way until the daemon has removed it; one of the connection itself is not.
 */
static __always_inline _Bool past_follows(const struct past *past, const struct walk *walk)
{
	const struct shakeoff_validated *earlier = past->earlier;

	/* Signed: another CPU may have claimed the tuple after our clock was read. */
	if (!earlier || earlier->followed >= SHAKEOFF_FOLLOW_SEGMENTS ||
	    (__s64)(walk->now_ns - earlier->opened_ns) >= (__s64)SHAKEOFF_FOLLOW_NS)
		return 0;
	return !past->in_time_wait || (earlier->replaced && earlier->replaced == past->time_wait.rcv_nxt);
}

static __always_inline void past_look_up(struct past *past, const struct packet *packet, const struct walk *walk)
{
	struct shakeoff_tuple *tuple = &walk->scratch->tuple;

	tuple_of(&packet->flow, tuple);
	past->earlier = bpf_map_lookup_elem(&validated, tuple);
	past->follows = past_follows(past, walk);
}

static __always_inline enum shakeoff_verdict segment_follow(struct xdp_md *ctx, const struct packet *packet,
							    const struct walk *walk, const struct past *past)
{
	past->earlier->followed++;
	return handoff(ctx, packet, walk, NULL, 0);
}

/* An ACK with a good cookie: a duplicate, or a connection. */
static __always_inline enum shakeoff_verdict ack_accept(struct xdp_md *ctx, const struct packet *packet,
							const struct walk *walk, const struct past *past,
							const struct shakeoff_interface *profile)
{
	const struct shakeoff_validated *earlier = past->earlier;
	struct opening *opening = &walk->scratch->opening;
	const struct tcpopt *opt = &walk->scratch->opt;

	if (earlier && earlier->cookie == opening->cookie && earlier->client_isn == opening->client_isn) {
		if (past->follows)
			return segment_follow(ctx, packet, walk, past);
		return past->in_time_wait ? SHAKEOFF_SOCKET : SHAKEOFF_ACK_REPLAYED;
	}
	/* A duplicate of the old connection's ACK, long out of `validated`, does not beat its TIME-WAIT. */
	if (past->in_time_wait && !time_wait_yields(&past->time_wait, opening->client_isn, opt->timestamps, opt->tsval))
		return SHAKEOFF_SOCKET;
	ack_opening(packet, walk, profile, opt, opening);
	if (past->in_time_wait)
		opening->replaced = past->time_wait.rcv_nxt;
	if (service_full(walk->service))
		return ack_overflow(ctx, packet, walk);
	return handoff(ctx, packet, walk, opening, earlier != NULL);
}

static __always_inline enum shakeoff_verdict queue_ack_walk(struct xdp_md *ctx, const struct packet *packet,
							    const struct walk *walk, const struct past *past)
{
	const struct shakeoff_interface *profile = &walk->scratch->recent.profile;
	enum cookie_judgement judgement;

	if (!walk->scratch->recent.has_profile || !(walk->control->flags & SHAKEOFF_KEYS_LOADED))
		return SHAKEOFF_ACK_UNSERVED;
	if (options_find(FRAME_START(ctx), FRAME_END(ctx), packet, walk->scratch) == OPTIONS_MISSING)
		return SHAKEOFF_BAD_SEGMENT;
	judgement = ack_judge(packet, walk, &walk->scratch->opt, &walk->scratch->opening);
	if (judgement == COOKIE_GOOD)
		return ack_accept(ctx, packet, walk, past, profile);
	if (past->follows)
		return segment_follow(ctx, packet, walk, past);
	if (past->in_time_wait)
		return SHAKEOFF_SOCKET;
	return judgement == COOKIE_EXPIRED ? SHAKEOFF_ACK_EXPIRED : SHAKEOFF_ACK_BAD_COOKIE;
}

/* No ACK, and nothing to do with what is open. */
static __always_inline enum shakeoff_verdict segment_ignore(const struct packet *packet, const struct walk *walk)
{
	if (!(packet->flags & TCP_FLAG_RST))
		return SHAKEOFF_BAD_SEGMENT;
	half_open_reset(packet, walk);
	return SHAKEOFF_RST_IGNORED;
}

static __always_inline enum shakeoff_verdict queue_segment_walk(struct xdp_md *ctx, const struct packet *packet,
								const struct walk *walk, struct past *past)
{
	if (service_health(walk->service, walk->control, walk->now_ns) == SERVICE_UNSERVED)
		return SHAKEOFF_ACK_UNSERVED;
	if (packet->flags & TCP_FLAG_SYN)
		return past->in_time_wait ? SHAKEOFF_SOCKET : SHAKEOFF_SYNACK_IGNORED;
	if (!tcp_lengths_fit(packet, walk->frame_len))
		return SHAKEOFF_BAD_SEGMENT;
	past_look_up(past, packet, walk);
	if ((packet->flags & (TCP_FLAG_ACK | TCP_FLAG_RST)) == TCP_FLAG_ACK)
		return queue_ack_walk(ctx, packet, walk, past);
	if (past->follows)
		return segment_follow(ctx, packet, walk, past);
	if (past->in_time_wait)
		return SHAKEOFF_SOCKET;
	return segment_ignore(packet, walk);
}

/*
 * To a listening socket a segment follows its ACK through the same CPU, and finds the connection's socket there. On another CPU it
 * may be there first, and meet only the listening one: that would answer with an RST.
 */
static __always_inline enum shakeoff_verdict listener_follow(const struct past *past)
{
	return past->earlier->replaced == bpf_get_smp_processor_id() ? SHAKEOFF_SEGMENT_FOLLOWS :
								       SHAKEOFF_SEGMENT_EARLY;
}

/*
 * The same to a listening socket. A good cookie whose connection nobody has met yet, though it came before, opens it again:
 * the kernel had no room or no memory the first time.
 */
static __always_inline enum shakeoff_verdict listener_accept(struct xdp_md *ctx, const struct packet *packet,
							     const struct walk *walk, const struct past *past)
{
	const struct shakeoff_validated *earlier = past->earlier;
	struct opening *opening = &walk->scratch->opening;

	if (earlier && earlier->cookie == opening->cookie && earlier->client_isn == opening->client_isn) {
		if (past->follows)
			return listener_follow(past);
		if (earlier->flags & SHAKEOFF_VALIDATED_CONFIRMED)
			return SHAKEOFF_ACK_REPLAYED;
	}
	if (listener_full(walk))
		return ack_overflow(ctx, packet, walk);
	opening->replaced = bpf_get_smp_processor_id();
	return admit(ctx, packet, walk, opening, earlier != NULL);
}

static __always_inline enum shakeoff_verdict listener_ack_walk(struct xdp_md *ctx, const struct packet *packet,
							       const struct walk *walk, const struct past *past,
							       _Bool answering)
{
	enum cookie_judgement judgement;

	if (options_find(FRAME_START(ctx), FRAME_END(ctx), packet, walk->scratch) == OPTIONS_MISSING)
		return answering ? SHAKEOFF_BAD_SEGMENT : SHAKEOFF_ACK_PEACE;
	judgement = ack_judge(packet, walk, &walk->scratch->opt, &walk->scratch->opening);
	if (judgement == COOKIE_GOOD)
		return listener_accept(ctx, packet, walk, past);
	if (past->follows)
		return listener_follow(past);
	if (!answering)
		return SHAKEOFF_ACK_PEACE;
	if (kernel_cookies_are_out(walk) && kernel_cookie_good(packet))
		return SHAKEOFF_ACK_KERNEL_COOKIE;
	return judgement == COOKIE_EXPIRED ? SHAKEOFF_ACK_EXPIRED : SHAKEOFF_ACK_BAD_COOKIE;
}

/* In peace, when no cookie is out any more, segments cost nothing but this. */
static __always_inline enum shakeoff_verdict listener_segment_walk(struct xdp_md *ctx, const struct packet *packet,
								   const struct walk *walk)
{
	_Bool answering = engaged(walk->service, walk->now_ns);
	struct past past = {};

	if (!(walk->service->flags & SHAKEOFF_SERVICE_SERVED) || !listener_is_ready(walk))
		return SHAKEOFF_ACK_UNSERVED;
	if (walk->scratch->recent.left || !(answering || cookies_are_left(walk)))
		return SHAKEOFF_ACK_PEACE;
	switch (listener_find(ctx, packet, walk, &past.time_wait)) {
	case SOCKET_NONE: return SHAKEOFF_ACK_UNSERVED;
	case SOCKET_EXISTS: listener_confirm(packet, walk); return SHAKEOFF_SOCKET;
	case SOCKET_TIME_WAIT: return SHAKEOFF_SOCKET;
	case SOCKET_LISTENS: break;
	}
	if (!answering && ((packet->flags & TCP_FLAG_SYN) || !tcp_lengths_fit(packet, walk->frame_len)))
		return SHAKEOFF_ACK_PEACE;
	if (packet->flags & TCP_FLAG_SYN)
		return SHAKEOFF_SYNACK_IGNORED;
	if (!tcp_lengths_fit(packet, walk->frame_len))
		return SHAKEOFF_BAD_SEGMENT;
	past_look_up(&past, packet, walk);
	if ((packet->flags & (TCP_FLAG_ACK | TCP_FLAG_RST)) == TCP_FLAG_ACK)
		return listener_ack_walk(ctx, packet, walk, &past, answering);
	if (past.follows)
		return listener_follow(&past);
	if (!answering)
		return SHAKEOFF_ACK_PEACE;
	return segment_ignore(packet, walk);
}

static __noinline enum shakeoff_verdict segment_walk(struct xdp_md *ctx, const struct packet *packet,
						     const struct walk *walk)
{
	struct past past = {};
	enum socket_found found;

	if (by_listener(walk))
		return listener_segment_walk(ctx, packet, walk);
	found = socket_find(ctx, packet, &past.time_wait, NULL);
	if (found == SOCKET_EXISTS)
		return SHAKEOFF_SOCKET;
	past.in_time_wait = found == SOCKET_TIME_WAIT;
	return queue_segment_walk(ctx, packet, walk, &past);
}

#endif
