/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/ack_events.c */
/* A final ACK that comes again, at once or late, and a client that connects again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ack_events.h"

static const struct segment linux_syn = LINUX_SYN;
static const struct segment windows_syn = WINDOWS_SYN;

#define AFTER_FOLLOWING (SHAKEOFF_FOLLOW_NS + 20000000)

static void a_late_duplicate_of_the_ack_does_not_open_again(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	validated_age(&client.ack, AFTER_FOLLOWING);
	assert_verdict(&client.ack, SHAKEOFF_ACK_REPLAYED);
	expect_no_event();
}

static void a_late_duplicate_with_data_does_not_open_again(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &windows_syn);
	validated_age(&client.ack, AFTER_FOLLOWING);
	client.ack.payload = payload(7);
	assert_verdict(&client.ack, SHAKEOFF_ACK_REPLAYED);
}

static void late_data_has_no_connection(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	validated_age(&client.ack, AFTER_FOLLOWING);
	client.ack.seq += 100;
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
}

static void a_late_rst_has_no_connection(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	validated_age(&client.ack, AFTER_FOLLOWING);
	client.ack.flags = RST;
	assert_verdict(&client.ack, SHAKEOFF_RST_NO_SOCKET);
}

/* The client returns from the same port with another ISN, this long after its first connection. */
static void assert_reconnects(uint64_t after_ns)
{
	struct segment again = linux_syn;
	struct shakeoff_validated entry;
	struct client client;

	client_opens(&client, &linux_syn);
	again.seq += 250000;
	client_connect(&client, &again);
	validated_age(&client.ack, after_ns);
	opens(&client);
	assert_int_equal(harness.service->enqueued, 2);
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(entry.client_isn, again.seq);
	assert_int_equal(entry.cookie, client.synack.seq);
}

static void a_client_reconnects_from_the_same_port(void **state)
{
	(void)state;
	assert_reconnects(AFTER_FOLLOWING);
}

static void a_client_reconnects_from_the_same_port_at_once(void **state)
{
	(void)state;
	assert_reconnects(0);
}

static void data_follows_the_new_connection_after_a_reconnect(void **state)
{
	struct segment again = linux_syn;
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	again.seq += 250000;
	client_opens(&client, &again);
	client.ack.payload = payload(9);
	validated_age(&client.ack, 0);
	follows(&client.ack);
}

static void a_client_with_the_same_isn_and_another_epoch_reconnects(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	harness.control->epoch_offset_ns += SHAKEOFF_EPOCH_NS;
	client_connect(&client, &linux_syn);
	validated_age(&client.ack, AFTER_FOLLOWING);
	opens(&client);
}

#define TEST(function) cmocka_unit_test_setup(function, harness_reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_late_duplicate_of_the_ack_does_not_open_again),
		TEST(a_late_duplicate_with_data_does_not_open_again),
		TEST(late_data_has_no_connection),
		TEST(a_late_rst_has_no_connection),
		TEST(a_client_reconnects_from_the_same_port),
		TEST(a_client_reconnects_from_the_same_port_at_once),
		TEST(data_follows_the_new_connection_after_a_reconnect),
		TEST(a_client_with_the_same_isn_and_another_epoch_reconnects),
	};

	return cmocka_run_group_tests_name("repeated ACKs", tests, harness_start, harness_stop);
}
