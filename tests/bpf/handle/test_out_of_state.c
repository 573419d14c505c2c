/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/out_of_state.c */
/* Segments that have no socket: how many pass, and how the rest is dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include <shakeoff/socket_filter.h>

#include "out_of_state.h"

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6;
static const struct segment ack_without_socket = { .flags = ACK };

/* Segments without a socket, and the verdict that drops each while the hook leaves handshakes to the kernel. */
static const struct out_of_state_row {
	const char *name;
	struct segment in;
	enum shakeoff_verdict dropped;
	enum shakeoff_no_socket_kind kind;
} out_of_state_rows[] = {
	{ "ACK", { .flags = ACK }, SHAKEOFF_NO_SOCKET_DROP, SHAKEOFF_NO_SOCKET_ACK },
	{ "ACK with payload",
	  { .flags = ACK | PSH, .payload = BYTES('G', 'E', 'T') },
	  SHAKEOFF_NO_SOCKET_DROP,
	  SHAKEOFF_NO_SOCKET_ACK },
	{ "urgent data", { .flags = ACK | URG }, SHAKEOFF_NO_SOCKET_DROP, SHAKEOFF_NO_SOCKET_ACK },
	{ "FIN", { .flags = FIN | ACK }, SHAKEOFF_NO_SOCKET_DROP, SHAKEOFF_NO_SOCKET_FIN },
	{ "RST", { .flags = RST }, SHAKEOFF_RST_NO_SOCKET, SHAKEOFF_NO_SOCKET_RST },
	{ "RST with ACK", { .flags = RST | ACK }, SHAKEOFF_RST_NO_SOCKET, SHAKEOFF_NO_SOCKET_RST },
	{ "SYN-ACK", { .flags = SYN | ACK }, SHAKEOFF_SYNACK_NO_SOCKET, SHAKEOFF_NO_SOCKET_SYNACK },
	{ "ACK over IPv6", { .from = "2001:db8:7::7", .flags = ACK }, SHAKEOFF_NO_SOCKET_DROP, SHAKEOFF_NO_SOCKET_ACK },
	{ "RST over IPv6", { .from = "2001:db8:7::7", .flags = RST }, SHAKEOFF_RST_NO_SOCKET, SHAKEOFF_NO_SOCKET_RST },
	{ "SYN-ACK over IPv6",
	  { .from = "2001:db8:7::7", .flags = SYN | ACK },
	  SHAKEOFF_SYNACK_NO_SOCKET,
	  SHAKEOFF_NO_SOCKET_SYNACK },
};

/* ------------------------------------------------------------------------------------------------------------- idle */

/* A nearly full window that does not end: on a busy machine 10 ms would be over before it is full. */
static void window_that_does_not_end(void)
{
	harness.service->out_of_state.window_ns = monotonic_ns() + 60 * SECOND;
	harness.service->out_of_state.counted = 0;
}

static void a_few_out_of_state_segments_pass(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	window_that_does_not_end();
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
		assert_verdict(&out_of_state_rows[i].in, SHAKEOFF_NO_SOCKET_PASS);
	assert_int_equal(harness.service->out_of_state.since_ns, 0);
	assert_int_equal(harness.service->out_of_state.counted, COUNT(out_of_state_rows));
}

/* The first segment beyond the limit may have passed itself. */
static void many_out_of_state_segments_are_dropped_by_kind(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++) {
		uint64_t before;

		out_of_state_setup(state);
		listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
		before = monotonic_ns();
		harness.service->flood_rate = 0;
		assert_verdict(&out_of_state_rows[i].in, SHAKEOFF_NO_SOCKET_PASS);
		assert_verdict(&out_of_state_rows[i].in, out_of_state_rows[i].dropped);
		assert_int_equal(harness.service->out_of_state_kind, out_of_state_rows[i].kind);
		assert_int_equal(harness.service->out_of_state_times, 1);
		assert_true(harness.service->out_of_state.since_ns > before - SECOND);
		assert_int_equal(harness.service->syns.since_ns, 0);
		out_of_state_teardown(state);
	}
}

static void the_rate_of_out_of_state_segments_is_that_of_syns(void **state)
{
	const uint32_t in_a_window = 50;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.service->flood_rate = in_a_window * WINDOWS_A_SECOND;
	window_that_does_not_end();
	for (uint32_t i = 0; i < in_a_window; i++)
		assert_verdict(&ack_without_socket, SHAKEOFF_NO_SOCKET_PASS);
	assert_int_equal(harness.service->out_of_state.since_ns, 0);
	assert_verdict(&ack_without_socket, SHAKEOFF_NO_SOCKET_PASS);
	assert_int_not_equal(harness.service->out_of_state.since_ns, 0);
}

static void out_of_state_segments_are_dropped_until_the_hold_time_ends(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	surge_since(SHAKEOFF_FLOOD_HOLD_NS - SECOND);
	assert_verdict(&ack_without_socket, SHAKEOFF_NO_SOCKET_DROP);
	surge_since(SHAKEOFF_FLOOD_HOLD_NS + SECOND);
	assert_verdict(&ack_without_socket, SHAKEOFF_NO_SOCKET_PASS);
	assert_int_equal(harness.service->out_of_state.since_ns, 0);
}

/*
 * Each segment prolongs the surge by its time at half the rate: 20 at 500 a second add 40 ms, and 10,000 the whole hold
 * time.
 */
static void half_the_rate_keeps_dropping_out_of_state_segments(void **state)
{
	uint64_t before, added;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	surge_since(SHAKEOFF_FLOOD_HOLD_NS - 2 * SECOND);
	before = harness.service->out_of_state.last_ns;
	harness.service->flood_rate = 1000;
	for (int i = 0; i < 20; i++)
		assert_verdict(&ack_without_socket, SHAKEOFF_NO_SOCKET_DROP);
	added = harness.service->out_of_state.last_ns - before;
	assert_in_range(added, 1, 20 * SECOND / 500);
	for (int i = 0; i < 10000; i++)
		run_segment(&ack_without_socket, NULL);
	assert_true(harness.service->out_of_state.last_ns > monotonic_ns() - SECOND);
	assert_true(harness.service->out_of_state.last_ns <= monotonic_ns());
}

/* The kernel refuses them with RST, as it would without the hook. */
static void out_of_state_segments_of_a_bypassed_service_pass_uncounted(void **state)
{
	static const enum shakeoff_bypass reasons[] = { SHAKEOFF_BYPASS_MPTCP, SHAKEOFF_BYPASS_TCP_AUTH,
							SHAKEOFF_BYPASS_DEVICE, SHAKEOFF_BYPASS_SAVE_SYN,
							SHAKEOFF_BYPASS_ROUTE };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_NEVER);
	harness.service->flood_rate = 0;
	for (size_t r = 0; r < COUNT(reasons); r++) {
		harness.service->bypass = reasons[r];
		harness.service->out_of_state.since_ns = harness.service->out_of_state.counted = 0;
		for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
			assert_verdict(&out_of_state_rows[i].in, SHAKEOFF_ACK_IDLE);
		assert_int_equal(harness.service->out_of_state.since_ns, 0);
		assert_int_equal(harness.service->out_of_state.counted, 0);
		surge_note();
		for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
			assert_verdict(&out_of_state_rows[i].in, SHAKEOFF_ACK_IDLE);
	}
}

/* The service's own reason is unknown, but the hook sees its socket. Its cookies are the kernel's, of any age. */
static void out_of_state_segments_of_a_bypassed_socket_pass(void **state)
{
	union address address = make_address(&ipv4, ipv4.server, 80);
	const struct segment ack = { .flags = ACK };
	int one = 1;

	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->syns.since_ns = harness.control->started_ns = 1;
	listeners[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
	if (listeners[0] < 0)
		skip();
	setsockopt(listeners[0], SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(listeners[0], &address.any, sizeof(address.in)), 0);
	assert_int_equal(listen(listeners[0], 5), 0);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_BYPASS);
	assert_verdict(&ack, SHAKEOFF_ACK_IDLE);
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE;
	assert_verdict(&ack, SHAKEOFF_ACK_IDLE);
}

/* No interface profile, no tc program: as before kernel 6.9. */
static void out_of_state_segments_pass_where_the_hook_cannot_answer(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_NEVER);
	harness.service->bypass = SHAKEOFF_BYPASS_KERNEL;
	interface_set(NULL);
	filter_fill(SHAKEOFF_FILTER_SOCKET);
	assert_verdict(&ack_without_socket, SHAKEOFF_ACK_IDLE);
	filter_fill(0);
	assert_verdict(&ack_without_socket, SHAKEOFF_NO_SOCKET_PASS);
	surge_note();
	assert_verdict(&ack_without_socket, SHAKEOFF_NO_SOCKET_DROP);
}

static void out_of_state_segments_of_a_service_bypassed_for_netfilter_pass(void **state)
{
	const struct segment lone_fin = { .flags = FIN }, synfin = { .flags = SYN | FIN };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_NEVER);
	harness.service->bypass = SHAKEOFF_BYPASS_NETFILTER;
	surge_note();
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
		assert_verdict(&out_of_state_rows[i].in, SHAKEOFF_ACK_IDLE);
	assert_verdict(&lone_fin, SHAKEOFF_ACK_IDLE);
	assert_verdict(&synfin, SHAKEOFF_SYN_BYPASS);
}

static void many_out_of_state_segments_are_dropped_without_a_listener(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
		assert_verdict(&out_of_state_rows[i].in, SHAKEOFF_ACK_NO_SERVER);
	surge_note();
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
		assert_verdict(&out_of_state_rows[i].in, out_of_state_rows[i].dropped);
}

static void many_out_of_state_segments_of_a_queue_without_a_server_are_dropped(void **state)
{
	(void)state;
	harness.service->flags = SHAKEOFF_SERVICE_USED;
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
		assert_verdict(&out_of_state_rows[i].in, SHAKEOFF_ACK_NO_SERVER);
	surge_note();
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
		assert_verdict(&out_of_state_rows[i].in, out_of_state_rows[i].dropped);
}

static void cookies_of_the_kernel_are_good_during_an_out_of_state_flood(void **state)
{
	const struct segment syn = { .from = ipv4.client, .sport = 40021, .seq = CLIENT_ISN, .flags = SYN };
	struct segment ack = { .from = ipv4.client, .sport = 40021, .seq = CLIENT_ISN + 1, .flags = ACK }, wrong;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	ack.ack = kernel_cookie(&syn) + 1;
	surge_note();
	wrong = ack;
	wrong.ack += 0x10000;
	for (int i = 0; i < 2; i++) { /* with a word of the filter, and without */
		assert_verdict(&ack, SHAKEOFF_ACK_KERNEL_COOKIE);
		assert_verdict(&wrong, SHAKEOFF_NO_SOCKET_DROP);
		filter_fill(SHAKEOFF_FILTER_SOCKET);
	}
}

/* Its SYN came before the present filter was begun, or before the hook was attached. */
static void segments_after_cookies_of_the_kernel_pass_during_an_out_of_state_flood(void **state)
{
	static const enum shakeoff_syncookies activates[] = { SHAKEOFF_SYNCOOKIES_ADAPTIVE,
							      SHAKEOFF_SYNCOOKIES_ALWAYS };
	const struct segment syn = { .from = ipv4.client, .sport = 40021, .seq = CLIENT_ISN, .flags = SYN };
	struct segment ack = { .from = ipv4.client, .sport = 40021, .seq = CLIENT_ISN + 1, .flags = ACK };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	ack.ack = kernel_cookie(&syn) + 1;
	for (size_t i = 0; i < COUNT(activates); i++) {
		harness.service->syncookies = activates[i];
		filter_fill(0);
		surge_note();
		assert_verdict(&ack, SHAKEOFF_ACK_KERNEL_COOKIE);
		assert_int_equal(filter_get(&ack, 0), SHAKEOFF_FILTER_SOCKET);
	}
}

static void our_cookies_are_good_after_a_syn_flood_during_an_out_of_state_flood(void **state)
{
	const struct segment *const syns[] = { &linux_syn, &linux_syn6 };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct client connects;

		harness.service->syns.since_ns = harness.service->syns.last_ns = monotonic_ns();
		client_connect(&connects, syns[i]);
		harness.service->syns.since_ns = harness.service->syns.last_ns = 0;
		harness.service->released_ns = monotonic_ns();
		surge_note();
		connects.ack.ack++;
		assert_verdict(&connects.ack, SHAKEOFF_NO_SOCKET_DROP);
		connects.ack.ack--;
		assert_verdict(&connects.ack, SHAKEOFF_ACK_ADMITTED);
	}
}

/* ------------------------------------------------------------------------------------------- where the hook answers */

static void out_of_state_segments_are_counted_where_the_hook_answers(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->flood_rate = 0;
	assert_verdict(&ack_without_socket, SHAKEOFF_ACK_BAD_COOKIE);
	assert_int_not_equal(harness.service->out_of_state.since_ns, 0);
	assert_int_equal(harness.service->out_of_state_kind, SHAKEOFF_NO_SOCKET_ACK);
}

static void out_of_state_segments_keep_their_verdicts_where_the_hook_answers(void **state)
{
	const struct segment ack = { .flags = ACK }, rst = { .flags = RST }, synack = { .flags = SYN | ACK };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->syns.since_ns = harness.control->started_ns = 1;
	surge_note();
	assert_verdict(&ack, SHAKEOFF_ACK_BAD_COOKIE);
	assert_verdict(&rst, SHAKEOFF_RST_NO_SOCKET);
	assert_verdict(&synack, SHAKEOFF_SYNACK_NO_SOCKET);
}

static void honest_clients_are_served_during_an_out_of_state_flood(void **state)
{
	const struct segment windows = WINDOWS_SYN, *const syns[] = { &linux_syn, &linux_syn6, &windows };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct segment syn = *syns[i];
		struct client connects;

		syn.sport = 41000 + i;
		surge_note();
		client_connect(&connects, &syn);
		assert_verdict(&connects.ack, SHAKEOFF_ACK_ADMITTED);
		validated_age(&connects.ack, 0);
		assert_verdict(&connects.ack, SHAKEOFF_SEGMENT_AFTER_ACK);
	}
}

static void honest_clients_of_a_queue_are_served_during_an_out_of_state_flood(void **state)
{
	const struct segment windows = WINDOWS_SYN, *const syns[] = { &linux_syn, &linux_syn6, &windows };

	(void)state;
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct segment syn = *syns[i];
		struct client connects;

		syn.sport = 41000 + i;
		surge_note();
		client_opens(&connects, &syn);
		validated_age(&connects.ack, 0);
		assert_verdict(&connects.ack, SHAKEOFF_SEGMENT_QUEUED);
		expect_event(SHAKEOFF_EVENT_SEGMENT);
		validated_age(&connects.ack, 2 * SHAKEOFF_FOLLOW_NS);
		assert_verdict(&connects.ack, SHAKEOFF_ACK_REPLAYED);
		filter_fill(0); /* as the daemon makes it when the connection is long over */
		assert_verdict(&connects.ack, SHAKEOFF_ACK_REPLAYED);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, out_of_state_setup, out_of_state_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_few_out_of_state_segments_pass),
		TEST(many_out_of_state_segments_are_dropped_by_kind),
		TEST(the_rate_of_out_of_state_segments_is_that_of_syns),
		TEST(out_of_state_segments_are_dropped_until_the_hold_time_ends),
		TEST(half_the_rate_keeps_dropping_out_of_state_segments),
		TEST(out_of_state_segments_of_a_bypassed_service_pass_uncounted),
		TEST(out_of_state_segments_of_a_bypassed_socket_pass),
		TEST(out_of_state_segments_pass_where_the_hook_cannot_answer),
		TEST(out_of_state_segments_of_a_service_bypassed_for_netfilter_pass),
		TEST(many_out_of_state_segments_are_dropped_without_a_listener),
		TEST(many_out_of_state_segments_of_a_queue_without_a_server_are_dropped),
		TEST(cookies_of_the_kernel_are_good_during_an_out_of_state_flood),
		TEST(segments_after_cookies_of_the_kernel_pass_during_an_out_of_state_flood),
		TEST(our_cookies_are_good_after_a_syn_flood_during_an_out_of_state_flood),
		TEST(out_of_state_segments_are_counted_where_the_hook_answers),
		TEST(out_of_state_segments_keep_their_verdicts_where_the_hook_answers),
		TEST(honest_clients_are_served_during_an_out_of_state_flood),
		TEST(honest_clients_of_a_queue_are_served_during_an_out_of_state_flood),
	};

	return cmocka_run_group_tests_name("out of state", tests, out_of_state_start, harness_stop);
}
