/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A segment without SYN for a service: of a socket, of a handshake of ours, or of nobody. */
#ifndef SHAKEOFF_BPF_ACK_H
#define SHAKEOFF_BPF_ACK_H

enum cookie_judgement { COOKIE_GOOD, COOKIE_BAD, COOKIE_EXPIRED };

/*
 * Why a cookie with timestamps failed cannot be seen in its one epoch bit; the echoed clock tells, as far as it can be
 * believed: only a name in the statistics depends on it.
 */
static __always_inline _Bool timestamp_is_old(__u32 tsecr, __u32 clock_ms)
{
	__u32 age_ms = clock_ms - tsecr;

	return age_ms > SHAKEOFF_EPOCH_NS / NSEC_PER_MSEC && age_ms < 10 * SHAKEOFF_EPOCH_NS / NSEC_PER_MSEC;
}

/* Does the ACK bring back a cookie of ours? Fills opening->client_isn, cookie and options. */
static __always_inline enum cookie_judgement ack_judge(const struct packet *packet, const struct walk *walk,
						       const struct tcpopt *opt, struct opening *opening)
{
	_Bool accept_next = walk->control->flags & SHAKEOFF_ACCEPT_NEXT_EPOCH;
	const struct moment *moment = &walk->scratch->moment;
	__u32 cookie = packet->ack - 1;
	__u32 client_isn = packet->seq - 1;
	__u32 bits = cookie_bits(cookie, opt->tsecr, opt->timestamps);
	_Bool plausible = 0;

	UNROLL
	for (int attempt = 0; attempt < 2; attempt++) {
		__u32 epoch;

		if (!cookie_epoch(cookie, opt->timestamps, moment->epoch, accept_next, attempt, &epoch))
			continue;
		plausible = 1;
		if (epoch_cookie(client_isn, epoch, bits) != cookie)
			continue;
		opening->client_isn = client_isn;
		opening->cookie = cookie;
		cookie_decode(bits, packet->flow.ipv6, &opening->options);
		return COOKIE_GOOD;
	}
	return !plausible || (opt->timestamps && timestamp_is_old(opt->tsecr, moment->clock_ms)) ? COOKIE_EXPIRED :
												   COOKIE_BAD;
}

/* The rest of the opening: what our SYN-ACK promised, and what the ACK itself says. */
static __always_inline void ack_opening(const struct packet *packet, const struct walk *walk,
					const struct shakeoff_interface *profile, const struct tcpopt *opt,
					struct opening *opening)
{
	opening->tsval = opt->tsval;
	opening->tsecr = opt->tsecr;
	opening->rcv_wnd = synack_window(walk->service, profile, packet->flow.ipv6, opening->options.timestamps);
	opening->rcv_wscale = SHAKEOFF_NO_WSCALE;
	opening->snd_wnd = packet->window;
	opening->replaced = 0;
	if (opening->options.wscale != SHAKEOFF_NO_WSCALE) {
		opening->rcv_wscale = service_wscale(walk->service, profile);
		opening->snd_wnd = (__u32)packet->window << (opening->options.wscale & 0xf);
	}
}

static __always_inline enum shakeoff_verdict ack_overflow(struct xdp_md *ctx, const struct packet *packet,
							  const struct walk *walk)
{
	struct reply *reply = &walk->scratch->reply;

	if (walk->service->overflow != SHAKEOFF_OVERFLOW_RESET)
		return SHAKEOFF_ACK_OVERFLOW_DROP;
	reply_reset_ack(reply, packet);
	return reply_write(ctx, walk->frame_len) ? SHAKEOFF_ACK_OVERFLOW_RESET : SHAKEOFF_ACK_OVERFLOW_DROP;
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

static __always_inline enum shakeoff_verdict ack_walk(struct xdp_md *ctx, const struct packet *packet,
						      const struct walk *walk, const struct past *past)
{
	const struct shakeoff_interface *profile = &walk->scratch->recent.profile;
	enum cookie_judgement judgement;

	if (!walk->scratch->recent.has_profile || !(walk->control->flags & SHAKEOFF_KEYS_LOADED))
		return SHAKEOFF_ACK_UNSERVED;
	if (options_find(ctx, packet, walk->scratch) == OPTIONS_MISSING)
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

static __noinline enum shakeoff_verdict segment_walk(struct xdp_md *ctx, const struct packet *packet,
						     const struct walk *walk)
{
	enum service_health health = service_health(walk->service, walk->control, walk->now_ns);
	struct shakeoff_tuple *tuple = &walk->scratch->tuple;
	enum socket_found found;
	struct past past = {};

	found = socket_find(ctx, packet, &past.time_wait);
	if (found == SOCKET_EXISTS)
		return SHAKEOFF_SOCKET;
	if (health == SERVICE_UNSERVED)
		return SHAKEOFF_ACK_UNSERVED;
	past.in_time_wait = found == SOCKET_TIME_WAIT;
	if (packet->flags & TCP_FLAG_SYN)
		return past.in_time_wait ? SHAKEOFF_SOCKET : SHAKEOFF_SYNACK_IGNORED;
	if (!tcp_lengths_fit(packet, walk->frame_len))
		return SHAKEOFF_BAD_SEGMENT;
	tuple_of(&packet->flow, tuple);
	past.earlier = bpf_map_lookup_elem(&validated, tuple);
	past.follows = past_follows(&past, walk);
	if ((packet->flags & (TCP_FLAG_ACK | TCP_FLAG_RST)) == TCP_FLAG_ACK)
		return ack_walk(ctx, packet, walk, &past);
	if (past.follows)
		return segment_follow(ctx, packet, walk, &past);
	if (past.in_time_wait)
		return SHAKEOFF_SOCKET;
	return packet->flags & TCP_FLAG_RST ? SHAKEOFF_RST_IGNORED : SHAKEOFF_BAD_SEGMENT;
}

#endif
