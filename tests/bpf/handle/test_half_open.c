/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c */
/* The hook's memory of SYN-ACKs that wait for their ACK: when an entry is added, and when it is removed. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
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

#define SECOND 1000000000ull

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6;
static int half_open, listener;

static int start(void **state)
{
	int error = harness_start(state);

	half_open = error ? -1 : bpf_object__find_map_fd_by_name(harness.object, "half_open");
	return error;
}

static int setup(void **state)
{
	struct shakeoff_tuple tuple;

	while (!bpf_map_get_next_key(half_open, NULL, &tuple))
		bpf_map_delete_elem(half_open, &tuple);
	listener = -1;
	harness_reset(state);
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_ALWAYS;
	harness.control->flags |= SHAKEOFF_RESENDS;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (listener >= 0)
		close(listener);
	return 0;
}

static void listens(enum shakeoff_syncookies syncookies)
{
	service_listens(syncookies);
	listener = listening_socket(&ipv4, ipv4.server, 1);
}

static bool remembered(const struct segment *syn, struct shakeoff_half_open *entry)
{
	struct shakeoff_tuple tuple = tuple_of_segment(syn);

	return !bpf_map_lookup_elem(half_open, &tuple, entry);
}

static bool is_remembered(const struct segment *syn)
{
	struct shakeoff_half_open entry;

	return remembered(syn, &entry);
}

static size_t count(void)
{
	struct shakeoff_tuple tuple, *previous = NULL;
	size_t entries = 0;

	for (; !bpf_map_get_next_key(half_open, previous, &tuple); previous = &tuple)
		entries++;
	return entries;
}

/* Asserts that the SYN is answered, but not remembered. */
static void forgets(const struct segment *syn)
{
	assert_verdict(syn, SHAKEOFF_SYNACK_SENT);
	assert_int_equal(count(), 0);
	assert_int_equal(harness.control->half_open, 0);
}

/* ------------------------------------------------------------------------------------------------------------ added */

static void a_synack_is_remembered_as_it_was_sent(void **state)
{
	const struct segment syns[] = {
		LINUX_SYN,
		LINUX_SYN6,
		WINDOWS_SYN,
		{ .seq = CLIENT_ISN, .flags = SYN },
		{ .seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS, .payload = BYTES('x', 'y', 'z') },
		{ .seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS, .tags = 1 },
		{ .from = "2001:db8:7::7", .seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS, .tags = 1 },
	};
	static struct frame out;

	(void)state;
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct shakeoff_half_open entry;

		assert_int_equal(run_segment(&syns[i], &out), SHAKEOFF_SYNACK_SENT);
		assert_true(remembered(&syns[i], &entry));
		assert_int_equal(entry.frame_len, out.len);
		assert_memory_equal(entry.frame, out.bytes, out.len);
		assert_int_equal(entry.ifindex, harness.ifindex);
		assert_int_equal(entry.service, SERVICE);
		assert_int_equal(entry.rcv_nxt, CLIENT_ISN + 1);
		assert_true(monotonic_ns() - entry.answered_ns < SECOND);
	}
	assert_int_equal(harness.control->half_open, 1);
}

static void a_synack_of_a_listening_socket_is_remembered(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_true(is_remembered(&linux_syn));
}

static void a_synack_to_a_frame_in_several_buffers_is_remembered(void **state)
{
	(void)state;
	harness.program = harness.frags_program;
	assert_verdict(&linux_syn6, SHAKEOFF_SYNACK_SENT);
	assert_true(is_remembered(&linux_syn6));
}

static void a_second_syn_makes_no_second_entry(void **state)
{
	struct segment again = LINUX_SYN;
	struct shakeoff_half_open entry;
	static struct frame out;

	(void)state;
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	again.seq++;
	assert_int_equal(run_segment(&again, &out), SHAKEOFF_SYNACK_SENT);
	assert_int_equal(count(), 1);
	assert_true(remembered(&linux_syn, &entry));
	assert_memory_equal(entry.frame, out.bytes, out.len);
	assert_int_equal(entry.rcv_nxt, CLIENT_ISN + 2);
}

/* -------------------------------------------------------------------------------------------------------- not added */

static void nothing_is_remembered_where_nothing_is_resent(void **state)
{
	(void)state;
	harness.control->flags &= ~SHAKEOFF_RESENDS;
	forgets(&linux_syn);
}

static void nothing_is_remembered_in_a_flood(void **state)
{
	(void)state;
	harness.service->syns.last_ns = monotonic_ns() - SHAKEOFF_FLOOD_HOLD_NS + SECOND;
	forgets(&linux_syn);
	harness.service->syns.last_ns = monotonic_ns() - SHAKEOFF_FLOOD_HOLD_NS - SECOND;
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_true(is_remembered(&linux_syn));
}

static void a_flood_begins_beyond_flood_rate(void **state)
{
	(void)state;
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_int_equal(harness.service->syns.last_ns, 0);
	harness.service->flood_rate = 0;
	assert_verdict(&linux_syn6, SHAKEOFF_SYNACK_SENT);
	assert_int_not_equal(harness.service->syns.last_ns, 0);
	assert_false(is_remembered(&linux_syn6));
	assert_int_equal(harness.service->activations, 0);
}

static void a_flood_lasts_at_half_of_flood_rate(void **state)
{
	(void)state;
	harness.service->flood_rate = 0;
	harness.service->syns.last_ns = monotonic_ns() - SHAKEOFF_FLOOD_HOLD_NS + SECOND;
	for (int i = 0; i < 32; i++)
		assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_true(harness.service->syns.last_ns > monotonic_ns() - SECOND);
	assert_int_equal(count(), 0);
}

static void nothing_is_remembered_while_cookies_are_adaptive(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.service->flood_rate = 0;
	forgets(&linux_syn);
}

static void nothing_is_remembered_without_a_daemon_to_resend(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.control->heartbeat_ns = monotonic_ns() - SHAKEOFF_HEARTBEAT_TIMEOUT_NS - SECOND;
	forgets(&linux_syn);
}

static void nothing_is_remembered_beyond_the_services_limit(void **state)
{
	(void)state;
	harness.service->half_open = SHAKEOFF_SERVICE_HALF_OPEN;
	forgets(&linux_syn);
}

static void with_a_full_table_syns_are_still_answered(void **state)
{
	static struct shakeoff_tuple tuples[SHAKEOFF_MAX_HALF_OPEN];
	static struct shakeoff_half_open entries[SHAKEOFF_MAX_HALF_OPEN];
	__u32 made = SHAKEOFF_MAX_HALF_OPEN;

	(void)state;
	for (__u32 i = 0; i < made; i++)
		tuples[i].remote[3] = i;
	assert_int_equal(bpf_map_update_batch(half_open, tuples, entries, &made, NULL), 0);
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_false(is_remembered(&linux_syn));
}

/* ---------------------------------------------------------------------------------------------------------- removed */

static void its_ack_removes_the_entry(void **state)
{
	struct client client;

	(void)state;
	assert_verdict(&linux_syn6, SHAKEOFF_SYNACK_SENT);
	client_opens(&client, &linux_syn);
	assert_false(is_remembered(&linux_syn));
	assert_true(is_remembered(&linux_syn6));
}

static void the_ack_to_a_listening_socket_removes_the_entry(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	assert_true(is_remembered(&linux_syn));
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	assert_false(is_remembered(&linux_syn));
}

static void another_ack_keeps_the_entry(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	client.ack.ack++;
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
	assert_true(is_remembered(&linux_syn));
}

static void an_ack_that_a_full_queue_ignores_keeps_the_entry(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.service->capacity = 0;
	assert_verdict(&client.ack, SHAKEOFF_ACK_OVERFLOW_DROP);
	assert_true(is_remembered(&linux_syn));
}

static void an_ack_that_a_full_queue_refuses_removes_the_entry(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.service->capacity = 0;
	harness.service->overflow = SHAKEOFF_OVERFLOW_RESET;
	assert_verdict(&client.ack, SHAKEOFF_ACK_OVERFLOW_RESET);
	assert_false(is_remembered(&linux_syn));
}

/* RSTs of the client, which knows the number; then the same in front of a listening socket. */
static void resets(void)
{
	struct segment rst = { .seq = CLIENT_ISN + 1, .flags = RST }, wrong = { .seq = CLIENT_ISN + 2, .flags = RST };
	struct segment other = { .sport = 40001, .seq = CLIENT_ISN + 1, .flags = RST };

	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&wrong, SHAKEOFF_RST_NO_SOCKET);
	assert_verdict(&other, SHAKEOFF_RST_NO_SOCKET);
	assert_true(is_remembered(&linux_syn));
	assert_verdict(&rst, SHAKEOFF_RST_NO_SOCKET);
	assert_false(is_remembered(&linux_syn));
}

static void an_rst_of_the_client_removes_the_entry(void **state)
{
	(void)state;
	resets();
}

static void an_rst_to_a_listening_socket_removes_the_entry(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	resets();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_synack_is_remembered_as_it_was_sent),
		TEST(a_synack_of_a_listening_socket_is_remembered),
		TEST(a_synack_to_a_frame_in_several_buffers_is_remembered),
		TEST(a_second_syn_makes_no_second_entry),
		TEST(nothing_is_remembered_where_nothing_is_resent),
		TEST(nothing_is_remembered_in_a_flood),
		TEST(a_flood_begins_beyond_flood_rate),
		TEST(a_flood_lasts_at_half_of_flood_rate),
		TEST(nothing_is_remembered_while_cookies_are_adaptive),
		TEST(nothing_is_remembered_without_a_daemon_to_resend),
		TEST(nothing_is_remembered_beyond_the_services_limit),
		TEST(with_a_full_table_syns_are_still_answered),
		TEST(its_ack_removes_the_entry),
		TEST(the_ack_to_a_listening_socket_removes_the_entry),
		TEST(another_ack_keeps_the_entry),
		TEST(an_ack_that_a_full_queue_ignores_keeps_the_entry),
		TEST(an_ack_that_a_full_queue_refuses_removes_the_entry),
		TEST(an_rst_of_the_client_removes_the_entry),
		TEST(an_rst_to_a_listening_socket_removes_the_entry),
	};

	return cmocka_run_group_tests_name("half-open connections", tests, start, harness_stop);
}
