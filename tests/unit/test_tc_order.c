/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The daemon's reaction to a tc program that is not first, or that gets no packets.
 *
 * link: user/shakeoffd/hook/tc_order.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shakeoffd/hook/tc_order.h"

#define TICK (100 * NS_PER_MS)

static struct tc_order order;
static struct tc_flow flow;
static struct shakeoff_admissions counted;
static uint64_t now;

static int begin(void **state)
{
	(void)state;
	memset(&order, 0, sizeof(order));
	memset(&flow, 0, sizeof(flow));
	memset(&counted, 0, sizeof(counted));
	now = 1000 * NS_PER_S;
	return 0;
}

/* ------------------------------------------------------------------------------------------------------------ order */

static bool looks(enum datapath_position position)
{
	now += TICK;
	return tc_order_look(&order, position, now);
}

static void stays(enum datapath_position position, uint64_t length_ns)
{
	for (uint64_t end = now + length_ns; now < end;)
		assert_false(looks(position));
}

static void it_moves_before_another_program_at_once(void **state)
{
	(void)state;
	stays(DATAPATH_POSITION_FIRST, NS_PER_S);
	assert_true(looks(DATAPATH_POSITION_BEHIND));
	stays(DATAPATH_POSITION_FIRST, NS_PER_S);
	assert_false(order.contested);
}

static void another_program_returns(void)
{
	for (int i = 0; i < TC_ORDER_MOVES; i++) {
		assert_false(order.contested);
		assert_true(looks(DATAPATH_POSITION_BEHIND));
		assert_false(looks(DATAPATH_POSITION_FIRST));
	}
	assert_false(looks(DATAPATH_POSITION_BEHIND));
	assert_true(order.contested);
}

static void a_program_that_returns_each_time_stays_first(void **state)
{
	(void)state;
	another_program_returns();
	stays(DATAPATH_POSITION_BEHIND, TC_ORDER_RETRY_NS - NS_PER_S);
	assert_true(order.contested);
}

static void it_is_trusted_again_when_it_is_first(void **state)
{
	(void)state;
	another_program_returns();
	assert_false(looks(DATAPATH_POSITION_FIRST));
	assert_true(order.contested);
	stays(DATAPATH_POSITION_FIRST, TC_ORDER_SETTLED_NS);
	assert_false(order.contested);
}

/* Returns how often it is moved to the front within a time. */
static unsigned int moves_within(uint64_t length_ns)
{
	unsigned int moves = 0;

	for (uint64_t end = now + length_ns; now < end;) {
		if (!looks(DATAPATH_POSITION_BEHIND))
			continue;
		moves++;
		assert_false(looks(DATAPATH_POSITION_FIRST));
	}
	return moves;
}

static void it_tries_again_at_growing_intervals(void **state)
{
	(void)state;
	another_program_returns();
	assert_in_range(moves_within(60 * NS_PER_S), 1, 2);
	assert_in_range(moves_within(3600 * NS_PER_S), 5, 12);
	assert_true(order.contested);
}

static void after_a_quiet_minute_it_begins_anew(void **state)
{
	(void)state;
	another_program_returns();
	stays(DATAPATH_POSITION_FIRST, TC_ORDER_CALM_NS + NS_PER_S);
	another_program_returns();
}

static void a_detached_program_is_not_moved(void **state)
{
	(void)state;
	stays(DATAPATH_POSITION_GONE, NS_PER_S);
	assert_false(order.contested);
}

/* ------------------------------------------------------------------------------------------------------------- flow */

static bool counts(unsigned int claimed, unsigned int reached)
{
	now += TICK;
	counted.claimed += claimed;
	counted.reached += reached;
	return tc_flow_look(&flow, &counted, now);
}

static void acks_that_come_are_fine(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		assert_false(counts(1000, 1000));
	for (int i = 0; i < 100; i++)
		assert_false(counts(0, 0));
}

static void acks_on_their_way_are_fine(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_false(counts(3, 0));
		assert_false(counts(0, 3));
	}
}

static void nine_of_ten_lost_are_not_all(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		assert_false(counts(1000, 100));
}

static void a_total_loss_is_believed_after_half_a_second(void **state)
{
	int ticks = 1;

	(void)state;
	assert_false(counts(10, 10));
	while (!counts(10, 0))
		ticks++;
	assert_in_range(ticks, 2, 5);
}

static void a_few_lost_acks_are_believed_when_they_are_enough(void **state)
{
	(void)state;
	for (int i = 0; i < TC_FLOW_MISSING - 1; i++) {
		assert_false(counts(1, 0));
		assert_false(counts(0, 0));
		assert_false(counts(0, 0));
	}
	assert_true(counts(1, 0));
}

static void drops_of_a_full_backlog_queue_do_not_count(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_false(counts(10, 0));
		if (tc_flow_waits(&flow))
			tc_flow_excuse(&flow, &counted);
	}
}

static void is_lost(void)
{
	while (!counts(10, 0))
		continue;
}

/* Returns how long it holds, in ticks. */
static unsigned int holds(void)
{
	unsigned int ticks = 1;

	while (counts(0, 0))
		ticks++;
	return ticks;
}

static void it_is_tried_again_and_later_each_time(void **state)
{
	unsigned int first, second;

	(void)state;
	is_lost();
	first = holds();
	is_lost();
	second = holds();
	assert_in_range(first, TC_FLOW_HOLD_NS / TICK - 1, TC_FLOW_HOLD_NS / TICK + 1);
	assert_in_range(second, 2 * first - 2, 2 * first + 2);
	for (int i = 0; i < 10; i++) {
		is_lost();
		assert_true(holds() <= TC_FLOW_HOLD_MAX_NS / TICK + 1);
	}
}

static void one_ack_that_arrives_ends_it(void **state)
{
	(void)state;
	is_lost();
	assert_false(counts(0, 1));
	assert_false(counts(10, 10));
}

static void after_the_same_time_without_loss_it_begins_anew(void **state)
{
	unsigned int first, again;

	(void)state;
	is_lost();
	first = holds();
	for (unsigned int i = 0; i <= first + 1; i++)
		assert_false(counts(1, 1));
	is_lost();
	again = holds();
	assert_in_range(again, first - 1, first + 1);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_moves_before_another_program_at_once),
		TEST(a_program_that_returns_each_time_stays_first),
		TEST(it_is_trusted_again_when_it_is_first),
		TEST(it_tries_again_at_growing_intervals),
		TEST(after_a_quiet_minute_it_begins_anew),
		TEST(a_detached_program_is_not_moved),
		TEST(acks_that_come_are_fine),
		TEST(acks_on_their_way_are_fine),
		TEST(nine_of_ten_lost_are_not_all),
		TEST(a_total_loss_is_believed_after_half_a_second),
		TEST(a_few_lost_acks_are_believed_when_they_are_enough),
		TEST(drops_of_a_full_backlog_queue_do_not_count),
		TEST(it_is_tried_again_and_later_each_time),
		TEST(one_ack_that_arrives_ends_it),
		TEST(after_the_same_time_without_loss_it_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
