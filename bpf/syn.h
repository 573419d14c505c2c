/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A SYN to a service: pass, drop, refuse, or answer with a cookie. */
#ifndef SHAKEOFF_BPF_SYN_H
#define SHAKEOFF_BPF_SYN_H

/* What the hook knows of a packet's service and of the moment, looked up once. */
struct walk {
	const struct shakeoff_control *control;
	struct shakeoff_service *service;
	struct scratch *scratch;
	__u32 service_id;
	__u32 frame_len;
	__u64 now_ns;
};

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

enum options_found { OPTIONS_READ, OPTIONS_AUTHENTICATE, OPTIONS_MISSING };

/* Reads len bytes of options in scratch. A global function: see scratch_get(). */
__noinline int options_read(__u32 len)
{
	struct scratch *scratch = scratch_get();

	return scratch && tcpopt_read(scratch->options, len, &scratch->opt) ? OPTIONS_AUTHENTICATE : OPTIONS_READ;
}

/* Reads the options of a segment to scratch->opt; OPTIONS_MISSING if they are not all in the frame. */
static __always_inline enum options_found options_find(struct xdp_md *ctx, const struct packet *packet,
						       struct scratch *scratch)
{
	const __u32 *words = tcp_options(ctx, packet, TCPOPT_LINUX_SYN_BYTES);
	int len;

	if (words && packet->header_len == sizeof(struct tcphdr) + TCPOPT_LINUX_SYN_BYTES &&
	    tcpopt_read_linux_syn(words, &scratch->opt))
		return OPTIONS_READ;
	scratch->opt = (struct tcpopt){ .wscale = SHAKEOFF_NO_WSCALE };
	len = tcp_options_copy(ctx, packet, scratch->options);
	return len < 0 ? OPTIONS_MISSING : options_read(len);
}

/* What of the client's offer we take up and can remember. */
static __always_inline void syn_negotiate(const struct tcpopt *offer, const struct shakeoff_interface *profile,
					  _Bool ipv6, struct cookie_options *options)
{
	__u16 default_mss = ipv6 ? 1220 : 536; /* RFC 9293, section 3.7.1 */

	options->mss = offer->mss ? offer->mss : default_mss;
	options->wscale = profile->wscale == SHAKEOFF_NO_WSCALE ? SHAKEOFF_NO_WSCALE : offer->wscale;
	options->sack = offer->sack && profile->sack;
	options->timestamps = offer->timestamps && profile->timestamps;
	options->ecn = 0; /* TCP_REPAIR cannot give it to the socket */
}

static __always_inline __u8 service_wscale(const struct shakeoff_service *service,
					   const struct shakeoff_interface *profile)
{
	return service->wscale == SHAKEOFF_NO_WSCALE ? profile->wscale : service->wscale;
}

/* The window of our SYN-ACK, in bytes: never scaled (RFC 7323, section 2.2). */
static __always_inline __u16 synack_window(const struct shakeoff_service *service,
					   const struct shakeoff_interface *profile, _Bool ipv6, _Bool timestamps)
{
	__u16 window = profile->window[ipv6][timestamps];

	return window < service->window_max ? window : service->window_max;
}

static __always_inline enum shakeoff_verdict syn_answer(struct xdp_md *ctx, const struct packet *packet,
							const struct walk *walk, const struct tcpopt *offer)
{
	const struct shakeoff_interface *profile = &walk->scratch->recent.profile;
	const struct moment *moment = &walk->scratch->moment;
	_Bool ipv6 = packet->flow.ipv6;
	struct cookie_options options;
	struct tcpopt ours = {};
	struct reply *reply = &walk->scratch->reply;
	__u32 bits;

	if (!walk->scratch->recent.has_profile || !(walk->control->flags & SHAKEOFF_KEYS_LOADED))
		return SHAKEOFF_SYN_NO_KEY;
	syn_negotiate(offer, profile, ipv6, &options);
	bits = cookie_encode(&options, ipv6);
	if (!options.timestamps)
		cookie_decode(bits, ipv6, &options); /* promise only what comes back */

	reply->seq = epoch_cookie(packet->seq, moment->epoch, bits);
	reply->ack = packet->seq + 1; /* data on the SYN is left for the client to send again */
	reply->flags = TCP_FLAG_SYN | TCP_FLAG_ACK;
	reply->ttl = profile->ttl;
	reply->window = synack_window(walk->service, profile, ipv6, options.timestamps);
	ours.mss = profile->mss[ipv6];
	ours.sack = options.sack;
	ours.timestamps = options.timestamps;
	ours.tsval = cookie_tsval(moment->clock_ms, bits);
	ours.tsecr = offer->tsval;
	ours.wscale = options.wscale == SHAKEOFF_NO_WSCALE ? SHAKEOFF_NO_WSCALE :
							     service_wscale(walk->service, profile);
	reply->option_words = tcpopt_write_synack(reply->options, &ours);
	/* Inlined, as this is the one reply that has to be fast. */
	return reply_build(ctx, packet, reply, walk->frame_len) ? SHAKEOFF_SYNACK_SENT : SHAKEOFF_SYN_INVALID;
}

static __always_inline enum shakeoff_verdict syn_overflow(struct xdp_md *ctx, const struct packet *packet,
							  const struct walk *walk)
{
	struct reply *reply = &walk->scratch->reply;

	if (walk->service->overflow != SHAKEOFF_OVERFLOW_RESET)
		return SHAKEOFF_SYN_OVERFLOW_DROP;
	reply_reset_syn(reply, packet);
	return reply_write(ctx, walk->frame_len) ? SHAKEOFF_SYN_OVERFLOW_RESET : SHAKEOFF_SYN_OVERFLOW_DROP;
}

static __noinline enum shakeoff_verdict syn_walk(struct xdp_md *ctx, const struct packet *packet,
						 const struct walk *walk)
{
	enum service_health health = service_health(walk->service, walk->control, walk->now_ns);
	const struct tcpopt *offer = &walk->scratch->opt;
	struct time_wait time_wait = {};
	enum options_found options;
	enum socket_found found = SOCKET_NONE;

	if (health == SERVICE_UNSERVED)
		return SHAKEOFF_SYN_UNSERVED;
	if ((packet->flags & (TCP_FLAG_FIN | TCP_FLAG_RST)) || !tcp_lengths_fit(packet, walk->frame_len) ||
	    !packet->flow.client_port || source_is_impossible(&packet->flow) || source_is_target(&packet->flow))
		return SHAKEOFF_SYN_INVALID;
	options = options_find(ctx, packet, walk->scratch);
	if (options == OPTIONS_MISSING)
		return SHAKEOFF_SYN_INVALID;
	if (options == OPTIONS_AUTHENTICATE)
		return SHAKEOFF_SYN_TCP_AUTH;
	if (filter_may_have(&packet->flow, walk->control))
		found = socket_find(ctx, packet, &time_wait);
	if (found == SOCKET_EXISTS)
		return SHAKEOFF_SYN_SOCKET;
	if (found == SOCKET_TIME_WAIT && ((walk->control->flags & SHAKEOFF_KEEP_TIME_WAIT) ||
					  !time_wait_yields(&time_wait, packet->seq, offer->timestamps, offer->tsval)))
		return SHAKEOFF_SYN_SOCKET;
	if (health == SERVICE_DAEMON_DOWN)
		return SHAKEOFF_SYN_DAEMON_DOWN;
	if (service_full(walk->service))
		return syn_overflow(ctx, packet, walk);
	return syn_answer(ctx, packet, walk, offer);
}

#endif
