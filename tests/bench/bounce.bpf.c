/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The minimum work for a SYN: sends the frame back as it is. The baseline of all other measurements. */
#include <vmlinux.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD

static __always_inline void swap_macs(struct ethhdr *eth)
{
	__u8 mac[6];

	__builtin_memcpy(mac, eth->h_dest, 6);
	__builtin_memcpy(eth->h_dest, eth->h_source, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
}

/*
 * Swaps the addresses and sets ACK, so that peer.bpf.c counts the frame as a SYN-ACK. The checksum stays wrong: nothing
 * checks it.
 */
SEC("xdp")
int bounce(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct tcphdr *tcp;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;

	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);
		__be32 from = 0;

		tcp = (void *)(ip + 1);
		if ((void *)(tcp + 1) > end || ip->protocol != IPPROTO_TCP || !tcp->syn)
			return XDP_PASS;
		from = ip->saddr;
		ip->saddr = ip->daddr;
		ip->daddr = from;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(eth + 1);
		struct in6_addr from;

		tcp = (void *)(ip + 1);
		if ((void *)(tcp + 1) > end || ip->nexthdr != IPPROTO_TCP || !tcp->syn)
			return XDP_PASS;
		from = ip->saddr;
		ip->saddr = ip->daddr;
		ip->daddr = from;
	} else {
		return XDP_PASS;
	}
	tcp->ack = 1;
	swap_macs(eth);
	return XDP_TX;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
