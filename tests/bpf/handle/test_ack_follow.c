/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/ack_events.c */
/* Segments that follow a final ACK, before the daemon has the socket. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "ack_events.h"

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6;
static const struct segment windows_syn = WINDOWS_SYN;

/* Each of these on a connection that was just opened. */
static void a_duplicate_of_the_ack_follows(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	validated_age(&client.ack, 0);
	follows(&client.ack);
}

static void the_first_data_follows(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn6);
	client.ack.payload = payload(500);
	validated_age(&client.ack, 0);
	follows(&client.ack);
}

static void later_data_follows(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &windows_syn);
	client.ack.seq += 1460;
	client.ack.payload = payload(1460);
	validated_age(&client.ack, 0);
	follows(&client.ack);
}

static void no_more_segments_follow_than_a_first_flight_has(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &windows_syn);
	client.ack.seq += 1460;
	client.ack.payload = payload(1);
	validated_age(&client.ack, 0);
	for (int i = 0; i < SHAKEOFF_FOLLOW_SEGMENTS; i++)
		follows(&client.ack);
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
	expect_no_event();
}

/* Sets whether the address is bypassed because of a firewall's rule. */
static void address_is_bypassed(bool bypassed)
{
	const struct shakeoff_address4 key = { .address = inet_addr("10.9.0.1"), .port = htons(80) };
	const __u32 value = SERVICE | (bypassed ? SHAKEOFF_ADDRESS_BYPASSED : 0);

	assert_int_equal(bpf_map_update_elem(harness.addresses4, &key, &value, BPF_ANY), 0);
	generation_raise();
}

static void a_bypassed_address_takes_cookies_and_passes_everything_else(void **state)
{
	static const uint8_t flags[] = { ACK, ACK | PSH, ACK | FIN, RST, RST | ACK, SYN | ACK };
	struct client client;

	(void)state;
	client_connect(&client, &windows_syn);
	harness.service->syns.since_ns = 0; /* which is of the listener handoff */
	address_is_bypassed(true);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_BYPASS);
	for (size_t i = 0; i < COUNT(flags); i++) {
		const struct segment no_socket = { .flags = flags[i] };

		assert_verdict(&no_socket, SHAKEOFF_ACK_IDLE);
	}
	client.ack.ack ^= 1;
	assert_verdict(&client.ack, SHAKEOFF_ACK_IDLE);
	client.ack.ack ^= 1;
	opens(&client);
	client.ack.seq += 1460;
	client.ack.payload = payload(1460);
	validated_age(&client.ack, 0);
	follows(&client.ack);
	address_is_bypassed(false);
}

static void a_fin_follows(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	client.ack.flags = FIN | ACK;
	client.ack.seq += 100;
	validated_age(&client.ack, 0);
	follows(&client.ack);
}

static void an_rst_follows(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	client.ack.flags = RST;
	validated_age(&client.ack, 0);
	follows(&client.ack);
}

static void an_rst_with_ack_follows(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	client.ack.flags = RST | ACK;
	validated_age(&client.ack, 0);
	follows(&client.ack);
}

static void a_segment_follows_an_ack_with_a_later_clock_of_another_cpu(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	client.ack.seq += 10;
	client.ack.payload = payload(20);
	validated_age(&client.ack, -50000000);
	follows(&client.ack);
}

static void segments_that_follow_do_not_count_into_the_queue(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	validated_age(&client.ack, 0);
	follows(&client.ack);
	assert_int_equal(harness.service->enqueued, 1);
}

static void segments_follow_into_a_full_queue(void **state)
{
	struct client client;

	(void)state;
	harness.service->capacity = 1;
	client_opens(&client, &linux_syn);
	client.ack.payload = payload(5);
	validated_age(&client.ack, 0);
	follows(&client.ack);
}

static void a_damaged_segment_does_not_follow(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	client.ack.longer = 1;
	validated_age(&client.ack, 0);
	assert_verdict(&client.ack, SHAKEOFF_BAD_HEADER);
}

#define TEST(function) cmocka_unit_test_setup(function, harness_reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_duplicate_of_the_ack_follows),
		TEST(the_first_data_follows),
		TEST(later_data_follows),
		TEST(no_more_segments_follow_than_a_first_flight_has),
		TEST(a_fin_follows),
		TEST(a_bypassed_address_takes_cookies_and_passes_everything_else),
		TEST(an_rst_follows),
		TEST(an_rst_with_ack_follows),
		TEST(a_segment_follows_an_ack_with_a_later_clock_of_another_cpu),
		TEST(segments_that_follow_do_not_count_into_the_queue),
		TEST(segments_follow_into_a_full_queue),
		TEST(a_damaged_segment_does_not_follow),
	};

	return cmocka_run_group_tests_name("segments after the final ACK", tests, harness_start, harness_stop);
}
