/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a SYN-ACK offers and how it is marked: as the kernel's own would be, from this socket and on the route to this
 * client. The hook computes it when it answers the SYN, and again when the ACK comes: the socket must keep to the
 * offer.
 */
#ifndef SHAKEOFF_BPF_SOCKET_OFFER_H
#define SHAKEOFF_BPF_SOCKET_OFFER_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/rcv_window.h>
#include <shakeoff/route.h>

#include "core/ctx.h"
#include "core/maps.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "lib/cookie.h"
#include "socket/lookup.h"

struct offer {
	__u16 mss;
	__u16 window; /* as on the wire: never scaled (RFC 7323, section 2.2) */
	__u8 wscale;  /* 0..14, or SHAKEOFF_NO_WSCALE */
	__u8 hop_limit;
	__u8 tos; /* or traffic class */
};

/*
 * Looks up the route of the packet in scratch, to scratch->route: see shakeoff/route.h. A global function: see
 * scratch_get().
 */
__noinline int route_look_up(void)
{
	struct shakeoff_route_key4 key4 = { .prefix_len = 32 };
	struct shakeoff_route_key6 key6 = { .prefix_len = 128 };
	struct scratch *scratch = scratch_get();
	const struct shakeoff_route *route;

	if (!scratch) /* only for the verifier */
		return 0;
	if (scratch->packet.flow.ipv6) {
		__builtin_memcpy(key6.address, scratch->packet.flow.client, sizeof(key6.address));
		route = bpf_map_lookup_elem(&routes6, &key6);
	} else {
		key4.address = scratch->packet.flow.client[0];
		route = bpf_map_lookup_elem(&routes4, &key4);
	}
	if (route)
		scratch->route = *route;
	else
		scratch->route = (struct shakeoff_route){ 0 };
	return 0;
}

static __always_inline bool route_is_plain(const struct cookie_flow *flow, const struct shakeoff_control *control)
{
	const struct shakeoff_plain_routes *plain = &control->plain;

	if (flow->ipv6) {
		UNROLL
		for (int i = 0; i < SHAKEOFF_PLAIN6; i++)
			if (plain->v6[i].mask[0] &&
			    (flow->client[0] & plain->v6[i].mask[0]) == plain->v6[i].address[0] &&
			    (flow->client[1] & plain->v6[i].mask[1]) == plain->v6[i].address[1])
				return 1;
		return 0;
	}
	UNROLL
	for (int i = 0; i < SHAKEOFF_PLAIN4; i++)
		if (plain->v4[i].mask && (flow->client[0] & plain->v4[i].mask) == plain->v4[i].address)
			return 1;
	return 0;
}

/*
 * Finds the route of the packet in scratch. On nearly all hosts no route has its own settings; then this is a
 * comparison.
 */
static __always_inline void route_find(struct scratch *scratch, const struct shakeoff_control *control)
{
	if ((control->flags & (scratch->packet.flow.ipv6 ? SHAKEOFF_ROUTES6 : SHAKEOFF_ROUTES4)) &&
	    !route_is_plain(&scratch->packet.flow, control))
		route_look_up();
	else if (scratch->route.id)
		scratch->route = (struct shakeoff_route){ 0 };
}

/* Returns the options of the socket that the SYN-ACK is sent for. */
static __always_inline const struct shakeoff_socket_offer *offer_socket(const struct scratch *scratch,
									const struct shakeoff_service *service)
{
	return service->handoff == SHAKEOFF_HANDOFF_LISTENER ? &scratch->recent.listener.offer : &service->offer;
}

/* Returns whether the packet's TTL is below the socket's minimum: tcp_v4_rcv() and tcp_v6_rcv(), RFC 5082. */
static __always_inline bool ttl_is_low(const struct packet *packet, const struct shakeoff_socket_offer *socket)
{
	return packet->ttl < socket->min_ttl[packet->flow.ipv6 & 1];
}

/* Selects window and scale: tcp_openreq_init_rwin(), net/ipv4/tcp_minisocks.c. */
static __always_inline void offer_window(const struct scratch *scratch, const struct shakeoff_socket_offer *socket,
					 const struct cookie_options *options, struct offer *offer)
{
	const struct shakeoff_interface *profile = &scratch->recent.profile;
	struct shakeoff_window_input input = {
		.space = socket->rcv_space,
		.mss = offer->mss - (options->timestamps ? SHAKEOFF_TIMESTAMP_BYTES : 0),
		.window_space = profile->window_space,
		.initrwnd = scratch->route.initrwnd,
		.wscale_ok = options->wscale != SHAKEOFF_NO_WSCALE && profile->window_scaling,
		.signed_windows = profile->signed_windows,
	};
	struct shakeoff_window window;

	input.clamp = shakeoff_window_clamp(socket->window_clamp, scratch->route.window, input.space,
					    socket->rcv_locked);
	window = shakeoff_window_select(&input);
	offer->window = window.window;
	offer->wscale = input.wscale_ok ? window.wscale : SHAKEOFF_NO_WSCALE;
}

/*
 * Selects TTL, hop limit, TOS and traffic class: ip_build_and_send_pkt() (net/ipv4/ip_output.c), tcp_v4_send_synack(),
 * tcp_v6_send_synack() and ip6_xmit(). tos: the SYN's.
 */
static __always_inline void offer_mark(const struct scratch *scratch, const struct shakeoff_service *service, __u8 tos,
				       struct offer *offer)
{
	const struct shakeoff_socket_offer *socket = offer_socket(scratch, service);
	const struct shakeoff_interface *profile = &scratch->recent.profile;
	bool ipv6 = scratch->packet.flow.ipv6;

	offer->hop_limit = scratch->route.hop_limit ? scratch->route.hop_limit : profile->hop_limit[ipv6];
	if (socket->hop_limit[ipv6] >= 0)
		offer->hop_limit = socket->hop_limit[ipv6];
	offer->tos = socket->tos[ipv6];
	if (profile->reflect_tos)
		offer->tos = (tos & ~INET_ECN_MASK) | (offer->tos & INET_ECN_MASK);
}

/*
 * Makes the offer for the packet in scratch, whose route is found, and for a client with these options. The MSS:
 * tcp_make_synack(), net/ipv4/tcp_output.c.
 */
static __always_inline void offer_make(const struct scratch *scratch, const struct shakeoff_service *service,
				       const struct cookie_options *options, struct offer *offer)
{
	const struct shakeoff_socket_offer *socket = offer_socket(scratch, service);
	__u16 mss = scratch->route.mss ? scratch->route.mss : scratch->recent.profile.mss[scratch->packet.flow.ipv6];

	offer->mss = mss_clamp(socket->user_mss, mss);
	offer_window(scratch, socket, options, offer);
}

/* Returns the window scale that our SYN-ACK offered, when its ACK has come. A global function: see scratch_get(). */
__noinline int offer_wscale(__u32 service_id)
{
	const struct shakeoff_service *service = service_get(service_id);
	struct scratch *scratch = scratch_get();
	struct offer offer;

	if (!service || !scratch) /* only for the verifier */
		return SHAKEOFF_NO_WSCALE;
	offer_make(scratch, service, &scratch->handshake.options, &offer);
	scratch->handshake.rcv_wnd = offer.window;
	scratch->handshake.rcv_wscale = offer.wscale;
	return offer.wscale;
}

#endif
