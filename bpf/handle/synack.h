/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The SYN-ACK with a cookie: its offer is made ready once a tick for all clients that ask for the same. */
#ifndef SHAKEOFF_BPF_HANDLE_SYNACK_H
#define SHAKEOFF_BPF_HANDLE_SYNACK_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/issued.h>
#include <shakeoff/verdict.h>

#include "core/ctx.h"
#include "lib/compiler.h"
#include "lib/cookie.h"
#include "lib/siphash.h"
#include "lib/tcpopt.h"
#include "packet/options.h"
#include "packet/reply.h"
#include "socket/host.h"
#include "socket/offer.h"
#include "socket/service.h"
#include "limit/synack_rate.h"
#include "cookie/epoch.h"
#include "cookie/issued.h"
#include "handle/resend.h"

/*
 * Returns whether the kernel would accept the client's ECN (RFC 3168, section 6.1.1): tcp_ecn_create_request(),
 * include/net/tcp_ecn.h. If the SYN itself is marked, a device on the path marks everything. TCP_REPAIR cannot give ECN
 * to a socket.
 */
static __always_inline bool ecn_is_taken_up(const struct packet *packet, const struct hook_ctx *hook)
{
	const __u8 asks = TCPHDR_ECE | TCPHDR_CWR;

	if ((packet->flags & asks) != asks || !by_listener(hook))
		return 0;
	if ((packet->tos & INET_ECN_MASK) && !packet->reserved)
		return 0;
	return hook->scratch->recent.profile.ecn || hook->scratch->route.ecn;
}

/* Selects the part of the client's offer that we accept and that the cookie can carry. */
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
 * Returns in one number all that the SYN-ACK's offer depends on: SYNs to one address with the same number get the same
 * offer. Lengths are for synack_room().
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
 * Makes ready the SYN-ACK that all clients with this offer have in common: scratch->opt, with `offered` as its
 * offer_key(). A separate static function: it runs once a tick. Returns 0 without a key: only for the verifier.
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
		cookie_decode(synack->bits, ipv6, &options); /* offer only what comes back */
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

/*
 * Fills in this SYN's own fields. Inlined for clients with timestamps, nearly all: that takes only the cookie's hash.
 */
static __always_inline void synack_template_number(const struct packet *packet, const struct hook_ctx *hook,
						   const struct tcpopt *offer, struct synack_template *synack)
{
	struct reply *reply = &synack->reply;
	struct siphash hash = synack->hash;
	__u64 cookie;

	reply->ack = packet->seq + 1; /* data on the SYN is not taken: the client sends it again */
	if (synack->bits & COOKIE_TIMESTAMPS) {
		cookie_go_on(&hash, &packet->flow, packet->seq);
		cookie = cookie_final_timestamps(&hash, &packet->flow, packet->seq, synack->epoch);
		if (hook->service->forgery.since_ns)
			issued_answered(hook->service_id, shakeoff_issued_hash(cookie >> 32, synack->bits));
		reply->seq = (__u32)cookie;
		reply->tsval = synack->tsval +
			       cookie_offset_final(synack->offset_state, &packet->flow, synack->offset_key);
		reply->tsecr = offer->tsval;
		return;
	}
	cookie = epoch_cookie(packet->seq, synack->epoch, synack->bits);
	if (hook->service->forgery.since_ns)
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
	/* Inlined, because this is the one reply that has to be fast. */
	if (!reply_build(ctx, packet, &synack->reply, hook->frame_len))
		return SHAKEOFF_SYN_INVALID;
	if (answers_by_route(hook) && !reply_to_next_hop(ctx))
		return SHAKEOFF_SYN_INVALID;
	half_open_answered(ctx, hook);
	return SHAKEOFF_SYNACK_SENT;
}

#endif
