/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The arithmetic of limits: counters of prefixes, the reply budget, token buckets, positions of an accept queue. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <shakeoff/prefix_hash.h>
#include <shakeoff/synack_rate.h>
#include <shakeoff/source.h>

#include "lib/fair_share.h"
#include "lib/rate.h"
#include "lib/sketch.h"

#define SECOND 1000000000ull
#define WINDOW (1ull << SHAKEOFF_REPLY_WINDOW_SHIFT)

static uint64_t next_random(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x * 0x2545f4914f6cdd1dull;
}

/* ----------------------------------------------------------------------------------------------------------- counts */

static void a_cell_counts_up_within_its_window(void **state)
{
	uint16_t cell = 0;

	(void)state;
	for (uint32_t i = 1; i <= SKETCH_COUNT_MAX; i++) {
		assert_int_equal(sketch_next(cell, 0x1234), i);
		cell = sketch_cell(0x1234, i);
	}
	assert_int_equal(sketch_next(cell, 0x1234), SKETCH_COUNT_MAX + 1);
}

static void a_cell_of_another_window_is_empty(void **state)
{
	(void)state;
	for (uint32_t count = 0; count <= SKETCH_COUNT_MAX; count++)
		for (uint32_t ahead = 1; ahead < 256; ahead++)
			assert_int_equal(sketch_next(sketch_cell(1000, count), 1000 + ahead), 1);
}

static uint64_t prefix4(const char *text)
{
	struct in_addr address;

	assert_int_equal(inet_pton(AF_INET, text, &address), 1);
	return shakeoff_prefix_number(false, &address.s_addr);
}

static uint64_t prefix6(const char *text)
{
	struct in6_addr address;

	assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
	return shakeoff_prefix_number(true, address.s6_addr32);
}

static void a_prefix_is_the_first_bits_of_an_address(void **state)
{
	static const uint8_t first4[8] = { 192, 0, 2 }, first6[8] = { 0x20, 0x01, 0x0d, 0xb8, 0, 1 };
	uint64_t number4 = prefix4("192.0.2.1"), number6 = prefix6("2001:db8:1:ffff::1");

	(void)state;
	assert_memory_equal(&number4, first4, sizeof(number4)); /* as on the machines that this is built for */
	assert_memory_equal(&number6, first6, sizeof(number6));
}

static void addresses_of_one_prefix_are_counted_together(void **state)
{
	(void)state;
	assert_true(prefix4("192.0.2.1") == prefix4("192.0.2.254"));
	assert_true(prefix4("192.0.2.1") != prefix4("192.0.3.1"));
	assert_true(prefix4("192.0.2.1") != prefix4("193.0.2.1"));
	assert_true(prefix6("2001:db8:1::1") == prefix6("2001:db8:1:ffff:ffff::"));
	assert_true(prefix6("2001:db8:1::") != prefix6("2001:db8:2::"));
	assert_true(prefix6("2001:db8:1::") != prefix6("2001:db9:1::"));
	assert_true(prefix6("::c000:2:0:0:0:0") != prefix4("192.0.2.1"));
}

/*
 * The budget must not take this for an attack on one prefix: every source is in another prefix, and prefixes share the
 * cells.
 */
static void a_uniform_flood_of_ten_million_a_second_reaches_no_limit(void **state)
{
	const struct shakeoff_reply_budget budget = shakeoff_reply_budget(next_random(), SHAKEOFF_REPLY_BUDGET_DEFAULT,
									  1);

	(void)state;
	for (int window = 0; window < 20; window++) {
		static uint32_t cells[SHAKEOFF_REPLY_CELLS];

		memset(cells, 0, sizeof(cells));
		for (uint64_t i = 0; i < 10000000 * WINDOW / SECOND; i++) {
			uint64_t random = next_random();
			__be32 address[4] = { (uint32_t)random, random >> 32 };
			uint32_t index = shakeoff_hash_index(shakeoff_prefix_number(window & 1, address), budget.salt,
							     SHAKEOFF_REPLY_CELL_BITS);

			assert_true(index < SHAKEOFF_REPLY_CELLS);
			assert_true(++cells[index] < budget.limit);
		}
	}
}

/* Consecutive prefixes, as of a network under a flood from its own addresses, spread over the cells as well. */
static void prefixes_in_a_row_share_few_cells(void **state)
{
	static uint8_t cells[SHAKEOFF_REPLY_CELLS];
	uint64_t salt = next_random() | 1;
	uint32_t used = 0;

	(void)state;
	for (uint32_t i = 0; i < SHAKEOFF_REPLY_CELLS; i++) {
		__be32 address = htonl(0x0a000000 + (i << 8));
		uint32_t index = shakeoff_hash_index(shakeoff_prefix_number(false, &address), salt,
						     SHAKEOFF_REPLY_CELL_BITS);

		used += !cells[index];
		cells[index] = 1;
	}
	assert_true(used > SHAKEOFF_REPLY_CELLS / 3);
}

/* The hook's counters of replies, with one CPU. */
struct replies {
	uint32_t cells[SHAKEOFF_REPLY_CELLS], spares[SHAKEOFF_REPLY_SPARES];
};

static bool may_reply(struct replies *replies, const struct shakeoff_reply_budget *budget, uint32_t network)
{
	__be32 address = htonl(network << 8);
	uint32_t hash = shakeoff_hash_index(shakeoff_prefix_number(false, &address), budget->salt,
					    SHAKEOFF_REPLY_HASH_BITS);
	uint32_t *cell = &replies->cells[hash >> SHAKEOFF_REPLY_SPARE_BITS];
	uint32_t *spare = &replies->spares[hash % SHAKEOFF_REPLY_SPARES];

	return *cell < budget->limit ? ++*cell : *spare < budget->spare ? ++*spare : 0;
}

/* Prefixes that share all counters with flooded prefixes get no replies either. */
static void a_flood_from_a_thousand_prefixes_blocks_few_others(void **state)
{
	struct replies *replies = calloc(1, sizeof(*replies));
	const struct shakeoff_reply_budget budget = shakeoff_reply_budget(next_random(), SHAKEOFF_REPLY_BUDGET_DEFAULT,
									  1);
	uint32_t shut_out = 0;

	(void)state;
	assert_non_null(replies);
	for (int i = 0; i < 1000; i++) {
		uint32_t network = next_random() >> 40;

		while (may_reply(replies, &budget, network))
			continue;
	}
	for (int i = 0; i < 10000; i++)
		shut_out += !may_reply(replies, &budget, next_random() >> 40);
	free(replies);
	assert_in_range(shut_out, 0, 100);
}

/*
 * A flood of this many a window is expected at once, also after pauses of some windows, and forgotten a second after
 * it.
 */
static void recent_traffic_is_expected(void **state)
{
	struct shakeoff_reply_cell cell = { .sent = 100, .drawn = 900 };
	uint32_t fading = 1000;

	(void)state;
	assert_int_equal(shakeoff_reply_expect(&cell, 1, 100), 1000);
	/* In a window with a draw, answered prefixes are among those that drew. */
	cell.expected = 1000;
	assert_int_equal(shakeoff_reply_expect(&cell, 1, 100), 900);
	cell = (struct shakeoff_reply_cell){ .expected = 1000 };
	for (uint32_t passed = 1; passed <= SHAKEOFF_REPLY_EXPECT_WINDOWS; passed++) {
		fading -= fading / 8;
		assert_int_equal(shakeoff_reply_expect(&cell, passed, 100), fading);
	}
	assert_int_equal(shakeoff_reply_expect(&cell, SHAKEOFF_REPLY_EXPECT_WINDOWS + 1, 100), 0);
}

/* The number that all CPUs may send in a window: the limit of the common table, plus less than a batch for each. */
static void the_cpus_together_stay_within_the_budget(void **state)
{
	static const uint32_t rates[] = { 100, 1000, 10000, 100000, 10000000, 100000000 };

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		for (uint32_t cpus = 1; cpus <= 1024; cpus++) {
			struct shakeoff_reply_budget budget = shakeoff_reply_budget(2, rates[i], cpus);
			uint64_t window = rates[i] * WINDOW / SECOND;

			assert_int_equal(budget.salt & 1, 1);
			assert_in_range(budget.batch, 1, SHAKEOFF_REPLY_BATCH_MAX);
			assert_true(budget.limit + budget.spare + cpus * (uint64_t)(budget.batch - 1) <= window);
			assert_true(budget.limit + budget.spare >= window * 3 / 4 && budget.limit > budget.spare);
		}
	}
}

static void without_a_budget_there_is_no_batch(void **state)
{
	(void)state;
	assert_int_equal(shakeoff_reply_budget(2, 0, 4).batch, 0);
}

/* ------------------------------------------------------------------------------------------------------------ rates */

static uint32_t passes(uint64_t *due, uint64_t now, uint32_t interval, uint32_t burst, uint32_t tries)
{
	uint32_t passed = 0;

	while (tries--) {
		if (!rate_allows(*due, now, interval, burst))
			continue;
		*due = rate_next(*due, now, interval, burst, 1);
		passed++;
	}
	return passed;
}

static void a_burst_passes_at_once_and_then_one_an_interval(void **state)
{
	uint64_t due = 0, now = 5 * SECOND;

	(void)state;
	assert_int_equal(passes(&due, now, SECOND / 10, 7, 100), 7);
	assert_int_equal(passes(&due, now + SECOND / 10 - 1, SECOND / 10, 7, 100), 0);
	assert_int_equal(passes(&due, now + SECOND / 10, SECOND / 10, 7, 100), 1);
	assert_int_equal(passes(&due, now + SECOND / 2, SECOND / 10, 7, 100), 4);
	assert_int_equal(passes(&due, now + 60 * SECOND, SECOND / 10, 7, 100), 7);
}

static void rate_and_burst_hold_for_every_arrival_pattern(void **state)
{
	const uint32_t interval = SECOND / 50, burst = 20;
	uint64_t due = 0, begin = 100 * SECOND, now = begin, passed = 0;

	(void)state;
	while (now < begin + 100 * SECOND) {
		passed += passes(&due, now, interval, burst, next_random() % 8);
		now += next_random() % (SECOND / 50);
		assert_true(passed <= (now - begin) / interval + burst);
	}
	assert_true(passed >= 4900);
}

static void events_that_are_counted_late_delay_later_ones(void **state)
{
	uint64_t now = 5 * SECOND, due = rate_next(0, now, SECOND / 10, 7, 5);

	(void)state;
	assert_int_equal(passes(&due, now, SECOND / 10, 7, 100), 2);
}

/* The configuration had another limit before, or the source was allowed. */
static void the_debt_of_another_limit_is_forgotten(void **state)
{
	uint64_t now = 5 * SECOND, due = now + 500 * SECOND;

	(void)state;
	assert_int_equal(passes(&due, now, SECOND / 10, 7, 100), 7);
	due = now + 500 * SECOND;
	assert_int_equal(rate_next(due, now, 0, 0, 1), now);
	assert_int_equal(rate_next(due, now, SECOND, 1000000, 1), due + SECOND);
}

/* A source that never waits gets no more: its debt does not grow to the size at which it would be forgotten. */
static void the_debt_of_the_limit_itself_is_kept(void **state)
{
	const uint32_t interval = SECOND / 100, burst = 3, later = 25; /* half of the limit for a quarter of a second */
	uint64_t due = 0, now = 5 * SECOND, passed = 0;

	(void)state;
	for (uint64_t end = now + 100 * SECOND; now < end; now += SECOND / 1000) {
		if (now % (SECOND / 2) == 0) {
			due = rate_next(due, now, interval, burst, later);
			passed += later;
		}
		passed += passes(&due, now, interval, burst, 10);
	}
	assert_in_range(passed, 9990, 10000 + burst + later);
}

/* -------------------------------------------------------------------------------------------------------- positions */

/* An accept queue with the source of every position known. */
#define SOURCES 4
#define POSITIONS 65536

struct queue {
	struct shakeoff_source sources[SOURCES];
	uint32_t capacity;
	uint8_t positions[POSITIONS]; /* the source of each position, by number */
	uint64_t head, end;
};

static struct queue queue;

static void queue_make(uint32_t capacity)
{
	memset(&queue, 0, sizeof(queue));
	queue.capacity = capacity;
}

static uint32_t waiting(void)
{
	return queue.end - queue.head;
}

static void enter(uint32_t source)
{
	queue.positions[queue.end % POSITIONS] = source;
	fair_share_enter(&queue.sources[source], queue.end, queue.capacity);
	queue.end++;
}

static uint32_t truly_held(uint32_t source)
{
	uint32_t held = 0;

	for (uint64_t position = queue.head; position != queue.end; position++)
		held += queue.positions[position % POSITIONS] == source;
	return held;
}

static uint32_t said_held(uint32_t source)
{
	return shakeoff_source_held(&queue.sources[source], queue.head);
}

static void ranges_cover_the_queue_and_are_at_most_an_eighth_of_it(void **state)
{
	(void)state;
	for (uint32_t capacity = 1; capacity <= 70000; capacity++) {
		uint32_t length = 1u << fair_share_shift(capacity);

		assert_true(length * (SHAKEOFF_POSITION_RANGES - 1) >= capacity);
		assert_true(length == 1 || length <= capacity / 7);
	}
}

/*
 * For every order in which sources come, and every way the queue fills and drains; in a queue shorter than that the
 * result is meaningless.
 */
static void the_count_of_a_source_errs_by_less_than_a_range(void **state)
{
	(void)state;
	for (uint32_t capacity = 16; capacity < 3000; capacity = capacity * 3 / 2 + 1) {
		uint32_t range = 1u << fair_share_shift(capacity);

		queue_make(capacity);
		for (int round = 0; round < 3000; round++) {
			uint32_t source = next_random() % SOURCES, steps = 1 + next_random() % capacity;

			while (steps--)
				if (next_random() % 3 && waiting() < capacity)
					enter(next_random() % 4 ? source : next_random() % SOURCES);
				else if (waiting())
					queue.head++;
			for (uint32_t i = 0; i < SOURCES; i++)
				assert_in_range(said_held(i) + range - truly_held(i), 1, 2 * range - 1);
		}
	}
}

/* As the positions of a source that opens connections all the time are. */
static void positions_that_are_evenly_spread_are_known_almost_exactly(void **state)
{
	(void)state;
	queue_make(512);
	for (int i = 0; i < 50000; i++) {
		enter(i % 2);
		if (waiting() > 400)
			queue.head++;
		assert_in_range(said_held(1) + 2 - truly_held(1), 0, 4);
	}
}

static void accepted_positions_do_not_count(void **state)
{
	(void)state;
	queue_make(128);
	for (int i = 0; i < 100; i++)
		enter(0);
	assert_int_equal(said_held(0), 100);
	queue.head = 96; /* the beginning of a range */
	assert_int_equal(said_held(0), 4);
	while (queue.end < 112)
		enter(1);
	queue.head = 112;
	assert_int_equal(said_held(0), 0);
	enter(0);
	assert_int_equal(said_held(0), 1);
}

static void old_positions_do_not_count_again(void **state)
{
	(void)state;
	queue_make(128);
	for (int i = 0; i < 100; i++)
		enter(0);
	for (uint64_t later = 128; later < 5000; later += 100) {
		queue.head = queue.end = later;
		enter(0);
		assert_int_equal(said_held(0), 1);
	}
}

/* Of two CPUs that fill positions at the same time, the one with the lower number may be later. */
static void a_position_that_comes_late_is_counted_in_its_own_range(void **state)
{
	struct shakeoff_source source = { 0 };

	(void)state;
	for (uint64_t position = 0; position < 15; position++)
		fair_share_enter(&source, position, 128);
	fair_share_enter(&source, 16, 128);
	fair_share_enter(&source, 15, 128);
	assert_int_equal(shakeoff_source_held(&source, 0), 17);
	assert_int_equal(shakeoff_source_held(&source, 16), 1);
}

/* After the server listened again, with another backlog. */
static void positions_of_another_capacity_are_forgotten(void **state)
{
	(void)state;
	queue_make(128);
	for (int i = 0; i < 100; i++)
		enter(0);
	queue.capacity = 4096;
	enter(0);
	assert_int_equal(said_held(0), 1);
}

static bool may_have_more(uint32_t source, bool alone)
{
	const struct queue_state now = {
		.head = queue.head,
		.free = (int64_t)queue.capacity - waiting(),
		.low_watermark = SHAKEOFF_LOW_WATERMARK(queue.capacity),
		.capacity = queue.capacity,
	};

	return !fair_share_is_used_up(&queue.sources[source], &now, alone);
}

static uint32_t take_all_that_it_may(uint32_t source, bool alone)
{
	uint32_t got = 0;

	while (waiting() < queue.capacity && may_have_more(source, alone)) {
		enter(source);
		got++;
	}
	return got;
}

static void one_source_gets_half_of_a_queue_two_get_three_quarters(void **state)
{
	(void)state;
	queue_make(640);
	assert_int_equal(take_all_that_it_may(0, false), 320);
	assert_int_equal(take_all_that_it_may(1, false), 160);
	assert_int_equal(take_all_that_it_may(2, false), 80);
}

static void a_single_source_leaves_an_eighth(void **state)
{
	(void)state;
	queue_make(640);
	assert_int_equal(take_all_that_it_may(0, true), 560);
	assert_false(may_have_more(0, true));
	assert_true(may_have_more(1, false));
}

/* The queue of a slow server under requests from a greedy source: other sources always get positions. */
static void a_greedy_source_always_leaves_positions(void **state)
{
	(void)state;
	queue_make(128);
	for (int i = 0; i < 20000; i++) {
		take_all_that_it_may(0, false);
		assert_true(waiting() <= 128 - 32);
		if (i % 7 == 0)
			enter(1);
		queue.head++;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cell_counts_up_within_its_window),
		cmocka_unit_test(a_cell_of_another_window_is_empty),
		cmocka_unit_test(a_prefix_is_the_first_bits_of_an_address),
		cmocka_unit_test(addresses_of_one_prefix_are_counted_together),
		cmocka_unit_test(a_uniform_flood_of_ten_million_a_second_reaches_no_limit),
		cmocka_unit_test(prefixes_in_a_row_share_few_cells),
		cmocka_unit_test(a_flood_from_a_thousand_prefixes_blocks_few_others),
		cmocka_unit_test(recent_traffic_is_expected),
		cmocka_unit_test(the_cpus_together_stay_within_the_budget),
		cmocka_unit_test(without_a_budget_there_is_no_batch),
		cmocka_unit_test(a_burst_passes_at_once_and_then_one_an_interval),
		cmocka_unit_test(rate_and_burst_hold_for_every_arrival_pattern),
		cmocka_unit_test(events_that_are_counted_late_delay_later_ones),
		cmocka_unit_test(the_debt_of_another_limit_is_forgotten),
		cmocka_unit_test(the_debt_of_the_limit_itself_is_kept),
		cmocka_unit_test(ranges_cover_the_queue_and_are_at_most_an_eighth_of_it),
		cmocka_unit_test(the_count_of_a_source_errs_by_less_than_a_range),
		cmocka_unit_test(positions_that_are_evenly_spread_are_known_almost_exactly),
		cmocka_unit_test(accepted_positions_do_not_count),
		cmocka_unit_test(old_positions_do_not_count_again),
		cmocka_unit_test(a_position_that_comes_late_is_counted_in_its_own_range),
		cmocka_unit_test(positions_of_another_capacity_are_forgotten),
		cmocka_unit_test(one_source_gets_half_of_a_queue_two_get_three_quarters),
		cmocka_unit_test(a_single_source_leaves_an_eighth),
		cmocka_unit_test(a_greedy_source_always_leaves_positions),
	};

	return cmocka_run_group_tests_name("sources", tests, NULL, NULL);
}
