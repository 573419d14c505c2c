/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The frames of each kind of flood. Include the kernel's types (linux/types.h) before this header. */
#ifndef SHAKEOFF_TESTS_FLOOD_FRAME_H
#define SHAKEOFF_TESTS_FLOOD_FRAME_H

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/ipv6.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "flood.h"

#define FLOOD_FLAGS_NONE 0
#define FLOOD_FLAGS_ACK_DATA (TH_ACK | TH_PUSH)
#define FLOOD_FLAGS_XMAS (TH_FIN | TH_PUSH | TH_URG)

/* X(CONSTANT, name, flags of TCP, options, bytes of payload, help) */
/* clang-format off */
#define FLOOD_KINDS(X)                                                                                                 \
	X(SYN, "syn", TH_SYN, LINUX, 0, "SYNs with the options that Linux sends")                                      \
	X(SYN_PLAIN, "syn-plain", TH_SYN, WINDOWS, 0, "SYNs without timestamps, as Windows sends them")                \
	X(ACK, "ack", TH_ACK, NONE, 0, "ACKs")                                                                         \
	X(ACK_DATA, "ack-data", FLOOD_FLAGS_ACK_DATA, NONE, 32, "ACKs with payload")                                   \
	X(ACK_TS, "ack-ts", TH_ACK, TIMESTAMPS, 0, "ACKs with timestamps")                                             \
	X(RST, "rst", TH_RST, NONE, 0, "RSTs")                                                                         \
	X(FIN, "fin", TH_FIN | TH_ACK, NONE, 0, "FINs, with ACK as they always are")                                   \
	X(SYNACK, "synack", TH_SYN | TH_ACK, LINUX, 0, "SYN-ACKs, as a reflector would send them")                     \
	X(SYN_FIN, "syn-fin", TH_SYN | TH_FIN, LINUX, 0, "SYN and FIN")                                                \
	X(NULL, "null", FLOOD_FLAGS_NONE, NONE, 0, "no flag at all")                                                   \
	X(XMAS, "xmas", FLOOD_FLAGS_XMAS, NONE, 0, "FIN, PSH and URG")                                                 \
	X(URG, "urg", TH_ACK | TH_URG, NONE, 32, "ACK and URG, with payload")                                          \
	X(BAD_OFFSET, "bad-offset", TH_SYN, NONE, 0, "SYNs whose header is too short, then longer than the packet, by turns") \
	X(BAD_LENGTH, "bad-length", TH_SYN, NONE, 0, "SYNs in packets too short for TCP, then longer than the frame, by turns") \
	X(ZERO_PORT, "zero-port", TH_SYN, LINUX, 0, "SYNs from port 0")                                                \
	X(FRAGMENT, "fragment", TH_SYN, NONE, 0, "first fragments with 8 bytes of TCP")                                \
	X(FRAGMENT_SYN, "fragment-syn", TH_SYN, LINUX, 0, "SYNs in two fragments each")                                \
	X(FRAGMENT_REST, "fragment-rest", TH_ACK, NONE, 40, "pairs of later fragments that overlap")                   \
	X(BAD_CHECKSUM, "bad-checksum", TH_SYN, LINUX, 0, "SYNs with a wrong checksum")                                \
	X(LAND, "land", TH_SYN, LINUX, 0, "SYNs from the address and port that they go to")                            \
	X(EXT_CHAIN, "ext-chain", TH_SYN, LINUX, 0, "IPv6: SYNs behind eight extension headers")
/* clang-format on */

enum flood_kind {
#define X(constant, name, flags, options, payload, help) FLOOD_##constant,
	FLOOD_KINDS(X)
#undef X
		FLOOD_KIND_COUNT
};

enum flood_options { FLOOD_OPTIONS_NONE, FLOOD_OPTIONS_LINUX, FLOOD_OPTIONS_WINDOWS, FLOOD_OPTIONS_TIMESTAMPS };

struct flood_shape {
	const char *name, *help;
	__u8 flags;
	enum flood_options options;
	size_t payload;
};

static const struct flood_shape flood_shapes[FLOOD_KIND_COUNT] = {
#define X(constant, name, flags, options, payload, help) { name, help, flags, FLOOD_OPTIONS_##options, payload },
	FLOOD_KINDS(X)
#undef X
};

/* The two ends; the source is made up. Addresses and port in network byte order. */
struct flood_ends {
	bool ipv6;
	union {
		struct in_addr v4;
		struct in6_addr v6;
	} dst;
	__be16 port;
	unsigned char dst_mac[ETH_ALEN], src_mac[ETH_ALEN];
};

/* The frames of a flood: one, or two alternately. */
struct flood_plan {
	struct flood_frame frames[2];
	bool pairs;
};

/* A TCP segment, and the position of its timestamps; 0: it has none. */
struct flood_segment {
	unsigned char bytes[96];
	size_t len, tsval;
};

/* The settings of a packet besides its segment. */
struct flood_packet {
	size_t from, len;  /* which bytes of the segment */
	bool fragment;     /* with these flags: */
	bool more;         /* fragments follow */
	size_t extensions; /* IPv6 */
	int longer;        /* bytes that its length claims beyond its end */
};

#define FLOOD_EXTENSIONS 8
#define FLOOD_EXTENSION_LEN 8 /* the minimum (RFC 8200, section 4) */
#define FLOOD_FRAGMENT_ID 4   /* the position of the identification in a fragment header (section 4.5) */
#define FLOOD_FIRST_FRAGMENT 24

static inline __u32 flood_sum(const void *data, size_t len)
{
	const unsigned char *bytes = data;
	__u32 sum = 0;
	__u16 word;

	for (size_t i = 0; i + 1 < len; i += 2) {
		memcpy(&word, bytes + i, 2);
		sum += word;
	}
	return sum;
}

/* Writes the options; *tsval: the position of the timestamps' value, which is made up. Returns their length. */
static inline size_t flood_put_options(unsigned char *to, enum flood_options options, bool ipv6, size_t *tsval)
{
	const unsigned int mss = ipv6 ? 1440 : 1460;
	/* MSS, SACK permitted, timestamps, NOP, window scale 7 */
	const unsigned char linux_options[] = { 2, 4, mss >> 8, mss & 255, 4, 2, 8, 10, 0, 0,
						0, 0, 0,        0,         0, 0, 1, 3,  3, 7 };
	/* MSS, NOP, window scale 8, NOP, NOP, SACK permitted */
	const unsigned char windows_options[] = { 2, 4, mss >> 8, mss & 255, 1, 3, 3, 8, 1, 1, 4, 2 };
	const unsigned char timestamps[] = { 1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0 };

	*tsval = 0;
	switch (options) {
	case FLOOD_OPTIONS_NONE: return 0;
	case FLOOD_OPTIONS_WINDOWS:
		memcpy(to, windows_options, sizeof(windows_options));
		return sizeof(windows_options);
	case FLOOD_OPTIONS_LINUX:
		memcpy(to, linux_options, sizeof(linux_options));
		*tsval = 8;
		return sizeof(linux_options);
	case FLOOD_OPTIONS_TIMESTAMPS:
		memcpy(to, timestamps, sizeof(timestamps));
		*tsval = 4;
		return sizeof(timestamps);
	}
	return 0;
}

static inline void flood_segment_make(struct flood_segment *segment, const struct flood_shape *shape,
				      const struct flood_ends *ends)
{
	struct tcphdr *tcp = (void *)segment->bytes;
	size_t header;

	memset(segment, 0, sizeof(*segment));
	header = sizeof(*tcp) +
		 flood_put_options(segment->bytes + sizeof(*tcp), shape->options, ends->ipv6, &segment->tsval);
	if (segment->tsval)
		segment->tsval += sizeof(*tcp);
	tcp->dest = ends->port;
	tcp->doff = header / 4;
	segment->bytes[offsetof(struct tcphdr, window) - 1] = shape->flags;
	tcp->window = htons(64240);
	if (shape->flags & TH_URG)
		tcp->urg_ptr = htons(1);
	memset(segment->bytes + header, 'x', shape->payload);
	segment->len = header + shape->payload;
}

/* The fields of the IP headers may be unaligned. Both functions return the length of what they write. */
static inline size_t flood_put_ipv4(struct flood_frame *frame, unsigned char *to, const struct flood_ends *ends,
				    const struct flood_packet *packet)
{
	const struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons(sizeof(ip) + packet->len + packet->longer),
		.frag_off = htons(packet->fragment ? (packet->more ? IP_MF : 0) | (packet->from / 8) : IP_DF),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.daddr = ends->dst.v4.s_addr,
	};

	memcpy(to, &ip, sizeof(ip));
	frame->ip_sum = flood_sum(&ip, sizeof(ip));
	frame->source = ETH_HLEN + offsetof(struct iphdr, saddr);
	frame->ip_id = ETH_HLEN + offsetof(struct iphdr, id);
	frame->ip_check = ETH_HLEN + offsetof(struct iphdr, check);
	return sizeof(ip);
}

/*
 * Writes extension headers: hop-by-hop options, then destination options, with one PadN each (RFC 8200, section 4.2).
 */
static inline size_t flood_put_extensions(unsigned char *to, __u8 *next, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const unsigned char header[FLOOD_EXTENSION_LEN] = { IPPROTO_TCP, 0, 1, 4, 0, 0, 0, 0 };

		memcpy(to + i * sizeof(header), header, sizeof(header));
		*next = i ? IPPROTO_DSTOPTS : IPPROTO_HOPOPTS;
		next = to + i * sizeof(header);
	}
	return count * FLOOD_EXTENSION_LEN;
}

/* Writes the header of a fragment (RFC 8200, section 4.5). */
static inline size_t flood_put_fragment(unsigned char *to, __u8 *next, const struct flood_packet *packet)
{
	const __be16 offset = htons(packet->from | packet->more);
	unsigned char header[FLOOD_EXTENSION_LEN] = { IPPROTO_TCP };

	memcpy(header + 2, &offset, sizeof(offset));
	memcpy(to, header, sizeof(header));
	*next = IPPROTO_FRAGMENT;
	return sizeof(header);
}

static inline size_t flood_put_ipv6(struct flood_frame *frame, unsigned char *to, const struct flood_ends *ends,
				    const struct flood_packet *packet)
{
	struct ipv6hdr ip = { .version = 6, .nexthdr = IPPROTO_TCP, .hop_limit = 64, .daddr = ends->dst.v6 };
	size_t extensions = flood_put_extensions(to + sizeof(ip), &ip.nexthdr, packet->extensions);

	ip.saddr.s6_addr32[0] = htonl(FLOOD_PREFIX6);
	if (packet->fragment) {
		extensions = flood_put_fragment(to + sizeof(ip), &ip.nexthdr, packet);
		frame->fragment = ETH_HLEN + sizeof(ip) + FLOOD_FRAGMENT_ID;
	}
	ip.payload_len = htons(extensions + packet->len + packet->longer);
	memcpy(to, &ip, sizeof(ip));
	frame->source = ETH_HLEN + offsetof(struct ipv6hdr, saddr) + 4;
	return sizeof(ip) + extensions;
}

/* Returns the sum of pseudo header and segment, with their random fields zero. */
static inline __u32 flood_tcp_sum(const struct flood_segment *segment, const struct flood_ends *ends)
{
	const __be32 prefix = htonl(FLOOD_PREFIX6);
	__u32 sum = flood_sum(segment->bytes, segment->len) + htons(segment->len) + htons(IPPROTO_TCP);

	if (ends->ipv6)
		return sum + flood_sum(&prefix, sizeof(prefix)) + flood_sum(&ends->dst.v6, sizeof(ends->dst.v6));
	return sum + flood_sum(&ends->dst.v4, sizeof(ends->dst.v4));
}

/*
 * Sets the positions of the random fields of a TCP header at `l4` within the packet. Timestamps are for whole segments.
 */
static inline void flood_tcp_fields(struct flood_frame *frame, size_t l4, const struct flood_segment *segment,
				    const struct flood_packet *packet)
{
	const struct tcphdr *tcp = (const void *)segment->bytes;

	if (packet->from)
		return;
	frame->port = l4 + offsetof(struct tcphdr, source);
	frame->seq = l4 + offsetof(struct tcphdr, seq);
	if (packet->len < sizeof(struct tcphdr))
		return;
	if (tcp->ack)
		frame->ack = l4 + offsetof(struct tcphdr, ack_seq);
	if (segment->tsval && packet->len == segment->len) {
		frame->tsval = l4 + segment->tsval;
		if (tcp->ack)
			frame->tsecr = l4 + segment->tsval + 4;
	}
	frame->tcp_check = l4 + offsetof(struct tcphdr, check);
}

static inline void flood_frame_make(struct flood_frame *frame, const struct flood_segment *segment,
				    const struct flood_ends *ends, const struct flood_packet *packet)
{
	unsigned char *bytes = (void *)frame->words;
	struct ethhdr *eth = (void *)bytes;
	size_t l4 = sizeof(*eth);

	memset(frame, 0, sizeof(*frame));
	memcpy(eth->h_dest, ends->dst_mac, ETH_ALEN);
	memcpy(eth->h_source, ends->src_mac, ETH_ALEN);
	eth->h_proto = htons(ends->ipv6 ? ETH_P_IPV6 : ETH_P_IP);
	if (ends->ipv6)
		l4 += flood_put_ipv6(frame, bytes + l4, ends, packet);
	else
		l4 += flood_put_ipv4(frame, bytes + l4, ends, packet);
	memcpy(bytes + l4, segment->bytes + packet->from, packet->len);
	frame->tcp_sum = flood_tcp_sum(segment, ends);
	flood_tcp_fields(frame, l4, segment, packet);
	frame->len = l4 + packet->len;
	if (frame->len < ETH_ZLEN)
		frame->len = ETH_ZLEN;
}

/* From the receiver to itself: no part of its source is made up. */
static inline void flood_make_land(struct flood_frame *frame, const struct flood_ends *ends)
{
	unsigned char *bytes = (void *)frame->words;
	size_t address = ends->ipv6 ? sizeof(ends->dst.v6) : sizeof(ends->dst.v4);
	unsigned char *source = bytes + ETH_HLEN +
				(ends->ipv6 ? offsetof(struct ipv6hdr, saddr) : offsetof(struct iphdr, saddr));

	frame->tcp_sum -= flood_sum(source, address);
	memcpy(source, source + address, address);
	memcpy(bytes + frame->port, &ends->port, sizeof(ends->port));
	frame->ip_sum += ends->ipv6 ? 0 : flood_sum(source, address);
	frame->tcp_sum += flood_sum(source, address) + ends->port;
	frame->source = frame->port = 0;
}

/* Offsets of the data that no TCP uses: in the header's fixed part, or beyond the packet. */
static inline void flood_segment_offset(struct flood_segment *segment, unsigned int words)
{
	((struct tcphdr *)segment->bytes)->doff = words;
}

/* All frames of a flood have the length of the first. */
static inline void flood_make_pair(struct flood_plan *plan, const struct flood_segment *segment,
				   const struct flood_ends *ends, const struct flood_packet *first,
				   const struct flood_packet *second)
{
	flood_frame_make(&plan->frames[0], segment, ends, first);
	flood_frame_make(&plan->frames[1], segment, ends, second);
	plan->frames[1].len = plan->frames[0].len;
	plan->pairs = true;
}

static inline void flood_make_bad_offset(struct flood_plan *plan, struct flood_segment *segment,
					 const struct flood_ends *ends, const struct flood_packet *packet)
{
	flood_segment_offset(segment, 4);
	flood_frame_make(&plan->frames[0], segment, ends, packet);
	flood_segment_offset(segment, 15);
	flood_frame_make(&plan->frames[1], segment, ends, packet);
	plan->pairs = true;
}

/* *plan stays unchanged if it cannot be made: -EAFNOSUPPORT. */
static inline int flood_plan_make(struct flood_plan *plan, enum flood_kind kind, enum flood_options options,
				  const struct flood_ends *ends)
{
	struct flood_shape shape = flood_shapes[kind];
	struct flood_segment segment;
	struct flood_packet whole = {}, first, second;

	if (kind == FLOOD_EXT_CHAIN && !ends->ipv6)
		return -EAFNOSUPPORT;
	memset(plan, 0, sizeof(*plan));
	shape.options = options;
	flood_segment_make(&segment, &shape, ends);
	whole.len = segment.len;
	first = second = whole;
	switch (kind) {
	case FLOOD_BAD_OFFSET: flood_make_bad_offset(plan, &segment, ends, &whole); return 0;
	case FLOOD_BAD_LENGTH:
		first.longer = -8;
		second.longer = 200;
		flood_make_pair(plan, &segment, ends, &first, &second);
		return 0;
	case FLOOD_FRAGMENT: whole = (struct flood_packet){ .len = 8, .fragment = true, .more = true }; break;
	case FLOOD_FRAGMENT_SYN:
		first = (struct flood_packet){ .len = FLOOD_FIRST_FRAGMENT, .fragment = true, .more = true };
		second = (struct flood_packet){ .from = first.len, .len = segment.len - first.len, .fragment = true };
		flood_make_pair(plan, &segment, ends, &first, &second);
		return 0;
	case FLOOD_FRAGMENT_REST:
		first = (struct flood_packet){ .from = 24, .len = 24, .fragment = true, .more = true };
		second = (struct flood_packet){ .from = 32, .len = 24, .fragment = true, .more = true };
		flood_make_pair(plan, &segment, ends, &first, &second);
		return 0;
	case FLOOD_EXT_CHAIN: whole.extensions = FLOOD_EXTENSIONS; break;
	default: break;
	}
	flood_frame_make(&plan->frames[0], &segment, ends, &whole);
	if (kind == FLOOD_LAND)
		flood_make_land(&plan->frames[0], ends);
	if (kind == FLOOD_ZERO_PORT)
		plan->frames[0].port = 0;
	if (kind == FLOOD_BAD_CHECKSUM)
		plan->frames[0].tcp_sum++;
	return 0;
}

/* Returns the kind of a name, or FLOOD_KIND_COUNT. */
static inline enum flood_kind flood_kind_named(const char *name)
{
	enum flood_kind kind = 0;

	while (kind < FLOOD_KIND_COUNT && strcmp(name, flood_shapes[kind].name))
		kind++;
	return kind;
}

#endif
