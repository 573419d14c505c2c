/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A segment without SYN for a service: of a socket, of a handshake of ours, or of nobody. */
#ifndef SHAKEOFF_BPF_HANDLE_SEGMENT_H
#define SHAKEOFF_BPF_HANDLE_SEGMENT_H

/* The rest of the handshake: what our SYN-ACK promised, and what the ACK itself says. */
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

/* What is known of the tuple of a segment that belongs to no open connection. */
struct history {
	struct shakeoff_validated *earlier; /* its last accepted ACK, or NULL */
	struct time_wait time_wait;
	bool in_time_wait; /* time_wait is set */
	bool follows;      /* earlier is fresh: its socket is about to be made */
};

/*
 * Does the segment follow an ACK whose socket does not exist yet? A socket in TIME-WAIT that the new connection replaces
 * is in the way until the daemon has removed it; one of the connection itself is not.
 */
static __always_inline bool history_follows(const struct history *history, const struct hook_ctx *hook)
{
	const struct shakeoff_validated *earlier = history->earlier;

	/* Signed: another CPU may have claimed the tuple after our clock was read. */
	if (!earlier || earlier->followed >= SHAKEOFF_FOLLOW_SEGMENTS ||
	    (__s64)(hook->now_ns - earlier->established_ns) >= (__s64)SHAKEOFF_FOLLOW_NS)
		return 0;
	return !history->in_time_wait || (earlier->replaced && earlier->replaced == history->time_wait.rcv_nxt);
}

static __always_inline void history_look_up(struct history *history, const struct packet *packet,
					    const struct hook_ctx *hook)
{
	tuple_of(&packet->flow, &hook->scratch->tuple);
	history->earlier = validated_find(&packet->flow);
	history->follows = history_follows(history, hook);
}

static __always_inline enum shakeoff_verdict segment_follow(struct xdp_md *ctx, const struct packet *packet,
							    const struct hook_ctx *hook, const struct history *history)
{
	/* Those that go to the netfilter program are counted there (input.bpf.c). */
	if (!(history->earlier->flags & SHAKEOFF_VALIDATED_INPUT))
		history->earlier->followed++;
	hook->scratch->handshake.claims = history->earlier->flags & SHAKEOFF_VALIDATED_INPUT;
	return handoff(ctx, packet, hook, NULL, 0);
}

/* For validated_claim(). */
static __always_inline __u64 history_seen_ns(const struct history *history)
{
	return history->earlier ? history->earlier->established_ns : 0;
}

/* Whether the ACK whose cookie is in scratch has opened a connection before. */
static __always_inline bool history_has_handshake(const struct history *history, const struct hook_ctx *hook)
{
	const struct shakeoff_validated *earlier = history->earlier;
	const struct handshake *handshake = &hook->scratch->handshake;

	return earlier && earlier->cookie == handshake->cookie && earlier->client_isn == handshake->client_isn;
}

/*
 * Does the ACK in scratch bring back a cookie of ours? Returns enum cookie_status; scratch->opt and scratch->handshake are then
 * what it says. A global function: see scratch_get().
 */
__noinline int ack_cookie(struct xdp_md *ctx)
{
	struct hook_ctx hook = { .scratch = scratch_get() };
	__u32 zero = 0;

	hook.control = bpf_map_lookup_elem(&shakeoff_v7, &zero);
	if (!hook.scratch || !hook.control) /* cannot be: for the verifier */
		return COOKIE_BAD;
	if (options_find(FRAME_START(ctx), FRAME_END(ctx), &hook.scratch->packet, hook.scratch) == OPTIONS_MISSING)
		return COOKIE_UNREADABLE;
	return ack_verify(&hook.scratch->packet, &hook, &hook.scratch->opt);
}

/*
 * The ACK was given to the kernel's input path, and has not come to its end in time: refused there, or no room at the end. The client
 * sends it again: it gets another chance, as every SYN of a firewall's would.
 */
static __always_inline bool input_refused(const struct history *history, const struct hook_ctx *hook)
{
	const struct shakeoff_validated *earlier = history->earlier;

	return earlier &&
	       (earlier->flags & (SHAKEOFF_VALIDATED_INPUT | SHAKEOFF_VALIDATED_TAKEN)) == SHAKEOFF_VALIDATED_INPUT &&
	       (__s64)(hook->now_ns - earlier->established_ns) >= (__s64)SHAKEOFF_FOLLOW_NS;
}

/* The status of an ACK's cookie, forgeries told apart. */
static __always_inline enum cookie_status ack_verify_issued(struct xdp_md *ctx, const struct hook_ctx *hook,
							    const struct history *history)
{
	enum cookie_status status = ack_cookie(ctx);

	if (status == COOKIE_GOOD && hook->service->forgery_ns && !history_has_handshake(history, hook) &&
	    ack_is_not_issued(hook->service_id))
		return COOKIE_NOT_ISSUED;
	return status;
}

/* The verdict on an ACK without a socket and without a good cookie. */
static __always_inline enum shakeoff_verdict ack_invalid(const struct hook_ctx *hook, enum cookie_status status)
{
	forgery_count(hook);
	switch (status) {
	case COOKIE_UNREADABLE: return SHAKEOFF_BAD_HEADER;
	case COOKIE_NOT_ISSUED: return SHAKEOFF_ACK_NOT_ISSUED;
	case COOKIE_EXPIRED: return SHAKEOFF_ACK_EXPIRED;
	default: return SHAKEOFF_ACK_BAD_COOKIE;
	}
}

/* An ACK with a good cookie: a duplicate, or a connection. */
static __always_inline enum shakeoff_verdict ack_accept(struct xdp_md *ctx, const struct packet *packet,
							const struct hook_ctx *hook, const struct history *history)
{
	struct handshake *handshake = &hook->scratch->handshake;
	const struct tcpopt *opt = &hook->scratch->opt;
	enum shakeoff_verdict verdict;

	if (history_has_handshake(history, hook)) {
		if (history->follows)
			return segment_follow(ctx, packet, hook, history);
		if (!input_refused(history, hook))
			return history->in_time_wait ? SHAKEOFF_SOCKET : SHAKEOFF_ACK_REPLAYED;
	}
	/* A duplicate of the old connection's ACK, long out of `validated`, does not beat its TIME-WAIT. */
	if (history->in_time_wait &&
	    !time_wait_yields(&history->time_wait, handshake->client_isn, opt->timestamps, opt->tsval))
		return SHAKEOFF_SOCKET;
	if (ttl_is_low(packet, &hook->service->offer))
		return SHAKEOFF_ACK_TTL;
	ack_handshake(packet, hook, opt, handshake);
	if (history->in_time_wait)
		handshake->replaced = history->time_wait.rcv_nxt;
	verdict = ack_check(ctx, packet, hook);
	return verdict == VERDICT_NONE ? handoff(ctx, packet, hook, handshake, history_seen_ns(history)) : verdict;
}

static __always_inline enum shakeoff_verdict queue_handle_ack(struct xdp_md *ctx, const struct packet *packet,
							      const struct hook_ctx *hook,
							      const struct history *history)
{
	enum cookie_status status = ack_verify_issued(ctx, hook, history);

	if (status == COOKIE_GOOD)
		return ack_accept(ctx, packet, hook, history);
	if (status == COOKIE_UNREADABLE)
		return SHAKEOFF_BAD_HEADER;
	if (history->follows)
		return segment_follow(ctx, packet, hook, history);
	return history->in_time_wait ? SHAKEOFF_SOCKET : ack_invalid(hook, status);
}

/* Nothing to do with what is open. */
static __always_inline enum shakeoff_verdict rst_ignore(const struct packet *packet, const struct hook_ctx *hook)
{
	half_open_reset(packet, hook);
	return SHAKEOFF_RST_NO_SOCKET;
}

static __always_inline enum shakeoff_verdict queue_handle_segment(struct xdp_md *ctx, const struct packet *packet,
								  const struct hook_ctx *hook, struct history *history)
{
	if (packet->flags & TCPHDR_SYN)
		return history->in_time_wait ? SHAKEOFF_SOCKET : SHAKEOFF_SYNACK_NO_SOCKET;
	history_look_up(history, packet, hook);
	if ((packet->flags & (TCPHDR_ACK | TCPHDR_RST)) == TCPHDR_ACK)
		return queue_handle_ack(ctx, packet, hook, history);
	if (history->follows)
		return segment_follow(ctx, packet, hook, history);
	if (history->in_time_wait)
		return SHAKEOFF_SOCKET;
	return rst_ignore(packet, hook);
}

/*
 * To a listening socket a segment follows its ACK through the same CPU, and finds the connection's socket there. On another CPU it
 * may be there first, and meet only the listening one, which would answer with an RST: it waits. A static function of its own, as it
 * is called from several places.
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
 * The same to a listening socket. A good cookie whose connection nobody has met yet, though it came before, opens it again:
 * the kernel had no room or no memory the first time.
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
	return admit(ctx, packet, hook, handshake, history_seen_ns(history));
}

/* How the hook stands to what belongs to no socket. */
enum mode {
	MODE_NO_SERVER, /* nobody listens, or nothing can be answered: it is the kernel's */
	MODE_IDLE,      /* the kernel's, too: it makes the handshakes */
	MODE_COOKIES,   /* likewise, but ACKs may bring back cookies of ours */
	MODE_ANSWERING, /* it is ours alone */
};

static __always_inline enum mode listener_mode(const struct hook_ctx *hook)
{
	if (!(hook->service->flags & SHAKEOFF_SERVICE_SERVED))
		return MODE_NO_SERVER;
	if (!listener_takes_cookies(hook))
		return hook->service->syncookies == SHAKEOFF_SYNCOOKIES_NEVER ? MODE_IDLE : MODE_NO_SERVER;
	if (!listener_is_ready(hook))
		return MODE_COOKIES; /* those that are out; the kernel answers meanwhile */
	if (syncookies_active(hook->service, hook->now_ns))
		return MODE_ANSWERING;
	return own_cookies_are_out(hook) ? MODE_COOKIES : MODE_IDLE;
}

static __always_inline enum mode queue_mode(const struct hook_ctx *hook)
{
	if (service_health(hook->service, hook->control, hook->now_ns) == SERVICE_NO_SERVER)
		return MODE_NO_SERVER;
	if (!hook->scratch->recent.has_profile || !(hook->control->flags & SHAKEOFF_KEYS_LOADED))
		return MODE_NO_SERVER;
	return MODE_ANSWERING;
}

/* Cookies of the kernel's own are taken without a look at what else is known of the tuple: it knows them itself. */
static __always_inline enum shakeoff_verdict listener_ack_refuse(const struct packet *packet,
								 const struct hook_ctx *hook, enum mode mode,
								 enum cookie_status status)
{
	enum shakeoff_verdict invalid;

	if (mode == MODE_ANSWERING && status != COOKIE_UNREADABLE && kernel_cookies_are_out(hook) &&
	    kernel_cookie_good(packet, hook->control))
		return SHAKEOFF_ACK_KERNEL_COOKIE;
	/* Our cookies that are still out can be forged, too. */
	invalid = ack_invalid(hook, status);
	return mode == MODE_ANSWERING ? invalid : no_socket_to_kernel(packet, hook, SHAKEOFF_NO_SOCKET_PASS);
}

static __always_inline enum shakeoff_verdict listener_handle_ack(struct xdp_md *ctx, const struct packet *packet,
								 const struct hook_ctx *hook,
								 const struct history *history, enum mode mode)
{
	enum cookie_status status = ack_verify_issued(ctx, hook, history);

	if (status == COOKIE_GOOD)
		return listener_accept(ctx, packet, hook, history);
	if (history->follows && status != COOKIE_UNREADABLE)
		return listener_follow(ctx, history);
	return listener_ack_refuse(packet, hook, mode, status);
}

static __always_inline enum shakeoff_verdict listener_handle_segment(struct xdp_md *ctx, const struct packet *packet,
								     const struct hook_ctx *hook,
								     struct history *history, enum mode mode)
{
	if (packet->flags & TCPHDR_SYN)
		return mode == MODE_ANSWERING ? SHAKEOFF_SYNACK_NO_SOCKET :
						no_socket_to_kernel(packet, hook, SHAKEOFF_NO_SOCKET_PASS);
	history_look_up(history, packet, hook);
	if ((packet->flags & (TCPHDR_ACK | TCPHDR_RST)) == TCPHDR_ACK)
		return listener_handle_ack(ctx, packet, hook, history, mode);
	if (history->follows)
		return listener_follow(ctx, history);
	return mode == MODE_ANSWERING ? rst_ignore(packet, hook) :
					no_socket_to_kernel(packet, hook, SHAKEOFF_NO_SOCKET_PASS);
}

/* A segment without a socket, but for one in TIME-WAIT before a queue: nobody's, or of a handshake. */
static __always_inline enum shakeoff_verdict segment_check(struct xdp_md *ctx, const struct packet *packet,
							   const struct hook_ctx *hook, struct history *history,
							   enum mode mode, enum socket_found found)
{
	if (source_is_malformed(&packet->flow) || (flags_are_malformed(packet->flags) && !history->in_time_wait))
		return SHAKEOFF_BAD_SEGMENT;
	/* Only the hook sees that (TCP-AO): its handshakes are the kernel's, cookies included. */
	if (by_listener(hook) && found == SOCKET_LISTENS && hook->scratch->recent.listener.bypass)
		return SHAKEOFF_ACK_IDLE;
	if (mode == MODE_NO_SERVER || (by_listener(hook) && found == SOCKET_NONE))
		return no_socket_to_kernel(packet, hook, SHAKEOFF_ACK_NO_SERVER);
	if (mode == MODE_IDLE)
		return no_socket_to_kernel(packet, hook, SHAKEOFF_NO_SOCKET_PASS);
	return by_listener(hook) ? listener_handle_segment(ctx, packet, hook, history, mode) :
				   queue_handle_segment(ctx, packet, hook, history);
}

/*
 * A segment whose tuple has no socket, as the filter says, while out-of-state segments surge: nothing is known of it in any map, either. What may
 * be honest all the same is VERDICT_NONE, and is looked up.
 */
static __always_inline enum shakeoff_verdict segment_dismiss(struct xdp_md *ctx, const struct packet *packet,
							     const struct hook_ctx *hook, enum mode mode)
{
	enum cookie_status status;

	if (source_is_malformed(&packet->flow) || flags_are_malformed(packet->flags))
		return SHAKEOFF_BAD_SEGMENT;
	if (mode <= MODE_IDLE)
		return no_socket_to_kernel(packet, hook, SHAKEOFF_NO_SOCKET_PASS);
	if ((packet->flags & (TCPHDR_ACK | TCPHDR_RST)) != TCPHDR_ACK) {
		tuple_of(&packet->flow, &hook->scratch->tuple);
		return rst_ignore(packet, hook);
	}
	status = ack_cookie(ctx);
	if (status == COOKIE_GOOD)
		return VERDICT_NONE;
	return by_listener(hook) ? listener_ack_refuse(packet, hook, mode, status) : ack_invalid(hook, status);
}

/*
 * Looks the socket up. One that the filter did not know gets into it: the host's own connections begin so, with a SYN-ACK. A
 * static function of its own, for the sake of the stack.
 */
static __noinline enum socket_found segment_find(struct xdp_md *ctx, const struct packet *packet,
						 const struct hook_ctx *hook, bool may_have_socket,
						 struct time_wait *time_wait)
{
	enum socket_found found = by_listener(hook) ? listener_find(ctx, packet, hook, time_wait) :
						      socket_find(ctx, packet, time_wait, NULL);

	if ((found == SOCKET_EXISTS || found == SOCKET_TIME_WAIT) && (!may_have_socket || (packet->flags & TCPHDR_SYN)))
		filter_note(&packet->flow, hook->control, 0);
	return found;
}

static __always_inline enum shakeoff_verdict segment_look_up(struct xdp_md *ctx, const struct packet *packet,
							     const struct hook_ctx *hook, enum mode mode,
							     bool may_have_socket)
{
	struct history history = {};
	enum socket_found found = segment_find(ctx, packet, hook, may_have_socket, &history.time_wait);

	if (found == SOCKET_EXISTS)
		listener_confirm(packet, hook);
	/* A TIME-WAIT socket gives way to a new connection of the queue handoff alone. */
	if (found == SOCKET_EXISTS || (found == SOCKET_TIME_WAIT && (by_listener(hook) || mode == MODE_NO_SERVER)))
		return SHAKEOFF_SOCKET;
	/* Somebody listens, but where the hook does not see him: on a VLAN's device, or a bridge. So are his connections. */
	if (found == SOCKET_NONE && may_have_socket && by_listener(hook) &&
	    (hook->service->flags & SHAKEOFF_SERVICE_SERVED))
		return SHAKEOFF_ACK_NO_SERVER;
	history.in_time_wait = found == SOCKET_TIME_WAIT;
	return segment_check(ctx, packet, hook, &history, mode, found);
}

/* May it be the answer to a SYN: a SYN-ACK, or a refusal (RFC 9293, section 3.10.7.1: an RST with ACK and sequence number 0)? */
static __always_inline bool may_answer_syn(const struct packet *packet)
{
	const __u8 refusal = TCPHDR_RST | TCPHDR_ACK;

	return (packet->flags & TCPHDR_SYN) || ((packet->flags & refusal) == refusal && !packet->seq);
}

/*
 * Whether the filter's word spares the look-up: see out_of_state.h. What may answer a SYN is looked up always: it belongs to a connection
 * that the host itself begins, of which the filter may not know yet.
 */
static __always_inline bool filter_spares(const struct packet *packet, enum mode mode, bool surging,
					  bool may_have_socket)
{
	if (may_answer_syn(packet))
		return 0;
	return surging ? !may_have_socket : may_have_socket && mode == MODE_IDLE;
}

/* A segment to a service that is not bypassed, whose sockets can be found, and whose lengths fit. */
static __always_inline enum shakeoff_verdict segment_sort(struct xdp_md *ctx, const struct packet *packet,
							  const struct hook_ctx *hook)
{
	enum mode mode = by_listener(hook) ? listener_mode(hook) : queue_mode(hook);
	bool surging = out_of_state_surge(hook->service, hook->now_ns), may_have_socket = 1, spared;
	enum shakeoff_verdict verdict = VERDICT_NONE;
	bool sampled = 0;

	if (surging || mode == MODE_IDLE)
		may_have_socket = filter_may_have(&packet->flow, hook->control);
	spared = filter_spares(packet, mode, surging, may_have_socket);
	if (spared)
		sampled = segment_is_sampled(hook);
	if (spared && !sampled && may_have_socket)
		return SHAKEOFF_ACK_IDLE;
	if (spared && !sampled)
		verdict = segment_dismiss(ctx, packet, hook, mode);
	if (verdict == VERDICT_NONE)
		verdict = segment_look_up(ctx, packet, hook, mode, may_have_socket);
	if (sampled && verdict == SHAKEOFF_SOCKET)
		source_look(ctx, hook->service_id);
	if (verdict_is_no_socket(verdict))
		out_of_state_count(packet, hook, sampled && !surging ? no_socket_sample_weight(hook->service) : 1);
	return verdict;
}

/*
 * Whether clients may still bring back cookies that were sent before the address came to be bypassed. Where SYNs to other addresses are
 * answered all the time only the daemon knows since when this one's are not.
 */
static __always_inline bool bypassed_cookies_are_out(const struct hook_ctx *hook)
{
	__u16 changed_s = hook->service->bypass_changed_s;

	if (!by_listener(hook))
		return 1; /* the daemon withdraws the address in time */
	if (!syncookies_active(hook->service, hook->now_ns) && !own_cookies_are_out(hook))
		return 0;
	return !address_is_bypassed(hook) || (changed_s && (__u16)(shakeoff_bypass_clock_s(hook->now_ns) - changed_s) <=
								   SHAKEOFF_COOKIE_LIFETIME_NS / NSEC_PER_SEC + 1);
}

/*
 * Whether a segment to what is bypassed is of a handshake of ours all the same: firewalls are loaded again at any moment, and
 * the kernel would refuse with RST what it knows nothing of. There is a good cookie only where the hook answered a moment ago.
 */
static __always_inline bool bypassed_is_own(struct xdp_md *ctx, const struct packet *packet,
					    const struct hook_ctx *hook)
{
	struct history history = {};

	if (!bypassed_cookies_are_out(hook) || (packet->flags & TCPHDR_SYN) ||
	    !tcp_lengths_fit(packet, hook->frame_len))
		return 0;
	history_look_up(&history, packet, hook);
	if (history.follows)
		return 1;
	return (packet->flags & (TCPHDR_ACK | TCPHDR_RST)) == TCPHDR_ACK && ack_cookie(ctx) == COOKIE_GOOD;
}

static __noinline enum shakeoff_verdict handle_segment(struct xdp_md *ctx, const struct packet *packet,
						       const struct hook_ctx *hook)
{
	if (sockets_are_hidden(hook) || (netfilter_decides(hook) && !bypassed_is_own(ctx, packet, hook))) {
		if (segment_is_sampled(hook))
			source_look(ctx, hook->service_id);
		return SHAKEOFF_ACK_IDLE;
	}
	/* Cookies that are out when a service comes to be bypassed in a flood are still good. */
	if (!netfilter_decides(hook) && is_bypassed(hook) && !hook->service->active_ns && !own_cookies_are_out(hook))
		return bypass_segment(ctx, packet, hook);
	if (!tcp_lengths_fit(packet, hook->frame_len))
		return SHAKEOFF_BAD_HEADER;
	return segment_sort(ctx, packet, hook);
}

#endif
