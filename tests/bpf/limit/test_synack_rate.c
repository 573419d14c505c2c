/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maximum rate of SYN-ACKs and RSTs to a prefix, and which sources get them first.
 *
 * link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/acl_fixture.c user/datapath/?*.c user/common/process.c
 * link: user/common/link.c user/common/log.c user/acl/?*.c user/common/prefix.c user/common/text.c tests/bpf/sources.c
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <shakeoff/prefix_hash.h>
#include <shakeoff/source.h>

#include "sources.h"

#define BUDGET_WINDOW (1ull << SHAKEOFF_REPLY_WINDOW_SHIFT)

/* Sets how many were wanted of every prefix in this window. */
static void replies_wanted(uint32_t window, uint32_t wanted)
{
	static struct shakeoff_reply_cells cells;
	__u32 zero = 0;

	memset(&cells, 0, sizeof(cells));
	for (size_t i = 0; i < COUNT(cells.cells); i++)
		cells.cells[i] = (struct shakeoff_reply_cell){ .window = window, .drawn = wanted };
	assert_int_equal(bpf_map_update_elem(harness.replies, &zero, &cells, BPF_ANY), 0);
}

#define BUDGET 100 /* a second: 6 a window, each counted at once */
#define OF_A_WINDOW 6

static void budget(uint32_t rate)
{
	uint64_t offset_ns = harness.control->epoch_offset_ns;

	harness.control->replies = shakeoff_reply_budget(monotonic_ns() * 0x9e3779b97f4a7c15ull, rate, 1);
	harness.control->heartbeat_ns =
		monotonic_ns(); /* a repeated test may take longer than a daemon may be silent */
	harness.control->epoch_offset_ns = offset_ns +
					   1; /* makes the hook read it now, rather than with its next tick */
}

static uint64_t window_now(void)
{
	return monotonic_ns() / BUDGET_WINDOW;
}

/*
 * Waits until shortly after the beginning of a window, by the hook's clock too, which has ticks of 10 ms at most.
 * Returns its number: a test that takes longer than the window, on a busy machine, has to be repeated.
 */
static uint64_t window_begins(void)
{
	struct timespec time;
	uint64_t wait = BUDGET_WINDOW - monotonic_ns() % BUDGET_WINDOW + 12 * MS;

	time = (struct timespec){ .tv_nsec = wait };
	nanosleep(&time, NULL);
	return window_now();
}

static void a_prefix_is_answered_up_to_its_budget(void **state)
{
	uint64_t begun;
	int answered;

	(void)state;
	do {
		budget(BUDGET);
		begun = window_begins();
		answered = 0;
		for (int i = 0; i < OF_A_WINDOW + 3; i++) {
			char from[32];

			snprintf(from, sizeof(from), "198.51.100.%d", i * 28 + 1);
			answered += syns_that(from, 1, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		}
	} while (window_now() != begun);
	assert_int_equal(answered, OF_A_WINDOW);
	assert_syn("198.51.101.7", SHAKEOFF_SYNACK_SENT);
	usleep((SHAKEOFF_REPLY_EXPECT_WINDOWS + 2) * BUDGET_WINDOW / 1000); /* until it expects none any more */
	assert_syn("198.51.100.7", SHAKEOFF_SYNACK_SENT);
}

static void an_ipv6_prefix_is_answered_up_to_its_budget(void **state)
{
	uint64_t begun;
	int answered;

	(void)state;
	do {
		budget(BUDGET);
		begun = window_begins();
		answered = 0;
		for (int i = 0; i < OF_A_WINDOW + 2; i++) {
			char from[40];

			snprintf(from, sizeof(from), "2001:db8:7:%x::1", i);
			answered += syns_that(from, 1, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		}
	} while (window_now() != begun);
	assert_int_equal(answered, OF_A_WINDOW);
	assert_syn("2001:db8:8::1", SHAKEOFF_SYNACK_SENT);
}

/* Where a CPU adds its count in batches, no more is answered than with single counts. */
static void batches_keep_to_the_budget(void **state)
{
	const struct shakeoff_reply_budget expected = shakeoff_reply_budget(1, 1000, 1);
	int window = 1000 * BUDGET_WINDOW / SECOND, answered;
	uint64_t begun;

	(void)state;
	assert_true(expected.batch > 4);
	do {
		budget(1000);
		begun = window_begins();
		answered = syns_that("198.51.100.7", window + 10, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
	} while (window_now() != begun);
	assert_in_range(answered, expected.limit + expected.spare - expected.batch, window);
}

/* CPUs read the clock once a tick: a CPU may be in the old window for that long. */
static void a_slow_cpu_does_not_restore_the_old_window(void **state)
{
	uint64_t begun;
	int answered;

	(void)state;
	do {
		budget(BUDGET);
		begun = window_begins();
		replies_sent(begun + 1, harness.control->replies.limit);
		answered = syns_that("198.51.100.7", 4, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
	} while (window_now() != begun);
	assert_int_equal(answered, 0);
}

static uint32_t reply_hash(uint32_t address, uint32_t bits)
{
	__be32 in_packet = htonl(address);

	return shakeoff_hash_index(shakeoff_prefix_number(false, &in_packet), harness.control->replies.salt, bits);
}

/* Finds an address of another prefix that is in the same cell. */
static void find_neighbour(const char *text, char *neighbour, size_t size)
{
	uint32_t address = ntohl(inet_addr(text)), other = 0x14000001;

	while (reply_hash(other, SHAKEOFF_REPLY_CELL_BITS) != reply_hash(address, SHAKEOFF_REPLY_CELL_BITS) ||
	       (uint16_t)reply_hash(other, SHAKEOFF_REPLY_HASH_BITS) ==
		       (uint16_t)reply_hash(address, SHAKEOFF_REPLY_HASH_BITS))
		other += 256;
	snprintf(neighbour, size, "%u.%u.%u.%u", other >> 24, other >> 16 & 255, other >> 8 & 255, other & 255);
}

static void a_prefix_in_the_cell_of_a_flooded_one_is_answered(void **state)
{
	int flooded, others, window = 1000 * BUDGET_WINDOW / SECOND;
	char neighbour[INET_ADDRSTRLEN];
	uint64_t begun;

	(void)state;
	do {
		budget(1000);
		find_neighbour("198.51.100.7", neighbour, sizeof(neighbour));
		begun = window_begins();
		flooded = syns_that("198.51.100.7", window + 10, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		others = syns_that(neighbour, 4, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		flooded += syns_that("198.51.100.7", 4, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
	} while (window_now() != begun);
	assert_int_equal(others, 4);
	assert_in_range(flooded, 1, window);
}

static void without_a_budget_all_is_answered(void **state)
{
	(void)state;
	budget(0);
	assert_int_equal(syns_that("198.51.100.7", 300, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE), 300);
}

/*
 * Beyond the budget, a known source gets at most an eighth of the budget, an allowed source at most the whole budget
 * again.
 */
static void assert_bound_beyond_the_budget(const char *preferred, const char *other, int bound)
{
	int others, known;
	uint64_t begun;

	do {
		budget(BUDGET);
		begun = window_begins();
		others = syns_that(other, OF_A_WINDOW + 2, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		known = syns_that(preferred, 40, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		others += syns_that(other, 1, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
	} while (window_now() != begun);
	assert_int_equal(others, OF_A_WINDOW);
	assert_int_equal(known, bound);
}

static void a_known_source_is_answered_beyond_the_budget(void **state)
{
	(void)state;
	assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	assert_bound_beyond_the_budget("198.51.100.7", "198.51.100.8", 1);
}

static void a_known_ipv6_source_is_answered_beyond_the_budget(void **state)
{
	(void)state;
	assert_opens("2001:db8:7:1::7", SHAKEOFF_ACK_VALID);
	assert_bound_beyond_the_budget("2001:db8:7:1::8", "2001:db8:7:2::8", 1);
}

static void an_allowed_source_is_answered_beyond_the_budget(void **state)
{
	(void)state;
	acl_fixture_add("allow 198.51.100.7\n");
	assert_bound_beyond_the_budget("198.51.100.7", "198.51.100.8", SHAKEOFF_REPLY_KNOWN * OF_A_WINDOW);
}

/* An attacker that knows the address of one known client floods from it: its neighbours are still answered. */
static void assert_a_known_neighbour_is_answered(const char *flooded, const char *neighbour)
{
	const int source = shakeoff_reply_budget(1, 1000, 1).source, window = 1000 * BUDGET_WINDOW / SECOND;
	int sent, others;
	uint64_t begun;

	assert_opens(flooded, SHAKEOFF_ACK_VALID);
	assert_opens(neighbour, SHAKEOFF_ACK_VALID);
	do {
		budget(1000);
		begun = window_begins();
		sent = syns_that(flooded, 2 * window, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		others = syns_that(neighbour, source, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
	} while (window_now() != begun);
	assert_int_equal(others, source);
	assert_in_range(sent, source, window + source);
	budget(0);
}

/* No matter how long ago: 16 bits of a window's number are kept. */
static void replies_to_a_known_source_in_another_window_do_not_count(void **state)
{
	static const uint16_t ago[] = { 1, 1000, 0x7fff, 0x8000, 0x8001, 0xfff0 };
	struct shakeoff_source_key key;
	struct shakeoff_source source;

	(void)state;
	assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	assert_int_equal(bpf_map_get_next_key(harness.sources, NULL, &key), 0);
	assert_int_equal(bpf_map_lookup_elem(harness.sources, &key, &source), 0);
	for (size_t i = 0; i < COUNT(ago); i++) {
		uint64_t begun;
		int known;

		do {
			budget(BUDGET);
			begun = window_begins();
			source.window = begun - ago[i];
			source.count = 1000000;
			assert_int_equal(bpf_map_update_elem(harness.sources, &key, &source, BPF_ANY), 0);
			syns_that("198.51.100.8", OF_A_WINDOW + 2, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
			known = syns_that("198.51.100.7", 3, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		} while (window_now() != begun);
		assert_int_equal(known, 1);
	}
	budget(0);
}

static void a_flood_from_a_known_source_leaves_replies_for_its_neighbours(void **state)
{
	(void)state;
	assert_a_known_neighbour_is_answered("198.51.100.7", "198.51.100.8");
	assert_a_known_neighbour_is_answered("2001:db8:7:1::7", "2001:db8:7:2::8");
}

/*
 * Sources that come early in a window get no more than sources that come late, and all together no more than the
 * budget.
 */
static void assert_lots_are_drawn(const char *from)
{
	const int window = 2000 * BUDGET_WINDOW / SECOND, wanted = 2 * window;
	int early, late;
	uint64_t begun;

	do {
		budget(2000);
		begun = window_begins();
		replies_wanted(begun - 1, wanted);
		early = syns_that(from, wanted / 2, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		late = syns_that(from, wanted / 2, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
	} while (window_now() != begun);
	assert_in_range(early + late, window / 3, window);
	/* 134 with a chance of 76 in 268: expected 38; fewer than 13 once in a million times. */
	assert_true(late >= window / 10);
}

static void beyond_the_budget_lots_are_drawn(void **state)
{
	(void)state;
	assert_lots_are_drawn("198.51.100.7");
	assert_lots_are_drawn("2001:db8:7:1::7");
}

static void a_source_is_known_for_ten_minutes(void **state)
{
	struct shakeoff_source_key key;
	struct shakeoff_source source;
	uint64_t begun;
	int answered;

	(void)state;
	assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	assert_int_equal(bpf_map_get_next_key(harness.sources, NULL, &key), 0);
	assert_int_equal(bpf_map_lookup_elem(harness.sources, &key, &source), 0);
	source.known_ns = monotonic_ns() - SHAKEOFF_SOURCE_KNOWN_NS - SECOND;
	assert_int_equal(bpf_map_update_elem(harness.sources, &key, &source, BPF_ANY), 0);
	do {
		budget(BUDGET);
		begun = window_begins();
		answered = syns_that("198.51.100.7", 12, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
	} while (window_now() != begun);
	assert_int_equal(answered, OF_A_WINDOW);
}

static void queue_fill(void)
{
	harness.service->enqueued = harness.service->capacity;
	harness.service->dequeued = 0;
	harness.service->overflow = SHAKEOFF_OVERFLOW_RESET;
}

static void resets_of_syns_are_replies(void **state)
{
	(void)state;
	queue_fill();
	budget(BUDGET);
	window_begins();
	assert_int_equal(syns_that("198.51.100.7", 12, SHAKEOFF_SYN_OVERFLOW_RESET, SHAKEOFF_SYN_PREFIX_RATE),
			 OF_A_WINDOW);
}

static void resets_of_acks_are_replies(void **state)
{
	struct client clients[OF_A_WINDOW + 2];

	(void)state;
	for (size_t i = 0; i < COUNT(clients); i++) {
		struct segment syn = syn_from("198.51.100.7");

		client_connect(&clients[i], &syn);
	}
	queue_fill();
	budget(BUDGET);
	window_begins();
	for (size_t i = 0; i < COUNT(clients); i++)
		assert_verdict(&clients[i].ack,
			       i < OF_A_WINDOW ? SHAKEOFF_ACK_OVERFLOW_RESET : SHAKEOFF_ACK_OVERFLOW_DROP);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, sources_setup, sources_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_prefix_is_answered_up_to_its_budget),
		TEST(an_ipv6_prefix_is_answered_up_to_its_budget),
		TEST(batches_keep_to_the_budget),
		TEST(a_slow_cpu_does_not_restore_the_old_window),
		TEST(a_prefix_in_the_cell_of_a_flooded_one_is_answered),
		TEST(without_a_budget_all_is_answered),
		TEST(a_known_source_is_answered_beyond_the_budget),
		TEST(a_known_ipv6_source_is_answered_beyond_the_budget),
		TEST(an_allowed_source_is_answered_beyond_the_budget),
		TEST(replies_to_a_known_source_in_another_window_do_not_count),
		TEST(a_flood_from_a_known_source_leaves_replies_for_its_neighbours),
		TEST(beyond_the_budget_lots_are_drawn),
		TEST(a_source_is_known_for_ten_minutes),
		TEST(resets_of_syns_are_replies),
		TEST(resets_of_acks_are_replies),
	};

	return cmocka_run_group_tests_name("SYN-ACK rate", tests, sources_start, sources_stop);
}
