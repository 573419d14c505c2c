/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A SYN to a service: pass, drop, refuse, or answer with a cookie. */
#ifndef SHAKEOFF_BPF_SYN_H
#define SHAKEOFF_BPF_SYN_H

/* Addresses that no client can have: RFC 1122, section 3.2.1.3; RFC 4291, sections 2.5.2, 2.5.3, 2.5.5.2 and 2.7. */
static __always_inline _Bool source_is_impossible(const struct cookie_flow *flow)
{
	if (flow->ipv6) {
		__u8 first = *(const __u8 *)flow->client;
		_Bool zero = !(flow->client[0] | flow->client[1]);
		_Bool unspecified_or_loopback = !flow->client[2] && (from_be32(flow->client[3]) & ~1u) == 0;

		return first == 0xff || (zero && (unspecified_or_loopback || flow->client[2] == to_be32(0xffff)));
	}
	__u8 first = *(const __u8 *)flow->client;

	return first == 0 || first == 127 || first >= 224;
}

/* RFC 793's LAND attack: a segment from the address and port that it goes to. */
static __always_inline _Bool source_is_target(const struct cookie_flow *flow)
{
	if (flow->client_port != flow->server_port || flow->client[0] != flow->server[0])
		return 0;
	return !flow->ipv6 || (flow->client[1] == flow->server[1] && flow->client[2] == flow->server[2] &&
			       flow->client[3] == flow->server[3]);
}

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

/* What a SYN offers, in one number: SYNs to one address with the same are answered alike. */
static __always_inline __u64 offer_key(const struct packet *packet, const struct tcpopt *offer)
{
	return offer->mss | ((__u32)offer->wscale << 16) | ((__u32)offer->sack << 24) |
	       ((__u32)offer->timestamps << 25) | ((__u64)(packet->flags & (TCP_FLAG_ECE | TCP_FLAG_CWR)) << 32);
}

/* Makes ready what all these answers have in common. */
static __noinline void answer_prepare(const struct packet *packet, const struct walk *walk, const struct tcpopt *offer,
				      struct answer *answer)
{
	const struct shakeoff_interface *profile = &walk->scratch->recent.profile;
	struct reply *reply = &answer->reply;
	_Bool ipv6 = packet->flow.ipv6;
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
	ours.sack = options.sack;
	ours.timestamps = options.timestamps;
	ours.tsval = cookie_tsval(walk->scratch->moment.clock_ms, answer->bits);
	ours.wscale = service_wscale(walk->service, profile, &options);
	reply->option_words = tcpopt_write_synack(reply->options, &ours);
	reply_prepare(reply, &packet->flow);
	answer->offer = offer_key(packet, offer);
	answer->tick = walk->scratch->moment.tick;
}

static __always_inline enum shakeoff_verdict syn_answer(struct xdp_md *ctx, const struct packet *packet,
							const struct walk *walk, const struct tcpopt *offer)
{
	const struct moment *moment = &walk->scratch->moment;
	struct answer *answer = &walk->scratch->recent.answer;
	struct reply *reply = &answer->reply;

	if (!walk->scratch->recent.has_profile || !(walk->control->flags & SHAKEOFF_KEYS_LOADED))
		return SHAKEOFF_SYN_NO_KEY;
	if (answer->tick != moment->tick || answer->offer != offer_key(packet, offer))
		answer_prepare(packet, walk, offer, answer);
	reply->seq = epoch_cookie(packet->seq, moment->epoch, answer->bits);
	reply->ack = packet->seq + 1; /* data on the SYN is left for the client to send again */
	reply->tsecr = answer->bits & COOKIE_TIMESTAMPS ? offer->tsval : 0;
	/* Inlined, as this is the one reply that has to be fast. */
	if (!reply_build(ctx, packet, reply, walk->frame_len))
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
	struct time_wait time_wait = {};
	enum socket_found found = SOCKET_NONE;

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
	return service_full(walk->service) ? syn_overflow(ctx, packet, walk) : VERDICT_NONE;
}

/* The same for a listening socket. In TIME-WAIT the kernel renews the connection itself. */
static __always_inline enum shakeoff_verdict syn_listener_check(struct xdp_md *ctx, const struct packet *packet,
								const struct walk *walk, _Bool may_have_socket)
{
	enum socket_found found = SOCKET_LISTENS;
	struct time_wait time_wait = {};

	if (may_have_socket || !listener_is_remembered(walk) || listener_full(walk))
		found = listener_find(ctx, packet, walk, &time_wait);
	if (found == SOCKET_NONE)
		return SHAKEOFF_SYN_UNSERVED;
	if (found != SOCKET_LISTENS)
		return SHAKEOFF_SYN_SOCKET;
	if (walk->scratch->recent.listener.left)
		return syn_to_kernel(walk->service, walk->now_ns, SHAKEOFF_SYN_LEFT);
	engage_count(walk->service, walk->scratch, walk->now_ns);
	return listener_full(walk) ? syn_overflow(ctx, packet, walk) : VERDICT_NONE;
}

static __noinline enum shakeoff_verdict syn_walk(struct xdp_md *ctx, const struct packet *packet,
						 const struct walk *walk)
{
	enum service_health health = SERVICE_SERVED;
	enum shakeoff_verdict verdict = VERDICT_NONE;
	enum options_found options;
	_Bool may_have_socket;

	if (by_listener(walk))
		verdict = listener_syn_walk(ctx, packet, walk);
	else
		health = service_health(walk->service, walk->control, walk->now_ns);
	if (verdict != VERDICT_NONE)
		return verdict;
	if (health == SERVICE_UNSERVED)
		return SHAKEOFF_SYN_UNSERVED;
	if ((packet->flags & (TCP_FLAG_FIN | TCP_FLAG_RST)) || !tcp_lengths_fit(packet, walk->frame_len) ||
	    !packet->flow.client_port || source_is_impossible(&packet->flow) || source_is_target(&packet->flow))
		return SHAKEOFF_SYN_INVALID;
	/* Well before it is needed: the filter's byte is seldom in the nearest cache. */
	may_have_socket = filter_may_have(&packet->flow, walk->control);
	options = options_find(FRAME_START(ctx), FRAME_END(ctx), packet, walk->scratch);
	if (options == OPTIONS_MISSING)
		return SHAKEOFF_SYN_INVALID;
	if (options == OPTIONS_AUTHENTICATE)
		return by_listener(walk) ? syn_to_kernel(walk->service, walk->now_ns, SHAKEOFF_SYN_TCP_AUTH) :
					   SHAKEOFF_SYN_TCP_AUTH;
	verdict = by_listener(walk) ? syn_listener_check(ctx, packet, walk, may_have_socket) :
				      syn_queue_check(ctx, packet, walk, health, may_have_socket);
	return verdict == VERDICT_NONE ? syn_answer(ctx, packet, walk, &walk->scratch->opt) : verdict;
}

#endif
