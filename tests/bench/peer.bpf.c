/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For the client's end of a veth pair. It passes everything (a veth needs an XDP program on the peer for XDP_TX to
 * leave), except packets to the made-up sources of a flood: those are counted and dropped.
 */
#include <vmlinux.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flood.h"

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FLOOD_REPLY_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} flood_replies SEC(".maps");

static __always_inline void count(__u8 protocol, const struct tcphdr *tcp)
{
	__u32 kind = FLOOD_REPLY_OTHER;
	__u64 *replies;

	if (protocol == IPPROTO_TCP)
		kind = tcp->rst ? FLOOD_REPLY_RST : tcp->syn && tcp->ack ? FLOOD_REPLY_SYNACK : FLOOD_REPLY_OTHER;
	replies = bpf_map_lookup_elem(&flood_replies, &kind);
	if (replies)
		++*replies;
}

SEC("xdp")
int peer(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;

	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);
		struct tcphdr *tcp = (void *)(ip + 1);

		if ((void *)(tcp + 1) > end || (ip->daddr & bpf_htonl(FLOOD_MASK4)) != bpf_htonl(FLOOD_PREFIX4))
			return XDP_PASS;
		count(ip->protocol, tcp);
		return XDP_DROP;
	}
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(eth + 1);
		struct tcphdr *tcp = (void *)(ip + 1);

		if ((void *)(tcp + 1) > end || ip->daddr.in6_u.u6_addr32[0] != bpf_htonl(FLOOD_PREFIX6))
			return XDP_PASS;
		count(ip->nexthdr, tcp);
		return XDP_DROP;
	}
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
