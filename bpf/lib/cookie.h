/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SYN cookie: the negotiated options, which the client itself carries, and a MAC that proves that the client has
 * its address.
 *
 * A client with timestamps (RFC 7323) brings the options back in the high bits of our TSval, which it echoes. They are
 * added to our clock, whose low 18 bits are enough to tell how long ago a cookie was sent: the options are how far the
 * echo is ahead of the clock, in units of 262 s. So the clock itself comes back exact, and with it the round-trip time.
 *
 *	 TSval = our clock in ms + offset of the address pair + options * 2^18  ISN
 *
 *	 31            24  23  22 21   18 17                 0                  31     30                             0
 *	+----------------+---+---+-------+--------------------+                +------+------------------------------+
 *	| MSS class      |ECN|SAK| scale | 0                  |  <- added      |parity| MAC                          |
 *	+----------------+---+---+-------+--------------------+                +------+------------------------------+
 *	                          15: none                                      parity: lowest bit of the epoch
 *
 * No MAC covers these options, as in the kernel's own cookies (net/ipv4/syncookies.c): they are the client's own offer,
 * and a client that changes them changes only its own connection. A client that leaves out the timestamps that it
 * negotiated, or echoes 0, gets a connection without options.
 *
 * A client without timestamps carries them in the ISN, hidden:
 *
 *	 31     28 27   26 25                          0
 *	+---------+-------+-----------------------------+    options: 0: smallest MSS, nothing else
 *	| options | epoch | MAC                         |             1 + 5 * (MSS class - 1) + option class, see below
 *	+---------+-------+                             |    epoch: its two lowest bits
 *	    XOR mask      |                             |    mask: the six lowest bits of a second hash
 *	+-----------------+-----------------------------+
 *
 * MAC: the low bits of SipHash-2-4 over addresses, ports, the client's ISN, the whole epoch (32 bits) and a code, under
 * the key of the epoch's slot. The code is the option bits of a cookie without timestamps, and COOKIE_TS_CODE for a
 * cookie with timestamps. The second hash is the same with the code COOKIE_MASK, which no options give. It does not
 * depend on the options, so an attacker who knows what a SYN offered, and when, still knows no bit of its cookie. The
 * epoch is found by trying: its two bits end most wrong tries before the MAC.
 *
 * A random ACK with timestamps is taken for good with 2 of 2^32 values, 2^-31. Without timestamps, each of 16 sets of
 * options has one good value of 2^32 in each of 2 epochs, and so has the cookie with timestamps: 2^-26.9. Where cookies
 * of the next epoch are good as well, there are 3 epochs, not 2. shakeoff/issued.h has the measures against 2^-26.9.
 */
#ifndef SHAKEOFF_BPF_LIB_COOKIE_H
#define SHAKEOFF_BPF_LIB_COOKIE_H

#include <shakeoff/abi.h>

#include "lib/compiler.h"
#include "lib/siphash.h"

/* Option bits of a cookie with timestamps, as they are added to the TSval. */
#define COOKIE_TS_SHIFT 18
#define COOKIE_TS_WSCALE_MASK 0xfu
#define COOKIE_TS_SACK 0x10u
#define COOKIE_TS_ECN 0x20u
#define COOKIE_TS_MSS_SHIFT 6
#define COOKIE_TS_BITS 14
#define COOKIE_TS_MASK ((1u << COOKIE_TS_BITS) - 1)

/* The echo of a cookie may seem to be from 65.5 s in the future (another host of a fleet) to 196.6 s old. */
#define COOKIE_TS_OLDEST_MS (3u << (COOKIE_TS_SHIFT - 2))

/* ISN of a cookie with timestamps */
#define COOKIE_PARITY_SHIFT 31

/* ISN of a cookie without timestamps */
#define COOKIE_OPTIONS_SHIFT 28
#define COOKIE_EPOCH_SHIFT 26
#define COOKIE_HIDDEN (~0u << COOKIE_EPOCH_SHIFT)
#define COOKIE_MASK 0x10u    /* these two replace the option bits, which are smaller */
#define COOKIE_TS_CODE 0x20u /* of every cookie with timestamps */
#define COOKIE_MSS_CLASSES 4
#define COOKIE_OPTION_CLASSES 5

/* A flag among the option bits: they are of a cookie with timestamps. */
#define COOKIE_TIMESTAMPS 0x8000u

/*
 * MSS classes: the client's value is rounded down to one. With timestamps, values from COOKIE_TS_EXACT_MSS on are
 * exact: Ethernet, PPPoE, tunnels and mobile networks. A table has the rest, in order. The kernel does not take less
 * than the table's first value (TCP_MIN_MSS, net/ipv4/tcp.c), and no TCP means less.
 */
#define COOKIE_TS_EXACT_MSS 1220u
#define COOKIE_TS_EXACT_CLASSES 241u
#define COOKIE_TS_SMALL_CLASSES 9
#define COOKIE_TS_LARGE_CLASSES 6

CONST_TABLE __u16 cookie_ts_mss[16] = {
	88,   128,  256,  400,  512,  536,  768, 1000, 1100, /* below the exact ones */
	1960, 2960, 3960, 8900, 8940, 8960,                  /* above them */
};

/*
 * The first value is what every path must carry (RFC 9293, section 3.7.1), as in the kernel's own table (msstab,
 * net/ipv4/syncookies.c).
 */
CONST_TABLE __u16 cookie_plain_mss[2][COOKIE_MSS_CLASSES] = {
	{ 536, 1300, 1440, 1460 },
	{ 1220, 1340, 1420, 1440 },
};

/*
 * Option classes of a cookie without timestamps. Clients without timestamps are mostly Windows (scale 8, SACK). A scale
 * between two classes is rounded down, never up. A scale without SACK, which no client offers, is given up.
 *
 *	0 nothing   1 SACK   2 SACK, scale 0   3 SACK, scale 7   4 SACK, scale 8
 */
#define COOKIE_SCALE_CLASS 2

/*
 * The two ends of a connection. Addresses and ports are as in the packet. IPv4 uses the first element of the addresses.
 */
struct cookie_flow {
	__be32 client[4];
	__be32 server[4];
	__be16 client_port;
	__be16 server_port;
	__u8 ipv6;
};

/* The options that survive the handshake. */
struct cookie_options {
	__u16 mss;
	__u8 wscale; /* the client's, 0..14 or SHAKEOFF_NO_WSCALE */
	__u8 sack;
	__u8 ecn;
	__u8 timestamps;
};

/* Returns the index of the greatest class that is not above mss, or 0. */
static __always_inline __u32 cookie_mss_class(const __u16 *classes, int count, __u32 mss)
{
	__u32 class = 0;

	UNROLL
	for (int i = 1; i < count; i++) {
		/*
		 * 1 if mss >= classes[i], from the sign of the difference. clang 14 turns a comparison into branches,
		 * and the verifier then follows every class through the rest of the program. The barrier hides the
		 * comparison from clang.
		 */
		__u32 below = classes[i] - 1 - mss;

		barrier_var(below);
		class += below >> 31;
	}
	return class;
}

/* Returns the class of an MSS. The exact classes come first: 0 is COOKIE_TS_EXACT_MSS; the table follows. */
static __always_inline __u32 cookie_ts_mss_class(__u32 mss)
{
	__u32 exact = mss - COOKIE_TS_EXACT_MSS;

	if (exact < COOKIE_TS_EXACT_CLASSES)
		return exact;
	if (mss < COOKIE_TS_EXACT_MSS)
		return COOKIE_TS_EXACT_CLASSES + cookie_mss_class(cookie_ts_mss, COOKIE_TS_SMALL_CLASSES, mss);
	/* Below the first large class: the last exact one. */
	if (mss < cookie_ts_mss[COOKIE_TS_SMALL_CLASSES])
		return COOKIE_TS_EXACT_CLASSES - 1;
	return COOKIE_TS_EXACT_CLASSES + COOKIE_TS_SMALL_CLASSES +
	       cookie_mss_class(cookie_ts_mss + COOKIE_TS_SMALL_CLASSES, COOKIE_TS_LARGE_CLASSES, mss);
}

static __always_inline __u16 cookie_ts_mss_of(__u32 class)
{
	__u32 listed = class - COOKIE_TS_EXACT_CLASSES;

	if (class < COOKIE_TS_EXACT_CLASSES)
		return COOKIE_TS_EXACT_MSS + class;
	/* clang 19 knows that it is below 16 and leaves the mask out, which the verifier needs. */
	asm volatile("" : "+r"(listed));
	return cookie_ts_mss[listed & 15];
}

static __always_inline __u32 cookie_encode_timestamps(const struct cookie_options *options)
{
	return (cookie_ts_mss_class(options->mss) << COOKIE_TS_MSS_SHIFT) | (options->ecn ? COOKIE_TS_ECN : 0) |
	       (options->sack ? COOKIE_TS_SACK : 0) | (options->wscale & COOKIE_TS_WSCALE_MASK);
}

static __always_inline void cookie_decode_timestamps(__u32 bits, struct cookie_options *options)
{
	options->mss = cookie_ts_mss_of((bits & COOKIE_TS_MASK) >> COOKIE_TS_MSS_SHIFT);
	options->ecn = !!(bits & COOKIE_TS_ECN);
	options->sack = !!(bits & COOKIE_TS_SACK);
	options->wscale = bits & COOKIE_TS_WSCALE_MASK;
	options->timestamps = 1;
}

static __always_inline __u32 cookie_encode_plain(const struct cookie_options *options, bool ipv6)
{
	__u32 class = cookie_mss_class(cookie_plain_mss[ipv6], COOKIE_MSS_CLASSES, options->mss);
	__u32 option_class = options->sack;

	if (!class)
		return 0;
	if (options->sack && options->wscale != SHAKEOFF_NO_WSCALE)
		option_class = COOKIE_SCALE_CLASS + (options->wscale >= 7) + (options->wscale >= 8);
	return 1 + COOKIE_OPTION_CLASSES * (class - 1) + option_class;
}

static __always_inline void cookie_decode_plain(__u32 bits, bool ipv6, struct cookie_options *options)
{
	__u32 class = 0, option_class = 0;

	if (bits) {
		class = 1 + (bits - 1) / COOKIE_OPTION_CLASSES;
		option_class = (bits - 1) % COOKIE_OPTION_CLASSES;
	}
	barrier_var(class); /* as in cookie_ts_mss_of() */
	options->mss = cookie_plain_mss[ipv6][class & (COOKIE_MSS_CLASSES - 1)];
	options->sack = option_class > 0;
	options->wscale = SHAKEOFF_NO_WSCALE;
	if (option_class == COOKIE_SCALE_CLASS)
		options->wscale = 0;
	else if (option_class > COOKIE_SCALE_CLASS)
		options->wscale = 4 + option_class; /* class 3: scale 7, class 4: scale 8 */
	options->ecn = 0;
	options->timestamps = 0;
}

/* Returns the option bits: COOKIE_TIMESTAMPS and 14 that go into the TSval, or 4 that go into the ISN. */
static __always_inline __u32 cookie_encode(const struct cookie_options *options, bool ipv6)
{
	return options->timestamps ? COOKIE_TIMESTAMPS | cookie_encode_timestamps(options) :
				     cookie_encode_plain(options, ipv6);
}

/* Inverts cookie_encode(). The SYN-ACK must offer only what survives this round trip. */
static __always_inline void cookie_decode(__u32 bits, bool ipv6, struct cookie_options *options)
{
	if (bits & COOKIE_TIMESTAMPS)
		cookie_decode_timestamps(bits, options);
	else
		cookie_decode_plain(bits, ipv6, options);
}

/*
 * Begins the MAC's hash. The message begins with what the SYNs to one address have in common during an epoch, so that
 * the hash of that part can be kept:
 *
 *	IPv4, 23 bytes:  server 4, epoch 4 | client 4, client's ISN 4 | client port 2, server port 2, code 1, zero 2
 *	IPv6, 47 bytes:  server 16, epoch 4, server port 2, zero 2 | client 16 | client's ISN 4, client port 2, code 1
 *
 * Addresses and ports are as in the packet, the rest is in host byte order. The common part ends at the first bar.
 */
static __always_inline void cookie_init(struct siphash *hash, const struct shakeoff_key *key,
					const struct cookie_flow *flow, __u32 epoch)
{
	siphash_init(hash, key);
	if (flow->ipv6) {
		siphash_update(hash, flow->server[0] | ((__u64)flow->server[1] << 32));
		siphash_update(hash, flow->server[2] | ((__u64)flow->server[3] << 32));
		siphash_update(hash, epoch | ((__u64)flow->server_port << 32));
	} else {
		siphash_update(hash, flow->server[0] | ((__u64)epoch << 32));
	}
}

/* Goes on from cookie_init() with the part before the last word, which is the same for all codes. */
static __always_inline void cookie_go_on(struct siphash *hash, const struct cookie_flow *flow, __u32 client_isn)
{
	if (flow->ipv6) {
		siphash_update(hash, flow->client[0] | ((__u64)flow->client[1] << 32));
		siphash_update(hash, flow->client[2] | ((__u64)flow->client[3] << 32));
	} else {
		siphash_update(hash, flow->client[0] | ((__u64)client_isn << 32));
	}
}

/* Adds the last word and returns the MAC. hash is a copy: the state after cookie_go_on() serves another call. */
static __always_inline __u64 cookie_mac(struct siphash hash, const struct cookie_flow *flow, __u32 client_isn,
					__u32 code)
{
	if (flow->ipv6)
		return siphash_final(&hash, client_isn | ((__u64)flow->client_port << 32) | ((__u64)code << 48) |
						    (47ull << 56));
	return siphash_final(&hash, flow->client_port | ((__u64)flow->server_port << 16) | ((__u64)code << 32) |
					    (23ull << 56));
}

/*
 * Returns the mask that hides options and epoch of a cookie without timestamps, at their bits. hash: of cookie_go_on().
 */
static __always_inline __u32 cookie_mask(const struct siphash *hash, const struct cookie_flow *flow, __u32 client_isn)
{
	return (__u32)cookie_mac(*hash, flow, client_isn, COOKIE_MASK) << COOKIE_EPOCH_SHIFT;
}

static __always_inline __u64 cookie_final_plain(const struct siphash *hash, const struct cookie_flow *flow,
						__u32 client_isn, __u32 epoch, __u32 bits)
{
	__u32 mask = cookie_mask(hash, flow, client_isn);
	__u64 mac = cookie_mac(*hash, flow, client_isn, bits);

	return (mac & ~(__u64)COOKIE_HIDDEN) |
	       (((bits << COOKIE_OPTIONS_SHIFT) | ((epoch & 3) << COOKIE_EPOCH_SHIFT)) ^ mask);
}

/* Returns the cookie with timestamps, as cookie_final() does. hash: of cookie_go_on(). */
static __always_inline __u64 cookie_final_timestamps(const struct siphash *hash, const struct cookie_flow *flow,
						     __u32 client_isn, __u32 epoch)
{
	__u64 mac = cookie_mac(*hash, flow, client_isn, COOKIE_TS_CODE);

	return (mac >> 32 << 32) | (epoch << COOKIE_PARITY_SHIFT) | (mac & ((1u << COOKIE_PARITY_SHIFT) - 1));
}

/*
 * Returns the cookie of an epoch in the lower half, from the hash that cookie_init() began. The upper half is the
 * MAC's, which no SYN-ACK shows: it identifies the cookie, and only the owner of the key can compute it.
 */
static __always_inline __u64 cookie_final(struct siphash *hash, const struct cookie_flow *flow, __u32 client_isn,
					  __u32 epoch, __u32 bits)
{
	cookie_go_on(hash, flow, client_isn);
	return bits & COOKIE_TIMESTAMPS ? cookie_final_timestamps(hash, flow, client_isn, epoch) :
					  cookie_final_plain(hash, flow, client_isn, epoch, bits);
}

/*
 * Reads the cookie of an ACK without timestamps as one of this epoch. hash: of cookie_init(). Returns its option bits,
 * or COOKIE_TIMESTAMPS alone if it was sent with timestamps, which the client has left out; *unseen is then the upper
 * half of cookie_final(). Returns -1 if it is no cookie of this epoch.
 */
static __always_inline int cookie_read_plain(struct siphash *hash, const struct cookie_flow *flow, __u32 client_isn,
					     __u32 epoch, __u32 cookie, __u32 *unseen)
{
	__u32 shown, bits;
	__u64 mac;

	cookie_go_on(hash, flow, client_isn);
	if (cookie >> COOKIE_PARITY_SHIFT == (epoch & 1)) {
		mac = cookie_final_timestamps(hash, flow, client_isn, epoch);
		if ((__u32)mac == cookie) {
			*unseen = mac >> 32;
			return COOKIE_TIMESTAMPS;
		}
	}
	shown = cookie ^ cookie_mask(hash, flow, client_isn);
	if (((shown >> COOKIE_EPOCH_SHIFT) ^ epoch) & 3)
		return -1;
	bits = shown >> COOKIE_OPTIONS_SHIFT;
	mac = cookie_mac(*hash, flow, client_isn, bits);
	if (((__u32)mac ^ cookie) & ~COOKIE_HIDDEN)
		return -1;
	*unseen = mac >> 32;
	return bits;
}

/* Returns the cookie, as cookie_init() and cookie_final() make it. */
static __always_inline __u64 cookie_isn(const struct shakeoff_key *key, const struct cookie_flow *flow,
					__u32 client_isn, __u32 epoch, __u32 bits)
{
	struct siphash hash;

	cookie_init(&hash, key, flow, epoch);
	return cookie_final(&hash, flow, client_isn, epoch, bits);
}

/*
 * Adds a word to the hash that gives the offset of our timestamps towards an address, in ms. The offset hides the
 * uptime, and which addresses belong to one host, as the kernel's secure_tcp_ts_off() does (net/core/secure_seq.c). It
 * is always the same for a pair of addresses: with the same options, their timestamps never go back. The hash is
 * multiplicative: it is computed for every SYN, and what it hides is small.
 */
static __always_inline __u64 cookie_offset_add(__u64 hash, __u64 word, const __u64 *secret)
{
	hash = (hash ^ word) * (secret[1] | 1);
	return hash ^ hash >> 32;
}

/* Begins the hash of the offset with the part that all clients of an address have in common. */
static __always_inline __u64 cookie_offset_init(const struct cookie_flow *flow, const __u64 *secret)
{
	__u64 hash;

	if (!flow->ipv6)
		return cookie_offset_add(secret[0], flow->server[0], secret);
	hash = cookie_offset_add(secret[0], flow->server[0] | (__u64)flow->server[1] << 32, secret);
	return cookie_offset_add(hash, flow->server[2] | (__u64)flow->server[3] << 32, secret);
}

static __always_inline __u32 cookie_offset_final(__u64 hash, const struct cookie_flow *flow, const __u64 *secret)
{
	if (!flow->ipv6)
		return cookie_offset_add(hash, flow->client[0], secret) * 0x9e3779b97f4a7c15ull >> 32;
	hash = cookie_offset_add(hash, flow->client[0] | (__u64)flow->client[1] << 32, secret);
	return cookie_offset_add(hash, flow->client[2] | (__u64)flow->client[3] << 32, secret) *
		       0x9e3779b97f4a7c15ull >>
	       32;
}

/* Returns what option bits add to the TSval. */
static __always_inline __u32 cookie_ts_add(__u32 bits)
{
	return (bits & COOKIE_TS_MASK) << COOKIE_TS_SHIFT;
}

/*
 * Returns the bits of cookie_encode() that an ACK's echo brings back. clock_ms: our clock now, with the pair's offset.
 */
static __always_inline __u32 cookie_bits(__u32 tsecr, __u32 clock_ms)
{
	return COOKIE_TIMESTAMPS | ((tsecr - clock_ms + COOKIE_TS_OLDEST_MS) >> COOKIE_TS_SHIFT);
}

/* Returns how long ago the TSval was sent, in ms; negative: by a host whose clock is ahead. bits: of cookie_bits(). */
static __always_inline __s32 cookie_age(__u32 tsecr, __u32 clock_ms, __u32 bits)
{
	return clock_ms + cookie_ts_add(bits) - tsecr;
}

/*
 * Tries the epochs that a cookie may be of. With timestamps, attempts 0 and 1 give those that fit the one bit that the
 * cookie shows; without (the second function), attempts 0 to 2 give all that are good. accept_next: cookies of hosts
 * whose clocks are ahead are good. Returns 1 and sets *epoch, or 0 if there is none for this attempt.
 */
static __always_inline bool cookie_epoch(__u32 cookie, __u32 now, bool accept_next, int attempt, __u32 *epoch)
{
	bool present = (cookie >> COOKIE_PARITY_SHIFT) == (now & 1);

	*epoch = present ? now : attempt ? now + 1 : now - 1;
	return !attempt || (!present && accept_next);
}

#define COOKIE_PLAIN_ATTEMPTS 3

static __always_inline bool cookie_epoch_plain(__u32 now, bool accept_next, int attempt, __u32 *epoch)
{
	*epoch = attempt == 2 ? now + 1 : now - attempt;
	return attempt < 2 || accept_next;
}

#endif
