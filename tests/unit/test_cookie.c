/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/unit/cookies.c */
/* The SYN cookie: which values it brings back, and how long it is valid. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cookies.h"

static struct cookie_options round_trip(const struct cookie_options *options, bool ipv6)
{
	struct cookie_options back = { 0 };
	__u32 bits = cookie_encode(options, ipv6);

	assert_int_equal(bits & ~(options->timestamps ? COOKIE_TIMESTAMPS | COOKIE_TS_MASK : 0xfu), 0);
	cookie_decode(bits, ipv6, &back);
	return back;
}

/* -------------------------------------------------------------------------------------------- values that come back */

/*
 * From the smallest that Linux takes (TCP_MIN_MSS) to jumbo frames; each number between 1220 and 1460 is a separate
 * class.
 */
static const __u16 timestamps_mss[] = {
	88, 128, 256, 400, 512, 536, 768, 1000, 1100, 1960, 2960, 3960, 8900, 8940, 8960
};
static const __u16 plain_mss[2][4] = { { 536, 1300, 1440, 1460 }, { 1220, 1340, 1420, 1440 } };

/* Returns the class that an MSS is rounded down to; no class is below the smallest. */
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
	/*
	 * Ethernet, PPPoE, the smallest of each family; with timestamps also tunnels, mobile networks and jumbo frames.
	 */
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

static void only_offered_options_are_promised(void **state)
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

static void values_that_came_back_come_back_again(void **state)
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

static void the_options_of_windows_come_back_complete(void **state)
{
	struct cookie_options offer = { .mss = 1460, .wscale = 8, .sack = 1 }, back = round_trip(&offer, 0);

	(void)state;
	assert_int_equal(back.mss, 1460);
	assert_int_equal(back.wscale, 8);
	assert_int_equal(back.sack, 1);
}

/* --------------------------------------------------------------------------------------------------------- lifetime */

static const struct cookie_options forms[2] = {
	{ .mss = 1460, .wscale = 8, .sack = 1 },
	{ .mss = 1460, .wscale = 7, .sack = 1, .timestamps = 1 },
};

/* Asserts whether the cookie is good in the epoch `later` after it was made, for both forms and families. */
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

static void clocks_that_differ_make_no_other_epoch_good(void **state)
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

/* ------------------------------------------------------------------------------------------------------- timestamps */

#define OLDEST 196608 /* ms: 3 * 2^16 */
#define EARLIEST (-65535)

static void assert_comes_back(__u32 bits, __u32 clock, __s32 age)
{
	__u32 tsval = clock - age + cookie_ts_add(bits), back = cookie_bits(tsval, clock);

	assert_int_equal(back, COOKIE_TIMESTAMPS | bits);
	assert_int_equal(cookie_age(tsval, clock, back), age);
}

/* With any offset of the pair of addresses: it is in both clocks. */
static void options_and_age_come_back_at_every_clock_value(void **state)
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

/* An age beyond the range is read as other options: with any options, a cookie of that age has expired. */
static void ages_beyond_the_range_exceed_the_lifetime_of_a_cookie(void **state)
{
	(void)state;
	assert_true(OLDEST > 2 * 64000);
	assert_true(-EARLIEST > 64000);
	assert_int_not_equal(cookie_bits(CLOCK - OLDEST - 1, CLOCK), COOKIE_TIMESTAMPS);
	assert_int_not_equal(cookie_bits(CLOCK - EARLIEST + 1, CLOCK), COOKIE_TIMESTAMPS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mss_falls_to_the_next_class_and_no_further),
		cmocka_unit_test(mss_of_the_usual_links_is_exact),
		cmocka_unit_test(scale_sack_and_ecn_come_back_exactly_with_timestamps),
		cmocka_unit_test(scale_is_rounded_down_never_up_without_timestamps),
		cmocka_unit_test(only_offered_options_are_promised),
		cmocka_unit_test(values_that_came_back_come_back_again),
		cmocka_unit_test(the_options_of_windows_come_back_complete),
		cmocka_unit_test(a_cookie_is_good_in_its_own_epoch),
		cmocka_unit_test(a_cookie_is_good_in_the_next_epoch),
		cmocka_unit_test(a_cookie_is_bad_from_the_second_epoch_on),
		cmocka_unit_test(a_cookie_of_the_next_epoch_is_bad),
		cmocka_unit_test(a_cookie_of_the_next_epoch_is_good_where_clocks_may_differ),
		cmocka_unit_test(clocks_that_differ_make_no_other_epoch_good),
		cmocka_unit_test(epochs_may_wrap),
		cmocka_unit_test(options_and_age_come_back_at_every_clock_value),
		cmocka_unit_test(every_age_in_ms_comes_back),
		cmocka_unit_test(all_options_come_back_at_every_border),
		cmocka_unit_test(ages_beyond_the_range_exceed_the_lifetime_of_a_cookie),
	};

	return cmocka_run_group_tests_name("cookie", tests, NULL, NULL);
}
