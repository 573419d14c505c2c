/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP options (RFC 9293, section 3.2; RFC 7323; RFC 2018), read and written.
 *
 * Reading is as lenient as the kernel's tcp_parse_options() (net/ipv4/tcp_input.c): an option of the wrong length is
 * skipped, a length that leads out of the header ends the list, the last of two equal options counts.
 */
#ifndef SHAKEOFF_BPF_LIB_TCPOPT_H
#define SHAKEOFF_BPF_LIB_TCPOPT_H

#include <shakeoff/abi.h>
#include <shakeoff/byteorder.h>

#include "lib/compiler.h"

#define TCPOPT_MAX_BYTES 40
#define TCPOPT_MAX_WORDS (TCPOPT_MAX_BYTES / 4)

/*
 * Room for the options as in the packet, with zeros behind them. A power of two, plus the longest option, so that a
 * mask bounds an offset into it for the verifier of every kernel.
 */
#define TCPOPT_BUFFER_BYTES 64
#define TCPOPT_BUFFER_WORDS ((TCPOPT_BUFFER_BYTES + 16) / 4)

/* Kinds, as IANA lists them ("TCP Option Kind Numbers"). */
enum tcpopt_kind {
	TCPOPT_KIND_EOL = 0,
	TCPOPT_KIND_NOP = 1,
	TCPOPT_KIND_MSS = 2,
	TCPOPT_KIND_WSCALE = 3,
	TCPOPT_KIND_SACK_PERMITTED = 4,
	TCPOPT_KIND_TIMESTAMP = 8,
	TCPOPT_KIND_MD5 = 19,
	TCPOPT_KIND_AO = 29,
};

#define TCPOPT_MAX_WSCALE 14 /* RFC 7323, section 2.3 */

/* The options of a segment, the client's or ours. */
struct tcpopt {
	__u32 tsval; /* host byte order; meaningful with `timestamps` */
	__u32 tsecr;
	__u16 mss;   /* 0: no option */
	__u8 wscale; /* 0..14 or SHAKEOFF_NO_WSCALE */
	__u8 sack;   /* permitted */
	__u8 timestamps;
	__u8 auth; /* TCP-MD5 (RFC 2385) or TCP-AO (RFC 5925) */
	__u8 pad[2];
	__u32 position; /* of the reader: bytes read; 0 before it starts */
};

/* Byte i of the options, which are kept as words so that they are aligned. */
#define TCPOPT_BYTE(words, i) (((const __u8 *)(words))[i])

#define TCPOPT_BE16(words, i) (((__u32)TCPOPT_BYTE(words, i) << 8) | TCPOPT_BYTE(words, (i) + 1))
#define TCPOPT_BE32(words, i) ((TCPOPT_BE16(words, i) << 16) | TCPOPT_BE16(words, (i) + 2))

/* Takes the option that starts at byte i. */
static __always_inline void tcpopt_take(const __u32 *words, __u32 i, __u32 kind, __u32 len, struct tcpopt *opt)
{
	if (kind == TCPOPT_KIND_MSS && len == 4) {
		opt->mss = TCPOPT_BE16(words, i + 2);
	} else if (kind == TCPOPT_KIND_WSCALE && len == 3) {
		__u8 wscale = TCPOPT_BYTE(words, i + 2);

		opt->wscale = wscale > TCPOPT_MAX_WSCALE ? TCPOPT_MAX_WSCALE : wscale;
	} else if (kind == TCPOPT_KIND_SACK_PERMITTED && len == 2) {
		opt->sack = 1;
	} else if (kind == TCPOPT_KIND_TIMESTAMP && len == 10) {
		opt->timestamps = 1;
		opt->tsval = TCPOPT_BE32(words, i + 2);
		opt->tsecr = TCPOPT_BE32(words, i + 6);
	} else if (kind == TCPOPT_KIND_MD5 || kind == TCPOPT_KIND_AO) {
		opt->auth = 1;
	}
}

/*
 * Reads a list of options. words: TCPOPT_BUFFER_WORDS of them: the options, then zeros. len: bytes of options, a
 * multiple of 4, at most 40. Returns opt->auth.
 *
 * In BPF, words, *opt and the reader's position are in a map. The values are then unknown to the verifier, and all
 * paths through one round of the loop merge into one state before the next. With the position in a register, or a loop
 * over packet pointers, the verifier runs for minutes and exceeds a million instructions.
 */
static __always_inline bool tcpopt_read(const __u32 *words, __u32 len, struct tcpopt *opt)
{
	volatile __u32 *position = &opt->position;

	for (int i = 0; i < TCPOPT_MAX_BYTES; i++) {
		__u32 at = *position, kind, option_len;

		if (at >= len)
			break;
		at &= TCPOPT_BUFFER_BYTES - 1;
		kind = TCPOPT_BYTE(words, at);
		if (kind == TCPOPT_KIND_EOL)
			break;
		if (kind == TCPOPT_KIND_NOP) {
			*position = at + 1;
			continue;
		}
		option_len = TCPOPT_BYTE(words, at + 1);
		if (option_len < 2 || at + option_len > len)
			break;
		tcpopt_take(words, at, kind, option_len, opt);
		*position = at + option_len;
	}
	return opt->auth;
}

/* The options of a SYN as Linux has written them since 2.6: MSS, SACK permitted, timestamps, NOP, window scale. */
#define TCPOPT_LINUX_SYN_BYTES 20

/*
 * Reads these 20 bytes at once: all of *opt except auth and position. Returns false, with *opt unchanged, for another
 * list.
 */
static __always_inline bool tcpopt_read_linux_syn(const __u32 *words, struct tcpopt *opt)
{
	__u32 mss = bpf_ntohl(words[0]), wscale = bpf_ntohl(words[4]);

	if (mss >> 16 != ((TCPOPT_KIND_MSS << 8) | 4) ||
	    words[1] != bpf_htonl((TCPOPT_KIND_SACK_PERMITTED << 24) | (2 << 16) | (TCPOPT_KIND_TIMESTAMP << 8) | 10) ||
	    wscale >> 8 != ((TCPOPT_KIND_NOP << 16) | (TCPOPT_KIND_WSCALE << 8) | 3))
		return 0;
	wscale &= 0xff;
	opt->mss = mss;
	opt->sack = 1;
	opt->timestamps = 1;
	opt->tsval = bpf_ntohl(words[2]);
	opt->tsecr = bpf_ntohl(words[3]);
	opt->wscale = wscale > TCPOPT_MAX_WSCALE ? TCPOPT_MAX_WSCALE : wscale;
	return 1;
}

#define TCPOPT_SYNACK_MAX_WORDS 5
#define TCPOPT_SYNACK_TSECR 3 /* index of the word that echoes the client's timestamp, if there is one, behind an MSS */

static __always_inline __u32 tcpopt_write_all(__be32 *words, const struct tcpopt *opt)
{
	__be32 wscale = bpf_htonl((TCPOPT_KIND_NOP << 24) | (TCPOPT_KIND_WSCALE << 16) | (3 << 8) | opt->wscale);
	bool scaled = opt->wscale != SHAKEOFF_NO_WSCALE;

	words[0] = bpf_htonl((TCPOPT_KIND_MSS << 24) | (4 << 16) | opt->mss);
	words[1] = words[2] = words[3] = words[4] = 0;
	if (opt->timestamps) {
		__u32 pair = opt->sack ? (TCPOPT_KIND_SACK_PERMITTED << 8) | 2 :
					 (TCPOPT_KIND_NOP << 8) | TCPOPT_KIND_NOP;

		words[1] = bpf_htonl((pair << 16) | (TCPOPT_KIND_TIMESTAMP << 8) | 10);
		words[2] = bpf_htonl(opt->tsval);
		words[3] = bpf_htonl(opt->tsecr);
		if (!scaled)
			return 4;
		words[4] = wscale;
		return 5;
	}
	if (opt->sack) {
		words[1] = bpf_htonl((TCPOPT_KIND_NOP << 24) | (TCPOPT_KIND_NOP << 16) |
				     (TCPOPT_KIND_SACK_PERMITTED << 8) | 2);
		if (!scaled)
			return 2;
		words[2] = wscale;
		return 3;
	}
	if (!scaled)
		return 1;
	words[1] = wscale;
	return 2;
}

/*
 * Writes the options of a SYN-ACK in the order and packing of the kernel's tcp_options_write() (net/ipv4/tcp_output.c).
 * *opt has our values: our MSS, our scale, our tsval; tsecr echoes the client. words: network byte order,
 * TCPOPT_SYNACK_MAX_WORDS of them, all written. Returns how many count: at most `room`, the number that the SYN allows.
 * Only the MSS may have to be left out for that; the client then uses the default (RFC 9293, section 3.7.1). All other
 * options take no more words than they did in any SYN. *tsecr_word: where the client's timestamp belongs.
 */
static __always_inline __u32 tcpopt_write_synack(__be32 *words, const struct tcpopt *opt, __u32 room, __u32 *tsecr_word)
{
	__u32 count = tcpopt_write_all(words, opt);

	*tsecr_word = TCPOPT_SYNACK_TSECR;
	if (count <= room)
		return count;
	*tsecr_word = TCPOPT_SYNACK_TSECR - 1;
	UNROLL
	for (int i = 1; i < TCPOPT_SYNACK_MAX_WORDS; i++)
		words[i - 1] = words[i];
	words[TCPOPT_SYNACK_MAX_WORDS - 1] = 0;
	return count - 1;
}

#endif
