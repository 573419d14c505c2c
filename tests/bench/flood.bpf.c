/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One SYN a run, out of an interface. Frames of a live test run come back from the page pool with whatever the receiver
 * wrote into them, so each is written from its first to its last byte.
 */
#include <vmlinux.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flood.h"

#define ETH_HLEN 14

const volatile __u64 frame_words[FLOOD_FRAME_MAX / 8]; /* the frame, its random fields zero */
const volatile __u32 frame_len;
const volatile __u32 out_ifindex;
const volatile bool ipv6;
const volatile bool
	timestamps;          /* 8 bytes at tcp + 20 + 8: MSS (4), SACK permitted (2), timestamps' kind and length (2) */
const volatile __u64 rate;   /* SYNs a second, 0: no pacing */
const volatile __u32 ip_sum; /* IPv4: sum of the header's 16-bit words, random fields zero; not folded */
const volatile __u32 tcp_sum; /* the same of pseudo header and TCP header */

/* One CPU runs this program, one run after the other. */
__u64 random_state;
__u64 start_ns;
__u64 sent;

static __always_inline __u64 next_random(void)
{
	__u64 x = random_state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	random_state = x;
	return x * 0x2545f4914f6cdd1dull;
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline bool too_early(void)
{
	if (!start_ns)
		start_ns = bpf_ktime_get_ns();
	return rate && sent * 1000000000ull >= (bpf_ktime_get_ns() - start_ns) * rate;
}

static __always_inline int fill(void *data, void *end)
{
	__u32 i;

	if (data + frame_len > end)
		return -1;
#pragma unroll
	for (i = 0; i < FLOOD_FRAME_MAX / 8; i++) {
		__u64 *to = (__u64 *)data + i;

		if (i * 8 + 8 <= frame_len) {
			if ((void *)(to + 1) > end)
				return -1;
			*to = frame_words[i];
		} else if (i * 8 < frame_len) {
			__u16 *half = (__u16 *)to;
			__u64 word = frame_words[i];

			/* Frames are a whole number of 16-bit words: 1 to 3 remain. */
			if ((void *)(half + 1) > end)
				return -1;
			half[0] = word;
			if ((void *)(half + 2) <= end)
				half[1] = word >> 16;
			if ((void *)(half + 3) <= end)
				half[2] = word >> 32;
		}
	}
	return 0;
}

SEC("xdp")
int flood(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 first = next_random(), second = next_random(), sum = tcp_sum;
	__u32 source = first, isn = first >> 32, port = second >> 48;
	struct tcphdr *tcp;

	if (too_early() || fill(data, end))
		return XDP_DROP;

	if (ipv6) {
		struct ipv6hdr *ip = data + ETH_HLEN;
		__u32 *address = ip->saddr.in6_u.u6_addr32;

		tcp = (void *)(ip + 1);
		if ((void *)(tcp + 1) > end)
			return XDP_DROP;
		address[2] = source;
		address[3] = (__u32)second;
		sum += (__u64)source + (__u32)second;
	} else {
		struct iphdr *ip = data + ETH_HLEN;

		tcp = (void *)(ip + 1);
		if ((void *)(tcp + 1) > end)
			return XDP_DROP;
		source = bpf_htonl(FLOOD_PREFIX4 | (source & ~FLOOD_MASK4));
		ip->saddr = source;
		ip->id = (__u16)second;
		ip->check = fold((__u64)ip_sum + source + (__u16)second);
		sum += source;
	}

	port |= bpf_htons(1024); /* no privileged port, never 0 */
	tcp->source = port;
	tcp->seq = isn;
	sum += (__u64)port + isn;
	if (timestamps) {
		__u32 *tsval = (void *)(tcp + 1) + 8;

		if ((void *)(tsval + 1) > end)
			return XDP_DROP;
		*tsval = second >> 16;
		sum += *tsval;
	}
	tcp->check = fold(sum);
	sent++;
	return bpf_redirect(out_ifindex, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
