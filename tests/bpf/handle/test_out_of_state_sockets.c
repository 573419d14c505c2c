/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/out_of_state.c */
/* Segments that do have a socket, among many that have none. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include <shakeoff/socket_filter.h>

#include "out_of_state.h"

/*
 * Of the segments that pass by the filter alone, every SAMPLE-th is looked up: SEGMENT_SAMPLE of
 * bpf/handle/out_of_state.h.
 */
#define SAMPLE 64

static const struct segment ack_without_socket = { .flags = ACK };

/* Returns a segment of a connection of the host that is open now. */
static struct segment connected(uint8_t flags)
{
	client = connected_socket(&ipv4, 40020);
	return (struct segment){ .from = ipv4.client, .sport = 40020, .flags = flags };
}

static void a_tuple_in_the_filter_passes_without_a_look_up(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	filter_fill(SHAKEOFF_FILTER_SOCKET);
	for (int i = 1; i < SAMPLE; i++)
		assert_verdict(&ack_without_socket, SHAKEOFF_ACK_IDLE);
	assert_int_equal(harness.service->out_of_state.counted, 0);
}

/* An attacker that set a filter slot with a SYN floods from that same tuple. */
static void a_sample_of_the_tuples_in_the_filter_is_looked_up(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	filter_fill(SHAKEOFF_FILTER_SOCKET);
	for (int i = 1; i < SAMPLE; i++)
		assert_verdict(&ack_without_socket, SHAKEOFF_ACK_IDLE);
	assert_verdict(&ack_without_socket, SHAKEOFF_NO_SOCKET_PASS);
	assert_int_equal(harness.service->out_of_state.counted, SAMPLE);
	surge_note();
	assert_verdict(&ack_without_socket, SHAKEOFF_NO_SOCKET_DROP);
}

/* Three of them in a window are a flood, or the fourth where each counts for its whole sample; two are none. */
static void samples_of_a_low_rate_count_for_fewer(void **state)
{
	static const uint32_t rates[] = { 1000, 5000, 12800, SHAKEOFF_FLOOD_RATE_DEFAULT };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	for (size_t i = 0; i < COUNT(rates); i++) {
		uint32_t in_a_window = rates[i] / WINDOWS_A_SECOND;
		int sampled = in_a_window / (in_a_window < 2 * SAMPLE ? in_a_window / 2 : SAMPLE) + 1;

		filter_fill(SHAKEOFF_FILTER_SOCKET);
		harness.service->flood_rate = rates[i];
		harness.service->out_of_state.since_ns = harness.service->out_of_state.counted = 0;
		harness.service->out_of_state.window_ns = monotonic_ns() + SECOND; /* one that does not end */
		for (int k = 0; k < (sampled - 1) * SAMPLE; k++)
			run_segment(&ack_without_socket, NULL);
		assert_int_equal(harness.service->out_of_state.since_ns, 0);
		for (int k = 0; k < SAMPLE; k++)
			run_segment(&ack_without_socket, NULL);
		assert_int_not_equal(harness.service->out_of_state.since_ns, 0);
	}
}

static void a_connection_passes_during_an_out_of_state_flood(void **state)
{
	static const uint8_t flags[] = {
		ACK, ACK | PSH, FIN | ACK, RST, RST | ACK, SYN | ACK, FIN, 0, FIN | PSH | URG
	};
	static const enum shakeoff_syncookies activates[] = { SHAKEOFF_SYNCOOKIES_ADAPTIVE, SHAKEOFF_SYNCOOKIES_ALWAYS,
							      SHAKEOFF_SYNCOOKIES_NEVER };
	struct segment segment;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	segment = connected(ACK);
	filter_fill(SHAKEOFF_FILTER_SOCKET);
	for (size_t e = 0; e < COUNT(activates); e++) {
		harness.service->syncookies = activates[e];
		surge_note();
		for (size_t i = 0; i < COUNT(flags); i++) {
			segment.flags = flags[i];
			assert_verdict(&segment, SHAKEOFF_SOCKET);
		}
	}
}

/* Does the same, but binds the server's end to another device: as when frames go on to a VRF or a VLAN's device. */
static struct segment connected_elsewhere(void)
{
	struct segment segment = connected(ACK);

	accepted = accept(listeners[0], NULL, NULL);
	assert_true(accepted >= 0);
	assert_int_equal(setsockopt(accepted, SOL_SOCKET, SO_BINDTODEVICE, "s1", 3), 0);
	return segment;
}

static void a_connection_of_a_vrf_passes_and_is_not_out_of_state(void **state)
{
	static const enum shakeoff_syncookies activates[] = { SHAKEOFF_SYNCOOKIES_ADAPTIVE, SHAKEOFF_SYNCOOKIES_NEVER };
	struct shakeoff_interface profile = interface_default();
	struct segment segment;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	segment = connected_elsewhere();
	profile.in_vrf = 1;
	interface_set(&profile);
	harness.service->flood_rate = 0;
	for (size_t i = 0; i < COUNT(activates); i++) {
		harness.service->syncookies = activates[i];
		harness.service->out_of_state.since_ns = 0;
		assert_verdict(&segment, SHAKEOFF_ACK_IDLE);
		assert_int_equal(harness.service->out_of_state.since_ns, 0);
		surge_note();
		assert_verdict(&segment, SHAKEOFF_ACK_IDLE);
	}
}

/* The filter has their tuples: their SYNs passed. */
static void connections_of_a_socket_that_listens_on_another_device_pass(void **state)
{
	struct segment segment;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	segment = connected_elsewhere();
	for (size_t i = 0; i < COUNT(listeners); i++)
		assert_int_equal(setsockopt(listeners[i], SOL_SOCKET, SO_BINDTODEVICE, "s1", 3), 0);
	filter_fill(SHAKEOFF_FILTER_SOCKET);
	surge_note();
	assert_verdict(&segment, SHAKEOFF_ACK_NO_SERVER);
	filter_fill(0);
	assert_verdict(&segment, SHAKEOFF_NO_SOCKET_DROP);
}

static void a_handshake_of_the_kernel_passes_during_an_out_of_state_flood(void **state)
{
	struct segment ack;
	int seconds = 5;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	/* Keeps the server in SYN-RECEIVED until data comes. */
	assert_int_equal(setsockopt(listeners[0], IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)), 0);
	ack = connected(ACK);
	filter_fill(SHAKEOFF_FILTER_SOCKET);
	surge_note();
	assert_verdict(&ack, SHAKEOFF_SOCKET);
}

/* The host begins a connection from the service's port, whose tuple the filter cannot have yet. */
static void assert_own_connection_passes(void)
{
	const struct segment synack = { .sport = 40022, .flags = SYN | ACK }, ack = { .sport = 40022, .flags = ACK };
	const struct segment refusal = { .sport = 40022, .flags = RST | ACK, .ack = CLIENT_ISN };
	union address to = make_address(&ipv4, "198.51.100.7", 40022);
	int own = bound_socket(&ipv4, ipv4.server, 80);

	assert_int_equal(fcntl(own, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(connect(own, &to.any, sizeof(to.in)), -1);
	assert_int_equal(errno, EINPROGRESS);
	surge_note();
	filter_fill(0);
	assert_verdict(&refusal, SHAKEOFF_SOCKET);
	filter_fill(0);
	assert_verdict(&synack, SHAKEOFF_SOCKET);
	assert_int_equal(filter_get(&synack, 0), SHAKEOFF_FILTER_SOCKET);
	for (int i = 0; i < 2 * SAMPLE; i++)
		assert_verdict(&ack, SHAKEOFF_SOCKET);
	reset_socket(&own);
}

static void a_connection_that_the_host_begins_passes_during_an_out_of_state_flood(void **state)
{
	(void)state;
	assert_int_equal(system("ip route add 198.51.100.0/24 dev lo"), 0); /* where its SYN may go */
	assert_own_connection_passes();
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_own_connection_passes();
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE;
	assert_own_connection_passes();
	assert_int_equal(system("ip route del 198.51.100.0/24 dev lo"), 0);
}

static void a_socket_that_is_missing_in_the_filter_is_added(void **state)
{
	struct segment segment;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	segment = connected(ACK);
	assert_int_equal(filter_get(&segment, 0), 0);
	assert_verdict(&segment, SHAKEOFF_SOCKET);
	assert_int_equal(filter_get(&segment, 0), SHAKEOFF_FILTER_SOCKET);
}

/* Without a look-up it counts as out of state, but not for long. */
static void a_socket_that_is_missing_in_the_filter_is_added_during_an_out_of_state_flood(void **state)
{
	struct segment segment;
	int dropped = 0;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	segment = connected(ACK);
	surge_note();
	while (run_segment(&segment, NULL) != SHAKEOFF_SOCKET)
		assert_true(++dropped < SAMPLE);
	for (int i = 0; i < 2 * SAMPLE; i++)
		assert_verdict(&segment, SHAKEOFF_SOCKET);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, out_of_state_setup, out_of_state_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_tuple_in_the_filter_passes_without_a_look_up),
		TEST(a_sample_of_the_tuples_in_the_filter_is_looked_up),
		TEST(samples_of_a_low_rate_count_for_fewer),
		TEST(a_connection_passes_during_an_out_of_state_flood),
		TEST(a_connection_of_a_vrf_passes_and_is_not_out_of_state),
		TEST(connections_of_a_socket_that_listens_on_another_device_pass),
		TEST(a_handshake_of_the_kernel_passes_during_an_out_of_state_flood),
		TEST(a_connection_that_the_host_begins_passes_during_an_out_of_state_flood),
		TEST(a_socket_that_is_missing_in_the_filter_is_added),
		TEST(a_socket_that_is_missing_in_the_filter_is_added_during_an_out_of_state_flood),
	};

	return cmocka_run_group_tests_name("sockets beside out-of-state segments", tests, out_of_state_start,
					   harness_stop);
}
