/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The interface between the flood generator and its BPF programs. */
#ifndef SHAKEOFF_TESTS_FLOOD_H
#define SHAKEOFF_TESTS_FLOOD_H

/*
 * Flood sources are in prefixes that belong to no host here: 100.64.0.0/10 (RFC 6598) and 3fff::/32 (in RFC 9637's
 * documentation prefix): 16384 /24s and 65536 /48s. A narrow flood uses one of each. The client's end of the veth pair
 * drops what is sent to them.
 */
#define FLOOD_PREFIX4 0x64400000u /* host byte order */
#define FLOOD_MASK4 0xffc00000u
#define FLOOD_NARROW_MASK4 0xffffff00u
#define FLOOD_PREFIX6 0x3fff0000u /* the first 32 bits, host byte order */

#define FLOOD_FRAME_MAX 160

/*
 * A frame, and the positions of its random numbers; 0: nowhere. These positions hold zeros, and the sums cover all
 * other bytes: sums of 16-bit words as they are in the packet, not folded.
 */
struct flood_frame {
	__u64 words[FLOOD_FRAME_MAX / 8];
	__u32 len;
	__u32 ip_sum;   /* of IPv4's header */
	__u32 tcp_sum;  /* of pseudo header, TCP header and payload */
	__u16 source;   /* the lower bits of an IPv4 address, the lower 96 of an IPv6 address */
	__u16 ip_id;    /* of IPv4 */
	__u16 fragment; /* the identification of an IPv6 fragment */
	__u16 port;     /* the source port */
	__u16 seq;
	__u16 ack;
	__u16 tsval;
	__u16 tsecr;
	__u16 ip_check; /* the two checksums */
	__u16 tcp_check;
};

/* The parts of its random fields. */
struct flood_numbers {
	__u64 first, second, third;
};

/* Replies to flood sources, counted per CPU by peer.bpf.c in its map "flood_replies". */
enum flood_reply { FLOOD_REPLY_SYNACK, FLOOD_REPLY_RST, FLOOD_REPLY_OTHER, FLOOD_REPLY_COUNT };
#define FLOOD_REPLIES_MAP "flood_replies"

#endif
