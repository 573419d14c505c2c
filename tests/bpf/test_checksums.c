/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness.c tests/bpf/sockets.c */
/* verify-checksums: what would be answered or accepted has right checksums, as far as the hook looks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness.h"
#include "sockets.h"

/* The longest segment that is looked at is an Ethernet frame's: CHECKSUM_MAX_WORDS of bpf/packet/checksum.h. */
#define SEGMENT_MAX 1480

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6, windows_syn = WINDOWS_SYN;
static const struct segment *const syns[] = { &linux_syn, &linux_syn6, &windows_syn };

static uint8_t data[4000];

static int setup(void **state)
{
	harness_reset(state);
	harness.control->flags |= SHAKEOFF_VERIFY_CHECKSUMS;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = i * 31 + (i >> 8);
	return 0;
}

static void assert_frame(const struct frame *frame, enum shakeoff_verdict expected)
{
	assert_string_equal(verdict_name(run_frame(frame, NULL)), verdict_name(expected));
}

/* With one bit of the byte at an offset in the TCP segment the other way round. */
static void assert_damaged(const struct segment *segment, size_t offset, enum shakeoff_verdict expected)
{
	static struct frame frame;

	frame_make(&frame, segment);
	frame.bytes[frame.l4 + offset] ^= 0x10;
	assert_frame(&frame, expected);
}

static void a_right_syn_is_answered(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(syns); i++)
		assert_verdict(syns[i], SHAKEOFF_SYNACK_SENT);
}

static void a_syn_with_a_wrong_checksum_is_dropped(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(syns); i++) {
		assert_damaged(syns[i], 16, SHAKEOFF_BAD_CHECKSUM);
		assert_damaged(syns[i], 17, SHAKEOFF_BAD_CHECKSUM);
		assert_damaged(syns[i], 4, SHAKEOFF_BAD_CHECKSUM); /* the sequence number */
	}
}

static void without_the_option_it_is_answered(void **state)
{
	(void)state;
	harness.control->flags &= ~SHAKEOFF_VERIFY_CHECKSUMS;
	for (size_t i = 0; i < COUNT(syns); i++)
		assert_damaged(syns[i], 16, SHAKEOFF_SYNACK_SENT);
}

static void a_syn_with_a_wrong_ipv4_checksum_is_dropped(void **state)
{
	const struct segment with_options = { .flags = SYN,
					      .options = LINUX_OPTIONS,
					      .ip_options = BYTES(148, 4, 0, 0) };
	static struct frame frame;

	(void)state;
	assert_verdict(&with_options, SHAKEOFF_SYNACK_SENT);
	frame_make(&frame, &linux_syn);
	frame.bytes[frame.l3 + 10] ^= 0x10;
	assert_frame(&frame, SHAKEOFF_BAD_CHECKSUM);
	frame_make(&frame, &with_options);
	frame.bytes[frame.l3 + 22] ^= 0x10; /* in the options */
	assert_frame(&frame, SHAKEOFF_BAD_CHECKSUM);
}

static void payload_of_every_length_counts(void **state)
{
	(void)state;
	for (size_t len = 1; len <= 9; len++) {
		struct segment syn = linux_syn;

		syn.payload = (struct bytes){ data, len };
		assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
		assert_damaged(&syn, 40 + len - 1, SHAKEOFF_BAD_CHECKSUM);
	}
}

static void up_to_a_frame_of_ethernet_it_counts(void **state)
{
	struct segment syn = linux_syn;

	(void)state;
	for (size_t len = SEGMENT_MAX - 40 - 4; len <= SEGMENT_MAX - 40; len++) {
		syn.payload = (struct bytes){ data, len };
		assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
		assert_damaged(&syn, 16, SHAKEOFF_BAD_CHECKSUM);
	}
	syn.payload.len++;
	assert_damaged(&syn, 16, SHAKEOFF_SYNACK_SENT);
}

static void the_padding_of_a_short_frame_does_not_count(void **state)
{
	struct segment syn = { .seq = CLIENT_ISN, .flags = SYN, .padding = 6 };
	static struct frame frame;

	(void)state;
	frame_make(&frame, &syn);
	memset(frame.bytes + frame.len - 6, 0xff, 6);
	assert_frame(&frame, SHAKEOFF_SYNACK_SENT);
}

static void a_final_ack_with_a_wrong_checksum_opens_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct segment syn = *syns[i];
		struct client client;

		syn.sport = 41000 + i;
		client_connect(&client, &syn);
		client.ack.payload = (struct bytes){ data, 101 };
		assert_damaged(&client.ack, 16, SHAKEOFF_BAD_CHECKSUM);
		expect_no_event();
		assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
		expect_event(SHAKEOFF_EVENT_OPEN);
	}
}

static void nor_does_it_at_a_listening_socket(void **state)
{
	int listener = listening_socket(&ipv4, ipv4.server, 5);
	struct client client;

	(void)state;
	service_listens(SHAKEOFF_ENGAGE_ALWAYS);
	client_connect(&client, &linux_syn);
	assert_damaged(&client.ack, 16, SHAKEOFF_BAD_CHECKSUM);
	assert_int_equal(harness.service->enqueued, 0);
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	close(listener);
}

/* The kernel looks at what it gets. */
static void what_lies_in_several_buffers_is_left_to_the_kernel(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.program = harness.frags_program;
	harness.linear = 200;
	client.ack.payload = (struct bytes){ data, 1000 };
	assert_damaged(&client.ack, 16, SHAKEOFF_ACK_VALID);
}

static void segments_of_sockets_are_left_to_the_kernel(void **state)
{
	int listener = listening_socket(&ipv4, ipv4.server, 5), client = connected_socket(&ipv4, 40030);
	const struct segment ack = { .from = ipv4.client, .sport = 40030, .flags = ACK };

	(void)state;
	assert_damaged(&ack, 16, SHAKEOFF_SOCKET);
	reset_socket(&client);
	close(listener);
}

#define TEST(function) cmocka_unit_test_setup(function, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_right_syn_is_answered),
		TEST(a_syn_with_a_wrong_checksum_is_dropped),
		TEST(without_the_option_it_is_answered),
		TEST(a_syn_with_a_wrong_ipv4_checksum_is_dropped),
		TEST(payload_of_every_length_counts),
		TEST(up_to_a_frame_of_ethernet_it_counts),
		TEST(the_padding_of_a_short_frame_does_not_count),
		TEST(a_final_ack_with_a_wrong_checksum_opens_nothing),
		TEST(nor_does_it_at_a_listening_socket),
		TEST(what_lies_in_several_buffers_is_left_to_the_kernel),
		TEST(segments_of_sockets_are_left_to_the_kernel),
	};

	return cmocka_run_group_tests_name("checksums", tests, harness_start, harness_stop);
}
