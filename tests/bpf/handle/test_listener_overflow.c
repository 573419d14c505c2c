/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/listener.c */
/* The accept queue of a listening socket, or of each member of a group, is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <shakeoff/socket_filter.h>

#include "listener.h"

static const struct segment linux_syn = LINUX_SYN;

/* Fills the accept queue. The hook looks up the listening socket once a tick: make it look it up again. */
static void fill_accept_queue(int count)
{
	for (int i = 0; i < count; i++)
		clients[i] = connected_socket(&ipv4, 0);
	generation_raise();
}

static void assert_full(enum shakeoff_overflow overflow, enum shakeoff_verdict syn, enum shakeoff_verdict ack)
{
	struct client client;

	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_int_equal(listen(listener, 2), 0);
	client_connect(&client, &linux_syn);
	fill_accept_queue(1);
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	fill_accept_queue(2);
	harness.service->overflow = overflow;
	assert_verdict(&linux_syn, syn);
	assert_verdict(&client.ack, ack);

	close(accept(listener, NULL, NULL));
	close(accept(listener, NULL, NULL));
	generation_raise();
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
}

static void a_full_accept_queue_drops(void **state)
{
	(void)state;
	assert_full(SHAKEOFF_OVERFLOW_DROP, SHAKEOFF_SYN_OVERFLOW_DROP, SHAKEOFF_ACK_OVERFLOW_DROP);
}

static void a_full_accept_queue_resets(void **state)
{
	(void)state;
	assert_full(SHAKEOFF_OVERFLOW_RESET, SHAKEOFF_SYN_OVERFLOW_RESET, SHAKEOFF_ACK_OVERFLOW_RESET);
}

static void a_full_accept_queue_refuses_while_idle_too(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	assert_int_equal(listen(listener, 2), 0);
	fill_accept_queue(3); /* one more than listen() was given */
	assert_verdict(&linux_syn, SHAKEOFF_SYN_OVERFLOW_DROP);
	harness.service->overflow = SHAKEOFF_OVERFLOW_RESET;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_OVERFLOW_RESET);
}

static void a_socket_takes_one_more_than_listen_was_given(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	for (int backlog = 0; backlog < 5; backlog++) {
		assert_int_equal(listen(listener, backlog), 0);
		generation_raise();
		assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
		clients[backlog] = connected_socket(&ipv4, 0);
		generation_raise();
		assert_verdict(&linux_syn, SHAKEOFF_SYN_OVERFLOW_DROP);
		assert_int_equal(waiting_at(listener), backlog + 1);
	}
}

/* `backlog` of the configuration is the exact number of connections. */
static void the_services_backlog_limits_where_it_is_smaller(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->backlog = 1;
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	fill_accept_queue(1);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_OVERFLOW_DROP);
	harness.service->backlog = 2;
	generation_raise();
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_int_equal(listen(listener, 1), 0); /* the same as the service's */
	harness.service->backlog = 1;
	generation_raise();
	assert_verdict(&linux_syn, SHAKEOFF_SYN_OVERFLOW_DROP);
	harness.service->backlog = 2;
	generation_raise();
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
}

static void connections_on_their_way_to_the_socket_count(void **state)
{
	struct client client, other;
	struct segment syn = LINUX_SYN;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_int_equal(listen(listener, 0), 0); /* takes one */
	client_connect(&client, &linux_syn);
	syn.sport = 40001;
	client_connect(&other, &syn);
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	assert_verdict(&syn, SHAKEOFF_SYN_OVERFLOW_DROP);
	assert_verdict(&other.ack, SHAKEOFF_ACK_OVERFLOW_DROP);
	harness.service->dequeued = 1; /* the tc program has seen it, and the kernel refused it, for example */
	generation_raise();
	assert_verdict(&other.ack, SHAKEOFF_ACK_ADMITTED);
}

/* A group: `listener`, whose accept queue has `waiting` of 6 connections, and `other_member`, which always has room. */
static void group_listens(int waiting)
{
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.control->flags |= SHAKEOFF_FILTER_READY; /* otherwise every SYN would be looked up */
	harness.service->servers = 2;
	listener = listening_member(&ipv4, ipv4.server, 5);
	other_member = listening_member(&ipv4, ipv4.server, 1000);
	for (int have = 0; have < waiting;) {
		clients[have] = connected_socket(&ipv4, 0);
		if (waiting_at(listener) > have) {
			have++;
			continue;
		}
		close(accept(other_member, NULL, NULL));
		reset_socket(&clients[have]);
	}
}

/* Returns a SYN that the kernel would give to the wanted member: with `listener` full, the verdict shows which. */
static struct segment syn_with_verdict(enum shakeoff_verdict wanted)
{
	struct segment syn = LINUX_SYN;

	assert_int_equal(waiting_at(listener), 6);
	for (syn.sport = 42000; syn.sport < 43000; syn.sport++) {
		generation_raise();
		if (run_segment(&syn, NULL) == wanted)
			return syn;
	}
	fail_msg("no SYN is given to this member");
	return syn;
}

static void assert_full_member(enum shakeoff_overflow overflow, enum shakeoff_verdict full)
{
	struct segment to_full, to_other;

	group_listens(6);
	harness.service->overflow = overflow;
	to_full = syn_with_verdict(full);
	to_other = syn_with_verdict(SHAKEOFF_SYNACK_SENT);
	for (int i = 0; i < 100; i++) {
		assert_verdict(&to_other, SHAKEOFF_SYNACK_SENT);
		assert_verdict(&to_full, full);
	}
}

static void a_full_member_of_a_group_drops(void **state)
{
	(void)state;
	assert_full_member(SHAKEOFF_OVERFLOW_DROP, SHAKEOFF_SYN_OVERFLOW_DROP);
}

static void a_full_member_of_a_group_resets(void **state)
{
	(void)state;
	assert_full_member(SHAKEOFF_OVERFLOW_RESET, SHAKEOFF_SYN_OVERFLOW_RESET);
}

/* Checks whether an ACK to a service with this many sockets notes that a member is short of room. */
static void assert_noted(int waiting, uint16_t servers, uint64_t looked_ns, bool noted)
{
	struct client client;

	group_listens(waiting);
	close(other_member); /* now the kernel gives all connections to `listener` */
	other_member = -1;
	harness.service->servers = servers;
	client_connect(&client, &linux_syn);
	harness.service->looked_ns = looked_ns;
	harness.service->short_ns = 0;
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	assert_int_equal(harness.service->short_ns != 0, noted);
}

/* Not long ago, even if the test takes long. */
static uint64_t lately(void)
{
	return monotonic_ns() + 60 * SECOND;
}

static void an_ack_that_makes_a_member_half_full_is_noted(void **state)
{
	(void)state;
	assert_noted(3, 2, lately(), true);
}

static void a_member_with_more_room_is_not_noted(void **state)
{
	(void)state;
	assert_noted(2, 2, lately(), false);
}

static void a_group_that_was_not_looked_up_counts_as_short(void **state)
{
	(void)state;
	assert_noted(0, 2, monotonic_ns() - SECOND, true);
}

static void a_single_socket_is_not_noted(void **state)
{
	(void)state;
	assert_noted(5, 1, 0, false);
}

/*
 * After the hold time the member that was looked up last in a tick represents all. Repeats until both SYNs come in one
 * tick.
 */
static void after_the_hold_time_one_member_represents_the_group(void **state)
{
	enum shakeoff_verdict verdict = SHAKEOFF_VERDICT_COUNT;
	struct segment to_full, to_other;

	(void)state;
	group_listens(6);
	to_full = syn_with_verdict(SHAKEOFF_SYN_OVERFLOW_DROP);
	to_other = syn_with_verdict(SHAKEOFF_SYNACK_SENT);
	for (int i = 0; i < 100 && verdict != SHAKEOFF_SYNACK_SENT; i++) {
		assert_verdict(&to_other, SHAKEOFF_SYNACK_SENT);
		harness.service->looked_ns = lately();
		harness.service->short_ns = monotonic_ns() - SHAKEOFF_FLOOD_HOLD_NS - SECOND;
		verdict = run_segment(&to_full, NULL);
	}
	assert_string_equal(verdict_name(verdict), verdict_name(SHAKEOFF_SYNACK_SENT));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, listener_setup, listener_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_full_accept_queue_drops),
		TEST(a_full_accept_queue_resets),
		TEST(a_full_accept_queue_refuses_while_idle_too),
		TEST(a_socket_takes_one_more_than_listen_was_given),
		TEST(the_services_backlog_limits_where_it_is_smaller),
		TEST(connections_on_their_way_to_the_socket_count),
		TEST(a_full_member_of_a_group_drops),
		TEST(a_full_member_of_a_group_resets),
		TEST(an_ack_that_makes_a_member_half_full_is_noted),
		TEST(a_member_with_more_room_is_not_noted),
		TEST(a_group_that_was_not_looked_up_counts_as_short),
		TEST(a_single_socket_is_not_noted),
		TEST(after_the_hold_time_one_member_represents_the_group),
	};

	return cmocka_run_group_tests_name("accept queue of a listener", tests, harness_start, harness_stop);
}
