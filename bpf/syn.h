/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A SYN to a service: pass, drop, refuse, or answer with a cookie. */
#ifndef SHAKEOFF_BPF_SYN_H
#define SHAKEOFF_BPF_SYN_H

/* What of the client's offer we take up and can remember. */
static __always_inline void syn_negotiate(const struct packet *packet, const struct walk *walk,
					  const struct tcpopt *offer, struct cookie_options *options)
{
	const struct shakeoff_interface *profile = &walk->scratch->recent.profile;
	__u16 default_mss = packet->flow.ipv6 ? 1220 : 536; /* RFC 9293, section 3.7.1 */
	_Bool asks_ecn = (packet->flags & (TCP_FLAG_ECE | TCP_FLAG_CWR)) == (TCP_FLAG_ECE | TCP_FLAG_CWR);

	options->mss = offer->mss ? offer->mss : default_mss;
	options->wscale = profile->wscale == SHAKEOFF_NO_WSCALE ? SHAKEOFF_NO_WSCALE : offer->wscale;
	options->sack = offer->sack && profile->sack;
	options->timestamps = offer->timestamps && profile->timestamps;
	/* TCP_REPAIR cannot give it to the socket. RFC 3168, section 6.1.1. */
	options->ecn = asks_ecn && profile->ecn && by_listener(walk);
}

/* The window of our SYN-ACK, in bytes: never scaled (RFC 7323, section 2.2). */
static __always_inline __u16 synack_window(const struct shakeoff_service *service,
					   const struct shakeoff_interface *profile, _Bool ipv6, _Bool timestamps)
{
	__u16 window = profile->window[ipv6][timestamps];

	return window < service->window_max ? window : service->window_max;
}

/* What a SYN offers, in one number: SYNs to one address with the same are answered alike. Lengths are for answer_room(). */
static __always_inline __u64 offer_key(const struct packet *packet, const struct tcpopt *offer)
{
	return offer->mss | ((__u32)offer->wscale << 16) | ((__u32)offer->sack << 24) |
	       ((__u32)offer->timestamps << 25) | ((__u64)(packet->flags & (TCP_FLAG_ECE | TCP_FLAG_CWR)) << 32) |
	       ((__u64)packet->header_len << 40) | ((__u64)packet->l3_offset << 48);
}

/*
 * So many words of options a SYN-ACK may have, so that its frame is no longer than that of the SYN, or than Ethernet's minimum:
 * whoever sends SYNs in somebody else's name gains nothing.
 */
static __always_inline __u32 answer_room(const struct packet *packet)
{
	const __u32 least = sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr);
	__u32 words = (packet->header_len - sizeof(struct tcphdr)) / 4;

	if (!words && !packet->flow.ipv6 && packet->l3_offset == sizeof(struct ethhdr))
		return (ETH_ZLEN - least) / 4;
	return words;
}

/* Makes ready what all these answers have in common. */
static __noinline void answer_prepare(const struct packet *packet, const struct walk *walk, const struct tcpopt *offer,
				      struct answer *answer)
{
	const struct shakeoff_interface *profile = &walk->scratch->recent.profile;
	struct reply *reply = &answer->reply;
	_Bool ipv6 = packet->flow.ipv6;
	const struct siphash *begun;
	struct cookie_options options;
	struct tcpopt ours = {};

	syn_negotiate(packet, walk, offer, &options);
	answer->bits = cookie_encode(&options, ipv6);
	if (!options.timestamps)
		cookie_decode(answer->bits, ipv6, &options); /* promise only what comes back */

	reply->flags = TCP_FLAG_SYN | TCP_FLAG_ACK | (options.ecn ? TCP_FLAG_ECE : 0);
	reply->ttl = profile->ttl;
	reply->window = synack_window(walk->service, profile, ipv6, options.timestamps);
	ours.mss = profile->mss[ipv6];
	if (by_listener(walk))
		ours.mss = mss_clamp(walk->scratch->recent.listener.user_mss, ours.mss);
	ours.sack = options.sack;
	ours.timestamps = options.timestamps;
	ours.tsval = cookie_tsval(walk->scratch->moment.clock_ms, answer->bits);
	ours.wscale = service_wscale(walk->service, profile, &options);
	reply->option_words = tcpopt_write_synack(reply->options, &ours, answer_room(packet), &reply->tsecr_word);
	reply_prepare(reply, &packet->flow);
	answer->epoch = walk->scratch->moment.epoch;
	begun = epoch_begin(walk->scratch, answer->epoch, answer->bits);
	if (begun)
		answer->hash = *begun;
	answer->offer = offer_key(packet, offer);
	answer->tick = walk->scratch->moment.tick;
}

/* Puts in what is this SYN's alone. Inlined with timestamps, which nearly all clients have: the answer's hash is all that takes. */
static __always_inline void answer_number(const struct packet *packet, const struct walk *walk,
					  const struct tcpopt *offer, struct answer *answer)
{
	struct reply *reply = &answer->reply;
	struct siphash hash = answer->hash;
	__u64 cookie;

	reply->ack = packet->seq + 1; /* data on the SYN is left for the client to send again */
	if (answer->bits & COOKIE_TIMESTAMPS) {
		cookie_go_on(&hash, &packet->flow, packet->seq);
		reply->seq = cookie_end_timestamps(&hash, &packet->flow, packet->seq, answer->epoch, answer->bits);
		reply->tsecr = offer->tsval;
		return;
	}
	cookie = epoch_cookie(packet->seq, answer->epoch, answer->bits);
	if (walk->service->guessed_ns)
		asked_answered(walk, cookie >> 32);
	reply->seq = (__u32)cookie;
	reply->tsecr = 0;
}

static __always_inline enum shakeoff_verdict syn_answer(struct xdp_md *ctx, const struct packet *packet,
							const struct walk *walk, const struct tcpopt *offer)
{
	const struct moment *moment = &walk->scratch->moment;
	struct answer *answer = &walk->scratch->recent.answer;

	if (!walk->scratch->recent.has_profile || !(walk->control->flags & SHAKEOFF_KEYS_LOADED))
		return SHAKEOFF_SYN_NO_KEY;
	if (checksum_fails(ctx, walk))
		return SHAKEOFF_BAD_CHECKSUM;
	if (!reply_is_within_budget(walk))
		return SHAKEOFF_SYN_REPLY_BUDGET;
	if (answer->tick != moment->tick || answer->epoch != moment->epoch || answer->offer != offer_key(packet, offer))
		answer_prepare(packet, walk, offer, answer);
	answer_number(packet, walk, offer, answer);
	/* Inlined, as this is the one reply that has to be fast. */
	if (!reply_build(ctx, packet, &answer->reply, walk->frame_len))
		return SHAKEOFF_SYN_INVALID;
	half_open_answered(ctx, walk);
	return SHAKEOFF_SYNACK_SENT;
}

/* A socket of the tuple's own, or no room: what else stands between a sound SYN and its answer. */
static __always_inline enum shakeoff_verdict syn_queue_check(struct xdp_md *ctx, const struct packet *packet,
							     const struct walk *walk, enum service_health health,
							     _Bool may_have_socket)
{
	const struct tcpopt *offer = &walk->scratch->opt;
	enum socket_found found = SOCKET_NONE;
	struct time_wait time_wait = {};
	struct queue_state queue;

	if (may_have_socket)
		found = socket_find(ctx, packet, &time_wait, NULL);
	if (found == SOCKET_EXISTS)
		return SHAKEOFF_SYN_SOCKET;
	if (found == SOCKET_TIME_WAIT && ((walk->control->flags & SHAKEOFF_KEEP_TIME_WAIT) ||
					  !time_wait_yields(&time_wait, packet->seq, offer->timestamps, offer->tsval)))
		return SHAKEOFF_SYN_SOCKET;
	if (health == SERVICE_DAEMON_DOWN)
		return SHAKEOFF_SYN_DAEMON_DOWN;
	engage_count(walk->service, walk->scratch, walk->now_ns);
	queue_state_read(walk->scratch, walk->service, &queue);
	return queue.free <= queue.scarce ? syn_scarce(ctx, packet, walk, queue.free) : VERDICT_NONE;
}

/* The same for a listening socket. In TIME-WAIT the kernel renews the connection itself. */
static __always_inline enum shakeoff_verdict syn_listener_check(struct xdp_md *ctx, const struct packet *packet,
								const struct walk *walk, _Bool may_have_socket)
{
	const struct recent *recent = &walk->scratch->recent;
	enum socket_found found = SOCKET_LISTENS;
	struct time_wait time_wait = {};
	__s64 free;

	if (may_have_socket || !listener_is_remembered(walk) || listener_free(recent, walk->service) <= 0 ||
	    group_is_short(walk))
		found = listener_find(ctx, packet, walk, &time_wait);
	if (found == SOCKET_NONE) /* it is bound to a device above this interface, or was closed a moment ago */
		return syn_to_kernel(walk, SHAKEOFF_SYN_UNSERVED);
	if (found != SOCKET_LISTENS)
		return SHAKEOFF_SYN_SOCKET;
	if (recent->listener.left)
		return syn_to_kernel(walk, SHAKEOFF_SYN_LEFT);
	engage_count(walk->service, walk->scratch, walk->now_ns);
	free = listener_free(recent, walk->service);
	return free <= recent->listener_scarce ? syn_scarce(ctx, packet, walk, free) : VERDICT_NONE;
}

static __noinline enum shakeoff_verdict syn_walk(struct xdp_md *ctx, const struct packet *packet,
						 const struct walk *walk)
{
	enum service_health health = SERVICE_SERVED;
	enum shakeoff_verdict verdict = VERDICT_NONE;
	enum options_found options;
	_Bool may_have_socket;

	if (!is_left(walk) && syn_is_malformed(packet, walk->frame_len))
		return SHAKEOFF_SYN_INVALID;
	if (by_listener(walk))
		verdict = listener_syn_walk(ctx, packet, walk);
	else
		health = service_health(walk->service, walk->control, walk->now_ns);
	if (verdict != VERDICT_NONE)
		return verdict;
	if (health == SERVICE_UNSERVED)
		return SHAKEOFF_SYN_UNSERVED;
	/* Well before it is needed: the filter's byte is seldom in the nearest cache. */
	may_have_socket = filter_may_have(&packet->flow, walk->control);
	options = options_find(FRAME_START(ctx), FRAME_END(ctx), packet, walk->scratch);
	if (options == OPTIONS_MISSING)
		return SHAKEOFF_SYN_INVALID;
	if (options == OPTIONS_AUTHENTICATE)
		return by_listener(walk) ? syn_to_kernel(walk, SHAKEOFF_SYN_TCP_AUTH) : SHAKEOFF_SYN_TCP_AUTH;
	verdict = by_listener(walk) ? syn_listener_check(ctx, packet, walk, may_have_socket) :
				      syn_queue_check(ctx, packet, walk, health, may_have_socket);
	if (verdict != VERDICT_NONE)
		return verdict;
	if (!limit_admits_syn(walk))
		return SHAKEOFF_SYN_SOURCE_LIMIT;
	return syn_answer(ctx, packet, walk, &walk->scratch->opt);
}

#endif
