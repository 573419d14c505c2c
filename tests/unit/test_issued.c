/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The memory of cookies that were sent: how long a cookie is remembered, and how many cookies count as sent by mistake.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/issued.h"
#include "lib/cookie.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PERIOD 1000u
#define NOW (PERIOD * SHAKEOFF_ISSUED_PERIOD_NS + 5)

static uint64_t words[2 * SHAKEOFF_ISSUED_WORDS];

static int empty(void **state)
{
	(void)state;
	memset(words, 0, sizeof(words));
	return 0;
}

static void note(uint32_t period, uint32_t hash)
{
	uint64_t *word = &words[shakeoff_issued_index(period, hash)];

	*word = shakeoff_issued_add(*word, period, shakeoff_issued_bits(hash));
}

static bool is_noted(uint32_t period, uint32_t hash)
{
	return shakeoff_issued_has(words[shakeoff_issued_index(period, hash)], period, shakeoff_issued_bits(hash));
}

/* Looks a cookie up as the hook does. */
static bool was_issued(uint32_t now, uint32_t hash)
{
	return is_noted(now, hash) || is_noted(now - 1, hash) || is_noted(now + 1, hash);
}

static uint32_t random32(void)
{
	return (uint32_t)random() << 16 ^ (uint32_t)random();
}

/* Notes two periods of random cookies. */
static void fill(uint32_t rate)
{
	for (uint32_t i = 0; i < 2 * rate; i++)
		note(PERIOD - (i & 1), random32());
}

static double passes(void)
{
	int tries = 1 << 20, passed = 0;

	for (int i = 0; i < tries; i++)
		passed += was_issued(PERIOD, random32());
	return (double)passed / tries;
}

/* ------------------------------------------------------------------------------------------------------------ notes */

static void nothing_is_remembered_before_a_note(void **state)
{
	(void)state;
	srandom(1);
	assert_true(passes() == 0);
	assert_true(issued_false_positive_rate(words, NOW) == 0);
}

static void a_cookie_is_remembered_until_the_end_of_the_next_period(void **state)
{
	(void)state;
	srandom(2);
	for (int i = 0; i < 1000; i++) {
		uint32_t hash = random32();

		note(PERIOD, hash);
		assert_true(was_issued(PERIOD, hash));
		assert_true(was_issued(PERIOD + 1, hash));
		assert_false(was_issued(PERIOD + 2, hash));
		assert_false(was_issued(PERIOD + 3, hash));
	}
}

static void a_slow_clock_finds_it(void **state)
{
	(void)state;
	note(PERIOD, 0xdeadbeef);
	assert_true(was_issued(PERIOD - 1, 0xdeadbeef));
}

static void cookies_of_a_word_do_not_displace_each_other(void **state)
{
	(void)state;
	for (uint32_t hash = 0; hash < 1 << 15; hash++)
		note(PERIOD, hash);
	for (uint32_t hash = 0; hash < 1 << 15; hash++)
		assert_true(was_issued(PERIOD, hash));
	assert_false(was_issued(PERIOD, 1 << 15));
}

static void a_new_period_begins_with_empty_words(void **state)
{
	(void)state;
	for (uint32_t hash = 0; hash < 1 << 15; hash++)
		note(PERIOD, hash);
	note(PERIOD + 2, 0);
	assert_true(was_issued(PERIOD + 2, 0));
	assert_false(was_issued(PERIOD + 2, 1));
	assert_false(was_issued(PERIOD, 1));
}

static void notes_survive_the_wrap_of_periods(void **state)
{
	(void)state;
	note(0xffffffff, 7);
	assert_true(was_issued(0, 7));
	assert_false(was_issued(1, 7));
	note(0, 8);
	assert_true(was_issued(0xffffffff, 8));
	assert_true(was_issued(0, 7));
}

/* Its word, and each of its three bits, in a group that another cookie has filled. */
static void every_part_of_the_hash_counts(void **state)
{
	(void)state;
	note(PERIOD, 0x12345678);
	for (int bit = 0; bit < 12; bit++)
		assert_false(was_issued(PERIOD, 0x12345678 ^ 1u << bit));
	for (int bit = 32 - SHAKEOFF_ISSUED_BITS; bit < 32; bit++)
		assert_false(was_issued(PERIOD, 0x12345678 ^ 1u << bit));
}

/* -------------------------------------------------------------------------------------------------- false positives */

static void the_false_positive_rate_is_as_documented(void **state)
{
	static const struct {
		uint32_t rate;
		double share;
	} table[] = { { 100000, 0.0012 }, { 500000, 0.031 }, { 1000000, 0.13 }, { 1400000, 0.25 }, { 3000000, 0.70 } };

	(void)state;
	srandom(3);
	for (size_t i = 0; i < COUNT(table); i++) {
		double measured;

		empty(NULL);
		fill(table[i].rate);
		measured = passes();
		assert_true(measured > table[i].share * 0.9 && measured < table[i].share * 1.1);
	}
}

static void the_false_positive_rate_can_be_computed_from_the_words(void **state)
{
	static const uint32_t rates[] = { 200000, 1000000 };

	(void)state;
	srandom(4);
	for (size_t i = 0; i < COUNT(rates); i++) {
		double told, measured;

		empty(NULL);
		fill(rates[i]);
		told = issued_false_positive_rate(words, NOW);
		measured = passes();
		assert_true(told > measured * 0.95 && told < measured * 1.05);
		assert_true(issued_false_positive_rate(words, NOW + 2 * SHAKEOFF_ISSUED_PERIOD_NS) == 0);
	}
}

/* ---------------------------------------------------------------------------------------------------------- forgery */

static const struct shakeoff_key key = { 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull };

/* Returns the hash of the cookie of the number-th client. */
static uint64_t cookie_of(uint32_t number, uint32_t client_isn, uint32_t bits)
{
	const struct cookie_flow flow = { .client = { number }, .server = { 0x0a090001 }, .client_port = 0x409c };

	return cookie_isn(&key, &flow, client_isn, PERIOD, bits);
}

static void the_cookie_does_not_reveal_its_position(void **state)
{
	struct siphash hash, copy;
	uint64_t mac, mask;

	(void)state;
	/* The documented messages: see cookie.h. */
	siphash_init(&hash, &key);
	siphash_update(&hash, 0x0a090001 | ((uint64_t)PERIOD << 32));
	siphash_update(&hash, 5 | (7ull << 32));
	copy = hash;
	mac = siphash_final(&hash, 0x409c | (3ull << 32) | (23ull << 56));
	mask = siphash_final(&copy, 0x409c | (16ull << 32) | (23ull << 56)) & 0x3f;
	assert_int_equal(cookie_of(5, 7, 3) >> 32, mac >> 32);
	assert_int_equal((uint32_t)cookie_of(5, 7, 3), (mac & 0x3ffffff) | ((3ull << 2 | (PERIOD & 3)) ^ mask) << 26);
}

/*
 * A million clients a second have been sent their cookies. Forged ACKs of other clients, with 10 bits of MAC compared
 * and the epoch known, pass at the rate of the shortened MAC, times the false-positive rate.
 */
static void forged_acks_pass_as_often_as_the_filter_is_full(void **state)
{
	int by_mac = 0, passed = 0;
	double share;

	(void)state;
	srandom(5);
	for (uint32_t i = 0; i < 2000000; i++)
		note(PERIOD - (i & 1), cookie_of(i, random32(), i & 15) >> 32);
	share = issued_false_positive_rate(words, NOW);
	for (uint32_t i = 0; i < 1 << 22; i++) {
		uint64_t cookie = cookie_of(0x80000000u + i, random32(), i & 15);

		if ((cookie ^ random32()) & 0x3ff)
			continue;
		by_mac++;
		passed += was_issued(PERIOD, cookie >> 32);
	}
	assert_in_range(by_mac, 4096 - 5 * 64, 4096 + 5 * 64);
	assert_true(passed > by_mac * share * 0.75 && passed < by_mac * share * 1.25);
}

/* An attacker whose own cookie is remembered gains nothing for another cookie of the same tuple. */
static void cookies_of_one_tuple_have_separate_positions(void **state)
{
	int others = 0;

	(void)state;
	for (uint32_t isn = 0; isn < 1000; isn++) {
		empty(NULL);
		note(PERIOD, cookie_of(1, isn, 1) >> 32);
		for (uint32_t bits = 0; bits < 16; bits++)
			others += bits != 1 && was_issued(PERIOD, cookie_of(1, isn, bits) >> 32);
	}
	assert_int_equal(others, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_is_remembered_before_a_note, empty),
		cmocka_unit_test_setup(a_cookie_is_remembered_until_the_end_of_the_next_period, empty),
		cmocka_unit_test_setup(a_slow_clock_finds_it, empty),
		cmocka_unit_test_setup(cookies_of_a_word_do_not_displace_each_other, empty),
		cmocka_unit_test_setup(a_new_period_begins_with_empty_words, empty),
		cmocka_unit_test_setup(notes_survive_the_wrap_of_periods, empty),
		cmocka_unit_test_setup(every_part_of_the_hash_counts, empty),
		cmocka_unit_test_setup(the_false_positive_rate_is_as_documented, empty),
		cmocka_unit_test_setup(the_false_positive_rate_can_be_computed_from_the_words, empty),
		cmocka_unit_test_setup(forged_acks_pass_as_often_as_the_filter_is_full, empty),
		cmocka_unit_test(the_cookie_does_not_reveal_its_position),
		cmocka_unit_test_setup(cookies_of_one_tuple_have_separate_positions, empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
