/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c */
/*
 * The entry for drivers that give large packets in several buffers: the same replies, and no bytes after the first
 * buffer are lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "harness.h"

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6, windows_syn = WINDOWS_SYN;

static uint8_t data[30000];

static int frags_reset(void **state)
{
	harness_reset(state);
	harness.program = harness.frags_program;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = i * 31 + (i >> 8);
	return 0;
}

static void assert_arrives(const struct segment *segment, enum shakeoff_event_type type)
{
	const struct shakeoff_event *event = expect_event(type);
	static struct frame frame;

	frame_make(&frame, segment);
	assert_int_equal(event->packet_len, frame.len - frame.l3);
	assert_memory_equal(event->packet, frame.bytes + frame.l3, event->packet_len);
}

/* Opens a connection whose final ACK has this payload, in buffers of which the first has `linear` bytes. */
static void assert_opens_with(const struct segment *syn, size_t payload_len, size_t linear)
{
	struct client client;

	harness.linear = 0;
	client_connect(&client, syn);
	harness.linear = linear;
	client.ack.payload = (struct bytes){ data, payload_len };
	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
	assert_arrives(&client.ack, SHAKEOFF_EVENT_OPEN);
}

static void a_syn_is_answered(void **state)
{
	const struct segment *const syns[] = { &linux_syn, &linux_syn6, &windows_syn };

	(void)state;
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct reading reading;

		run_answered(syns[i], SHAKEOFF_SYNACK_SENT, &reading);
		assert_int_equal(reading.flags, SYN | ACK);
		assert_int_equal(reading.ack, CLIENT_ISN + 1);
	}
}

static void a_syn_with_a_large_payload_is_answered_without_it(void **state)
{
	struct segment syn = linux_syn;
	struct reading reading;

	(void)state;
	syn.payload = (struct bytes){ data, 9000 };
	run_answered(&syn, SHAKEOFF_SYNACK_SENT, &reading);
	assert_int_equal(reading.payload_len, 0);
}

static void a_syn_whose_payload_is_in_a_second_buffer_is_answered(void **state)
{
	struct segment syn = linux_syn;
	struct reading reading;

	(void)state;
	syn.payload = (struct bytes){ data, 100 };
	harness.linear = 100;
	run_answered(&syn, SHAKEOFF_SYNACK_SENT, &reading);
	assert_int_equal(reading.payload_len, 0);
}

static void an_ack_in_one_buffer_opens(void **state)
{
	(void)state;
	assert_opens_with(&linux_syn, 0, 0);
}

static void an_ack_whose_payload_is_in_a_second_buffer_opens(void **state)
{
	(void)state;
	assert_opens_with(&linux_syn6, 1000, 100);
}

static void an_ack_with_a_large_payload_in_several_buffers_opens(void **state)
{
	static const size_t sizes[] = { 1484, 1485, 3500, 4096, 9000, 16000, 30000 };

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct segment syn = linux_syn;

		syn.sport = 1000 + i;
		assert_opens_with(&syn, sizes[i], 0);
	}
}

static void data_in_several_buffers_follows(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &windows_syn);
	client.ack.payload = (struct bytes){ data, 20000 };
	validated_age(&client.ack, 0);
	assert_verdict(&client.ack, SHAKEOFF_SEGMENT_QUEUED);
	assert_arrives(&client.ack, SHAKEOFF_EVENT_SEGMENT);
}

static void headers_after_the_first_buffer_pass(void **state)
{
	(void)state;
	harness.linear = 14 + 20 + 10;
	assert_verdict(&linux_syn, SHAKEOFF_NO_SERVICE);
}

static void syn_options_after_the_first_buffer_are_invalid(void **state)
{
	(void)state;
	harness.linear = 14 + 20 + 20 + 8;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_INVALID);
}

static void ack_options_after_the_first_buffer_open_nothing(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.linear = 14 + 20 + 20 + 4;
	assert_verdict(&client.ack, SHAKEOFF_BAD_HEADER);
	expect_no_event();
}

static void a_length_beyond_all_buffers_is_bad(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	client.ack.payload = (struct bytes){ data, 9000 };
	client.ack.longer = 1;
	assert_verdict(&client.ack, SHAKEOFF_BAD_HEADER);
}

static void a_large_ack_refused_by_a_full_queue_is_reset(void **state)
{
	struct reading reading;
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	client.ack.payload = (struct bytes){ data, 9000 };
	harness.service->enqueued = harness.service->capacity;
	harness.service->overflow = SHAKEOFF_OVERFLOW_RESET;
	run_answered(&client.ack, SHAKEOFF_ACK_OVERFLOW_RESET, &reading);
	assert_int_equal(reading.flags, RST);
	assert_int_equal(reading.seq, client.ack.ack);
}

static void packets_of_no_service_pass(void **state)
{
	struct segment other = linux_syn;

	(void)state;
	other.dport = 81;
	other.payload = (struct bytes){ data, 20000 };
	assert_verdict(&other, SHAKEOFF_NO_SERVICE);
}

#define TEST(function) cmocka_unit_test_setup(function, frags_reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_syn_is_answered),
		TEST(a_syn_with_a_large_payload_is_answered_without_it),
		TEST(a_syn_whose_payload_is_in_a_second_buffer_is_answered),
		TEST(an_ack_in_one_buffer_opens),
		TEST(an_ack_whose_payload_is_in_a_second_buffer_opens),
		TEST(an_ack_with_a_large_payload_in_several_buffers_opens),
		TEST(data_in_several_buffers_follows),
		TEST(headers_after_the_first_buffer_pass),
		TEST(syn_options_after_the_first_buffer_are_invalid),
		TEST(ack_options_after_the_first_buffer_open_nothing),
		TEST(a_length_beyond_all_buffers_is_bad),
		TEST(a_large_ack_refused_by_a_full_queue_is_reset),
		TEST(packets_of_no_service_pass),
	};

	return cmocka_run_group_tests_name("frames in several buffers", tests, harness_start, harness_stop);
}
