/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A SYN to a service: pass, drop, refuse, or answer with a cookie. */
#ifndef SHAKEOFF_BPF_HANDLE_SYN_H
#define SHAKEOFF_BPF_HANDLE_SYN_H

/* RFC 9293, section 3.7.1: what a client takes that names no MSS, and what every path carries. */
static __always_inline __u16 default_mss(const struct packet *packet)
{
	return packet->flow.ipv6 ? 1220 : 536;
}

/*
 * Whether the kernel would take up the client's ECN (RFC 3168, section 6.1.1): tcp_ecn_create_request(), include/net/tcp_ecn.h.
 * Where the SYN itself is marked, somebody on the way marks everything. TCP_REPAIR cannot give ECN to a socket.
 */
static __always_inline bool ecn_is_taken_up(const struct packet *packet, const struct hook_ctx *hook)
{
	const __u8 asks = TCPHDR_ECE | TCPHDR_CWR;

	if ((packet->flags & asks) != asks || !by_listener(hook))
		return 0;
	if ((packet->tos & IP_ECN_MASK) && !packet->reserved)
		return 0;
	return hook->scratch->recent.profile.ecn || hook->scratch->route.ecn;
}

/* What of the client's offer we take up and can remember. */
static __always_inline void syn_negotiate(const struct packet *packet, const struct hook_ctx *hook,
					  const struct tcpopt *offer, struct cookie_options *options)
{
	const struct shakeoff_interface *profile = &hook->scratch->recent.profile;

	options->mss = offer->mss ? offer->mss : default_mss(packet);
	options->wscale = profile->window_scaling ? offer->wscale : SHAKEOFF_NO_WSCALE;
	options->sack = offer->sack && profile->sack;
	options->timestamps = offer->timestamps && profile->timestamps;
	options->ecn = ecn_is_taken_up(packet, hook);
}

/*
 * What decides over an answer, in one number: SYNs to one address with the same are answered alike. Lengths are for synack_room().
 *
 *	63          48 47     40 39   33 32      28 27          24 22    21         20   19     16 15    0
 *	 route's id     SYN's TOS         l3_offset  header_len / 4 ECN   timestamps SACK scale     MSS
 */
static __always_inline __u64 offer_key(const struct packet *packet, const struct hook_ctx *hook,
				       const struct tcpopt *offer)
{
	return offer->mss | ((__u32)offer->wscale << 16) | ((__u32)offer->sack << 20) |
	       ((__u32)offer->timestamps << 21) | ((__u32)ecn_is_taken_up(packet, hook) << 22) |
	       ((__u32)(packet->header_len / 4) << 24) | ((__u64)packet->l3_offset << 28) | ((__u64)packet->tos << 40) |
	       ((__u64)hook->scratch->route.id << 48);
}

/*
 * So many words of options a SYN-ACK may have, so that its frame is no longer than that of the SYN, or than Ethernet's minimum:
 * whoever sends SYNs in somebody else's name gains nothing.
 */
static __always_inline __u32 synack_room(const struct packet *packet)
{
	const __u32 least = sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr);
	__u32 words = (packet->header_len - sizeof(struct tcphdr)) / 4;

	if (!words && !packet->flow.ipv6 && packet->l3_offset == sizeof(struct ethhdr))
		return (ETH_ZLEN - least) / 4;
	return words;
}

/*
 * Makes the SYN-ACK ready that all these clients have in common: scratch->opt is what they offer, offered their offer_key(). A static
 * function of its own: it runs once a tick. Returns 0 if there is no key, which cannot be: for the verifier.
 */
static __noinline int synack_template_prepare(const struct packet *packet, const struct hook_ctx *hook, __u64 offered,
					      struct synack_template *synack)
{
	const struct tcpopt *theirs = &hook->scratch->opt;
	struct scratch *scratch = hook->scratch;
	struct reply *reply = &synack->reply;
	bool ipv6 = packet->flow.ipv6;
	struct cookie_options options;
	struct tcpopt ours = {};
	struct offer offer;
	const __u64 *key;

	syn_negotiate(packet, hook, theirs, &options);
	synack->bits = cookie_encode(&options, ipv6);
	if (!options.timestamps)
		cookie_decode(synack->bits, ipv6, &options); /* promise only what comes back */
	offer_make(scratch, hook->service, &options, &offer);
	offer_mark(scratch, hook->service, packet->tos, &offer);

	reply->flags = TCPHDR_SYN | TCPHDR_ACK | (options.ecn ? TCPHDR_ECE : 0);
	reply->ttl = offer.hop_limit;
	reply->tos = offer.tos;
	reply->window = offer.window;
	ours.mss = offer.mss;
	ours.sack = options.sack;
	ours.timestamps = options.timestamps;
	ours.wscale = offer.wscale;
	reply->option_words = tcpopt_write_synack(reply->options, &ours, synack_room(packet), &reply->tsecr_word);
	reply_prepare(reply, &packet->flow);
	synack->tsval = scratch->now.clock_ms + cookie_ts_add(synack->bits);
	synack->epoch = scratch->now.epoch;
	key = epoch_offset_key(synack->epoch);
	if (!key)
		return 0;
	synack->offset_key[0] = key[0];
	synack->offset_key[1] = key[1];
	synack->offset_state = cookie_offset_init(&packet->flow, key);
	synack->offer = offered;
	synack->tick = scratch->now.tick;
	return epoch_init(scratch, synack->epoch, &synack->hash);
}

/* Puts in what is this SYN's alone. Inlined with timestamps, which nearly all clients have: the answer's hash is all that takes. */
static __always_inline void synack_template_number(const struct packet *packet, const struct hook_ctx *hook,
						   const struct tcpopt *offer, struct synack_template *synack)
{
	struct reply *reply = &synack->reply;
	struct siphash hash = synack->hash;
	__u64 cookie;

	reply->ack = packet->seq + 1; /* data on the SYN is left for the client to send again */
	if (synack->bits & COOKIE_TIMESTAMPS) {
		cookie_go_on(&hash, &packet->flow, packet->seq);
		cookie = cookie_final_timestamps(&hash, &packet->flow, packet->seq, synack->epoch);
		if (hook->service->forgery_ns)
			issued_answered(hook->service_id, shakeoff_issued_hash(cookie >> 32, synack->bits));
		reply->seq = (__u32)cookie;
		reply->tsval = synack->tsval +
			       cookie_offset_final(synack->offset_state, &packet->flow, synack->offset_key);
		reply->tsecr = offer->tsval;
		return;
	}
	cookie = epoch_cookie(packet->seq, synack->epoch, synack->bits);
	if (hook->service->forgery_ns)
		issued_answered(hook->service_id, cookie >> 32);
	reply->seq = (__u32)cookie;
	reply->tsval = reply->tsecr = 0;
}

static __always_inline enum shakeoff_verdict syn_send_synack(struct xdp_md *ctx, const struct packet *packet,
							     const struct hook_ctx *hook, const struct tcpopt *offer)
{
	const struct now *now = &hook->scratch->now;
	struct synack_template *synack = &hook->scratch->recent.synack;
	__u64 offered;

	if (!hook->scratch->recent.has_profile || !(hook->control->flags & SHAKEOFF_KEYS_LOADED))
		return SHAKEOFF_SYN_NO_KEY;
	if (!reply_is_within_budget(hook))
		return SHAKEOFF_SYN_PREFIX_RATE;
	offered = offer_key(packet, hook, offer);
	if ((synack->tick != now->tick || synack->epoch != now->epoch || synack->offer != offered) &&
	    !synack_template_prepare(packet, hook, offered, synack))
		return SHAKEOFF_SYN_NO_KEY;
	synack_template_number(packet, hook, offer, synack);
	/* Inlined, as this is the one reply that has to be fast. */
	if (!reply_build(ctx, packet, &synack->reply, hook->frame_len))
		return SHAKEOFF_SYN_INVALID;
	if (answers_by_route(hook) && !reply_to_next_hop(ctx))
		return SHAKEOFF_SYN_INVALID;
	half_open_answered(ctx, hook);
	return SHAKEOFF_SYNACK_SENT;
}

/*
 * A SYN to a service that is answered for, with something that only the kernel can do: it passes as long as such SYNs are few. In a flood
 * of them VERDICT_NONE: it is answered as any other, for the kernel's own cookies could do no more.
 */
static __always_inline enum shakeoff_verdict syn_exception(const struct hook_ctx *hook, enum shakeoff_verdict verdict)
{
	if (!kernel_budget_takes(hook->service_id, hook->allowed))
		return VERDICT_NONE;
	return limit_admits_syn(hook) ? verdict : SHAKEOFF_SYN_SOURCE_RATE;
}

/*
 * A client that takes smaller segments than any class says. The kernel alone can keep to it, as long as these are few; in a flood of
 * them it would send a cookie of its own, whose smallest class is the same. There is no kernel behind a queue.
 */
static __always_inline enum shakeoff_verdict syn_mss_check(const struct packet *packet, const struct hook_ctx *hook,
							   const struct tcpopt *offer)
{
	if (!offer->mss || offer->mss >= default_mss(packet))
		return VERDICT_NONE;
	if (by_listener(hook))
		return syn_exception(hook, SHAKEOFF_SYN_SMALL_MSS);
	return offer->timestamps && hook->scratch->recent.profile.timestamps && offer->mss >= cookie_ts_mss[0] ?
		       VERDICT_NONE :
		       SHAKEOFF_SYN_MSS_DROP;
}

/* A socket of the tuple's own, or no room: what else stands between a sound SYN and its answer. */
static __always_inline enum shakeoff_verdict syn_queue_check(struct xdp_md *ctx, const struct packet *packet,
							     const struct hook_ctx *hook, enum service_health health,
							     bool may_have_socket)
{
	const struct tcpopt *offer = &hook->scratch->opt;
	enum socket_found found = SOCKET_NONE;
	struct time_wait time_wait = {};
	struct queue_state queue;

	if (may_have_socket)
		found = socket_find(ctx, packet, &time_wait, NULL);
	if (found == SOCKET_EXISTS)
		return SHAKEOFF_SYN_SOCKET;
	if (found == SOCKET_TIME_WAIT && ((hook->control->flags & SHAKEOFF_KEEP_TIME_WAIT) ||
					  !time_wait_yields(&time_wait, packet->seq, offer->timestamps, offer->tsval)))
		return SHAKEOFF_SYN_SOCKET;
	if (ttl_is_low(packet, &hook->service->offer))
		return SHAKEOFF_SYN_TTL;
	if (health == SERVICE_DAEMON_DOWN)
		return SHAKEOFF_SYN_DAEMON_DOWN;
	syncookies_count(hook);
	queue_state_read(hook->scratch, hook->service, &queue);
	return queue.free <= queue.low_watermark ? syn_queue_low(ctx, packet, hook, queue.free) : VERDICT_NONE;
}

/* The same for a listening socket. In TIME-WAIT the kernel renews the connection itself. */
static __always_inline enum shakeoff_verdict syn_listener_check(struct xdp_md *ctx, const struct packet *packet,
								const struct hook_ctx *hook, bool may_have_socket)
{
	const struct recent *recent = &hook->scratch->recent;
	enum socket_found found = SOCKET_LISTENS;
	struct time_wait time_wait = {};
	__s64 free;

	if (may_have_socket || !listener_is_remembered(hook) || listener_free(recent, hook->service) <= 0 ||
	    group_is_short(hook))
		found = listener_find(ctx, packet, hook, &time_wait);
	if (found == SOCKET_NONE) /* it is bound to a device above this interface, or was closed a moment ago */
		return SHAKEOFF_SYN_NO_SERVER;
	if (found != SOCKET_LISTENS)
		return SHAKEOFF_SYN_SOCKET;
	if (recent->listener.bypass)
		return SHAKEOFF_SYN_BYPASS;
	if (ttl_is_low(packet, &recent->listener.offer))
		return SHAKEOFF_SYN_TTL;
	syncookies_count(hook);
	free = listener_free(recent, hook->service);
	return free <= recent->listener_low_watermark ? syn_queue_low(ctx, packet, hook, free) : VERDICT_NONE;
}

static __noinline enum shakeoff_verdict handle_syn(struct xdp_md *ctx, const struct packet *packet,
						   const struct hook_ctx *hook)
{
	enum service_health health = SERVICE_SERVED;
	enum shakeoff_verdict verdict = VERDICT_NONE;
	enum options_found options;
	bool may_have_socket;

	if (!netfilter_decides(hook) && syn_is_malformed(packet, hook->frame_len))
		return SHAKEOFF_SYN_INVALID;
	if (by_listener(hook))
		verdict = listener_handle_syn(ctx, packet, hook);
	else if (address_is_bypassed(hook))
		return SHAKEOFF_SYN_BYPASS;
	else
		health = service_health(hook->service, hook->control, hook->now_ns);
	if (verdict != VERDICT_NONE)
		return verdict;
	if (health == SERVICE_NO_SERVER)
		return SHAKEOFF_SYN_NO_SERVER;
	if (source_is_unrouted(hook))
		return unrouted_budget_takes(hook->service_id) ? SHAKEOFF_SYN_UNROUTED : SHAKEOFF_SYN_UNROUTED_RATE;
	if (!next_hop_is_known(hook))
		return kernel_budget_takes(hook->service_id, hook->allowed) ? SHAKEOFF_SYN_UNROUTED :
									      SHAKEOFF_SYN_UNROUTED_RATE;
	/* Well before it is needed: the filter's byte is seldom in the nearest cache. */
	may_have_socket = filter_may_have(&packet->flow, hook->control);
	options = options_find(FRAME_START(ctx), FRAME_END(ctx), packet, hook->scratch);
	if (options == OPTIONS_MISSING)
		return SHAKEOFF_SYN_INVALID;
	if (options == OPTIONS_AUTHENTICATE)
		verdict = by_listener(hook) ? syn_exception(hook, SHAKEOFF_SYN_TCP_AUTH) : SHAKEOFF_SYN_TCP_AUTH;
	if (verdict != VERDICT_NONE)
		return verdict;
	verdict = by_listener(hook) ? syn_listener_check(ctx, packet, hook, may_have_socket) :
				      syn_queue_check(ctx, packet, hook, health, may_have_socket);
	if (verdict != VERDICT_NONE)
		return verdict;
	verdict = syn_mss_check(packet, hook, &hook->scratch->opt);
	if (verdict != VERDICT_NONE)
		return verdict;
	if (!limit_admits_syn(hook))
		return SHAKEOFF_SYN_SOURCE_RATE;
	return syn_send_synack(ctx, packet, hook, &hook->scratch->opt);
}

#endif
