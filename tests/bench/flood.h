/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the flood generator and its BPF programs agree on. */
#ifndef SHAKEOFF_TESTS_FLOOD_H
#define SHAKEOFF_TESTS_FLOOD_H

/*
 * Flood sources come from prefixes that stand for nobody: 198.18.0.0/15 (RFC 2544, benchmarks) and 2001:db8:f::/48 (in
 * RFC 3849's documentation prefix). The client's end of the veth pair swallows what is sent to them.
 */
#define FLOOD_PREFIX4 0xc6120000u /* host byte order */
#define FLOOD_MASK4 0xfffe0000u
#define FLOOD_PREFIX6_0 0x20010db8u /* first and second 32 bits, host byte order */
#define FLOOD_PREFIX6_1 0x000f0000u
#define FLOOD_MASK6_1 0xffff0000u

#define FLOOD_FRAME_MAX 96

/* Replies to flood sources, counted per CPU by peer.bpf.c in its map "flood_replies". */
enum flood_reply { FLOOD_REPLY_SYNACK, FLOOD_REPLY_RST, FLOOD_REPLY_OTHER, FLOOD_REPLY_COUNT };
#define FLOOD_REPLIES_MAP "flood_replies"

#endif
