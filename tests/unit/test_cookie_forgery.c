/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/unit/cookies.c */
/* How many tries the forging of a SYN cookie takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cookies.h"

/*
 * Returns how many epochs are tried for the 2 values of the bit that a cookie with timestamps shows, or for any
 * without.
 */
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

/*
 * Each pair of epoch and options has one good value of 2^32, and so has the cookie with timestamps: 2 * 17, which is
 * 2^-26.9.
 */
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

/* Returns whether an ACK matches one of the 17 cookies that an epoch has for the client, in the bits of `looked_at`. */
static int fits_plain(const struct cookie_flow *flow, __u32 isn, __u32 ack, __u32 looked_at)
{
	int fits = 0;

	for (__u32 epoch = EPOCH - 1; epoch <= EPOCH; epoch++)
		for (__u32 bits = 0; bits <= 16; bits++)
			fits += !((isn_of(flow, isn, epoch, bits < 16 ? bits : COOKIE_TIMESTAMPS) ^ ack) & looked_at);
	return fits;
}

/* Does the same with all 32 bits, as the hook verifies. */
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
 * Sends random ACKs whose cookies are compared only in the bits of `looked_at`, as if the attacker had hit the
 * rest. Returns how many were accepted.
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
 * Forged ACKs with fewer bits compared. With timestamps 10 of the MAC: 2^22 * 2^-10, as each names one epoch of the
 * two. Without, 8 of the MAC and the six above it: 2^16 * 34 * 2^-14. The standard deviation is the square root of
 * that; five of them and a fixed seed exclude chance.
 */
static void forged_acks_pass_by_the_number_of_compared_bits(void **state)
{
	int plain, timestamps;

	(void)state;
	srandom(3);
	plain = forgeries(fits_plain, 1 << 16, COOKIE_HIDDEN | 0xff);
	timestamps = forgeries(fits_timestamps, 1 << 22, 0x3ff);
	assert_in_range(plain, 136 - 5 * 12, 136 + 5 * 12);
	assert_in_range(timestamps, 4096 - 5 * 64, 4096 + 5 * 64);
}

/* Options and epoch are known, and so are the 26 bits of the MAC except 4: the probability is still 2^-10, not 2^-4. */
static void knowing_options_and_epoch_does_not_help(void **state)
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

static void none_of_a_million_forged_acks_passes(void **state)
{
	(void)state;
	srandom(4);
	assert_int_equal(forgeries(is_read, 1 << 20, ~0u), 0);
	assert_int_equal(forgeries(fits_timestamps, 1 << 20, TIMESTAMPS_MAC), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_random_ack_may_be_of_two_epochs),
		cmocka_unit_test(a_random_ack_may_be_of_three_epochs_where_clocks_may_differ),
		cmocka_unit_test(of_all_isns_34_are_good_without_timestamps),
		cmocka_unit_test(forged_acks_pass_by_the_number_of_compared_bits),
		cmocka_unit_test(knowing_options_and_epoch_does_not_help),
		cmocka_unit_test(none_of_a_million_forged_acks_passes),
	};

	return cmocka_run_group_tests_name("forged cookies", tests, NULL, NULL);
}
