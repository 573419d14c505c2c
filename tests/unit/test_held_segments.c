/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Held frames: segments that came before their connection's socket, and the limits on them.
 *
 * link: user/shakeoffd/queue/held_segments.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "shakeoffd/queue/held_segments.h"

#define SECOND 1000000000ull
#define PACKET_MAX 2000

static struct shakeoff_event *event_of(uint16_t port, uint64_t time_ns, uint32_t packet_len)
{
	static _Alignas(struct shakeoff_event) char buffer[sizeof(struct shakeoff_event) + PACKET_MAX];
	struct shakeoff_event *event = (struct shakeoff_event *)buffer;

	memset(buffer, 0, sizeof(buffer));
	event->type = SHAKEOFF_EVENT_SEGMENT;
	event->tuple.remote_port = htons(port);
	event->time_ns = time_ns;
	event->packet_len = packet_len;
	memset(event->packet, port, packet_len);
	return event;
}

static int open_held(void **state)
{
	return held_open((struct held_segments **)state);
}

static int close_held(void **state)
{
	held_close(*state);
	return 0;
}

static void a_segment_after_its_connection_is_given_back(void **state)
{
	held_note_open(*state, event_of(1, SECOND, 40), true);
	assert_int_equal(held_add(*state, event_of(1, SECOND + 1, 40)), HELD_GIVE_BACK);
	assert_int_equal(held_frames(*state), 0);
}

static void a_segment_of_a_refused_connection_is_dropped(void **state)
{
	held_note_open(*state, event_of(1, SECOND, 40), false);
	assert_int_equal(held_add(*state, event_of(1, SECOND + 1, 40)), HELD_DROP);
	/* The client has come again, and this time there was a socket. */
	held_note_open(*state, event_of(1, SECOND + 2, 40), true);
	assert_int_equal(held_add(*state, event_of(1, SECOND + 3, 40)), HELD_GIVE_BACK);
}

static void segments_before_their_connection_are_held_in_order(void **state)
{
	struct shakeoff_event *held;

	assert_int_equal(held_add(*state, event_of(1, SECOND, 41)), HELD_KEPT);
	assert_int_equal(held_add(*state, event_of(2, SECOND, 50)), HELD_KEPT);
	assert_int_equal(held_add(*state, event_of(1, SECOND, 42)), HELD_KEPT);
	for (uint32_t want = 41; want <= 42; want++) {
		held = held_take(*state, &event_of(1, 0, 0)->tuple);
		assert_non_null(held);
		assert_int_equal(held->packet_len, want);
		assert_int_equal(held->packet[want - 1], 1);
		free(held);
	}
	assert_null(held_take(*state, &event_of(1, 0, 0)->tuple));
	assert_int_equal(held_frames(*state), 1);
	/* The last one was removed from the middle or the end: the list still accepts more. */
	assert_int_equal(held_add(*state, event_of(3, SECOND, 40)), HELD_KEPT);
	free(held_take(*state, &event_of(3, 0, 0)->tuple));
	free(held_take(*state, &event_of(2, 0, 0)->tuple));
	assert_int_equal(held_frames(*state), 0);
	assert_int_equal(held_bytes(*state), 0);
}

static void segments_that_wait_too_long_are_dropped(void **state)
{
	held_add(*state, event_of(1, SECOND, 40));
	held_add(*state, event_of(2, 2 * SECOND, 40));
	held_expire(*state, SECOND + HELD_MAX_WAIT_NS);
	assert_int_equal(held_frames(*state), 2);
	held_expire(*state, SECOND + HELD_MAX_WAIT_NS + 1);
	assert_int_equal(held_frames(*state), 1);
	assert_null(held_take(*state, &event_of(1, 0, 0)->tuple));
}

static void the_number_of_frames_is_bounded(void **state)
{
	for (unsigned int i = 0; i < HELD_MAX_FRAMES; i++)
		assert_int_equal(held_add(*state, event_of((uint16_t)(i + 1), SECOND, 40)), HELD_KEPT);
	assert_int_equal(held_add(*state, event_of(9999, SECOND, 40)), HELD_DROP);
	assert_int_equal(held_frames(*state), HELD_MAX_FRAMES);
}

static void the_number_of_bytes_is_bounded(void **state)
{
	unsigned int held = 0;

	while (held_add(*state, event_of((uint16_t)(1 + held % 50), SECOND, PACKET_MAX)) == HELD_KEPT)
		held++;
	assert_true(held < HELD_MAX_FRAMES);
	assert_true(held_bytes(*state) <= HELD_MAX_BYTES);
	assert_true(held_bytes(*state) + PACKET_MAX + sizeof(struct shakeoff_event) > HELD_MAX_BYTES);
}

static void one_connection_does_not_use_up_the_limit(void **state)
{
	unsigned int held = 0;

	while (held_add(*state, event_of(1, SECOND, PACKET_MAX)) == HELD_KEPT)
		held++;
	assert_true(held * PACKET_MAX > 65535);
	assert_true(held_bytes(*state) <= HELD_MAX_TUPLE_BYTES);
	assert_int_equal(held_add(*state, event_of(2, SECOND, PACKET_MAX)), HELD_KEPT);
}

static void an_old_connection_of_the_tuple_does_not_count(void **state)
{
	held_note_open(*state, event_of(1, SECOND, 40), true);
	assert_int_equal(held_add(*state, event_of(1, 2 * SECOND, 40)), HELD_KEPT);
}

/* More than the table can hold: the latest are remembered. */
static void the_latest_connections_are_remembered(void **state)
{
	uint64_t time = SECOND;

	for (unsigned int port = 1; port < 65536; port++)
		held_note_open(*state, event_of((uint16_t)port, time++, 0), true);
	for (unsigned int port = 65000; port < 65536; port++)
		assert_int_equal(held_add(*state, event_of((uint16_t)port, time, 0)), HELD_GIVE_BACK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_held, close_held)
	const struct CMUnitTest tests[] = {
		TEST(a_segment_after_its_connection_is_given_back),
		TEST(a_segment_of_a_refused_connection_is_dropped),
		TEST(segments_before_their_connection_are_held_in_order),
		TEST(segments_that_wait_too_long_are_dropped),
		TEST(the_number_of_frames_is_bounded),
		TEST(the_number_of_bytes_is_bounded),
		TEST(one_connection_does_not_use_up_the_limit),
		TEST(an_old_connection_of_the_tuple_does_not_count),
		TEST(the_latest_connections_are_remembered),
	};

	return cmocka_run_group_tests_name("held_segments", tests, NULL, NULL);
}
