/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Services with the listener handoff: their listening socket, looked at as seldom as exactness allows. */
#ifndef SHAKEOFF_BPF_HANDLE_LISTENER_H
#define SHAKEOFF_BPF_HANDLE_LISTENER_H

static __always_inline bool by_listener(const struct hook_ctx *hook)
{
	return hook->service->handoff == SHAKEOFF_HANDOFF_LISTENER;
}

/* One that is behind NAT and so on, or a VLAN device's, in a frame whose tag is not there to see: it may be beside it. */
static __always_inline bool address_is_bypassed(const struct hook_ctx *hook)
{
	__u32 flags = hook->scratch->recent.address_flags;

	return (flags & SHAKEOFF_ADDRESS_BYPASSED) ||
	       ((flags & SHAKEOFF_ADDRESS_TAGGED) && hook->scratch->packet.l3_offset == sizeof(struct ethhdr));
}

/* Whether the address, or all of the service's, is behind NAT, a firewall or forwarding: not to be touched. */
static __always_inline bool netfilter_decides(const struct hook_ctx *hook)
{
	return address_is_bypassed(hook) || hook->service->bypass == SHAKEOFF_BYPASS_NETFILTER ||
	       hook->service->bypass == SHAKEOFF_BYPASS_BRIDGE;
}

/* Whether the service's sockets cannot be found from here: what looks out of state may have one. */
static __always_inline bool sockets_are_hidden(const struct hook_ctx *hook)
{
	const struct recent *recent = &hook->scratch->recent;

	return recent->has_profile && recent->profile.in_vrf && by_listener(hook);
}

/* Whether everything is there that taking cookies back needs. */
static __always_inline bool listener_takes_cookies(const struct hook_ctx *hook)
{
	const struct recent *recent = &hook->scratch->recent;

	return recent->has_profile && recent->profile.admits && (hook->control->flags & SHAKEOFF_KEYS_LOADED);
}

/* Whether SYNs may be answered: what comes back will get to the listening socket. */
static __always_inline bool listener_is_ready(const struct hook_ctx *hook)
{
	return listener_takes_cookies(hook) && hook->scratch->recent.profile.admits == SHAKEOFF_ADMITS;
}

/*
 * How many more connections may wait: not those that wait in the socket's accept queue, and not those that are on their way
 * there from the hook.
 */
static __always_inline void listener_measure(struct recent *recent, const struct shakeoff_service *service)
{
	const struct listening *listener = &recent->listener;
	/* sk_acceptq_is_full(), include/net/sock.h: one more than listen() was given. `backlog` of the service is meant as it says. */
	__u32 capacity = listener->backlog < service->backlog ? listener->backlog + 1 : service->backlog;
	__u64 enqueued = service->enqueued, taken = listener->waiting;
	__s64 on_their_way = enqueued - service->dequeued;

	if (on_their_way > 0)
		taken += on_their_way;
	recent->listener_enqueued = enqueued;
	recent->listener_room = taken < capacity ? capacity - taken : 0;
	recent->listener_low_watermark = queue_low_watermark(service, capacity);
	recent->listener_capacity = capacity;
	/* More may wait than the hook has let through: what the kernel's own handshake brought. */
	recent->listener_head = enqueued > taken ? enqueued - taken : 0;
}

/* A group that nobody has looked at for so long may have a full socket from before. */
#define GROUP_UNKNOWN_NS (NSEC_PER_SEC / 10)

/*
 * In a group (SO_REUSEPORT) the kernel chooses a socket for each client, and the remembered one tells nothing of the others.
 * While one of them is half full, every SYN's own is looked at, for the hold time. What fills one through the hook is an ACK,
 * which looks at it before.
 */
static __always_inline void group_look(struct shakeoff_service *service, const struct recent *recent, __u64 now_ns)
{
	if (service->servers <= 1)
		return;
	/* Rounded up: who takes the last position has found it short. */
	if (recent->listener_room <= (recent->listener_capacity + 1) / 2)
		surge(&service->short_ns, now_ns);
	else if ((__s64)(now_ns - service->looked_ns) > (__s64)GROUP_UNKNOWN_NS &&
		 !shakeoff_is_surging(service->short_ns, now_ns))
		service->short_ns = now_ns - SHAKEOFF_FLOOD_HOLD_NS +
				    GROUP_UNKNOWN_NS; /* until every one has been met */
	surge(&service->looked_ns, now_ns);
}

static __always_inline bool group_is_short(const struct hook_ctx *hook)
{
	return hook->service->servers > 1 && shakeoff_is_surging(hook->service->short_ns, hook->now_ns);
}

/* socket_find() with the listening socket remembered for this tick. */
static __always_inline enum socket_found listener_find(struct xdp_md *ctx, const struct packet *packet,
						       const struct hook_ctx *hook, struct time_wait *time_wait)
{
	struct recent *recent = &hook->scratch->recent;
	enum socket_found found = socket_find(ctx, packet, time_wait, &recent->listener);

	if (found == SOCKET_LISTENS) {
		/* For `shakeoff status`: no list of sockets tells TCP-AO and TCP_SAVE_SYN. */
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

/* A SYN while idle: the kernel's business, unless its accept queue is full, or the flood begins with it. */
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

/* The service's state, before the SYN itself is looked at. */
static __always_inline enum shakeoff_verdict listener_handle_syn(struct xdp_md *ctx, const struct packet *packet,
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
 * The first segment that meets the socket of an admitted connection: from then on its ACK is not to open it again. Only
 * tuples with the hint cost the look-up.
 */
static __always_inline void listener_confirm(const struct packet *packet, const struct hook_ctx *hook)
{
	struct shakeoff_validated *entry;

	if (!filter_has_hint(&packet->flow, hook->control, SHAKEOFF_FILTER_UNCONFIRMED))
		return;
	tuple_of(&packet->flow, &hook->scratch->tuple);
	entry = validated_find(&packet->flow);
	if (!entry || (entry->flags & SHAKEOFF_VALIDATED_CONFIRMED))
		return; /* the hint is another tuple's of this slot */
	entry->flags |= SHAKEOFF_VALIDATED_CONFIRMED;
	filter_drop_hint(&packet->flow, hook->control, SHAKEOFF_FILTER_UNCONFIRMED);
}

#endif
