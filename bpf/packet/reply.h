/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Replies: a SYN-ACK, or an RST, written over the segment that it replies to. */
#ifndef SHAKEOFF_BPF_PACKET_REPLY_H
#define SHAKEOFF_BPF_PACKET_REPLY_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/byteorder.h>

#include "core/ctx.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "lib/cookie.h"
#include "lib/csum.h"
#include "lib/tcpopt.h"

/* Gives the frame its new length. Pads it to Ethernet's minimum, for drivers that cannot do so. */
static __always_inline bool reply_resize(struct xdp_md *ctx, __u32 old_len, __u32 new_len)
{
	if (new_len < ETH_ZLEN)
		new_len = ETH_ZLEN;
	return new_len == old_len || !bpf_xdp_adjust_tail(ctx, (int)new_len - (int)old_len);
}

/* Swaps the addresses, as 16-bit halves: clang copies the packed bytes of struct ethhdr one by one. */
static __always_inline void reply_ethernet(__u16 *halves)
{
	UNROLL
	for (int i = 0; i < 3; i++) {
		__u16 destination = halves[i];

		halves[i] = halves[3 + i];
		halves[3 + i] = destination;
	}
}

/* Prepares the IPv4 header without options, up to the addresses. */
static __always_inline void reply_prepare_ipv4(struct reply *reply, const struct cookie_flow *flow, __u32 tcp_len)
{
	/* version, header length, TOS, total length; id 0, DF: as the kernel sends SYN-ACKs */
	reply->ip[0] = bpf_htonl((4u << 28) | (5u << 24) | ((__u32)reply->tos << 16) |
				 (sizeof(struct iphdr) + tcp_len));
	reply->ip[1] = bpf_htonl(IP_DF);
	reply->ip[2] = bpf_htonl(((__u32)reply->ttl << 24) | (IPPROTO_TCP << 16));
	reply->ip_sum = csum_words(flow->server[0], reply->ip, 3);
	reply->tcp_sum = (__u64)flow->server[0] + bpf_htonl((IPPROTO_TCP << 16) | tcp_len);
}

static __always_inline void reply_prepare_ipv6(struct reply *reply, const struct cookie_flow *flow, __u32 tcp_len)
{
	reply->ip[0] = bpf_htonl((6u << 28) | ((__u32)reply->tos << 20)); /* version, traffic class; flow label 0 */
	reply->ip[1] = bpf_htonl((tcp_len << 16) | (IPPROTO_TCP << 8) | reply->ttl);
	reply->tcp_sum = csum_words(bpf_htonl(tcp_len) + (__u64)bpf_htonl(IPPROTO_TCP), flow->server, 4);
}

/* Prepares the parts that stay the same, and begins the sums of RFC 9293, section 3.1, and RFC 791, section 3.1. */
static __always_inline void reply_prepare(struct reply *reply, const struct cookie_flow *flow)
{
	__u32 tcp_len = sizeof(struct tcphdr) + 4 * reply->option_words;

	if (flow->ipv6)
		reply_prepare_ipv6(reply, flow, tcp_len);
	else
		reply_prepare_ipv4(reply, flow, tcp_len);
	reply->tcp_head = bpf_htonl(((5 + reply->option_words) << 28) | ((__u32)reply->flags << 16) | reply->window);
	reply->tcp_sum += (__u64)reply->tcp_head + flow->server_port;
	reply->tcp_sum = csum_words(reply->tcp_sum, reply->options, TCPOPT_SYNACK_MAX_WORDS);
}

/* Writes an IP header over the old one. Returns the sum of its words that reply->tcp_sum leaves out. */
static __always_inline __u64 reply_ipv4(struct iphdr *ip, const struct cookie_flow *flow, const struct reply *reply)
{
	__u32 words[5] = { reply->ip[0], reply->ip[1], reply->ip[2], flow->server[0], flow->client[0] };

	words[2] |= bpf_htonl(bpf_ntohs(csum_fold(reply->ip_sum + flow->client[0])));
	__builtin_memcpy(ip, words, sizeof(*ip));
	return flow->client[0];
}

static __always_inline __u64 reply_ipv6(struct ipv6hdr *ip, const struct cookie_flow *flow, const struct reply *reply)
{
	__u32 *words = (__u32 *)ip;
	__u64 sum = 0;

	words[0] = reply->ip[0];
	words[1] = reply->ip[1];
	/* Word by word, as the parser has stored them: clang would copy pairs of words and take them apart again. */
	UNROLL
	for (int i = 0; i < 4; i++) {
		__u32 client = flow->client[i];

		words[2 + i] = flow->server[i];
		words[6 + i] = client;
		sum += client;
	}
	return sum;
}

static __always_inline bool reply_tcp(__u32 *tcp, void *end, const struct cookie_flow *flow, const struct reply *reply,
				      __u64 client_sum)
{
	__be32 tsval = bpf_htonl(reply->tsval), tsecr = bpf_htonl(reply->tsecr);
	__u32 header[5] = {
		flow->server_port | ((__u32)flow->client_port << 16),
		bpf_htonl(reply->seq),
		bpf_htonl(reply->ack),
		reply->tcp_head,
		0,
	};
	__u64 sum = reply->tcp_sum + client_sum + ((__u32)flow->client_port << 16) + header[1] + header[2] + tsval +
		    tsecr;

	header[4] = bpf_htonl((__u32)bpf_ntohs(csum_fold(sum)) << 16);
	if ((void *)(tcp + 5) > end)
		return 0;
	__builtin_memcpy(tcp, header, sizeof(header));
	/* The length that Linux's options have, with one check for all words. */
	if (reply->option_words == TCPOPT_SYNACK_MAX_WORDS) {
		if ((void *)(tcp + 5 + TCPOPT_SYNACK_MAX_WORDS) > end)
			return 0;
		UNROLL
		for (int i = 0; i < TCPOPT_SYNACK_MAX_WORDS; i++)
			tcp[5 + i] = i == TCPOPT_SYNACK_TSECR     ? tsecr :
				     i == TCPOPT_SYNACK_TSECR - 1 ? tsval :
								    reply->options[i];
		return 1;
	}
	UNROLL
	for (__u32 i = 0; i < TCPOPT_SYNACK_MAX_WORDS - 1; i++) {
		if (i >= reply->option_words)
			break;
		if ((void *)(tcp + 5 + i + 1) > end)
			return 0;
		tcp[5 + i] = reply->options[i] | (i == reply->tsecr_word     ? tsecr :
						  i == reply->tsecr_word - 1 ? tsval :
									       0);
	}
	return 1;
}

/* Zeros the rest of the frame behind the segment, up to Ethernet's minimum, so that nothing of the old frame leaks. */
static __always_inline void reply_pad(__u8 *position, void *end)
{
	UNROLL
	for (int i = 0; i < 6; i++)
		if ((void *)(position + i + 1) <= end)
			position[i] = 0;
}

/* Writes a prepared reply over the frame. Returns 0 if the frame cannot hold it. */
static __always_inline int reply_build(struct xdp_md *ctx, const struct packet *packet, const struct reply *reply,
				       __u32 frame_len)
{
	__u32 ip_len = packet->flow.ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	__u32 tcp_len = sizeof(struct tcphdr) + 4 * (reply->option_words & 7); /* masked for the verifier */
	__u32 l3_offset = packet->l3_offset & 0x1f;
	__u64 client_sum;
	void *data, *end;

	if (!reply_resize(ctx, frame_len, l3_offset + ip_len + tcp_len))
		return 0;
	/*
	 * clang 14 folds ctx + 4, live since before bpf_xdp_adjust_tail(), into the loads below, and the verifier
	 * refuses the "dereference of modified ctx ptr". The barrier makes clang forget what it knows of ctx.
	 */
	barrier_var(ctx);
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + sizeof(struct ethhdr) > end || data + l3_offset + sizeof(struct ipv6hdr) > end)
		return 0;
	reply_ethernet(data);
	if (packet->flow.ipv6)
		client_sum = reply_ipv6(data + l3_offset, &packet->flow, reply);
	else
		client_sum = reply_ipv4(data + l3_offset, &packet->flow, reply);
	if (!reply_tcp(data + l3_offset + ip_len, end, &packet->flow, reply, client_sum))
		return 0;
	if (l3_offset + ip_len + tcp_len < ETH_ZLEN)
		reply_pad(data + l3_offset + ip_len + tcp_len, end);
	return 1;
}

/*
 * Turns the frame, whose whole length is frame_len, into the reply in scratch. Returns 0 if the frame could not get the
 * reply's length, or is shorter than its headers said; then it must not be sent. A global function: see scratch_get().
 */
__noinline int reply_write(struct xdp_md *ctx, __u32 frame_len)
{
	struct scratch *scratch = scratch_get();

	if (!scratch)
		return 0;
	reply_prepare(&scratch->reply, &scratch->packet.flow);
	return reply_build(ctx, &scratch->packet, &scratch->reply, frame_len);
}

/*
 * Returns the maximum number of option words of a SYN-ACK: its frame must not be longer than that of the SYN, or than
 * Ethernet's minimum. So an attacker that spoofs the source of SYNs gains no amplification.
 */
static __always_inline __u32 synack_room(const struct packet *packet)
{
	const __u32 least = sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr);
	__u32 words = (packet->header_len - sizeof(struct tcphdr)) / 4;

	if (!words && !packet->flow.ipv6 && packet->l3_offset == sizeof(struct ethhdr))
		return (ETH_ZLEN - least) / 4;
	return words;
}

/*
 * Makes the RST to a refused SYN (RFC 9293, section 3.10.7.1: a segment without ACK). It acknowledges the SYN and its
 * data.
 */
static __always_inline void reply_reset_syn(struct reply *reply, const struct packet *packet)
{
	*reply = (struct reply){ .ttl = IPDEFTTL };
	reply->ack = packet->seq + 1 + packet->segment_len - packet->header_len;
	reply->flags = TCPHDR_RST | TCPHDR_ACK;
}

/* Makes the RST to a refused ACK (same section: a segment with ACK). */
static __always_inline void reply_reset_ack(struct reply *reply, const struct packet *packet)
{
	*reply = (struct reply){ .ttl = IPDEFTTL };
	reply->seq = packet->ack;
	reply->flags = TCPHDR_RST;
}

#endif
