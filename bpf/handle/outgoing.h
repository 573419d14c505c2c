/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections that the host itself begins, at the tcx egress hook: their tuples get into the socket filter before their
 * SYN is on the wire. If the peer sends a SYN, too (simultaneous open, RFC 9293, section 3.5), it is then looked up,
 * even in a flood, and meets the socket in SYN-SENT.
 */
#ifndef SHAKEOFF_BPF_HANDLE_OUTGOING_H
#define SHAKEOFF_BPF_HANDLE_OUTGOING_H

#include "core/kernel.h"

#include <shakeoff/abi.h>
#include <shakeoff/byteorder.h>

#include "core/ctx.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "lib/cookie.h"
#include "packet/parse.h"
#include "socket/service.h"
#include "socket/socket_filter.h"

/* Returns whether the frame may be such a SYN, by its flags: nearly every packet is something else. */
static __always_inline bool outgoing_may_be_syn(struct __sk_buff *skb)
{
	const __u8 *data = FRAME_START(skb), *tcp = data + sizeof(struct ethhdr) + sizeof(struct ipv6hdr);
	const void *end = FRAME_END(skb);

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = (const void *)(data + sizeof(struct ethhdr));

		if ((const void *)(ip + 1) > end || ip->protocol != IPPROTO_TCP)
			return 0;
		if (ip->ihl != 5)
			return 1;
		tcp = (const void *)(ip + 1);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip = (const void *)(data + sizeof(struct ethhdr));

		if ((const void *)(ip + 1) > end)
			return 0;
		if (ip->nexthdr != IPPROTO_TCP)
			return 1;
	} else {
		return 1; /* a VLAN tag in the frame */
	}
	return (const void *)(tcp + sizeof(struct tcphdr)) > end || (tcp[13] & (TCPHDR_SYN | TCPHDR_ACK)) == TCPHDR_SYN;
}

/* Fills *reverse with the flow of a reply. */
static __always_inline void outgoing_reverse(const struct cookie_flow *flow, struct cookie_flow *reverse)
{
	UNROLL
	for (int i = 0; i < 4; i++) {
		reverse->client[i] = flow->server[i];
		reverse->server[i] = flow->client[i];
	}
	reverse->client_port = flow->server_port;
	reverse->server_port = flow->client_port;
	reverse->ipv6 = flow->ipv6;
}

static __always_inline void outgoing_note(struct __sk_buff *skb)
{
	struct packet packet = {};
	struct cookie_flow reverse;
	const struct shakeoff_control *control;

	if (!outgoing_may_be_syn(skb) || parse_packet(FRAME_START(skb), FRAME_END(skb), &packet) ||
	    (packet.flags & (TCPHDR_SYN | TCPHDR_ACK)) != TCPHDR_SYN)
		return;
	control = control_get();
	if (!control) /* only for the verifier */
		return;
	outgoing_reverse(&packet.flow, &reverse);
	/*
	 * Only endpoints of services are ever looked up, so forwarded SYNs, and those from other ports, must not fill
	 * the filter.
	 */
	if (!service_look_up(&reverse, reverse.server_port))
		return;
	filter_note(&reverse, control, 0);
}

#endif
