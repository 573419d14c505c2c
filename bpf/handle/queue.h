/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Services with the queue handoff: validated ACKs go to the daemon, as events through the ring buffer. Where the kernel
 * has BPF programs at netfilter's hooks (SHAKEOFF_INPUT), the packet first passes through the kernel's input path, and
 * input.bpf.c gets what the hook has noted of it. The counterpart of listener.h, with the same function names.
 */
#ifndef SHAKEOFF_BPF_HANDLE_QUEUE_H
#define SHAKEOFF_BPF_HANDLE_QUEUE_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/socket_filter.h>
#include <shakeoff/verdict.h>

#include "core/ctx.h"
#include "core/maps.h"
#include "core/ring.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "lib/cookie.h"
#include "lib/fair_share.h"
#include "lib/tcpopt.h"
#include "packet/copy.h"
#include "packet/malformed.h"
#include "packet/options.h"
#include "packet/parse.h"
#include "socket/lookup.h"
#include "socket/offer.h"
#include "socket/service.h"
#include "socket/validated.h"
#include "limit/queue_state.h"
#include "cookie/verify.h"
#include "handle/ack.h"
#include "handle/bypass.h"
#include "handle/history.h"
#include "handle/out_of_state.h"
#include "handle/overflow.h"
#include "handle/syn_check.h"
#include "handle/syncookies.h"

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

/* Fills the fields that every event has. */
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
 * Opens a connection (handshake != NULL) or sends a segment after one. The record is reserved before the tuple is
 * claimed: a CPU that sees the claim reserves later, so that no segment overtakes the ACK that it follows.
 */
static __always_inline enum shakeoff_verdict queue_deliver_event(struct xdp_md *ctx, struct shakeoff_event *event,
								 const struct packet *packet,
								 const struct hook_ctx *hook,
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
 * Returns whether the packet must first pass through the kernel's input path. If the netfilter program has gone with
 * its daemon, it cannot take the packet, and the kernel would refuse it with RST. The second missing heartbeat shows
 * that.
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

	hook.service = service_get(service_id);
	if (!hook.scratch || !hook.service || (void *)(eth + 1) > FRAME_END(ctx)) /* only for the verifier */
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
 * Passes the packet to input.bpf.c. That program takes the position in the accept queue, so packets that a firewall
 * refuses take none. Of an ACK's duplicates on several CPUs one claims the tuple; the first one to get through opens
 * the connection.
 */
static __always_inline enum shakeoff_verdict queue_deliver_input(struct xdp_md *ctx, const struct packet *packet,
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

/* Hands over a connection (handshake != NULL), or a segment behind its ACK. */
static __noinline enum shakeoff_verdict queue_deliver(struct xdp_md *ctx, const struct packet *packet,
						      const struct hook_ctx *hook, const struct handshake *handshake,
						      __u64 seen_ns)
{
	__u32 len = packet->l4_offset - packet->l3_offset + packet->segment_len;
	void *ring = ring_of(&hook->scratch->tuple, hook->control);
	bool input = input_decides(hook);
	struct shakeoff_event *event;

	/* A segment goes where its ACK went: the netfilter program takes only packets of connections that it knows. */
	if (handshake)
		hook->scratch->handshake.claims = input ? SHAKEOFF_VALIDATED_INPUT : 0;
	else if (!(hook->scratch->handshake.claims & SHAKEOFF_VALIDATED_INPUT))
		input = 0;
	if (input)
		return queue_deliver_input(ctx, packet, hook, handshake, seen_ns);
	if (!ring)
		return SHAKEOFF_RING_FULL;
	if (len <= EVENT_SMALL_PACKET)
		event = EVENT_RESERVE(ctx, ring, packet->l3_offset, len, EVENT_SMALL_PACKET);
	else if (len <= EVENT_MEDIUM_PACKET)
		event = EVENT_RESERVE(ctx, ring, packet->l3_offset, len, EVENT_MEDIUM_PACKET);
	else
		event = EVENT_RESERVE(ctx, ring, packet->l3_offset, len, EVENT_LARGE_PACKET);
	return queue_deliver_event(ctx, event, packet, hook, handshake, seen_ns);
}

/* Looks up the socket of the tuple. One in TIME-WAIT may give way to a new connection. */
static __always_inline enum socket_found queue_find(struct xdp_md *ctx, const struct packet *packet,
						    struct time_wait *time_wait)
{
	return socket_find(ctx, packet, time_wait, NULL);
}

/* Sends a segment the same way as the ACK that it follows. */
static __always_inline enum shakeoff_verdict queue_follow(struct xdp_md *ctx, const struct packet *packet,
							  const struct hook_ctx *hook, const struct history *history)
{
	/* Segments that go to the netfilter program are counted there (input.bpf.c). */
	if (!(history->earlier->flags & SHAKEOFF_VALIDATED_INPUT))
		history->earlier->followed++;
	hook->scratch->handshake.claims = history->earlier->flags & SHAKEOFF_VALIDATED_INPUT;
	return queue_deliver(ctx, packet, hook, NULL, 0);
}

/* Fills in the rest of the handshake: what our SYN-ACK offered, and what the ACK itself contains. */
static __always_inline void ack_handshake(const struct packet *packet, const struct hook_ctx *hook,
					  const struct tcpopt *opt, struct handshake *handshake)
{
	handshake->tsval = opt->tsval;
	route_find(hook->scratch, hook->control);
	offer_wscale(hook->service_id);
	handshake->snd_wnd = packet->window;
	handshake->replaced = 0;
	if (handshake->options.wscale != SHAKEOFF_NO_WSCALE)
		handshake->snd_wnd = (__u32)packet->window << (handshake->options.wscale & 0xf);
}

/*
 * Returns whether the ACK was given to the kernel's input path and did not reach its end in time: it was refused, or
 * there was no room at the end. When the client sends it again it gets another chance, like a SYN that a firewall has
 * dropped.
 */
static __always_inline bool input_refused(const struct history *history, const struct hook_ctx *hook)
{
	const struct shakeoff_validated *earlier = history->earlier;

	return earlier &&
	       (earlier->flags & (SHAKEOFF_VALIDATED_INPUT | SHAKEOFF_VALIDATED_TAKEN)) == SHAKEOFF_VALIDATED_INPUT &&
	       (__s64)(hook->now_ns - earlier->established_ns) >= (__s64)SHAKEOFF_FOLLOW_NS;
}

/* Returns the verdict on an ACK with a good cookie: a duplicate, or a connection. */
static __always_inline enum shakeoff_verdict queue_accept(struct xdp_md *ctx, const struct packet *packet,
							  const struct hook_ctx *hook, const struct history *history)
{
	struct handshake *handshake = &hook->scratch->handshake;
	const struct tcpopt *opt = &hook->scratch->opt;
	enum shakeoff_verdict verdict;

	if (history_has_handshake(history, hook)) {
		if (history->follows)
			return queue_follow(ctx, packet, hook, history);
		if (!input_refused(history, hook))
			return history->in_time_wait ? SHAKEOFF_SOCKET : SHAKEOFF_ACK_REPLAYED;
	}
	/* A duplicate of the old connection's ACK that `validated` has forgotten must not replace its TIME-WAIT. */
	if (history->in_time_wait &&
	    !time_wait_yields(&history->time_wait, handshake->client_isn, opt->timestamps, opt->tsval))
		return SHAKEOFF_SOCKET;
	if (ttl_is_low(packet, &hook->service->offer))
		return SHAKEOFF_ACK_TTL;
	ack_handshake(packet, hook, opt, handshake);
	if (history->in_time_wait)
		handshake->replaced = history->time_wait.rcv_nxt;
	verdict = ack_check(ctx, packet, hook);
	return verdict == VERDICT_NONE ? queue_deliver(ctx, packet, hook, handshake, history_seen_ns(history)) :
					 verdict;
}

/* Returns the verdict on an ACK without a socket and without a good cookie. */
static __always_inline enum shakeoff_verdict queue_refuse(const struct hook_ctx *hook, enum cookie_status status)
{
	return ack_invalid(hook, status);
}

/* Returns the verdict on an ACK without its own socket: its cookie decides. */
static __always_inline enum shakeoff_verdict queue_ack(struct xdp_md *ctx, const struct packet *packet,
						       const struct hook_ctx *hook, const struct history *history)
{
	enum cookie_status status = ack_verify_issued(ctx, hook, history);

	if (status == COOKIE_GOOD)
		return queue_accept(ctx, packet, hook, history);
	if (status == COOKIE_UNREADABLE)
		return SHAKEOFF_BAD_HEADER;
	if (history->follows)
		return queue_follow(ctx, packet, hook, history);
	return history->in_time_wait ? SHAKEOFF_SOCKET : queue_refuse(hook, status);
}

/*
 * Returns the verdict on a segment without a socket, or with one in TIME-WAIT: it is of a handshake, or of no
 * connection.
 */
static __always_inline enum shakeoff_verdict queue_no_socket(struct xdp_md *ctx, const struct packet *packet,
							     const struct hook_ctx *hook, struct history *history,
							     enum mode mode)
{
	if (source_is_malformed(&packet->flow) || (flags_are_malformed(packet->flags) && !history->in_time_wait))
		return SHAKEOFF_BAD_SEGMENT;
	if (mode == MODE_NO_SERVER)
		return no_socket_to_kernel(packet, hook, SHAKEOFF_ACK_NO_SERVER);
	if (packet->flags & TCPHDR_SYN)
		return history->in_time_wait ? SHAKEOFF_SOCKET : SHAKEOFF_SYNACK_NO_SOCKET;
	history_look_up(history, packet, hook);
	if ((packet->flags & (TCPHDR_ACK | TCPHDR_RST)) == TCPHDR_ACK)
		return queue_ack(ctx, packet, hook, history);
	if (history->follows)
		return queue_follow(ctx, packet, hook, history);
	if (history->in_time_wait)
		return SHAKEOFF_SOCKET;
	return rst_ignore(packet, hook);
}

/* Returns what the hook does with segments without a socket. */
static __always_inline enum mode queue_mode(const struct hook_ctx *hook)
{
	if (service_health(hook->service, hook->control, hook->now_ns) == SERVICE_NO_SERVER)
		return MODE_NO_SERVER;
	if (!hook->scratch->recent.has_profile || !(hook->control->flags & SHAKEOFF_KEYS_LOADED))
		return MODE_NO_SERVER;
	return MODE_ANSWERING;
}

/*
 * Looks up the socket of a segment. One that is half made counts as none for a segment that follows its ACK: the daemon
 * gets the segment, and returns it when the socket is whole. A separate static function, to save stack.
 */
static __noinline enum socket_found queue_segment_find(struct xdp_md *ctx, const struct packet *packet,
						       const struct hook_ctx *hook, bool may_have_socket,
						       struct time_wait *time_wait)
{
	enum socket_found found = queue_find(ctx, packet, time_wait);
	struct history history = {};

	segment_note_socket(packet, hook, found, may_have_socket);
	if (found != SOCKET_HALF_MADE)
		return found;
	history_look_up(&history, packet, hook);
	return history.follows ? SOCKET_NONE : SOCKET_HALF_MADE;
}

/* Returns the verdict on a segment whose socket has to be looked up. One in TIME-WAIT gives way to a new connection. */
static __always_inline enum shakeoff_verdict queue_segment_look_up(struct xdp_md *ctx, const struct packet *packet,
								   const struct hook_ctx *hook, enum mode mode,
								   bool may_have_socket)
{
	struct history history = {};
	enum socket_found found = queue_segment_find(ctx, packet, hook, may_have_socket, &history.time_wait);

	if (found == SOCKET_EXISTS)
		connection_confirm(packet, hook);
	if (found == SOCKET_EXISTS || found == SOCKET_HALF_MADE ||
	    (found == SOCKET_TIME_WAIT && mode == MODE_NO_SERVER))
		return SHAKEOFF_SOCKET;
	history.in_time_wait = found == SOCKET_TIME_WAIT;
	return queue_no_socket(ctx, packet, hook, &history, mode);
}

/*
 * Returns the verdict on a segment without a socket by the filter. VERDICT_NONE: its cookie is good, so it must be
 * looked up.
 */
static __always_inline enum shakeoff_verdict queue_dismiss(struct xdp_md *ctx, const struct packet *packet,
							   const struct hook_ctx *hook, enum mode mode)
{
	enum cookie_status status;
	enum shakeoff_verdict verdict = segment_dismiss(ctx, packet, hook, mode, &status);

	if (verdict != VERDICT_NONE || status == COOKIE_GOOD)
		return verdict;
	return queue_refuse(hook, status);
}

/* Returns the verdict on a segment without SYN, or a SYN-ACK, to a service with the queue handoff. */
static __always_inline enum shakeoff_verdict queue_segment(struct xdp_md *ctx, const struct packet *packet,
							   const struct hook_ctx *hook)
{
	enum shakeoff_verdict verdict = VERDICT_NONE;
	struct sighting sighting;
	enum mode mode;

	/* Cookies of a bypassed address are good: the daemon withdraws the address in time. */
	if (netfilter_decides(hook) && !bypassed_is_own(ctx, packet, hook))
		return segment_pass(ctx, hook);
	if (!tcp_lengths_fit(packet, hook->frame_len))
		return SHAKEOFF_BAD_HEADER;
	mode = queue_mode(hook);
	segment_sight(packet, hook, mode, &sighting);
	if (sighting.spared && !sighting.sampled)
		verdict = queue_dismiss(ctx, packet, hook, mode);
	if (verdict == VERDICT_NONE)
		verdict = queue_segment_look_up(ctx, packet, hook, mode, sighting.may_have_socket);
	return segment_count(ctx, packet, hook, &sighting, verdict);
}

/*
 * Makes the last checks of a sound SYN: does the tuple have its own socket, and does the queue have room? Returns
 * VERDICT_NONE if the SYN passes them.
 */
static __always_inline enum shakeoff_verdict queue_syn_check(struct xdp_md *ctx, const struct packet *packet,
							     const struct hook_ctx *hook, enum service_health health,
							     bool may_have_socket)
{
	const struct tcpopt *offer = &hook->scratch->opt;
	enum socket_found found = SOCKET_NONE;
	struct time_wait time_wait = {};
	struct queue_state queue;

	if (may_have_socket)
		found = queue_find(ctx, packet, &time_wait);
	if (found == SOCKET_EXISTS || found == SOCKET_HALF_MADE)
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

/*
 * Returns whether a cookie can carry the client's MSS. With this handoff the kernel cannot take over SYNs with a
 * smaller one.
 */
static __always_inline bool queue_takes_mss(const struct packet *packet, const struct hook_ctx *hook,
					    const struct tcpopt *offer)
{
	return !mss_is_small(packet, offer) ||
	       (offer->timestamps && hook->scratch->recent.profile.timestamps && offer->mss >= cookie_ts_mss[0]);
}

/* Returns the verdict on a SYN to a service with the queue handoff; VERDICT_NONE: it is to be answered. */
static __always_inline enum shakeoff_verdict queue_syn(struct xdp_md *ctx, const struct packet *packet,
						       const struct hook_ctx *hook)
{
	enum shakeoff_verdict verdict;
	enum service_health health;
	enum options_found options;
	bool may_have_socket;

	if (address_is_bypassed(hook))
		return SHAKEOFF_SYN_BYPASS;
	health = service_health(hook->service, hook->control, hook->now_ns);
	if (health == SERVICE_NO_SERVER)
		return SHAKEOFF_SYN_NO_SERVER;
	verdict = syn_read(ctx, packet, hook, &may_have_socket, &options);
	if (verdict != VERDICT_NONE)
		return verdict;
	if (options == OPTIONS_AUTHENTICATE)
		return SHAKEOFF_SYN_TCP_AUTH;
	verdict = queue_syn_check(ctx, packet, hook, health, may_have_socket);
	if (verdict != VERDICT_NONE)
		return verdict;
	return queue_takes_mss(packet, hook, &hook->scratch->opt) ? VERDICT_NONE : SHAKEOFF_SYN_MSS_DROP;
}

#endif
