/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Segments that no TCP sends. */
#ifndef SHAKEOFF_BPF_PACKET_MALFORMED_H
#define SHAKEOFF_BPF_PACKET_MALFORMED_H

#include "core/kernel.h"

#include <shakeoff/byteorder.h>

#include "core/ctx.h"
#include "lib/compiler.h"
#include "lib/cookie.h"
#include "packet/parse.h"

/*
 * Returns whether no client can have the address: RFC 1122, section 3.2.1.3; RFC 4291, sections 2.5.2, 2.5.3, 2.5.5.2
 * and 2.7. The kernel drops packets from such addresses (ip_route_input_slow(), net/ipv4/route.c; ipv6_rcv() and
 * tcp_v6_conn_request()), but it treats 240/4, the reserved space, like other addresses.
 */
static __always_inline bool source_is_impossible(const struct cookie_flow *flow)
{
	__u8 first = *(const __u8 *)flow->client;

	if (flow->ipv6) {
		bool unspecified_or_loopback = !flow->client[2] && (bpf_ntohl(flow->client[3]) & ~1u) == 0;

		if (flow->client[0] | flow->client[1])
			return first == 0xff;
		return unspecified_or_loopback || flow->client[2] == bpf_htonl(0xffff);
	}
	return first == 0 || first == 127 || (first & 0xf0) == 224 || flow->client[0] == 0xffffffff;
}

/* Returns whether the segment comes from the address and port that it goes to: the LAND attack on RFC 793's TCP. */
static __always_inline bool source_is_target(const struct cookie_flow *flow)
{
	if (flow->client_port != flow->server_port || flow->client[0] != flow->server[0])
		return 0;
	return !flow->ipv6 || (flow->client[1] == flow->server[1] && flow->client[2] == flow->server[2] &&
			       flow->client[3] == flow->server[3]);
}

static __always_inline bool source_is_malformed(const struct cookie_flow *flow)
{
	return !flow->client_port || source_is_impossible(flow) || source_is_target(flow);
}

/*
 * Returns whether no socket has a use for the SYN. tcp_rcv_state_process() (net/ipv4/tcp_input.c), too, drops a SYN
 * with such flags in LISTEN; in other states it is useless.
 */
static __always_inline bool syn_is_malformed(const struct packet *packet, __u32 frame_len)
{
	return (packet->flags & (TCPHDR_FIN | TCPHDR_RST)) || !tcp_lengths_fit(packet, frame_len) ||
	       source_is_malformed(&packet->flow);
}

/*
 * Returns whether no socket has a use for the segment: neither ACK nor RST (RFC 9293, section 3.10.7.4, "if the ACK bit
 * is off, drop the segment"), or a SYN-ACK that ends the connection at once. FIN, NULL and Xmas scans look like this.
 */
static __always_inline bool flags_are_malformed(__u8 flags)
{
	return !(flags & (TCPHDR_ACK | TCPHDR_RST)) || ((flags & TCPHDR_SYN) && (flags & (TCPHDR_FIN | TCPHDR_RST)));
}

#endif
