/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/unit/cookies.c */
/* The SYN cookie: which inputs its MAC depends on, and which values it shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cookies.h"

static const struct cookie_options forms[2] = {
	{ .mss = 1460, .wscale = 8, .sack = 1 },
	{ .mss = 1460, .wscale = 7, .sack = 1, .timestamps = 1 },
};

/* ----------------------------------------------------------------------------------------------------------- inputs */

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

/* With timestamps: the MAC and the epoch's lowest bit above it; the options are not in it. */
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

/*
 * Without timestamps: the MAC, and above it options and two bits of the epoch, masked with six bits of the hash that
 * has 16 in place of the options.
 */
static void hidden_values_use_the_documented_hash(void **state)
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

/* Flips every bit of every part, one at a time: the MAC has to change, not only the bits that are sent in clear. */
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

/* ----------------------------------------------------------------------------------------------------- shown values */

#define CLIENTS 65536
#define BINS 64

/*
 * The six bits above the MAC of this many cookies of the same options, whose ports or ISNs count up: each value is
 * equally frequent, within chance. chi^2 of 63 degrees of freedom: mean 63, deviation 11; four of them below, and five
 * above.
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

/*
 * The bits above the MAC of two cookies of a client differ as their options do; under two keys they have nothing in
 * common.
 */
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

static void the_mac_does_not_reveal_the_mask(void **state)
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

/* The correct MAC, and every value that could be above it: with known options and epoch, one of 64 is good. */
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

/* As in the kernel's cookies: a client that changes them changes only its own connection. */
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

static void an_echo_that_lost_its_timestamps_is_recognised(void **state)
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

static void an_echo_that_lost_its_timestamps_is_fully_checked(void **state)
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

static void an_echo_that_gained_timestamps_is_bad(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct echo echo = make_echo(&flows[i], EPOCH, &forms[0]);
		__u32 bits;

		echo.timestamps = 1;
		assert_false(validates(&flows[i], &echo, EPOCH, 1, &bits));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_mac_is_siphash_of_the_documented_bytes),
		cmocka_unit_test(hidden_values_use_the_documented_hash),
		cmocka_unit_test(every_bit_counts_with_timestamps),
		cmocka_unit_test(every_bit_counts_without_timestamps),
		cmocka_unit_test(the_two_forms_have_different_macs),
		cmocka_unit_test(hashes_begun_once_serve_every_client_of_an_address),
		cmocka_unit_test(options_and_epoch_are_hidden_evenly),
		cmocka_unit_test(the_mask_depends_on_the_key_and_not_on_the_options),
		cmocka_unit_test(the_mac_does_not_reveal_the_mask),
		cmocka_unit_test(every_option_comes_back_from_every_epoch),
		cmocka_unit_test(the_right_mac_under_a_wrong_mask_is_bad),
		cmocka_unit_test(options_in_the_clock_have_no_mac),
		cmocka_unit_test(an_echo_that_lost_its_timestamps_is_recognised),
		cmocka_unit_test(an_echo_that_lost_its_timestamps_is_fully_checked),
		cmocka_unit_test(an_echo_that_gained_timestamps_is_bad),
	};

	return cmocka_run_group_tests_name("MAC of the cookie", tests, NULL, NULL);
}
