/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c */
/* The cookie of a SYN-ACK, and its timestamps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness.h"

#define OFFERS(...)                                                                                                    \
	{                                                                                                              \
		.seq = CLIENT_ISN, .flags = SYN, .options = BYTES(__VA_ARGS__)                                         \
	}

#define OFFER_TS 8, 10, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6;

static void a_repeated_syn_gets_the_same_cookie(void **state)
{
	struct reading first, second;

	(void)state;
	run_answered(&linux_syn, SHAKEOFF_SYNACK_SENT, &first);
	run_answered(&linux_syn, SHAKEOFF_SYNACK_SENT, &second);
	assert_int_equal(first.seq, second.seq);
}

static void another_isn_gets_another_cookie(void **state)
{
	struct segment other = linux_syn;
	struct reading first, second;

	(void)state;
	other.seq++;
	run_answered(&linux_syn, SHAKEOFF_SYNACK_SENT, &first);
	run_answered(&other, SHAKEOFF_SYNACK_SENT, &second);
	assert_int_not_equal(first.seq, second.seq);
}

static void another_port_gets_another_cookie(void **state)
{
	struct segment other = linux_syn;
	struct reading first, second;

	(void)state;
	other.sport = 40001;
	run_answered(&linux_syn, SHAKEOFF_SYNACK_SENT, &first);
	run_answered(&other, SHAKEOFF_SYNACK_SENT, &second);
	assert_int_not_equal(first.seq, second.seq);
}

/* Returns the TSval without the clock: the offset of the pair of addresses, and the options. */
static uint32_t tsval_ahead(const struct segment *syn)
{
	uint32_t before = monotonic_ns() / 1000000, after;
	struct reading reading;

	run_answered(syn, SHAKEOFF_SYNACK_SENT, &reading);
	after = monotonic_ns() / 1000000;
	assert_true(reading.timestamps);
	assert_true(after - before < 1000);
	return reading.tsval - before;
}

/* Returns whether they are equal but for the time between two readings, and a tick of a coarse clock. */
static bool is_about(uint32_t one, uint32_t other)
{
	return one - other + 1020 < 2040;
}

static void tsval_follows_the_clock(void **state)
{
	const struct segment *const syns[] = { &linux_syn, &linux_syn6 };

	(void)state;
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct segment syn = *syns[i];
		uint32_t ahead = tsval_ahead(&syn);

		for (int k = 0; k < 200; k++) {
			syn.seq = k;
			syn.sport = 40000 + k; /* ports do not matter */
			assert_true(is_about(tsval_ahead(&syn), ahead));
		}
	}
}

/* It hides the uptime, and that two addresses belong to one host. */
static void tsval_differs_for_every_pair_of_addresses(void **state)
{
	static const char *const clients[] = { "198.51.100.7",  "198.51.100.8",  "203.0.113.7",
					       "2001:db8:7::7", "2001:db8:7::8", "2001:db8:8::7" };
	uint32_t ahead[COUNT(clients)];

	(void)state;
	for (size_t i = 0; i < COUNT(clients); i++) {
		struct segment syn = linux_syn;

		syn.from = clients[i];
		ahead[i] = tsval_ahead(&syn);
		assert_false(is_about(ahead[i], 0));
		for (size_t k = 0; k < i; k++)
			assert_false(is_about(ahead[i], ahead[k]));
	}
}

/* Values 2^18 ms apart, by option: MSS class, ECN, SACK and scale (bpf/lib/cookie.h). */
static void the_options_are_in_the_high_bits_of_the_tsval(void **state)
{
	const struct {
		struct segment syn;
		uint32_t bits;
	} rows[] = {
		{ OFFERS(2, 4, 0x05, 0xb4, 4, 2, OFFER_TS, 1, 3, 3, 7), (1460 - 1220) << 6 | 0x10 | 7 },
		{ OFFERS(2, 4, 0x05, 0xb3, 4, 2, OFFER_TS, 1, 3, 3, 7), (1459 - 1220) << 6 | 0x10 | 7 },
		{ OFFERS(2, 4, 0x05, 0xb4, 4, 2, OFFER_TS, 1, 3, 3, 14), (1460 - 1220) << 6 | 0x10 | 14 },
		{ OFFERS(2, 4, 0x05, 0xb4, 1, 1, OFFER_TS, 1, 3, 3, 0), (1460 - 1220) << 6 },
		{ OFFERS(2, 4, 0x04, 0xc4, 4, 2, OFFER_TS), 0x10 | 15 },
		{ OFFERS(2, 4, 0x23, 0x00, 4, 2, OFFER_TS), 255u << 6 | 0x10 | 15 },
	};
	uint32_t without = tsval_ahead(&rows[0].syn) - (rows[0].bits << 18);

	(void)state;
	for (size_t i = 1; i < COUNT(rows); i++)
		assert_true(is_about(tsval_ahead(&rows[i].syn) - (rows[i].bits << 18), without));
}

/* The clock of the epochs, which a fleet's hosts have in common: adding or removing a key file does not change it. */
static void timestamps_follow_the_epochs_clock_with_and_without_a_fleet(void **state)
{
	uint32_t ahead = tsval_ahead(&linux_syn);

	(void)state;
	harness.control->epoch_offset_ns += 5000000000;
	usleep(11000); /* the next tick */
	assert_true(is_about(tsval_ahead(&linux_syn), ahead + 5000));
	harness.control->flags |= SHAKEOFF_ACCEPT_NEXT_EPOCH;
	usleep(11000);
	assert_true(is_about(tsval_ahead(&linux_syn), ahead + 5000));
}

static void a_new_cookie_key_does_not_change_the_timestamps(void **state)
{
	uint32_t ahead = tsval_ahead(&linux_syn);

	(void)state;
	for (__u32 slot = 0; slot < SHAKEOFF_KEY_SLOTS; slot++)
		key_set(slot, 0x1234);
	generation_raise();
	assert_true(is_about(tsval_ahead(&linux_syn), ahead));
	harness.control->epoch_offset_ns += SHAKEOFF_EPOCH_NS;
	assert_true(is_about(tsval_ahead(&linux_syn), ahead + 64000));
}

#define TEST(function) cmocka_unit_test_setup(function, harness_reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_repeated_syn_gets_the_same_cookie),
		TEST(another_isn_gets_another_cookie),
		TEST(another_port_gets_another_cookie),
		TEST(tsval_follows_the_clock),
		TEST(tsval_differs_for_every_pair_of_addresses),
		TEST(the_options_are_in_the_high_bits_of_the_tsval),
		TEST(timestamps_follow_the_epochs_clock_with_and_without_a_fleet),
		TEST(a_new_cookie_key_does_not_change_the_timestamps),
	};

	return cmocka_run_group_tests_name("cookies of SYN-ACKs", tests, harness_start, harness_stop);
}
