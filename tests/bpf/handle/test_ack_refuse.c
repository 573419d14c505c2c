/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/ack_events.c */
/* ACKs and other segments that open no connection: out of state, with the queue or the ring full, without a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ack_events.h"

static const struct segment linux_syn = LINUX_SYN;
static const struct segment windows_syn = WINDOWS_SYN, windows_syn6 = WINDOWS_SYN6;

/* --------------------------------------------------------------------------------------------------- other segments */

struct out_of_state_row {
	const char *name;
	struct segment in;
	enum shakeoff_verdict verdict;
};

static const struct out_of_state_row out_of_state_rows[] = {
	{ "RST", { .seq = 1, .flags = RST }, SHAKEOFF_RST_NO_SOCKET },
	{ "RST and ACK", { .seq = 1, .ack = 1, .flags = RST | ACK }, SHAKEOFF_RST_NO_SOCKET },
	{ "RST over IPv6", { .from = "2001:db8:7::7", .flags = RST }, SHAKEOFF_RST_NO_SOCKET },
	{ "RST and FIN", { .flags = RST | FIN }, SHAKEOFF_RST_NO_SOCKET },
	{ "SYN-ACK", { .flags = SYN | ACK, .options = LINUX_OPTIONS }, SHAKEOFF_SYNACK_NO_SOCKET },
	{ "SYN-ACK over IPv6", { .from = "2001:db8:7::7", .flags = SYN | ACK }, SHAKEOFF_SYNACK_NO_SOCKET },
	{ "no flags at all", { .flags = 0 }, SHAKEOFF_BAD_SEGMENT },
	{ "FIN alone", { .flags = FIN }, SHAKEOFF_BAD_SEGMENT },
	{ "Christmas tree", { .flags = FIN | PSH | URG }, SHAKEOFF_BAD_SEGMENT },
	{ "PSH alone", { .flags = PSH }, SHAKEOFF_BAD_SEGMENT },
	{ "ACK with data offset 0", { .flags = ACK, .no_doff = true }, SHAKEOFF_BAD_HEADER },
	{ "ACK with a data offset beyond the segment", { .flags = ACK, .doff = 15 }, SHAKEOFF_BAD_HEADER },
	{ "ACK longer than its frame", { .flags = ACK, .longer = 1 }, SHAKEOFF_BAD_HEADER },
	{ "FIN and ACK without a connection", { .seq = 1, .ack = 12345, .flags = FIN | ACK }, SHAKEOFF_ACK_BAD_COOKIE },
};

static void an_out_of_state_segment_is_dropped(void **state)
{
	const struct out_of_state_row *row = *state;

	assert_verdict(&row->in, row->verdict);
	expect_no_event();
}

static void an_ack_cut_at_any_length_opens_nothing(void **state)
{
	static struct frame frame;
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	client.ack.payload = payload(30);
	client.ack.tags = 1;
	frame_make(&frame, &client.ack);
	for (size_t len = 14, whole = frame.len; len < whole; len++) {
		frame.len = len;
		assert_string_equal(verdict_name(run_frame(&frame, NULL)),
				    len < frame.l3 + 20 ? "no_service" : "bad_header");
	}
	expect_no_event();
}

/* Handshakes with random bytes: run_frame() checks that each gets one verdict. */
static void damaged_acks_have_one_verdict(void **state)
{
	static struct frame frame;
	struct client client;

	(void)state;
	srandom(6);
	for (int i = 0; i < 20000; i++) {
		if (i % 200 == 0) {
			harness_reset(NULL);
			client_connect(&client, i % 400 ? &linux_syn : &windows_syn6);
			client.ack.payload = payload(random() % 100);
			harness.service->overflow = SHAKEOFF_OVERFLOW_RESET;
			harness.service->capacity = i % 800 ? 2 : 0;
		}
		frame_make(&frame, &client.ack);
		for (int k = random() % 4; k > 0; k--)
			frame.bytes[12 + random() % (frame.len - 12)] = random();
		run_frame(&frame, NULL);
		while (next_event())
			;
	}
}

/* ------------------------------------------------------------------------------------------------ service and queue */

static void with_the_queue_full_the_ack_is_dropped(void **state)
{
	struct shakeoff_validated entry;
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.service->enqueued = harness.service->capacity;
	assert_verdict(&client.ack, SHAKEOFF_ACK_OVERFLOW_DROP);
	expect_no_event();
	assert_false(validated_get(&client.ack, &entry));
}

static void an_ack_ignored_while_the_queue_was_full_opens_when_repeated(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.service->enqueued = harness.service->capacity;
	assert_verdict(&client.ack, SHAKEOFF_ACK_OVERFLOW_DROP);
	harness.service->dequeued = 1;
	opens(&client);
}

/* RFC 9293, section 3.10.7.1: an ACK in the segment: SEQ = SEG.ACK, RST alone. */
static void assert_reset(const struct segment *syn, size_t payload_len)
{
	struct reading reading;
	struct client client;

	client_connect(&client, syn);
	client.ack.payload = payload(payload_len);
	harness.service->enqueued = harness.service->capacity;
	harness.service->overflow = SHAKEOFF_OVERFLOW_RESET;
	run_answered(&client.ack, SHAKEOFF_ACK_OVERFLOW_RESET, &reading);
	assert_int_equal(reading.flags, RST);
	assert_int_equal(reading.seq, client.ack.ack);
	assert_int_equal(reading.ack, 0);
	assert_int_equal(reading.window, 0);
	assert_int_equal(reading.options_len, 0);
	assert_int_equal(reading.payload_len, 0);
	assert_int_equal(reading.sport, 80);
	assert_int_equal(reading.dport, 40000);
	expect_no_event();
}

static void with_the_queue_full_the_ack_is_reset(void **state)
{
	(void)state;
	assert_reset(&linux_syn, 0);
}

static void with_the_queue_full_the_ack_is_reset_over_ipv6(void **state)
{
	(void)state;
	assert_reset(&windows_syn6, 0);
}

static void with_the_queue_full_an_ack_with_data_is_reset(void **state)
{
	(void)state;
	assert_reset(&windows_syn, 1460);
}

static void with_the_queue_full_a_bad_cookie_is_not_reset(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	client.ack.ack++;
	harness.service->enqueued = harness.service->capacity;
	harness.service->overflow = SHAKEOFF_OVERFLOW_RESET;
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
}

static void without_a_server_acks_pass(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.service->flags = SHAKEOFF_SERVICE_USED;
	assert_verdict(&client.ack, SHAKEOFF_ACK_NO_SERVER);
}

static void without_a_server_valid_out_of_state_segments_pass(void **state)
{
	(void)state;
	harness.service->flags = SHAKEOFF_SERVICE_USED;
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++) {
		enum shakeoff_verdict served = out_of_state_rows[i].verdict;

		assert_verdict(&out_of_state_rows[i].in,
			       served == SHAKEOFF_BAD_SEGMENT || served == SHAKEOFF_BAD_HEADER ?
				       served :
				       SHAKEOFF_ACK_NO_SERVER);
	}
}

static void without_a_key_acks_pass(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.control->flags = 0;
	assert_verdict(&client.ack, SHAKEOFF_ACK_NO_SERVER);
}

static void without_a_profile_of_the_interface_acks_pass(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	interface_set(NULL);
	assert_verdict(&client.ack, SHAKEOFF_ACK_NO_SERVER);
}

static void while_the_daemon_is_down_acks_are_still_validated(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.control->heartbeat_ns = monotonic_ns() - SHAKEOFF_HEARTBEAT_TIMEOUT_NS - SHAKEOFF_COOKIE_LIFETIME_NS +
					1000000000;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_DAEMON_DOWN);
	opens(&client);
}

static void after_a_cookies_lifetime_without_a_daemon_acks_pass(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.control->heartbeat_ns = monotonic_ns() - SHAKEOFF_HEARTBEAT_TIMEOUT_NS - SHAKEOFF_COOKIE_LIFETIME_NS -
					20000000;
	assert_verdict(&client.ack, SHAKEOFF_ACK_NO_SERVER);
}

/* --------------------------------------------------------------------------------------------------------- the ring */

static void assert_ring_full(const struct client *client)
{
	struct shakeoff_validated entry;

	assert_verdict(&client->ack, SHAKEOFF_RING_FULL);
	assert_false(validated_get(&client->ack, &entry));
	assert_int_equal(harness.service->enqueued, 0);
}

static void without_a_ring_the_client_has_to_repeat_the_ack(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	rings_set(0);
	assert_ring_full(&client);
	rings_set(SHAKEOFF_RING_BYTES);
	opens(&client);
}

static void before_any_daemon_there_is_no_ring(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.control->rings = 0;
	assert_ring_full(&client);
}

static void with_a_full_ring_the_client_has_to_repeat_the_ack(void **state)
{
	struct client client;
	int held = 0;

	(void)state;
	rings_set(4096);
	client_opens(&client, &linux_syn);
	validated_age(&client.ack, 0);
	while (run_segment(&client.ack, NULL) == SHAKEOFF_SEGMENT_QUEUED)
		held++;
	assert_in_range(held, 10, 20);
	assert_verdict(&client.ack, SHAKEOFF_RING_FULL);
	while (next_event())
		held--;
	assert_int_equal(held, 0);
	follows(&client.ack);
}

#define TEST(function) cmocka_unit_test_setup(function, harness_reset)

int main(void)
{
	const struct CMUnitTest others[] = {
		TEST(an_ack_cut_at_any_length_opens_nothing),
		TEST(damaged_acks_have_one_verdict),
		TEST(with_the_queue_full_the_ack_is_dropped),
		TEST(an_ack_ignored_while_the_queue_was_full_opens_when_repeated),
		TEST(with_the_queue_full_the_ack_is_reset),
		TEST(with_the_queue_full_the_ack_is_reset_over_ipv6),
		TEST(with_the_queue_full_an_ack_with_data_is_reset),
		TEST(with_the_queue_full_a_bad_cookie_is_not_reset),
		TEST(without_a_server_acks_pass),
		TEST(without_a_server_valid_out_of_state_segments_pass),
		TEST(without_a_key_acks_pass),
		TEST(without_a_profile_of_the_interface_acks_pass),
		TEST(while_the_daemon_is_down_acks_are_still_validated),
		TEST(after_a_cookies_lifetime_without_a_daemon_acks_pass),
		TEST(without_a_ring_the_client_has_to_repeat_the_ack),
		TEST(before_any_daemon_there_is_no_ring),
		TEST(with_a_full_ring_the_client_has_to_repeat_the_ack),
	};
	struct CMUnitTest tests[COUNT(out_of_state_rows) + COUNT(others)], *test = tests;

	for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
		*test++ = (struct CMUnitTest){ out_of_state_rows[i].name, an_out_of_state_segment_is_dropped,
					       harness_reset, NULL, (void *)&out_of_state_rows[i] };
	memcpy(test, others, sizeof(others));
	return cmocka_run_group_tests_name("refused ACKs", tests, harness_start, harness_stop);
}
