/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which cookies have been sent lately, so that they cannot be forged. While a service gets more invalid ACKs than
 * SHAKEOFF_FORGERY_RATE, its cookies are remembered here, and after SHAKEOFF_FORGERY_WARM_NS an ACK opens nothing unless its cookie is.
 *
 * Cookies without timestamps carry more in their 32 bits than the kernel's do: of random ACKs four times as many pass, 2^-26.9 instead
 * of 2^-29. Of those with timestamps it is 2^-31, where the kernel's own handshake, which compares one number of 32 bits with
 * what it has sent, lets 2^-32 pass. But the echo has to be right as well, which the offset of our timestamps hides (bpf/lib/cookie.h): what
 * is remembered is the cookie together with the options that the echo says, and while cookies are being forged the echo may be
 * SHAKEOFF_ISSUED_ECHO_MS old and no more, from the first moment on: 2000 of 2^18 ms.
 *
 * A Bloom filter whose notes of three bits lie in one word, with a tag that says of which period the word is. Words of even and
 * of odd periods take turns: a note is found until the end of the period after its own, and nobody has to clear anything.
 *
 *	 63        48 47        32 31        16 15         0
 *	+------------+------------+------------+------------+
 *	| period     | one bit    | one bit    | one bit    |    of each cookie
 *	+------------+------------+------------+------------+
 *
 * Where a cookie lies is told by 29 bits of its own MAC, of which no SYN-ACK shows anything: without the key nobody can aim at a
 * word, and who sends SYNs in a client's name to have their cookies remembered gains nothing for other cookies of that client. For
 * those very cookies he does: each is one value of 2^32, all of which he has to guess, as options and epoch are hidden (cookie.h).
 * Of his guesses 2^-32 pass after one SYN, and 2^-28 after one with each of the 16 sets of options that cookies tell apart; twice as
 * many in the second or two in which cookies of two epochs are remembered.
 *
 * How many of the cookies that nobody was sent are taken for sent, while SYNs without timestamps come at this rate, and what is
 * left of 2^-26.9 then; both periods full:
 *
 *	SYNs a second    100,000    500,000    1,000,000    1,400,000    3,000,000
 *	taken for sent     0.0012     0.031       0.13         0.25         0.70
 *	a random ACK     2^-36.7    2^-32.0      2^-29.9      2^-29.0      2^-27.5
 *
 * So it is better than the kernel's up to 1.4 million a second. A word that is not written to for 18 hours seems new again.
 *
 * With timestamps 2^-38 pass before SHAKEOFF_FORGERY_WARM_NS is over, and then 2^-38 times what the second line says. After a SYN in the
 * client's name its cookie is remembered, but the echo is one of 2^32 ms, and 2000 of them are good: 2^-52. Whoever sends 2^14 SYNs a
 * second, one with each set of options, is back at 2^-38. At the 14.88 million frames a second of 10 Gbit/s that is five hours for a
 * connection, and 2^-52 ten years, where 2^-31 is two and a half minutes.
 */
#ifndef SHAKEOFF_ISSUED_H
#define SHAKEOFF_ISSUED_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#include <stdbool.h>
#endif

#define SHAKEOFF_ISSUED_BITS 17
#define SHAKEOFF_ISSUED_WORDS (1u << SHAKEOFF_ISSUED_BITS) /* for even periods; as many for odd ones: 2 MiB in all */

/* An honest ACK comes after a round trip. Clients that hear nothing send their SYN again after a second (RFC 6298, section 2.1). */
#define SHAKEOFF_ISSUED_PERIOD_NS 1000000000ull

#define SHAKEOFF_ISSUED_TAG_SHIFT 48

/* So old may the echo of a timestamp be while cookies are being forged: the longest that a note is found. */
#define SHAKEOFF_ISSUED_ECHO_MS 2000

/* And so far ahead of the clock: a tick of another CPU. */
#define SHAKEOFF_ISSUED_AHEAD_MS 16

static inline __attribute__((always_inline)) __u32 shakeoff_issued_period(__u64 now_ns)
{
	return now_ns / SHAKEOFF_ISSUED_PERIOD_NS;
}

/* What is noted of a cookie with timestamps. unseen: of cookie_final(), the upper half; bits: of cookie_encode(), which are not 0. */
static inline __attribute__((always_inline)) __u32 shakeoff_issued_hash(__u32 unseen, __u32 bits)
{
	return unseen + bits * 0x9e3779b1u;
}

/* The index of a cookie's word. hash: of shakeoff_issued_hash(), or the upper half of cookie_final() of one without timestamps. */
static inline __attribute__((always_inline)) __u32 shakeoff_issued_index(__u32 period, __u32 hash)
{
	return ((period & 1) << SHAKEOFF_ISSUED_BITS) | (hash >> (32 - SHAKEOFF_ISSUED_BITS));
}

static inline __attribute__((always_inline)) __u64 shakeoff_issued_bits(__u32 hash)
{
	return (1ull << (hash & 15)) | (1ull << (16 + (hash >> 4 & 15))) | (1ull << (32 + (hash >> 8 & 15)));
}

/* The word with a note in it. */
static inline __attribute__((always_inline)) __u64 shakeoff_issued_add(__u64 word, __u32 period, __u64 bits)
{
	__u64 tag = (__u64)period << SHAKEOFF_ISSUED_TAG_SHIFT;

	return (word ^ tag) >> SHAKEOFF_ISSUED_TAG_SHIFT ? tag | bits : word | bits;
}

static inline __attribute__((always_inline)) bool shakeoff_issued_has(__u64 word, __u32 period, __u64 bits)
{
	__u64 tag = (__u64)period << SHAKEOFF_ISSUED_TAG_SHIFT;

	return !((word ^ tag) >> SHAKEOFF_ISSUED_TAG_SHIFT) && (word & bits) == bits;
}

#endif
