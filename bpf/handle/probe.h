/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The self-test in the tc program: recognizes probes and gives them to the daemon's listening socket
 * (shakeoff/probe.h). An ACK becomes a request, like every admitted ACK; a SYN stays as it is.
 */
#ifndef SHAKEOFF_BPF_HANDLE_PROBE_H
#define SHAKEOFF_BPF_HANDLE_PROBE_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/byteorder.h>
#include <shakeoff/probe.h>

#include "core/ctx.h"
#include "core/metadata.h"
#include "lib/bytes.h"
#include "lib/compiler.h"
#include "lib/cookie.h"
#include "socket/lookup.h"
#include "socket/sk_assign.h"

#define LOOPBACK4 0x7f000001

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shakeoff_probe);
} probe SEC(".maps");

/*
 * Returns the TCP header of a frame of the self-test, or NULL. Such frames have no IP options and no VLAN tag. Only the
 * daemon knows the random group, port and numbers, and it uses each only once. The RST after a SYN has the next
 * sequence number.
 */
static __always_inline const struct tcphdr *probe_find(struct __sk_buff *skb, const struct shakeoff_probe *sought)
{
	void *data = FRAME_START(skb);
	const struct ethhdr *eth = data;
	const struct tcphdr *tcp;

	if (data + SHAKEOFF_PROBE_FRAME_LEN > FRAME_END(skb))
		return NULL;
	if (!same_bytes(eth->h_dest, sought->group, sizeof(sought->group)))
		return NULL;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		tcp = data + SHAKEOFF_PROBE_TCP4;
	else if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		tcp = data + SHAKEOFF_PROBE_TCP6;
	else
		return NULL;
	if (tcp->source != sought->source_port || bpf_ntohl(tcp->seq) - sought->seq > sought->count)
		return NULL;
	return !tcp->ack || bpf_ntohl(tcp->ack_seq) == sought->ack ? tcp : NULL;
}

/*
 * Assigns a probe to the daemon's socket. A request has no options, so that the kernel accepts it with every sysctl
 * setting.
 */
static __always_inline bool probe_assign(struct __sk_buff *skb, const struct shakeoff_probe *known, bool request)
{
	struct metadata metadata = { .mss = 1220, .snd_wscale = SHAKEOFF_NO_WSCALE, .rcv_wscale = SHAKEOFF_NO_WSCALE };
	struct cookie_flow flow = {};
	struct bpf_sock *sk;
	bool assigned = 0;

	flow.ipv6 = skb->protocol == bpf_htons(ETH_P_IPV6);
	if (flow.ipv6) {
		flow.client[3] = flow.server[3] = bpf_htonl(1);
		flow.server_port = known->listener6;
	} else {
		flow.client[0] = flow.server[0] = bpf_htonl(LOOPBACK4);
		flow.server_port = known->listener4;
	}
	sk = socket_look_up(skb, &flow);
	if (!sk)
		return 0;
	if (sk->state == BPF_TCP_LISTEN)
		assigned = request ? assign_to(skb, sk, &metadata) : !bpf_sk_assign(skb, sk, 0);
	bpf_sk_release(sk);
	return assigned;
}

/*
 * Takes a probe. Returns whether the packet is one; then nothing else may handle it. Call it before the packet is
 * parsed: packets that are not multicast, nearly all, cost one load. A probe that finds no socket stays multicast, and
 * TCP drops it.
 */
static __always_inline bool probe_take(struct __sk_buff *skb)
{
	const struct shakeoff_probe *known;
	const struct tcphdr *tcp;
	__u32 zero = 0;

	if (skb->pkt_type != PACKET_MULTICAST)
		return 0;
	known = bpf_map_lookup_elem(&probe, &zero);
	if (!known || !known->count)
		return 0;
	tcp = probe_find(skb, known);
	if (!tcp)
		return 0;
	if (probe_assign(skb, known, tcp->ack)) {
		bpf_skb_store_bytes(skb, 0, known->mac, sizeof(known->mac), 0);
		bpf_skb_change_type(skb, PACKET_HOST);
	}
	return 1;
}

#endif
