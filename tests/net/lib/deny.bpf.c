// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The effect of systemd's IPAddressDeny=198.51.100.0/24 2001:db8:51::/64: sockets of a control group receive nothing
 * from there.
 */
#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ETH_P_IP 0x0800

SEC("cgroup_skb/ingress")
int deny(struct __sk_buff *skb)
{
	__u32 source[2] = {};

	if (skb->protocol == bpf_htons(ETH_P_IP))
		return bpf_skb_load_bytes(skb, 12, source, 4) ||
		       (source[0] & bpf_htonl(0xffffff00)) != bpf_htonl(0xc6336400);
	return bpf_skb_load_bytes(skb, 8, source, 8) || source[0] != bpf_htonl(0x20010db8) ||
	       source[1] != bpf_htonl(0x00510000);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
