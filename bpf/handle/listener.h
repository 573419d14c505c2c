/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Services with the listener handoff: a validated ACK passes with its cookie's contents in front of it, and the tc
 * program gives it to the listening socket. The hook looks that socket up as rarely as exactness allows. The
 * counterpart of queue.h:
 *
 *	_syn      a SYN; VERDICT_NONE: answer it	_accept   a good cookie
 *	_segment  any other segment			_refuse   another cookie
 *	_find     the tuple's socket			_deliver  a new connection
 *	_follow   a segment behind its ACK		_mode     what to do with segments without a socket
 */
#ifndef SHAKEOFF_BPF_HANDLE_LISTENER_H
#define SHAKEOFF_BPF_HANDLE_LISTENER_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/socket_filter.h>
#include <shakeoff/verdict.h>

#include "core/ctx.h"
#include "core/maps.h"
#include "core/metadata.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "packet/malformed.h"
#include "packet/options.h"
#include "packet/parse.h"
#include "socket/kernel_syncookie.h"
#include "socket/lookup.h"
#include "socket/offer.h"
#include "socket/validated.h"
#include "limit/budget.h"
#include "limit/queue_state.h"
#include "limit/syn_rate.h"
#include "cookie/verify.h"
#include "handle/ack.h"
#include "handle/bypass.h"
#include "handle/history.h"
#include "handle/out_of_state.h"
#include "handle/overflow.h"
#include "handle/syn_check.h"
#include "handle/syncookies.h"

/* Returns whether the hook has all that it needs to take cookies back. */
static __always_inline bool listener_takes_cookies(const struct hook_ctx *hook)
{
	const struct recent *recent = &hook->scratch->recent;

	return recent->has_profile && recent->profile.admits && (hook->control->flags & SHAKEOFF_KEYS_LOADED);
}

/* Returns whether SYNs may be answered: the ACKs will get to the listening socket. */
static __always_inline bool listener_is_ready(const struct hook_ctx *hook)
{
	return listener_takes_cookies(hook) && hook->scratch->recent.profile.admits == SHAKEOFF_ADMITS;
}

/* Calls socket_find() and remembers the listening socket for this tick. */
static __always_inline enum socket_found listener_find(struct xdp_md *ctx, const struct packet *packet,
						       const struct hook_ctx *hook, struct time_wait *time_wait)
{
	struct recent *recent = &hook->scratch->recent;
	enum socket_found found = socket_find(ctx, packet, time_wait, &recent->listener);

	if (found == SOCKET_LISTENS) {
		/* For `shakeoff status`: lists of sockets do not show TCP-AO and TCP_SAVE_SYN. */
		if (hook->service->seen_bypass != recent->listener.bypass)
			hook->service->seen_bypass = recent->listener.bypass;
		recent->listener_tick = hook->scratch->now.tick;
		listener_measure(recent, hook->service);
		syncookies_look(hook, recent);
		group_look(hook->service, recent, hook->now_ns);
	}
	return found;
}

static __always_inline bool listener_is_remembered(const struct hook_ctx *hook)
{
	return hook->scratch->recent.listener_tick == hook->scratch->now.tick;
}

/* Returns the verdict on a SYN while idle: the kernel handles it, unless the accept queue is full or a flood begins. */
static __always_inline enum shakeoff_verdict idle_handle_syn(struct xdp_md *ctx, const struct packet *packet,
							     const struct hook_ctx *hook)
{
	const struct recent *recent = &hook->scratch->recent;
	struct time_wait time_wait = {};

	switch (listener_find(ctx, packet, hook, &time_wait)) {
	case SOCKET_NONE: return SHAKEOFF_SYN_NO_SERVER;
	case SOCKET_LISTENS: break;
	default: return SHAKEOFF_SYN_SOCKET;
	}
	if (recent->listener.bypass)
		return SHAKEOFF_SYN_BYPASS;
	if (syncookies_idle_syn(hook, recent))
		return VERDICT_NONE;
	if (listener_free(recent, hook->service) <= 0)
		return syn_overflow(ctx, packet, hook);
	return limit_admits_syn(hook) ? SHAKEOFF_SYN_IDLE : SHAKEOFF_SYN_SOURCE_RATE;
}

/* Returns the verdict that follows from the service's state, before the SYN itself is examined. */
static __always_inline enum shakeoff_verdict listener_syn_state(struct xdp_md *ctx, const struct packet *packet,
								const struct hook_ctx *hook)
{
	struct shakeoff_service *service = hook->service;

	if (!(service->flags & SHAKEOFF_SERVICE_SERVED))
		return SHAKEOFF_SYN_NO_SERVER;
	if (service->syncookies == SHAKEOFF_SYNCOOKIES_NEVER || address_is_bypassed(hook) ||
	    (listener_is_remembered(hook) && hook->scratch->recent.listener.bypass))
		return SHAKEOFF_SYN_BYPASS;
	if (!listener_is_ready(hook))
		return SHAKEOFF_SYN_NO_KEY;
	return syncookies_active(service, hook->now_ns) ? VERDICT_NONE : idle_handle_syn(ctx, packet, hook);
}

/*
 * Writes the metadata. If the driver has no room for it, the filter's hint makes the tc program read the cookie itself.
 * Moves the frame's start: packet pointers are void afterwards.
 */
static __always_inline void metadata_write(struct xdp_md *ctx, const struct hook_ctx *hook,
					   const struct shakeoff_interface *profile, const struct handshake *handshake,
					   __u8 rcv_wscale)
{
	struct metadata *metadata;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*metadata)))
		return;
	barrier_var(ctx); /* as in reply_build() */
	metadata = (void *)(long)ctx->data_meta;
	if ((void *)(metadata + 1) > (void *)(long)ctx->data) /* only for the verifier */
		return;
	metadata_fill(metadata, hook->control, hook->service_id, profile, handshake, rcv_wscale, &hook->scratch->opt);
}

/* Passes a segment whose ACK is on another CPU, on its way to the listening socket: see METADATA_WAITS. */
static __always_inline enum shakeoff_verdict segment_wait(struct xdp_md *ctx)
{
	const struct shakeoff_control *control = control_get();
	__u32 *mark;

	if (!control || bpf_xdp_adjust_meta(ctx, -(int)sizeof(*mark)))
		return SHAKEOFF_SEGMENT_EARLY; /* the tc program sees the filter's hint */
	barrier_var(ctx);                      /* as in reply_build() */
	mark = (void *)(long)ctx->data_meta;
	if ((void *)(mark + 1) <= (void *)(long)ctx->data)
		*mark = metadata_magic(control, METADATA_WAITS);
	return SHAKEOFF_SEGMENT_EARLY;
}

/* Counts an ACK that goes on to the tc program of its interface. A global function: see scratch_get(). */
__noinline int metadata_claimed(void)
{
	const struct scratch *scratch = scratch_get();
	struct shakeoff_admissions *counts;
	__u32 ifindex;

	if (!scratch) /* only for the verifier */
		return 0;
	ifindex = scratch->recent.ifindex;
	counts = bpf_map_lookup_elem(&admissions, &ifindex);
	if (counts)
		__sync_fetch_and_add(&counts->claimed, 1);
	return 0;
}

/* Hands a connection over. A separate static function, to save stack. */
static __noinline enum shakeoff_verdict listener_deliver(struct xdp_md *ctx, const struct packet *packet,
							 const struct hook_ctx *hook, const struct handshake *handshake,
							 __u64 seen_ns)
{
	const struct shakeoff_interface *profile = &hook->scratch->recent.profile;
	__u8 rcv_wscale;

	hook->scratch->handshake.claims = 0;
	if (!validated_claim(hook->service_id, seen_ns))
		return segment_wait(ctx); /* another CPU has claimed it: XDP does not interrupt itself */
	connection_established(packet, hook, SHAKEOFF_FILTER_PENDING | SHAKEOFF_FILTER_UNCONFIRMED);
	if (hook->control->claimed_tick != hook->scratch->now.tick)
		hook->control->claimed_tick = hook->scratch->now.tick;
	metadata_claimed();
	route_find(hook->scratch, hook->control);
	rcv_wscale = offer_wscale(hook->service_id);
	metadata_write(ctx, hook, profile, handshake, rcv_wscale);
	return SHAKEOFF_ACK_ADMITTED;
}

/*
 * Passes a segment that follows its ACK. On the ACK's CPU it comes behind the ACK and finds the connection's socket. On
 * another CPU it may come first and meet only the listening socket, which would reply with RST, so it waits. A separate
 * static function, because it has several callers.
 */
static __noinline enum shakeoff_verdict listener_follow(struct xdp_md *ctx, const struct history *history)
{
	if (history->earlier && SHAKEOFF_VALIDATED_HOOK_CPU(history->earlier) == bpf_get_smp_processor_id())
		return SHAKEOFF_SEGMENT_AFTER_ACK;
	if (history->earlier)
		history->earlier->followed++;
	return segment_wait(ctx);
}

/*
 * Returns the verdict on an ACK with a good cookie: a duplicate, or a connection. A cookie that came before opens its
 * connection again while no segment has met that connection's socket: the kernel had no room or no memory the first
 * time.
 */
static __always_inline enum shakeoff_verdict listener_accept(struct xdp_md *ctx, const struct packet *packet,
							     const struct hook_ctx *hook, const struct history *history)
{
	const struct shakeoff_validated *earlier = history->earlier;
	struct handshake *handshake = &hook->scratch->handshake;
	enum shakeoff_verdict verdict;

	if (history_has_handshake(history, hook)) {
		if (history->follows)
			return listener_follow(ctx, history);
		if (earlier->flags & SHAKEOFF_VALIDATED_CONFIRMED)
			return SHAKEOFF_ACK_REPLAYED;
	}
	if (ttl_is_low(packet, &hook->scratch->recent.listener.offer))
		return SHAKEOFF_ACK_TTL;
	verdict = ack_check(ctx, packet, hook);
	if (verdict != VERDICT_NONE)
		return verdict;
	handshake->replaced = bpf_get_smp_processor_id();
	return listener_deliver(ctx, packet, hook, handshake, history_seen_ns(history));
}

/* Returns what the hook does with segments without a socket. */
static __always_inline enum mode listener_mode(const struct hook_ctx *hook)
{
	if (!(hook->service->flags & SHAKEOFF_SERVICE_SERVED))
		return MODE_NO_SERVER;
	if (!listener_takes_cookies(hook))
		return hook->service->syncookies == SHAKEOFF_SYNCOOKIES_NEVER ? MODE_IDLE : MODE_NO_SERVER;
	if (!listener_is_ready(hook))
		return MODE_COOKIES; /* for cookies that are out; the kernel answers SYNs meanwhile */
	if (syncookies_active(hook->service, hook->now_ns))
		return MODE_ANSWERING;
	return own_cookies_are_out(hook) ? MODE_COOKIES : MODE_IDLE;
}

/*
 * Returns the verdict on an ACK without one of our good cookies. The kernel's own cookies pass whatever the tuple's
 * history is: the kernel knows it itself.
 */
static __always_inline enum shakeoff_verdict listener_refuse(const struct packet *packet, const struct hook_ctx *hook,
							     enum mode mode, enum cookie_status status)
{
	enum shakeoff_verdict invalid;

	if (mode == MODE_ANSWERING && status != COOKIE_UNREADABLE && kernel_cookies_are_out(hook) &&
	    kernel_cookie_good(packet, hook->control))
		return SHAKEOFF_ACK_KERNEL_COOKIE;
	/* In every mode: our cookies that are still out can be forged, too. */
	invalid = ack_invalid(hook, status);
	return mode == MODE_ANSWERING ? invalid : no_socket_to_kernel(packet, hook, SHAKEOFF_NO_SOCKET_PASS);
}

/* Returns the verdict on an ACK without a socket: its cookie decides. */
static __always_inline enum shakeoff_verdict listener_ack(struct xdp_md *ctx, const struct packet *packet,
							  const struct hook_ctx *hook, const struct history *history,
							  enum mode mode)
{
	enum cookie_status status = ack_verify_issued(ctx, hook, history);

	if (status == COOKIE_GOOD)
		return listener_accept(ctx, packet, hook, history);
	if (history->follows && status != COOKIE_UNREADABLE)
		return listener_follow(ctx, history);
	return listener_refuse(packet, hook, mode, status);
}

/* Returns the verdict on a segment without a socket: it is of a handshake, or of no connection. */
static __always_inline enum shakeoff_verdict listener_no_socket(struct xdp_md *ctx, const struct packet *packet,
								const struct hook_ctx *hook, struct history *history,
								enum mode mode, enum socket_found found)
{
	if (source_is_malformed(&packet->flow) || flags_are_malformed(packet->flags))
		return SHAKEOFF_BAD_SEGMENT;
	/* Only the hook sees this reason (TCP-AO): the kernel makes the socket's handshakes, cookies included. */
	if (found == SOCKET_LISTENS && hook->scratch->recent.listener.bypass)
		return SHAKEOFF_ACK_IDLE;
	if (mode == MODE_NO_SERVER || found == SOCKET_NONE)
		return no_socket_to_kernel(packet, hook, SHAKEOFF_ACK_NO_SERVER);
	if (mode == MODE_IDLE)
		return no_socket_to_kernel(packet, hook, SHAKEOFF_NO_SOCKET_PASS);
	if (packet->flags & TCPHDR_SYN)
		return mode == MODE_ANSWERING ? SHAKEOFF_SYNACK_NO_SOCKET :
						no_socket_to_kernel(packet, hook, SHAKEOFF_NO_SOCKET_PASS);
	history_look_up(history, packet, hook);
	if ((packet->flags & (TCPHDR_ACK | TCPHDR_RST)) == TCPHDR_ACK)
		return listener_ack(ctx, packet, hook, history, mode);
	if (history->follows)
		return listener_follow(ctx, history);
	return mode == MODE_ANSWERING ? rst_ignore(packet, hook) :
					no_socket_to_kernel(packet, hook, SHAKEOFF_NO_SOCKET_PASS);
}

/* Looks up the socket of a segment. A separate static function, to save stack. */
static __noinline enum socket_found listener_segment_find(struct xdp_md *ctx, const struct packet *packet,
							  const struct hook_ctx *hook, bool may_have_socket)
{
	struct time_wait time_wait;
	enum socket_found found = listener_find(ctx, packet, hook, &time_wait);

	segment_note_socket(packet, hook, found, may_have_socket);
	return found;
}

/* Returns the verdict on a segment whose socket has to be looked up. */
static __always_inline enum shakeoff_verdict listener_segment_look_up(struct xdp_md *ctx, const struct packet *packet,
								      const struct hook_ctx *hook, enum mode mode,
								      bool may_have_socket)
{
	enum socket_found found = listener_segment_find(ctx, packet, hook, may_have_socket);
	struct history history = {};

	if (found == SOCKET_EXISTS)
		connection_confirm(packet, hook);
	if (found == SOCKET_EXISTS || found == SOCKET_TIME_WAIT)
		return SHAKEOFF_SOCKET;
	/*
	 * The socket listens where the hook does not see it, on a VLAN device or a bridge. Its connections are there,
	 * too.
	 */
	if (found == SOCKET_NONE && may_have_socket && (hook->service->flags & SHAKEOFF_SERVICE_SERVED))
		return SHAKEOFF_ACK_NO_SERVER;
	return listener_no_socket(ctx, packet, hook, &history, mode, found);
}

/*
 * Returns the verdict on a segment without a socket by the filter. VERDICT_NONE: its cookie is good, so it must be
 * looked up.
 */
static __always_inline enum shakeoff_verdict listener_dismiss(struct xdp_md *ctx, const struct packet *packet,
							      const struct hook_ctx *hook, enum mode mode)
{
	enum cookie_status status;
	enum shakeoff_verdict verdict = segment_dismiss(ctx, packet, hook, mode, &status);

	if (verdict != VERDICT_NONE || status == COOKIE_GOOD)
		return verdict;
	return listener_refuse(packet, hook, mode, status);
}

/* Returns whether the hook cannot find the service's sockets: a segment that seems out of state may have one. */
static __always_inline bool listener_is_hidden(const struct hook_ctx *hook)
{
	const struct recent *recent = &hook->scratch->recent;

	return recent->has_profile && recent->profile.in_vrf;
}

/*
 * Returns whether clients may still bring back cookies that were sent before the address became bypassed. If SYNs to
 * other addresses are answered all the time, only the daemon knows since when those to this address are not.
 */
static __always_inline bool listener_left_cookies_are_out(const struct hook_ctx *hook)
{
	__u16 changed_s = hook->service->bypass_changed_s;

	if (!syncookies_active(hook->service, hook->now_ns) && !own_cookies_are_out(hook))
		return 0;
	return !address_is_bypassed(hook) || (changed_s && (__u16)(shakeoff_bypass_clock_s(hook->now_ns) - changed_s) <=
								   SHAKEOFF_COOKIE_LIFETIME_NS / NSEC_PER_SEC + 1);
}

/* Returns the verdict on a segment without SYN, or a SYN-ACK, to a service with the listener handoff. */
static __always_inline enum shakeoff_verdict listener_segment(struct xdp_md *ctx, const struct packet *packet,
							      const struct hook_ctx *hook)
{
	enum shakeoff_verdict verdict = VERDICT_NONE;
	struct sighting sighting;
	enum mode mode;

	if (listener_is_hidden(hook) ||
	    (netfilter_decides(hook) && !(listener_left_cookies_are_out(hook) && bypassed_is_own(ctx, packet, hook))))
		return segment_pass(ctx, hook);
	/* Cookies that are out when a service becomes bypassed in a flood are still good. */
	if (!netfilter_decides(hook) && is_bypassed(hook) && !hook->service->syns.since_ns &&
	    !own_cookies_are_out(hook))
		return bypass_segment(ctx, packet, hook);
	if (!tcp_lengths_fit(packet, hook->frame_len))
		return SHAKEOFF_BAD_HEADER;
	mode = listener_mode(hook);
	segment_sight(packet, hook, mode, &sighting);
	if (sighting.spared && !sighting.sampled && sighting.may_have_socket)
		return SHAKEOFF_ACK_IDLE;
	if (sighting.spared && !sighting.sampled)
		verdict = listener_dismiss(ctx, packet, hook, mode);
	if (verdict == VERDICT_NONE)
		verdict = listener_segment_look_up(ctx, packet, hook, mode, sighting.may_have_socket);
	return segment_count(ctx, packet, hook, &sighting, verdict);
}

/*
 * Returns the verdict on a SYN that asks for something that only the kernel can do, while the hook answers SYNs. It
 * passes while such SYNs are few. In a flood of them VERDICT_NONE: the hook answers it like others, as the kernel's own
 * cookies could do no more.
 */
static __always_inline enum shakeoff_verdict syn_exception(const struct hook_ctx *hook, enum shakeoff_verdict verdict)
{
	if (!kernel_budget_takes(hook->service_id, hook->allowed))
		return VERDICT_NONE;
	return limit_admits_syn(hook) ? verdict : SHAKEOFF_SYN_SOURCE_RATE;
}

/*
 * Makes the last checks of a sound SYN: does the tuple have its own socket, and does the queue have room? With a socket
 * in TIME-WAIT the kernel renews the connection itself. Returns VERDICT_NONE if the SYN passes them.
 */
static __always_inline enum shakeoff_verdict listener_syn_check(struct xdp_md *ctx, const struct packet *packet,
								const struct hook_ctx *hook, bool may_have_socket)
{
	const struct recent *recent = &hook->scratch->recent;
	enum socket_found found = SOCKET_LISTENS;
	struct time_wait time_wait = {};
	__s64 free;

	if (may_have_socket || !listener_is_remembered(hook) || listener_free(recent, hook->service) <= 0 ||
	    group_is_short(hook))
		found = listener_find(ctx, packet, hook, &time_wait);
	if (found == SOCKET_NONE) /* it is bound to a device above this interface, or was just closed */
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

/* Returns the verdict on a SYN to a service with the listener handoff; VERDICT_NONE: it is to be answered. */
static __always_inline enum shakeoff_verdict listener_syn(struct xdp_md *ctx, const struct packet *packet,
							  const struct hook_ctx *hook)
{
	enum shakeoff_verdict verdict = listener_syn_state(ctx, packet, hook);
	enum options_found options;
	bool may_have_socket;

	if (verdict != VERDICT_NONE)
		return verdict;
	verdict = syn_read(ctx, packet, hook, &may_have_socket, &options);
	if (verdict == VERDICT_NONE && options == OPTIONS_AUTHENTICATE)
		verdict = syn_exception(hook, SHAKEOFF_SYN_TCP_AUTH);
	if (verdict != VERDICT_NONE)
		return verdict;
	verdict = listener_syn_check(ctx, packet, hook, may_have_socket);
	if (verdict != VERDICT_NONE)
		return verdict;
	/*
	 * A client that takes only segments smaller than every MSS class. Only the kernel can comply, while such SYNs
	 * are few; in a flood of them it would send its own cookie, whose smallest class is the same.
	 */
	return mss_is_small(packet, &hook->scratch->opt) ? syn_exception(hook, SHAKEOFF_SYN_SMALL_MSS) : VERDICT_NONE;
}

#endif
