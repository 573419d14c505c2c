/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a frame to its TCP header: a cursor that each parser checks and moves on.
 *
 * Parsers return what comes next, or a negative value. PARSE_OTHER is for packets that the hook leaves to the kernel
 * (other protocols, and damaged Ethernet and IP headers, which the kernel counts). With the other values the IP
 * addresses are known, and fragment.h decides.
 */
#ifndef SHAKEOFF_BPF_PACKET_PARSE_H
#define SHAKEOFF_BPF_PACKET_PARSE_H

#include "core/kernel.h"

#include <shakeoff/abi.h>
#include <shakeoff/byteorder.h>

#include "core/ctx.h"
#include "lib/compiler.h"
#include "lib/tcpopt.h"

#define PARSE_OTHER (-1)
#define PARSE_FRAGMENT (-2) /* an IP fragment of a TCP segment: `fragment` is known, and where its data begins */
#define PARSE_CUT (-3)      /* TCP by its IP header, but the TCP header is incomplete */
#define PARSE_CHAIN (-4)    /* an IPv6 packet with more extension headers than are parsed */

/*
 * Bounds l4_offset for the verifier, above the maximum that the parsers let pass: four extension headers of 2048 bytes.
 */
#define MAX_L4_OFFSET_MASK 0x3fff

/*
 * RFC 8200, section 4.1 lists six kinds of extension header; the four of is_extension() are parsed if they come before
 * TCP.
 */
#define MAX_EXTENSION_HEADERS 4

/* The first four bytes of every extension header that is parsed (RFC 8200, sections 4.3 to 4.6). */
struct extension_header {
	__u8 next;
	__u8 len; /* in 8-byte units beyond the first; reserved in a fragment header */
	union {
		struct {
			__u8 type;
			__u8 segments_left; /* of a routing header */
		};
		__be16 fragment; /* 13 bits of offset in 8-byte units, 2 reserved, more fragments */
	};
};

struct cursor {
	void *position;
	void *end;
};

struct vlan_tag {
	__be16 tci;
	__be16 type;
};

/*
 * Returns the EtherType in host byte order, with the cursor behind Ethernet header and VLAN tag. With several tags it
 * is the second one's: not IP, so the kernel handles the frame.
 */
static __always_inline int parse_ethernet(struct cursor *cursor, struct packet *packet)
{
	struct ethhdr *eth = cursor->position;
	const __be16 *destination = cursor->position;
	struct vlan_tag *tag;
	__be16 type;

	if ((void *)(eth + 1) > cursor->end)
		return PARSE_OTHER;
	if (eth->h_dest[0] & 1) /* group address: TCP is unicast, the kernel drops such segments */
		return PARSE_OTHER;
	packet->l2_dst = l2_dst_mac(destination);
	type = eth->h_proto;
	cursor->position = tag = (void *)(eth + 1);
	if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
		return bpf_ntohs(type);
	if ((void *)(tag + 1) > cursor->end)
		return PARSE_OTHER;
	if (bpf_ntohs(tag->tci) & VLAN_VID_MASK)
		packet->l2_dst |= (__u64)SHAKEOFF_VLAN_TAG(type == bpf_htons(ETH_P_8021AD), bpf_ntohs(tag->tci))
				  << L2_DST_VLAN_SHIFT;
	cursor->position = tag + 1;
	return bpf_ntohs(tag->type);
}

/* Parses IPv4 (RFC 791) with its options. Moves the cursor to the TCP header. */
static __always_inline int parse_ipv4(struct cursor *cursor, struct packet *packet)
{
	struct iphdr *ip = cursor->position;
	__u32 header_len, total_len;

	if ((void *)(ip + 1) > cursor->end || ip->version != 4 || ip->protocol != IPPROTO_TCP)
		return PARSE_OTHER;
	header_len = ip->ihl * 4;
	total_len = bpf_ntohs(ip->tot_len);
	packet->flow.client[0] = ip->saddr;
	packet->flow.server[0] = ip->daddr;
	packet->flow.ipv6 = 0;
	packet->tos = ip->tos;
	packet->ttl = ip->ttl;
	packet->segment_len = total_len - header_len;
	packet->l4_offset = packet->l3_offset + header_len;
	if (header_len < sizeof(*ip) || total_len < header_len)
		return PARSE_CUT;
	if (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)) {
		packet->fragment = bpf_ntohs(ip->frag_off) & (IP_MF | IP_OFFSET);
		return PARSE_FRAGMENT;
	}
	if (total_len < header_len + sizeof(struct tcphdr))
		return PARSE_CUT;
	cursor->position = (void *)ip + header_len;
	return 0;
}

static __always_inline bool is_extension(__u32 next)
{
	return next == NEXTHDR_HOP || next == NEXTHDR_ROUTING || next == NEXTHDR_FRAGMENT || next == NEXTHDR_DEST;
}

/*
 * Parses the headers between IPv6 and TCP, and adds their length in bytes to *walked. A fragment header on a whole
 * packet is an extension header like others (RFC 6946).
 */
static __always_inline int parse_extensions(struct cursor *cursor, struct packet *packet, __u32 next, __u32 *walked)
{
	__u16 fragment = 0;

	for (int i = 0; i < MAX_EXTENSION_HEADERS && next != IPPROTO_TCP; i++) {
		struct extension_header *extension = cursor->position;
		__u32 len;

		if (!is_extension(next))
			return PARSE_OTHER;
		if ((void *)(extension + 1) > cursor->end)
			return PARSE_CUT;
		len = (extension->len + 1) * 8;
		if (next == NEXTHDR_ROUTING && extension->segments_left) /* in transit, not for this host */
			return PARSE_OTHER;
		if (next == NEXTHDR_FRAGMENT) {
			__u16 field = bpf_ntohs(extension->fragment);

			len = 8;
			fragment |= (field >> 3) | (field & 1 ? IP_MF : 0);
		}
		next = extension->next;
		*walked += len;
		cursor->position += len;
		if (fragment & IP_OFFSET)
			break;
	}
	packet->fragment = fragment;
	if (next != IPPROTO_TCP && !is_extension(next))
		return PARSE_OTHER;
	if (fragment && (next == IPPROTO_TCP || fragment & IP_OFFSET))
		return PARSE_FRAGMENT;
	return next == IPPROTO_TCP ? 0 : PARSE_CHAIN;
}

/* Parses IPv6 (RFC 8200) with a bounded number of extension headers. Moves the cursor to the TCP header. */
static __always_inline int parse_ipv6(struct cursor *cursor, struct packet *packet)
{
	struct ipv6hdr *ip = cursor->position;
	__u32 walked = 0, payload_len;
	int err = 0;

	if ((void *)(ip + 1) > cursor->end || ip->version != 6)
		return PARSE_OTHER;
	cursor->position = ip + 1;
	if (ip->nexthdr != IPPROTO_TCP)
		err = parse_extensions(cursor, packet, ip->nexthdr, &walked);
	if (err == PARSE_OTHER)
		return err;
	payload_len = bpf_ntohs(ip->payload_len);
	__builtin_memcpy(packet->flow.client, &ip->saddr, sizeof(packet->flow.client));
	__builtin_memcpy(packet->flow.server, &ip->daddr, sizeof(packet->flow.server));
	packet->flow.ipv6 = 1;
	packet->ttl = ip->hop_limit;
	packet->tos = (ip->priority << 4) | (ip->flow_lbl[0] >> 4);
	packet->segment_len = payload_len - walked;
	packet->l4_offset = packet->l3_offset + sizeof(*ip) + walked;
	if (err != PARSE_CHAIN && payload_len < walked + (err ? 0 : sizeof(struct tcphdr)))
		return PARSE_CUT;
	return err;
}

static __always_inline int parse_tcp(struct cursor *cursor, struct packet *packet)
{
	struct tcphdr *tcp = cursor->position;

	if ((void *)(tcp + 1) > cursor->end)
		return PARSE_CUT;
	packet->flow.client_port = tcp->source;
	packet->flow.server_port = tcp->dest;
	packet->seq = bpf_ntohl(tcp->seq);
	packet->ack = bpf_ntohl(tcp->ack_seq);
	packet->window = bpf_ntohs(tcp->window);
	packet->reserved = ((const __u8 *)tcp)[12] & 0xf;
	packet->flags = ((const __u8 *)tcp)[13];
	packet->header_len = tcp->doff * 4;
	return 0;
}

/* Parses a frame. Returns 0 with *packet filled, or PARSE_*. The TCP header's own lengths are not checked yet. */
static __always_inline int parse_packet(void *data, void *end, struct packet *packet)
{
	struct cursor cursor = { .position = data, .end = end };
	int type, err;

	type = parse_ethernet(&cursor, packet);
	if (type < 0)
		return type;
	packet->l3_offset = cursor.position - data;
	if (type == ETH_P_IP)
		err = parse_ipv4(&cursor, packet);
	else if (type == ETH_P_IPV6)
		err = parse_ipv6(&cursor, packet);
	else
		return PARSE_OTHER;
	if (err)
		return err;
	return parse_tcp(&cursor, packet);
}

/*
 * Returns whether the TCP header's data offset and the length by the IP header fit the frame (RFC 9293, section 3.1).
 */
static __always_inline bool tcp_lengths_fit(const struct packet *packet, __u32 frame_len)
{
	return packet->header_len >= sizeof(struct tcphdr) && packet->header_len <= packet->segment_len &&
	       packet->l4_offset + packet->segment_len <= frame_len;
}

/* Returns the TCP options in the frame, or NULL if it has fewer than `len` bytes behind the TCP header. */
static __always_inline const __u32 *tcp_options(void *data, void *end, const struct packet *packet, __u32 len)
{
	void *options = data + (packet->l4_offset & MAX_L4_OFFSET_MASK) + sizeof(struct tcphdr);

	return options + len <= end ? options : NULL;
}

/*
 * Copies the options of the TCP header to words[TCPOPT_BUFFER_WORDS], whose end is and stays zero (tcpopt.h). Returns
 * their length in bytes, or a negative value if they are not in the linear part of the frame.
 */
static __always_inline int tcp_options_copy(void *data, void *end, const struct packet *packet, __u32 *words)
{
	__u32 len = packet->header_len - sizeof(struct tcphdr);
	const __u32 *option = tcp_options(data, end, packet, 0);

	if (!option)
		return PARSE_OTHER;
	UNROLL
	for (int i = 0; i < TCPOPT_MAX_WORDS; i++) {
		words[i] = 0;
		if ((__u32)i * 4 < len) {
			if ((void *)(option + i + 1) > end)
				return PARSE_OTHER;
			words[i] = option[i];
		}
	}
	return len;
}

#endif
