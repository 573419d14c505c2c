/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/pair.c */
/* Segments of live connections, and the filter that knows which tuples can have a socket. */
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "pair.h"

/* ------------------------------------------------------------------------------------------------- live connections */

static void everything_for_an_established_socket_passes(void **state)
{
	(void)state;
	pair_open(&ipv4);
	assert_all_pass(SHAKEOFF_SYN_SOCKET);
}

static void everything_for_an_established_ipv6_socket_passes(void **state)
{
	(void)state;
	pair_open(&ipv6);
	assert_all_pass(SHAKEOFF_SYN_SOCKET);
}

static void a_segment_that_the_kernel_cannot_read_is_dropped_even_for_a_socket(void **state)
{
	struct segment segment;

	(void)state;
	pair_open(&ipv4);
	segment = of_pair(ACK);
	segment.doff = 15;
	assert_verdict(&segment, SHAKEOFF_BAD_HEADER);
}

static void segments_for_a_socket_pass_while_the_service_is_down(void **state)
{
	struct segment segment;

	(void)state;
	pair_open(&ipv4);
	harness.control->heartbeat_ns = 0;
	segment = of_pair(ACK);
	assert_verdict(&segment, SHAKEOFF_SOCKET);
}

static void segments_for_a_socket_pass_while_its_tuple_is_fresh(void **state)
{
	struct segment syn = { .from = ipv4.client, .sport = 40002, .flags = SYN }, segment;
	struct client client;

	(void)state;
	pair.client = bound_socket(&ipv4, ipv4.client, 40002);
	client_opens(&client, &syn);
	pair_open(&ipv4);
	segment = of_pair(ACK);
	validated_age(&segment, 0);
	assert_verdict(&segment, SHAKEOFF_SOCKET);
}

static void a_full_queue_does_not_touch_established_sockets(void **state)
{
	(void)state;
	pair_open(&ipv4);
	harness.service->overflow = SHAKEOFF_OVERFLOW_RESET;
	harness.service->enqueued = harness.service->capacity;
	assert_all_pass(SHAKEOFF_SYN_SOCKET);
}

static void a_client_that_closes_first_finds_its_socket(void **state)
{
	(void)state;
	pair_open(&ipv4);
	pair_close(&pair.client);
	assert_all_pass(SHAKEOFF_SYN_SOCKET); /* CLOSE-WAIT */
}

static void a_listening_socket_alone_is_not_a_connection(void **state)
{
	const struct segment syn = LINUX_SYN;
	struct client client;

	(void)state;
	pair_listen(&ipv4);
	client_opens(&client, &syn);
}

static void a_listening_socket_for_any_address_is_not_a_connection(void **state)
{
	const struct segment syn = LINUX_SYN6;
	struct client client;

	(void)state;
	pair.listener = listening_socket(&ipv6, "::", 5);
	client_opens(&client, &syn);
}

static void a_handshake_of_the_kernel_passes_to_it(void **state)
{
	int seconds = 5;

	(void)state;
	pair_listen(&ipv4);
	/* Keeps the server in SYN-RECEIVED until data comes. */
	assert_int_equal(setsockopt(pair.listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)), 0);
	pair.client = bound_socket(&ipv4, ipv4.client, 0);
	pair_connect(&ipv4);
	pair_measure();
	assert_all_pass(SHAKEOFF_SYN_SOCKET);
}

static void another_tuple_does_not_match_the_socket(void **state)
{
	struct segment syn;

	(void)state;
	pair_open(&ipv4);
	syn = syn_of_pair(0, true, 0);
	syn.sport++;
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
}

/* ---------------------------------------------------------------------------------------------------- socket filter */

static void a_syn_that_is_not_in_the_filter_is_answered_without_a_look_up(void **state)
{
	struct segment syn;

	(void)state;
	pair_open(&ipv4);
	harness.control->flags |= SHAKEOFF_FILTER_READY;
	syn = syn_of_pair(0, true, 0);
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
}

/* A SYN that passes may become a socket: the filter must have its tuple. */
static void assert_passing_syn_is_noted(const struct family *family)
{
	struct segment syn;

	pair_open(family);
	harness.service->flags = SHAKEOFF_SERVICE_USED;
	syn = syn_of_pair(0, true, 0);
	assert_verdict(&syn, SHAKEOFF_SYN_NO_SERVER);
	harness.service->flags |= SHAKEOFF_SERVICE_SERVED;
	harness.control->flags |= SHAKEOFF_FILTER_READY;
	assert_true(filter_get(&syn, 0));
	assert_verdict(&syn, SHAKEOFF_SYN_SOCKET);
}

static void a_syn_that_passes_is_noted_in_the_filter(void **state)
{
	(void)state;
	assert_passing_syn_is_noted(&ipv4);
}

static void an_ipv6_syn_that_passes_is_noted_in_the_filter(void **state)
{
	(void)state;
	assert_passing_syn_is_noted(&ipv6);
}

static void a_syn_that_is_answered_is_not_noted(void **state)
{
	const struct segment syn = LINUX_SYN;

	(void)state;
	harness.control->flags |= SHAKEOFF_FILTER_READY;
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	assert_false(filter_get(&syn, 0));
}

static void a_handshake_is_noted_in_the_active_filter(void **state)
{
	const struct segment syns[] = { LINUX_SYN, LINUX_SYN6 };

	(void)state;
	harness.control->flags |= SHAKEOFF_FILTER_READY;
	harness.control->filter_active = 1;
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct client client;

		client_opens(&client, &syns[i]);
		assert_true(filter_get(&syns[i], 1));
		assert_false(filter_get(&syns[i], 0));
	}
}

static void while_a_filter_is_built_a_handshake_is_noted_in_both(void **state)
{
	const struct segment syn = LINUX_SYN;
	struct client client;

	(void)state;
	harness.control->flags |= SHAKEOFF_FILTER_READY | SHAKEOFF_FILTER_BUILDING;
	client_opens(&client, &syn);
	assert_true(filter_get(&syn, 0));
	assert_true(filter_get(&syn, 1));
}

static void the_filter_lets_segments_of_a_socket_pass(void **state)
{
	struct segment segment;

	(void)state;
	pair_open(&ipv4);
	harness.control->flags |= SHAKEOFF_FILTER_READY;
	segment = of_pair(ACK);
	assert_verdict(&segment, SHAKEOFF_SOCKET);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(everything_for_an_established_socket_passes),
		TEST(everything_for_an_established_ipv6_socket_passes),
		TEST(a_segment_that_the_kernel_cannot_read_is_dropped_even_for_a_socket),
		TEST(segments_for_a_socket_pass_while_the_service_is_down),
		TEST(segments_for_a_socket_pass_while_its_tuple_is_fresh),
		TEST(a_full_queue_does_not_touch_established_sockets),
		TEST(a_client_that_closes_first_finds_its_socket),
		TEST(a_listening_socket_alone_is_not_a_connection),
		TEST(a_listening_socket_for_any_address_is_not_a_connection),
		TEST(a_handshake_of_the_kernel_passes_to_it),
		TEST(another_tuple_does_not_match_the_socket),
		TEST(a_syn_that_is_not_in_the_filter_is_answered_without_a_look_up),
		TEST(a_syn_that_passes_is_noted_in_the_filter),
		TEST(an_ipv6_syn_that_passes_is_noted_in_the_filter),
		TEST(a_syn_that_is_answered_is_not_noted),
		TEST(a_handshake_is_noted_in_the_active_filter),
		TEST(while_a_filter_is_built_a_handshake_is_noted_in_both),
		TEST(the_filter_lets_segments_of_a_socket_pass),
	};

	return cmocka_run_group_tests_name("existing sockets", tests, harness_start, harness_stop);
}
