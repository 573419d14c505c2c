/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The SYN cookie: what it brings back, how long it is good, and what forging one takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cookie.h"
#include "lib/tcpopt.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct shakeoff_key keys[SHAKEOFF_KEY_SLOTS] = {
	{ 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull },
	{ 0x1716151413121110ull, 0x1f1e1d1c1b1a1918ull },
	{ 0x2726252423222120ull, 0x2f2e2d2c2b2a2928ull },
	{ 0x3736353433323130ull, 0x3f3e3d3c3b3a3938ull },
};

static const struct cookie_flow flows[2] = {
	{ .client = { 0x01020304 }, .server = { 0x0a090001 }, .client_port = 0x409c, .server_port = 0x5000 },
	{ .client = { 0x20010db8, 1, 2, 3 },
	  .server = { 0x20010db8, 0, 0, 0x80 },
	  .client_port = 0x409c,
	  .server_port = 0x5000,
	  .ipv6 = 1 },
};

#define CLIENT_ISN 0xcafe1234u
#define EPOCH 1000u
#define CLOCK 123456789u /* ours in ms, with the offset of the pair of addresses */

/* What a client sends back. */
struct echo {
	__u32 cookie, tsecr;
	bool timestamps;
};

static __u32 isn_of(const struct cookie_flow *flow, __u32 client_isn, __u32 epoch, __u32 bits)
{
	return cookie_isn(&keys[epoch % SHAKEOFF_KEY_SLOTS], flow, client_isn, epoch, bits);
}

static struct echo make_echo(const struct cookie_flow *flow, __u32 epoch, const struct cookie_options *options)
{
	__u32 bits = cookie_encode(options, flow->ipv6);

	return (struct echo){ .cookie = isn_of(flow, CLIENT_ISN, epoch, bits),
			      .tsecr = CLOCK + cookie_ts_add(bits),
			      .timestamps = options->timestamps };
}

/* What a cookie of that epoch says to who brings it back without timestamps, or -1. */
static int read_plain(const struct cookie_flow *flow, __u32 client_isn, __u32 epoch, __u32 cookie)
{
	struct siphash hash;
	__u32 unseen = 0;
	int bits;

	cookie_init(&hash, &keys[epoch % SHAKEOFF_KEY_SLOTS], flow, epoch);
	bits = cookie_read_plain(&hash, flow, client_isn, epoch, cookie, &unseen);
	if (bits >= 0)
		assert_int_equal(unseen,
				 cookie_isn(&keys[epoch % SHAKEOFF_KEY_SLOTS], flow, client_isn, epoch, bits) >> 32);
	return bits;
}

static bool validates_plain(const struct cookie_flow *flow, __u32 cookie, __u32 now, bool accept_next, __u32 *bits)
{
	for (int attempt = 0; attempt < COOKIE_PLAIN_ATTEMPTS; attempt++) {
		__u32 epoch;
		int read;

		if (!cookie_epoch_plain(now, accept_next, attempt, &epoch))
			continue;
		read = read_plain(flow, CLIENT_ISN, epoch, cookie);
		if (read < 0)
			continue;
		*bits = read;
		return 1;
	}
	return 0;
}

/* What the hook finds. Returns whether the answer is good in the epoch `now`; its option bits are in *bits. */
static bool validates(const struct cookie_flow *flow, const struct echo *echo, __u32 now, bool accept_next, __u32 *bits)
{
	if (!echo->timestamps)
		return validates_plain(flow, echo->cookie, now, accept_next, bits);
	*bits = cookie_bits(echo->tsecr, CLOCK);
	for (int attempt = 0; attempt < 2; attempt++) {
		__u32 epoch;

		if (cookie_epoch(echo->cookie, now, accept_next, attempt, &epoch) &&
		    isn_of(flow, CLIENT_ISN, epoch, COOKIE_TIMESTAMPS) == echo->cookie)
			return 1;
	}
	return 0;
}

static struct cookie_options round_trip(const struct cookie_options *options, bool ipv6)
{
	struct cookie_options back = { 0 };
	__u32 bits = cookie_encode(options, ipv6);

	assert_int_equal(bits & ~(options->timestamps ? COOKIE_TIMESTAMPS | COOKIE_TS_MASK : 0xfu), 0);
	cookie_decode(bits, ipv6, &back);
	return back;
}

/* ------------------------------------------------------------------------------------------------ what comes back */

/* From the least that Linux takes (TCP_MIN_MSS) to jumbo frames; each number between 1220 and 1460 is a class of its own. */
static const __u16 timestamps_mss[] = {
	88, 128, 256, 400, 512, 536, 768, 1000, 1100, 1960, 2960, 3960, 8900, 8940, 8960
};
static const __u16 plain_mss[2][4] = { { 536, 1300, 1440, 1460 }, { 1220, 1340, 1420, 1440 } };

/* What an MSS is rounded down to; the smallest class there is nothing below. */
static __u16 class_of(__u32 mss, bool timestamps, bool ipv6)
{
	const __u16 *classes = timestamps ? timestamps_mss : plain_mss[ipv6];
	size_t count = timestamps ? COUNT(timestamps_mss) : COUNT(plain_mss[0]);
	__u16 found = classes[0];

	for (size_t i = 0; i < count; i++)
		if (classes[i] <= mss)
			found = classes[i];
	if (timestamps && mss >= 1220 && found < 1460)
		found = mss < 1460 ? mss : 1460;
	return found;
}

static void mss_falls_to_the_next_class_and_no_further(void **state)
{
	(void)state;
	for (int form = 0; form < 4; form++) {
		bool ipv6 = form & 1, timestamps = form >> 1;

		for (__u32 mss = 0; mss <= 0xffff; mss++) {
			struct cookie_options offer = { .mss = mss, .wscale = 7, .sack = 1, .timestamps = timestamps };
			__u16 back = round_trip(&offer, ipv6).mss;

			assert_int_equal(back, class_of(mss, timestamps, ipv6));
			assert_true(back <= mss || mss < class_of(0, timestamps, ipv6));
		}
	}
}

static void mss_of_the_usual_links_is_exact(void **state)
{
	/* Ethernet, PPPoE, the smallest of each family; with timestamps also tunnels, mobile networks and jumbo frames. */
	static const struct {
		__u16 mss;
		bool ipv6, plain;
	} links[] = {
		{ 536, 0, 1 },  { 1440, 0, 1 }, { 1460, 0, 1 }, { 1220, 0, 0 }, { 1380, 0, 0 }, { 1400, 0, 0 },
		{ 1452, 0, 0 }, { 1358, 0, 0 }, { 8960, 0, 0 }, { 1220, 1, 1 }, { 1420, 1, 1 }, { 1440, 1, 1 },
		{ 1380, 1, 0 }, { 1400, 1, 0 }, { 1432, 1, 0 }, { 8940, 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(links); i++) {
		struct cookie_options offer = { .mss = links[i].mss, .wscale = 7, .sack = 1, .timestamps = 1 };

		assert_int_equal(round_trip(&offer, links[i].ipv6).mss, links[i].mss);
		offer.timestamps = 0;
		if (links[i].plain)
			assert_int_equal(round_trip(&offer, links[i].ipv6).mss, links[i].mss);
	}
}

static void scale_sack_and_ecn_come_back_exactly_with_timestamps(void **state)
{
	(void)state;
	for (int i = 0; i < 16 * 2 * 2 * 2; i++) {
		struct cookie_options offer = {
			.mss = 1460, .wscale = i & 15, .sack = i >> 4 & 1, .ecn = i >> 5 & 1, .timestamps = 1
		};
		struct cookie_options back = round_trip(&offer, i >> 6);

		assert_int_equal(back.wscale, offer.wscale);
		assert_int_equal(back.sack, offer.sack);
		assert_int_equal(back.ecn, offer.ecn);
		assert_int_equal(back.timestamps, 1);
	}
}

static void scale_is_rounded_down_never_up_without_timestamps(void **state)
{
	(void)state;
	for (int wscale = 0; wscale <= TCPOPT_MAX_WSCALE; wscale++) {
		struct cookie_options offer = { .mss = 1460, .wscale = wscale, .sack = 1 };

		assert_int_equal(round_trip(&offer, 0).wscale, wscale >= 8 ? 8 : wscale == 7 ? 7 : 0);
	}
}

static void nothing_is_promised_that_was_not_offered(void **state)
{
	(void)state;
	for (int i = 0; i < 65536 * 2; i += 13) {
		for (int rest = 0; rest < 16 * 2 * 2; rest++) {
			struct cookie_options offer = {
				.mss = i, .wscale = rest & 15, .sack = rest >> 4 & 1, .timestamps = rest >> 5
			};
			struct cookie_options back = round_trip(&offer, i >> 16);

			assert_true(back.sack <= offer.sack);
			assert_int_equal(back.ecn, 0);
			assert_int_equal(back.timestamps, offer.timestamps);
			if (offer.wscale == SHAKEOFF_NO_WSCALE)
				assert_int_equal(back.wscale, SHAKEOFF_NO_WSCALE);
			else
				assert_true(back.wscale == SHAKEOFF_NO_WSCALE || back.wscale <= offer.wscale);
		}
	}
}

static void what_comes_back_comes_back_again(void **state)
{
	(void)state;
	for (__u32 bits = 0; bits < 16; bits++) {
		for (int ipv6 = 0; ipv6 < 2; ipv6++) {
			struct cookie_options options = { 0 };

			cookie_decode(bits, ipv6, &options);
			assert_int_equal(cookie_encode(&options, ipv6), bits);
		}
	}
	for (__u32 bits = COOKIE_TIMESTAMPS; bits <= (COOKIE_TIMESTAMPS | COOKIE_TS_MASK); bits++) {
		for (int ipv6 = 0; ipv6 < 2; ipv6++) {
			struct cookie_options options = { 0 };

			cookie_decode(bits, ipv6, &options);
			assert_int_equal(cookie_encode(&options, ipv6), bits);
		}
	}
}

static void what_windows_offers_comes_back_whole(void **state)
{
	struct cookie_options offer = { .mss = 1460, .wscale = 8, .sack = 1 }, back = round_trip(&offer, 0);

	(void)state;
	assert_int_equal(back.mss, 1460);
	assert_int_equal(back.wscale, 8);
	assert_int_equal(back.sack, 1);
}

/* ------------------------------------------------------------------------------------------------------ how long */

static const struct cookie_options forms[2] = {
	{ .mss = 1460, .wscale = 8, .sack = 1 },
	{ .mss = 1460, .wscale = 7, .sack = 1, .timestamps = 1 },
};

/* In the epoch `later` after the cookie was made: is it good? For both forms and families the same. */
static void assert_good_later(__u32 made, int later, bool accept_next, bool expected)
{
	for (int i = 0; i < 4; i++) {
		const struct cookie_flow *flow = &flows[i & 1];
		struct echo echo = make_echo(flow, made, &forms[i >> 1]);
		__u32 bits;

		assert_int_equal(validates(flow, &echo, made + (__u32)later, accept_next, &bits), expected);
		if (expected)
			assert_int_equal(bits, cookie_encode(&forms[i >> 1], flow->ipv6));
	}
}

static void a_cookie_is_good_in_its_own_epoch(void **state)
{
	(void)state;
	assert_good_later(EPOCH, 0, 0, 1);
}

static void a_cookie_is_good_in_the_next_epoch(void **state)
{
	(void)state;
	assert_good_later(EPOCH, 1, 0, 1);
}

static void a_cookie_is_bad_from_the_second_epoch_on(void **state)
{
	(void)state;
	for (int later = 2; later < 300; later++)
		assert_good_later(EPOCH, later, 0, 0);
}

static void a_cookie_of_the_next_epoch_is_bad(void **state)
{
	(void)state;
	assert_good_later(EPOCH, -1, 0, 0);
}

static void a_cookie_of_the_next_epoch_is_good_where_clocks_may_differ(void **state)
{
	(void)state;
	assert_good_later(EPOCH, -1, 1, 1);
}

static void clocks_that_differ_make_nothing_else_good(void **state)
{
	(void)state;
	for (int later = -300; later < 300; later++)
		assert_good_later(EPOCH, later, 1, later >= -1 && later <= 1);
}

static void epochs_may_wrap(void **state)
{
	(void)state;
	for (int made = -3; made <= 3; made++)
		for (int later = -3; later <= 3; later++)
			assert_good_later((__u32)made, later, 0, later == 0 || later == 1);
}

/* --------------------------------------------------------------------------------------------- what it depends on */

#define PLAIN_MAC ((1u << COOKIE_EPOCH_SHIFT) - 1)
#define TIMESTAMPS_MAC ((1u << COOKIE_PARITY_SHIFT) - 1)

static __u64 siphash_of_bytes(const struct shakeoff_key *key, const __u8 *message, size_t len)
{
	__u64 words[8] = { 0 };
	struct siphash hash;

	memcpy(words, message, len);
	siphash_init(&hash, key);
	for (size_t i = 0; i < len / 8; i++)
		siphash_update(&hash, words[i]);
	return siphash_final(&hash, words[len / 8] | (__u64)len << 56);
}

static size_t add(__u8 *message, size_t len, const void *bytes, size_t count)
{
	memcpy(message + len, bytes, count);
	return len + count;
}

/* The documented message, byte by byte. */
static __u64 documented_hash(const struct cookie_flow *flow, __u32 isn, __u32 epoch, __u8 code)
{
	const __u16 zeros = 0;
	__u8 message[48];
	size_t len = add(message, 0, flow->server, flow->ipv6 ? 16 : 4);

	len = add(message, len, &epoch, 4);
	if (flow->ipv6) {
		len = add(message, len, &flow->server_port, 2);
		len = add(message, len, &zeros, 2);
	}
	len = add(message, len, flow->client, flow->ipv6 ? 16 : 4);
	len = add(message, len, &isn, 4);
	len = add(message, len, &flow->client_port, 2);
	if (flow->ipv6) {
		len = add(message, len, &code, 1);
	} else {
		len = add(message, len, &flow->server_port, 2);
		len = add(message, len, &code, 1);
		len = add(message, len, &zeros, 2);
	}
	assert_int_equal(len, flow->ipv6 ? 47 : 23);
	return siphash_of_bytes(&keys[0], message, len);
}

/* With timestamps: the MAC under the epoch's lowest bit; the options are not in it. */
static void the_mac_is_siphash_of_the_documented_bytes(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		const struct cookie_flow *flow = &flows[i & 1];
		__u32 epoch = 0xfedcba98 + (i >> 1);
		__u64 mac = documented_hash(flow, CLIENT_ISN, epoch, 0x20);

		for (__u32 options = 0; options <= COOKIE_TS_MASK; options += 1 + options / 8)
			assert_int_equal(cookie_isn(&keys[0], flow, CLIENT_ISN, epoch, COOKIE_TIMESTAMPS | options),
					 (mac & 0xffffffff7fffffffull) | (__u64)(i >> 1) << 31);
	}
}

/* Without timestamps: the MAC, and above it options and two bits of the epoch under six bits of the hash with 16 for options. */
static void what_is_hidden_is_so_by_the_documented_hash(void **state)
{
	const __u32 epoch = 0xfedcba9b;

	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		__u64 mask = documented_hash(&flows[ipv6], CLIENT_ISN, epoch, 16) & 0x3f;

		for (__u64 options = 0; options < 16; options++) {
			__u64 mac = documented_hash(&flows[ipv6], CLIENT_ISN, epoch, options);

			assert_int_equal(cookie_isn(&keys[0], &flows[ipv6], CLIENT_ISN, epoch, options),
					 (mac & 0xffffffff03ffffffull) | (((options << 2 | 3) ^ mask) << 26));
		}
	}
}

/* Flips every bit of every part, one at a time: the MAC has to change, not only the bits that are carried openly. */
static void assert_every_bit_counts(bool ipv6, __u32 options, __u32 mac_mask)
{
	struct {
		struct cookie_flow flow;
		__u32 isn, epoch, options;
	} input = { flows[ipv6], CLIENT_ISN, EPOCH, options };
	const struct {
		void *field;
		int bits;
	} parts[] = {
		{ input.flow.client, ipv6 ? 128 : 32 },
		{ input.flow.server, ipv6 ? 128 : 32 },
		{ &input.flow.client_port, 16 },
		{ &input.flow.server_port, 16 },
		{ &input.isn, 32 },
		{ &input.epoch, 32 },
		{ &input.options, options & COOKIE_TIMESTAMPS ? 0 : 4 },
	};
	__u32 before = cookie_isn(&keys[0], &input.flow, input.isn, input.epoch, input.options) & mac_mask;

	for (size_t i = 0; i < COUNT(parts); i++) {
		for (int bit = 0; bit < parts[i].bits; bit++) {
			__u8 *byte = (__u8 *)parts[i].field + bit / 8;

			*byte ^= 1 << bit % 8;
			assert_int_not_equal(cookie_isn(&keys[0], &input.flow, input.isn, input.epoch, input.options) &
						     mac_mask,
					     before);
			*byte ^= 1 << bit % 8;
		}
	}
}

static void every_bit_counts_with_timestamps(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++)
		assert_every_bit_counts(ipv6, COOKIE_TIMESTAMPS | 0x0aa, TIMESTAMPS_MAC);
}

static void every_bit_counts_without_timestamps(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++)
		assert_every_bit_counts(ipv6, 0xa, PLAIN_MAC);
}

static void the_two_forms_have_different_macs(void **state)
{
	(void)state;
	for (__u32 bits = 0; bits < 16; bits++)
		assert_int_not_equal(cookie_isn(&keys[0], &flows[0], CLIENT_ISN, EPOCH, bits) & PLAIN_MAC,
				     cookie_isn(&keys[0], &flows[0], CLIENT_ISN, EPOCH, bits | COOKIE_TIMESTAMPS) &
					     PLAIN_MAC);
}

static void hashes_begun_once_serve_every_client_of_an_address(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct siphash begun;

		cookie_init(&begun, &keys[0], &flows[ipv6], EPOCH);
		for (__u32 i = 0; i < 4000; i++) {
			__u32 bits = i & 0x800 ? COOKIE_TIMESTAMPS | (i & COOKIE_TS_MASK) : i & 15;
			struct cookie_flow flow = flows[ipv6];
			struct siphash hash = begun;

			flow.client[0] += i;
			flow.client_port = i;
			assert_int_equal(cookie_final(&hash, &flow, i, EPOCH, bits),
					 cookie_isn(&keys[0], &flow, i, EPOCH, bits));
		}
	}
}

/* ------------------------------------------------------------------------------------------- what the cookie shows */

#define CLIENTS 65536
#define BINS 64

/*
 * The six bits above the MAC of so many cookies of the same options, whose ports or ISNs count up: each value comes up as often, as
 * far as chance lets it. chi^2 of 63 degrees of freedom: mean 63, deviation 11; four of them below, and five above.
 */
static void assert_evenly_hidden(bool ipv6, __u32 epoch, __u32 bits, bool by_isn)
{
	int count[BINS] = { 0 };
	const double expected = (double)CLIENTS / BINS;
	double chi2 = 0;

	for (__u32 i = 0; i < CLIENTS; i++) {
		struct cookie_flow flow = flows[ipv6];

		if (!by_isn)
			flow.client_port = i;
		count[isn_of(&flow, by_isn ? i : CLIENT_ISN, epoch, bits) >> COOKIE_EPOCH_SHIFT]++;
	}
	for (int i = 0; i < BINS; i++) {
		double away = count[i] - expected;

		chi2 += away * away / expected;
	}
	assert_true(chi2 > 63 - 4 * 11 && chi2 < 63 + 5 * 11);
}

static void options_and_epoch_are_hidden_evenly(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++)
		for (__u32 bits = 0; bits < 16; bits += 5)
			assert_evenly_hidden(i & 1, EPOCH + (i >> 1 & 1), bits, i >> 2);
}

/* What stands above the MAC of two cookies of a client differs as their options do; under two keys it has nothing in common. */
static void the_mask_depends_on_the_key_and_not_on_the_options(void **state)
{
	int same_key = 0, other_key = 0;

	(void)state;
	for (__u32 isn = 0; isn < 4096; isn++) {
		const struct cookie_flow *flow = &flows[isn & 1];
		__u32 one = cookie_isn(&keys[0], flow, isn, EPOCH, 3), other;

		other = cookie_isn(&keys[0], flow, isn, EPOCH, 12);
		same_key += (one ^ other) >> COOKIE_OPTIONS_SHIFT == (3 ^ 12);
		other = cookie_isn(&keys[1], flow, isn, EPOCH, 3);
		other_key += (one ^ other) >> COOKIE_EPOCH_SHIFT == 0;
	}
	assert_int_equal(same_key, 4096);
	assert_in_range(other_key, 64 - 5 * 8, 64 + 5 * 8); /* one of 64 by chance */
}

static void the_mac_does_not_tell_the_mask(void **state)
{
	int equal[6] = { 0 };

	(void)state;
	for (__u32 isn = 0; isn < 4096; isn++) {
		__u32 cookie = isn_of(&flows[isn & 1], isn, EPOCH, 0);

		for (int bit = 0; bit < 6; bit++)
			equal[bit] += !((cookie >> COOKIE_EPOCH_SHIFT ^ cookie) & 1u << bit);
	}
	for (int bit = 0; bit < 6; bit++)
		assert_in_range(equal[bit], 2048 - 5 * 32, 2048 + 5 * 32);
}

static void every_option_comes_back_from_every_epoch(void **state)
{
	(void)state;
	for (__u32 epoch = EPOCH; epoch < EPOCH + 8; epoch++)
		for (int i = 0; i < 2 * 16 * 32; i++) {
			struct cookie_flow flow = flows[i & 1];
			__u32 bits = i >> 1 & 15, cookie;

			flow.client_port = i >> 5;
			cookie = isn_of(&flow, CLIENT_ISN, epoch, bits);
			assert_int_equal(read_plain(&flow, CLIENT_ISN, epoch, cookie), bits);
			assert_int_equal(read_plain(&flow, CLIENT_ISN, epoch - 1, cookie), -1);
			assert_int_equal(read_plain(&flow, CLIENT_ISN, epoch + 1, cookie), -1);
		}
}

/* The true MAC, and all that could stand above it: with the options and the epoch known, one of 64 is good. */
static void the_right_mac_under_a_wrong_mask_is_bad(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct echo echo = make_echo(&flows[i], EPOCH, &forms[0]);
		__u32 truth = echo.cookie, bits;

		for (__u32 wrong = 1; wrong < 64; wrong++) {
			echo.cookie = truth ^ wrong << COOKIE_EPOCH_SHIFT;
			assert_false(validates(&flows[i], &echo, EPOCH, 1, &bits));
		}
		/* In clear. */
		echo.cookie = (truth & PLAIN_MAC) | cookie_encode(&forms[0], i) << COOKIE_OPTIONS_SHIFT |
			      (EPOCH & 3) << COOKIE_EPOCH_SHIFT;
		assert_int_not_equal(echo.cookie, truth);
		assert_false(validates(&flows[i], &echo, EPOCH, 1, &bits));
	}
}

/* As those of the kernel's cookies: who changes them changes what his own connection gets. */
static void options_in_the_clock_have_no_mac(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		for (__u32 changed = 1; changed <= COOKIE_TS_MASK; changed++) {
			struct echo echo = make_echo(&flows[i], EPOCH, &forms[1]);
			__u32 bits;

			echo.tsecr += cookie_ts_add(changed);
			assert_true(validates(&flows[i], &echo, EPOCH, 1, &bits));
			assert_int_equal(bits & COOKIE_TS_MASK,
					 (cookie_encode(&forms[1], i) + changed) & COOKIE_TS_MASK);
		}
	}
}

static void an_answer_that_lost_its_timestamps_is_known_as_such(void **state)
{
	(void)state;
	for (int later = -3; later <= 3; later++) {
		for (int i = 0; i < 2; i++) {
			struct echo echo = make_echo(&flows[i], EPOCH, &forms[1]);
			bool good = later == 0 || later == 1;
			__u32 bits;

			echo.timestamps = 0;
			assert_int_equal(validates(&flows[i], &echo, EPOCH + later, 0, &bits), good);
			if (good)
				assert_int_equal(bits, COOKIE_TIMESTAMPS);
			assert_int_equal(validates(&flows[i], &echo, EPOCH + later, 1, &bits), good || later == -1);
		}
	}
}

static void an_answer_that_lost_its_timestamps_is_not_less_checked(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		for (int bit = 0; bit < 32; bit++) {
			struct echo echo = make_echo(&flows[i], EPOCH, &forms[1]);
			__u32 bits;

			echo.timestamps = 0;
			echo.cookie ^= 1u << bit;
			assert_false(validates(&flows[i], &echo, EPOCH, 1, &bits));
		}
	}
}

static void an_answer_that_gained_timestamps_is_bad(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct echo echo = make_echo(&flows[i], EPOCH, &forms[0]);
		__u32 bits;

		echo.timestamps = 1;
		assert_false(validates(&flows[i], &echo, EPOCH, 1, &bits));
	}
}

/* ---------------------------------------------------------------------------------------------------- timestamps */

#define OLDEST 196608 /* ms: 3 * 2^16 */
#define EARLIEST (-65535)

static void assert_comes_back(__u32 bits, __u32 clock, __s32 age)
{
	__u32 tsval = clock - age + cookie_ts_add(bits), back = cookie_bits(tsval, clock);

	assert_int_equal(back, COOKIE_TIMESTAMPS | bits);
	assert_int_equal(cookie_age(tsval, clock, back), age);
}

/* With any offset of the pair of addresses: it is in both clocks. */
static void options_and_age_come_back_whatever_the_clock_says(void **state)
{
	static const __u32 clocks[] = {
		0, 1, OLDEST, OLDEST + 1, 0x3ffff, 0x40000, 0x7fffffff, 0x80000000, 0xffffffff
	};

	(void)state;
	srandom(6);
	for (size_t i = 0; i < 100; i++) {
		__u32 clock = i < COUNT(clocks) ? clocks[i] : (__u32)random() << 16 ^ (__u32)random();

		for (__s32 age = EARLIEST; age <= OLDEST; age += 1009)
			assert_comes_back((__u32)random() & COOKIE_TS_MASK, clock, age);
		assert_comes_back((__u32)random() & COOKIE_TS_MASK, clock, OLDEST);
	}
}

static void every_age_in_ms_comes_back(void **state)
{
	(void)state;
	for (__s32 age = EARLIEST; age <= OLDEST; age++) {
		assert_comes_back(0, CLOCK, age);
		assert_comes_back(COOKIE_TS_MASK, CLOCK, age);
	}
}

static void all_options_come_back_at_every_border(void **state)
{
	static const __s32 ages[] = { EARLIEST, -1, 0, 1, 64000, 128000, OLDEST };

	(void)state;
	for (__u32 bits = 0; bits <= COOKIE_TS_MASK; bits++)
		for (size_t i = 0; i < COUNT(ages); i++)
			assert_comes_back(bits, CLOCK + bits * 0x9e3779b1, ages[i]);
}

/* What is beyond is taken for other options: a cookie of that age is good no more, whatever they are. */
static void ages_beyond_are_longer_than_a_cookie_is_good(void **state)
{
	(void)state;
	assert_true(OLDEST > 2 * 64000);
	assert_true(-EARLIEST > 64000);
	assert_int_not_equal(cookie_bits(CLOCK - OLDEST - 1, CLOCK), COOKIE_TIMESTAMPS);
	assert_int_not_equal(cookie_bits(CLOCK - EARLIEST + 1, CLOCK), COOKIE_TIMESTAMPS);
}

/* ------------------------------------------------------------------------------------------- offset of timestamps */

static const __u64 secret[2] = { 0x0123456789abcdefull, 0xfedcba9876543210ull };

static __u32 offset_of(const struct cookie_flow *flow, const __u64 *key)
{
	return cookie_offset_final(cookie_offset_init(flow, key), flow, key);
}

static void the_offset_is_of_the_addresses_alone(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct cookie_flow flow = flows[ipv6];
		__u32 offset = offset_of(&flow, secret);

		for (__u32 port = 0; port <= 0xffff; port += 257) {
			flow.client_port = port;
			flow.server_port = ~port;
			assert_int_equal(offset_of(&flow, secret), offset);
		}
	}
}

static void every_bit_of_addresses_and_secret_changes_the_offset(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct {
			struct cookie_flow flow;
			__u64 secret[2];
		} input = { flows[ipv6], { secret[0], secret[1] } };
		const struct {
			void *field;
			int from, bits;
		} parts[] = {
			{ input.flow.client, 0, ipv6 ? 128 : 32 },
			{ input.flow.server, 0, ipv6 ? 128 : 32 },
			{ &input.secret[0], 0, 64 },
			{ &input.secret[1], 1,
			  63 }, /* the multiplier is odd; its highest bit counts where what it meets is odd, too */
		};
		__u32 before = offset_of(&input.flow, input.secret);

		for (size_t i = 0; i < COUNT(parts); i++) {
			for (int bit = parts[i].from; bit < parts[i].bits; bit++) {
				__u8 *byte = (__u8 *)parts[i].field + bit / 8;

				*byte ^= 1 << bit % 8;
				assert_int_not_equal(offset_of(&input.flow, input.secret), before);
				*byte ^= 1 << bit % 8;
			}
		}
		assert_int_equal(offset_of(&input.flow, input.secret), before);
	}
}

static void an_offset_begun_once_serves_every_client_of_an_address(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		__u64 begun = cookie_offset_init(&flows[ipv6], secret);

		for (__u32 i = 0; i < 10000; i++) {
			struct cookie_flow flow = flows[ipv6];

			flow.client[i % (ipv6 ? 4 : 1)] += i;
			assert_int_equal(cookie_offset_final(begun, &flow, secret), offset_of(&flow, secret));
		}
	}
}

/* Neighbours have offsets far from each other, and one server's clients tell nothing of another's. */
static void offsets_of_neighbours_have_nothing_in_common(void **state)
{
	int near = 0, alike = 0;

	(void)state;
	for (__u32 i = 0; i < 1 << 16; i++) {
		struct cookie_flow flow = flows[i & 1];
		__u32 here, next, elsewhere, next_elsewhere;

		flow.client[0] = i << 16; /* the last bytes of the address, as they lie in the packet */
		here = offset_of(&flow, secret);
		flow.server[0]++;
		elsewhere = offset_of(&flow, secret);
		flow.client[0] = (i + 2) << 16;
		next_elsewhere = offset_of(&flow, secret);
		flow.server[0]--;
		next = offset_of(&flow, secret);
		near += next - here + (1u << 24) < 1u << 25;
		alike += next - here - (next_elsewhere - elsewhere) + (1u << 24) < 1u << 25;
	}
	/* One of 128 by chance, 512 +- 23 of so many; they are no more random than what they hide asks for. */
	assert_in_range(near, 0, 2 * 512);
	assert_in_range(alike, 0, 2 * 512);
}

static void offsets_are_spread_evenly(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		int count[BINS] = { 0 };

		for (__u32 client = 0; client < CLIENTS; client++) {
			struct cookie_flow flow = flows[i & 1];

			flow.client[0] = i & 2 ? client << 16 : client;
			count[offset_of(&flow, secret) >> 26]++;
		}
		for (int bin = 0; bin < BINS; bin++)
			assert_in_range(count[bin], CLIENTS / BINS / 2, CLIENTS / BINS * 2);
	}
}

/* ------------------------------------------------------------------------------------------------------- forgery */

/* How many epochs are tried for the 2 values of the bit that a cookie with timestamps shows, or for any without. */
static int epochs_tried(bool timestamps, bool accept_next)
{
	int tried = 0;
	__u32 epoch;

	for (int attempt = 0; !timestamps && attempt < COOKIE_PLAIN_ATTEMPTS; attempt++)
		tried += cookie_epoch_plain(EPOCH, accept_next, attempt, &epoch);
	for (__u32 value = 0; timestamps && value < 2; value++)
		for (int attempt = 0; attempt < 2; attempt++)
			tried += cookie_epoch(value << COOKIE_PARITY_SHIFT, EPOCH, accept_next, attempt, &epoch);
	return tried;
}

static void a_random_ack_may_be_of_two_epochs(void **state)
{
	(void)state;
	assert_int_equal(epochs_tried(0, 0), 2);
	assert_int_equal(epochs_tried(1, 0), 2);
}

static void a_random_ack_may_be_of_three_epochs_where_clocks_may_differ(void **state)
{
	(void)state;
	assert_int_equal(epochs_tried(0, 1), 3);
	assert_int_equal(epochs_tried(1, 1), 3);
}

static int compare_words(const void *a, const void *b)
{
	__u32 first = *(const __u32 *)a, second = *(const __u32 *)b;

	return first < second ? -1 : first > second;
}

/* Each (epoch, options) has one good value of 2^32, and so has the cookie with timestamps: 2 * 17, which is 2^-26.9. */
static void of_all_isns_34_are_good_without_timestamps(void **state)
{
	__u32 good[2 * 17];
	int count = 0;

	(void)state;
	for (__u32 bits = 0; bits <= 16; bits++)
		for (__u32 epoch = EPOCH - 1; epoch <= EPOCH; epoch++)
			good[count++] = isn_of(&flows[0], CLIENT_ISN, epoch, bits < 16 ? bits : COOKIE_TIMESTAMPS);
	qsort(good, count, sizeof(good[0]), compare_words);
	for (int i = 1; i < count; i++)
		assert_int_not_equal(good[i - 1], good[i]);
	for (int i = 0; i < count; i++) {
		struct echo echo = { .cookie = good[i] };
		__u32 bits;

		assert_true(validates(&flows[0], &echo, EPOCH, 0, &bits));
		echo.cookie ^= 1u << i % COOKIE_EPOCH_SHIFT;
		assert_false(validates(&flows[0], &echo, EPOCH, 0, &bits));
	}
}

/* Whether an ACK is that of one of the 17 cookies that an epoch has for the client, as far as `looked_at` goes. */
static int fits_plain(const struct cookie_flow *flow, __u32 isn, __u32 ack, __u32 looked_at)
{
	int fits = 0;

	for (__u32 epoch = EPOCH - 1; epoch <= EPOCH; epoch++)
		for (__u32 bits = 0; bits <= 16; bits++)
			fits += !((isn_of(flow, isn, epoch, bits < 16 ? bits : COOKIE_TIMESTAMPS) ^ ack) & looked_at);
	return fits;
}

/* The same of all 32 bits, as the hook verifies. */
static int is_read(const struct cookie_flow *flow, __u32 isn, __u32 ack, __u32 looked_at)
{
	(void)looked_at;
	return (read_plain(flow, isn, EPOCH, ack) >= 0) + (read_plain(flow, isn, EPOCH - 1, ack) >= 0);
}

static int fits_timestamps(const struct cookie_flow *flow, __u32 isn, __u32 ack, __u32 looked_at)
{
	int fits = 0;

	for (int attempt = 0; attempt < 2; attempt++) {
		__u32 epoch;

		fits += cookie_epoch(ack, EPOCH, 0, attempt, &epoch) &&
			!((isn_of(flow, isn, epoch, COOKIE_TIMESTAMPS) ^ ack) & looked_at);
	}
	return fits;
}

/*
 * Random answers to cookies of which `looked_at` alone is compared, as if the attacker had guessed the rest. Returns how many were
 * taken for good.
 */
static int forgeries(int (*fits)(const struct cookie_flow *, __u32, __u32, __u32), int tries, __u32 looked_at)
{
	int taken = 0;

	for (int i = 0; i < tries; i++) {
		struct cookie_flow flow = flows[i & 1];

		flow.client_port = random();
		taken += fits(&flow, (__u32)i, (__u32)random() << 16 ^ (__u32)random(), looked_at);
	}
	return taken;
}

/*
 * Forged ACKs with some bits left. With timestamps 10 of the MAC: 2^22 * 2^-10, as each names one epoch of the two. Without, 8 of the
 * MAC and the six above it: 2^16 * 34 * 2^-14. The standard deviation is the square root of that; five of them and a fixed seed
 * leave chance out.
 */
static void forged_acks_pass_as_often_as_the_cookie_is_long(void **state)
{
	int plain, timestamps;

	(void)state;
	srandom(3);
	plain = forgeries(fits_plain, 1 << 16, COOKIE_HIDDEN | 0xff);
	timestamps = forgeries(fits_timestamps, 1 << 22, 0x3ff);
	assert_in_range(plain, 136 - 5 * 12, 136 + 5 * 12);
	assert_in_range(timestamps, 4096 - 5 * 64, 4096 + 5 * 64);
}

/* Options and epoch are known, and so are the 26 bits of the MAC but for 4: 2^-10 all the same, not 2^-4. */
static void who_knows_options_and_epoch_gains_nothing(void **state)
{
	int taken = 0;

	(void)state;
	srandom(5);
	for (__u32 i = 0; i < 1 << 18; i++) {
		struct echo echo = { 0 };
		struct cookie_flow flow = flows[i & 1];
		__u32 bits;

		flow.client_port = random();
		echo.cookie = isn_of(&flow, CLIENT_ISN, EPOCH, 14);
		echo.cookie &= PLAIN_MAC & ~0xfu;
		echo.cookie |= (__u32)random() & 0xf;
		echo.cookie |= (14u << COOKIE_OPTIONS_SHIFT) | ((EPOCH & 3) << COOKIE_EPOCH_SHIFT);
		taken += validates(&flow, &echo, EPOCH, 0, &bits);
	}
	assert_in_range(taken, 256 - 5 * 16, 256 + 5 * 16);
}

static void no_forged_ack_passes_in_a_million(void **state)
{
	(void)state;
	srandom(4);
	assert_int_equal(forgeries(is_read, 1 << 20, ~0u), 0);
	assert_int_equal(forgeries(fits_timestamps, 1 << 20, TIMESTAMPS_MAC), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mss_falls_to_the_next_class_and_no_further),
		cmocka_unit_test(mss_of_the_usual_links_is_exact),
		cmocka_unit_test(scale_sack_and_ecn_come_back_exactly_with_timestamps),
		cmocka_unit_test(scale_is_rounded_down_never_up_without_timestamps),
		cmocka_unit_test(nothing_is_promised_that_was_not_offered),
		cmocka_unit_test(what_comes_back_comes_back_again),
		cmocka_unit_test(what_windows_offers_comes_back_whole),
		cmocka_unit_test(a_cookie_is_good_in_its_own_epoch),
		cmocka_unit_test(a_cookie_is_good_in_the_next_epoch),
		cmocka_unit_test(a_cookie_is_bad_from_the_second_epoch_on),
		cmocka_unit_test(a_cookie_of_the_next_epoch_is_bad),
		cmocka_unit_test(a_cookie_of_the_next_epoch_is_good_where_clocks_may_differ),
		cmocka_unit_test(clocks_that_differ_make_nothing_else_good),
		cmocka_unit_test(epochs_may_wrap),
		cmocka_unit_test(the_mac_is_siphash_of_the_documented_bytes),
		cmocka_unit_test(what_is_hidden_is_so_by_the_documented_hash),
		cmocka_unit_test(every_bit_counts_with_timestamps),
		cmocka_unit_test(every_bit_counts_without_timestamps),
		cmocka_unit_test(the_two_forms_have_different_macs),
		cmocka_unit_test(hashes_begun_once_serve_every_client_of_an_address),
		cmocka_unit_test(options_and_epoch_are_hidden_evenly),
		cmocka_unit_test(the_mask_depends_on_the_key_and_not_on_the_options),
		cmocka_unit_test(the_mac_does_not_tell_the_mask),
		cmocka_unit_test(every_option_comes_back_from_every_epoch),
		cmocka_unit_test(the_right_mac_under_a_wrong_mask_is_bad),
		cmocka_unit_test(options_in_the_clock_have_no_mac),
		cmocka_unit_test(an_answer_that_lost_its_timestamps_is_known_as_such),
		cmocka_unit_test(an_answer_that_lost_its_timestamps_is_not_less_checked),
		cmocka_unit_test(an_answer_that_gained_timestamps_is_bad),
		cmocka_unit_test(options_and_age_come_back_whatever_the_clock_says),
		cmocka_unit_test(every_age_in_ms_comes_back),
		cmocka_unit_test(all_options_come_back_at_every_border),
		cmocka_unit_test(ages_beyond_are_longer_than_a_cookie_is_good),
		cmocka_unit_test(the_offset_is_of_the_addresses_alone),
		cmocka_unit_test(every_bit_of_addresses_and_secret_changes_the_offset),
		cmocka_unit_test(an_offset_begun_once_serves_every_client_of_an_address),
		cmocka_unit_test(offsets_of_neighbours_have_nothing_in_common),
		cmocka_unit_test(offsets_are_spread_evenly),
		cmocka_unit_test(a_random_ack_may_be_of_two_epochs),
		cmocka_unit_test(a_random_ack_may_be_of_three_epochs_where_clocks_may_differ),
		cmocka_unit_test(of_all_isns_34_are_good_without_timestamps),
		cmocka_unit_test(forged_acks_pass_as_often_as_the_cookie_is_long),
		cmocka_unit_test(who_knows_options_and_epoch_gains_nothing),
		cmocka_unit_test(no_forged_ack_passes_in_a_million),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
