/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/listener.c */
/*
 * The listener handoff at the hook, in front of real listening sockets: for which sockets it answers, and what happens
 * to segments after the ACK.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "listener.h"

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6;

/* -------------------------------------------------------------------------------------------------------- listening */

static void a_dual_stack_socket_listens_for_ipv4(void **state)
{
	struct client client;

	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	listener = listening_socket(&ipv6, "::", 5);
	admitted(&client, &linux_syn);
	admitted(&client, &linux_syn6);
}

static void without_a_listening_socket_the_kernel_refuses(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	close(listener);
	listener = -1;
	generation_raise();
	assert_verdict(&client.syn, SHAKEOFF_SYN_NO_SERVER);
	assert_verdict(&client.ack, SHAKEOFF_ACK_NO_SERVER);
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE;
	harness.service->syns.since_ns = 0;
	assert_verdict(&client.syn, SHAKEOFF_SYN_NO_SERVER);
}

static void a_service_that_is_not_served_passes(void **state)
{
	const struct segment ack = { .flags = ACK };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->flags = SHAKEOFF_SERVICE_USED;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_NO_SERVER);
	assert_verdict(&ack, SHAKEOFF_ACK_NO_SERVER);
}

static void without_the_tc_program_nothing_is_answered(void **state)
{
	struct shakeoff_interface profile = interface_default();
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	interface_set(&profile);
	assert_verdict(&client.syn, SHAKEOFF_SYN_NO_KEY);
	assert_verdict(&client.ack, SHAKEOFF_ACK_NO_SERVER);
}

static void without_keys_nothing_is_answered(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.control->flags = 0;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_NO_KEY);
}

static void segments_of_a_socket_pass(void **state)
{
	struct segment segment = { .from = ipv4.client, .sport = 40007, .flags = SYN, .options = LINUX_OPTIONS };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	clients[0] = connected_socket(&ipv4, 40007);
	assert_verdict(&segment, SHAKEOFF_SYN_SOCKET);
	segment = (struct segment){ .from = ipv4.client, .sport = 40007, .flags = ACK };
	assert_verdict(&segment, SHAKEOFF_SOCKET);
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE;
	harness.service->syns.since_ns = 0;
	segment.flags = SYN;
	assert_verdict(&segment, SHAKEOFF_SYN_SOCKET);
}

/* ------------------------------------------------------------------------------------------ after the ACK, repeated */

static void segments_after_the_ack_pass_without_metadata(void **state)
{
	static const uint8_t flags[] = { ACK | PSH, ACK, ACK | FIN, RST, RST | ACK };
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	admitted(&client, &linux_syn);
	validated_age(&client.ack, 0);
	for (size_t i = 0; i < COUNT(flags); i++) {
		struct segment segment = client.ack;

		segment.flags = flags[i];
		segment.seq += 1000;
		assert_verdict(&segment, SHAKEOFF_SEGMENT_AFTER_ACK);
		assert_int_equal(harness.metadata_len, 0);
	}
	validated_age(&client.ack, 2 * SHAKEOFF_FOLLOW_NS);
	client.ack.seq += 1000;
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
}

/* Asserts that the hint for the tc program is set: the segment may be here before its connection. */
static void assert_waits(const struct segment *segment)
{
	uint32_t mark;

	assert_verdict(segment, SHAKEOFF_SEGMENT_EARLY);
	assert_int_equal(harness.metadata_len, sizeof(mark));
	memcpy(&mark, harness.metadata, sizeof(mark));
	assert_int_equal(mark, METADATA_WAITS);
}

static void segments_after_the_ack_on_another_cpu_wait_for_the_socket(void **state)
{
	static const uint8_t flags[] = { ACK | PSH, ACK, ACK | FIN, RST, RST | ACK };
	struct shakeoff_validated entry;
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	admitted(&client, &linux_syn);
	validated_age(&client.ack, 0);
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(entry.replaced, sched_getcpu());
	assert_int_equal(SHAKEOFF_VALIDATED_TC_CPU(&entry), 0);
	entry.replaced |= (sched_getcpu() + 1)
			  << 16; /* the address where the tc program saw it makes no difference here */
	validated_set(&client.ack, &entry);
	assert_verdict(&client.ack, SHAKEOFF_SEGMENT_AFTER_ACK);
	entry.replaced++; /* as if the ACK had been handled on another CPU */
	validated_set(&client.ack, &entry);
	assert_waits(&client.ack);
	for (size_t i = 0; i < COUNT(flags); i++) {
		struct segment segment = client.ack;

		segment.flags = flags[i];
		segment.seq += 1000;
		assert_waits(&segment);
	}
	assert_int_equal(harness.service->enqueued, 1);
}

static void a_socket_with_backlog_zero_takes_one(void **state)
{
	struct client client;

	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	listener = listening_socket(&ipv4, ipv4.server, 0);
	admitted(&client, &linux_syn);
}

static void a_duplicate_of_the_ack_follows_it(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	admitted(&client, &linux_syn);
	validated_age(&client.ack, 0);
	assert_verdict(&client.ack, SHAKEOFF_SEGMENT_AFTER_ACK);
	assert_int_equal(harness.service->enqueued, 1);
}

static void an_ack_whose_connection_was_not_seen_is_accepted_again(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	admitted(&client, &linux_syn);
	validated_age(&client.ack, 2 * SHAKEOFF_FOLLOW_NS);
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	metadata_read();
	assert_int_equal(harness.service->enqueued, 2);
}

static void a_late_duplicate_of_an_ack_that_has_had_its_connection_opens_nothing(void **state)
{
	struct shakeoff_validated entry;
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	admitted(&client, &linux_syn);
	assert_true(validated_get(&client.ack, &entry));
	entry.flags = SHAKEOFF_VALIDATED_ADMITTED | SHAKEOFF_VALIDATED_CONFIRMED;
	entry.established_ns -= 2 * SHAKEOFF_FOLLOW_NS;
	validated_set(&client.ack, &entry);
	assert_verdict(&client.ack, SHAKEOFF_ACK_REPLAYED);
}

static void a_segment_that_meets_the_socket_confirms_the_connection(void **state)
{
	const struct segment syn = {
		.from = ipv4.client, .sport = 40012, .seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS
	};
	struct shakeoff_validated entry;
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	admitted(&client, &syn);
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(entry.flags & SHAKEOFF_VALIDATED_CONFIRMED, 0);
	clients[0] = connected_socket(&ipv4, 40012); /* instead of the connection that the tc program would make */
	assert_verdict(&client.ack, SHAKEOFF_SOCKET);
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(entry.flags & SHAKEOFF_VALIDATED_CONFIRMED, SHAKEOFF_VALIDATED_CONFIRMED);
}

static void another_connection_of_the_tuple_is_accepted(void **state)
{
	struct segment syn = LINUX_SYN;
	struct shakeoff_validated entry;
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	admitted(&client, &syn);
	syn.seq += 12345;
	admitted(&client, &syn);
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(entry.client_isn, CLIENT_ISN + 12345);
}

static void an_expired_cookie_has_another_verdict_than_a_wrong_one(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	harness.control->epoch_offset_ns += 2 * SHAKEOFF_EPOCH_NS;
	assert_verdict(&client.ack, SHAKEOFF_ACK_EXPIRED);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, listener_setup, listener_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_dual_stack_socket_listens_for_ipv4),
		TEST(without_a_listening_socket_the_kernel_refuses),
		TEST(a_service_that_is_not_served_passes),
		TEST(without_the_tc_program_nothing_is_answered),
		TEST(without_keys_nothing_is_answered),
		TEST(segments_of_a_socket_pass),
		TEST(segments_after_the_ack_pass_without_metadata),
		TEST(segments_after_the_ack_on_another_cpu_wait_for_the_socket),
		TEST(a_socket_with_backlog_zero_takes_one),
		TEST(a_duplicate_of_the_ack_follows_it),
		TEST(an_ack_whose_connection_was_not_seen_is_accepted_again),
		TEST(a_late_duplicate_of_an_ack_that_has_had_its_connection_opens_nothing),
		TEST(a_segment_that_meets_the_socket_confirms_the_connection),
		TEST(another_connection_of_the_tuple_is_accepted),
		TEST(an_expired_cookie_has_another_verdict_than_a_wrong_one),
	};

	return cmocka_run_group_tests_name("listener handoff", tests, harness_start, harness_stop);
}
