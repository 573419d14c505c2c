/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Recently issued cookies, kept against forgery. While a service gets more invalid ACKs than SHAKEOFF_FORGERY_RATE, its
 * cookies are noted here. After SHAKEOFF_FORGERY_WARM_NS an ACK opens a connection only if its cookie was noted.
 *
 * Cookies without timestamps encode more in their 32 bits than the kernel's cookies: of random ACKs four times as many
 * pass, 2^-26.9 instead of 2^-29. With timestamps it is 2^-31. The kernel's own handshake, which compares a number of
 * 32 bits with the one it sent, lets 2^-32 pass. But the timestamp echo has to be right, too, and a secret offset hides
 * it (bpf/lib/cookie.h). A note covers the cookie together with the options in the echo. During a forgery the echo may
 * be at most SHAKEOFF_ISSUED_ECHO_MS old, from the start on: 2000 of 2^18 ms.
 *
 * The notes are a Bloom filter. The three bits of a note are in one word, together with a tag for the word's period.
 * Words of even and of odd periods take turns: a note is found until the end of the period after its own, and needs no
 * clearing.
 *
 *	 63        48 47        32 31        16 15         0
 *	+------------+------------+------------+------------+
 *	| period     | one bit    | one bit    | one bit    |    of each cookie
 *	+------------+------------+------------+------------+
 *
 * The word of a cookie follows from 29 bits of its MAC that no SYN-ACK shows. So an attacker without the key cannot aim
 * at a word. An attacker who sends SYNs from a client's address, so that their cookies are noted, gains nothing for
 * other cookies of that client. The noted cookies themselves must still be hit: each is one value of 2^32, because
 * options and epoch are hidden (bpf/lib/cookie.h). Of the attacker's attempts 2^-32 pass after one SYN, and 2^-28 after
 * one with each of the 16 sets of options that cookies distinguish. Twice as many pass in the second or two in which
 * cookies of two epochs are noted.
 *
 * The table shows the false positive rate (the fraction of cookies never issued that seem issued) by the rate of SYNs
 * without timestamps, and the remaining chance of a random ACK (2^-26.9 without the notes); both periods full:
 *
 *	SYNs a second       100,000    500,000    1,000,000    1,400,000    3,000,000
 *	false positives      0.0012     0.031       0.13         0.25         0.70
 *	a random ACK        2^-36.7    2^-32.0      2^-29.9      2^-29.0      2^-27.5
 *
 * So it is better than the kernel's up to 1.4 million SYNs a second. A word that is not written for 18 hours seems new
 * again.
 *
 * With timestamps 2^-38 of random ACKs pass before SHAKEOFF_FORGERY_WARM_NS is over; afterwards 2^-38 times the second
 * line. After a SYN from the client's address its cookie is noted, but the echo is one of 2^32 ms, of which 2000 are
 * good: 2^-52. An attacker who sends 2^14 SYNs a second, one with each set of options, is back at 2^-38. At the 14.88
 * million frames a second of 10 Gbit/s, 2^-38 is one connection in five hours, 2^-52 one in ten years, and 2^-31 one in
 * two and a half minutes.
 */
#ifndef SHAKEOFF_ISSUED_H
#define SHAKEOFF_ISSUED_H

#include <shakeoff/types.h>

#define SHAKEOFF_ISSUED_BITS 17
#define SHAKEOFF_ISSUED_WORDS (1u << SHAKEOFF_ISSUED_BITS) /* of even periods, and as many of odd ones: 2 MiB */

/*
 * An honest ACK comes after a round trip. Clients that get no SYN-ACK repeat their SYN after a second (RFC 6298,
 * section 2.1).
 */
#define SHAKEOFF_ISSUED_PERIOD_NS 1000000000ull

#define SHAKEOFF_ISSUED_TAG_SHIFT 48

/* Maximum age of a timestamp echo while cookies are being forged: the longest time that a note is found. */
#define SHAKEOFF_ISSUED_ECHO_MS 2000

/* Maximum of an echo ahead of the clock: a tick of another CPU. */
#define SHAKEOFF_ISSUED_AHEAD_MS 16

static inline __attribute__((always_inline)) __u32 shakeoff_issued_period(__u64 now_ns)
{
	return now_ns / SHAKEOFF_ISSUED_PERIOD_NS;
}

/*
 * Returns the hash of a cookie with timestamps. unseen: the upper half of cookie_final(); bits: of cookie_encode(), not
 * 0.
 */
static inline __attribute__((always_inline)) __u32 shakeoff_issued_hash(__u32 unseen, __u32 bits)
{
	return unseen + bits * 0x9e3779b1u;
}

/*
 * Returns the index of a cookie's word. hash: of shakeoff_issued_hash(); without timestamps the upper half of
 * cookie_final().
 */
static inline __attribute__((always_inline)) __u32 shakeoff_issued_index(__u32 period, __u32 hash)
{
	return ((period & 1) << SHAKEOFF_ISSUED_BITS) | (hash >> (32 - SHAKEOFF_ISSUED_BITS));
}

static inline __attribute__((always_inline)) __u64 shakeoff_issued_bits(__u32 hash)
{
	return (1ull << (hash & 15)) | (1ull << (16 + (hash >> 4 & 15))) | (1ull << (32 + (hash >> 8 & 15)));
}

/* Returns the word with a note added. */
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
