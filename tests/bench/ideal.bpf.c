/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The best possible filter against a flood: it knows the made-up sources, drops their packets, and does nothing else.
 * The losses of honest clients beside it are caused by the wire, by the veth's ring of 256 frames, and by the flood's
 * use of the CPU.
 */
#include <vmlinux.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flood.h"

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD

SEC("xdp")
int ideal(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct ipv6hdr *ip6 = (void *)(eth + 1);
	struct iphdr *ip = (void *)(eth + 1);
	bool made_up = 0;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IP) && (void *)(ip + 1) <= end)
		made_up = (ip->saddr & bpf_htonl(FLOOD_MASK4)) == bpf_htonl(FLOOD_PREFIX4);
	else if (eth->h_proto == bpf_htons(ETH_P_IPV6) && (void *)(ip6 + 1) <= end)
		made_up = ip6->saddr.in6_u.u6_addr32[0] == bpf_htonl(FLOOD_PREFIX6);
	return made_up ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
