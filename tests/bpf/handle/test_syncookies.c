/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/listener.c */
/*
 * When the hook begins to answer SYNs with cookies, when it ends, and which cookies are good before, during and after.
 */
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "listener.h"

static const struct segment linux_syn = LINUX_SYN;

static void while_idle_the_kernel_makes_the_handshake(void **state)
{
	static const uint8_t flags[] = { ACK, ACK | PSH, ACK | FIN, RST, 0 };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_IDLE);
	for (size_t i = 0; i < COUNT(flags); i++) {
		const struct segment segment = { .flags = flags[i] };

		assert_verdict(&segment, SHAKEOFF_ACK_IDLE);
	}
	assert_int_equal(harness.service->syns.since_ns, 0);
	assert_int_equal(harness.service->activations, 0);
}

static void a_syn_that_passes_while_idle_is_noted_in_the_filter(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_IDLE);
	assert_true(filter_get(&linux_syn, 0));
}

static void the_first_syn_beyond_the_rate_is_answered(void **state)
{
	enum shakeoff_verdict second = SHAKEOFF_VERDICT_COUNT;
	uint64_t before = monotonic_ns();

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.service->flood_rate = SECOND / SHAKEOFF_FLOOD_WINDOW_NS; /* one in a window */
	for (int i = 0; i < 100 && second != SHAKEOFF_SYNACK_SENT; i++) {
		harness.service->syns.window_ns = 0;
		assert_verdict(&linux_syn, SHAKEOFF_SYN_IDLE);
		second = run_segment(&linux_syn, NULL);
	}
	assert_string_equal(verdict_name(second), verdict_name(SHAKEOFF_SYNACK_SENT));
	assert_int_equal(harness.service->cause, SHAKEOFF_CAUSE_SYN_RATE);
	assert_int_equal(harness.service->activations, 1);
	assert_true(harness.service->syns.since_ns > before - SECOND &&
		    harness.service->syns.since_ns <= monotonic_ns());
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_int_equal(harness.service->activations, 1);
}

static void below_the_rate_it_stays_idle(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	for (int i = 0; i < 50; i++)
		assert_verdict(&linux_syn, SHAKEOFF_SYN_IDLE);
}

/* Handshakes that the client never completes, with SYNs that the hook does not see. */
static void a_syn_queue_half_full_begins_cookies(void **state)
{
	struct segment syn = LINUX_SYN;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	assert_int_equal(system("ip route add 198.51.100.0/24 dev lo"), 0); /* where the SYN-ACKs may go */
	for (int i = 0; i < 3; i++) {
		syn.sport = 41000 + i;
		kernel_receives(&syn);
		generation_raise();
		syn.sport = 42000;
		assert_verdict(&syn, i < 2 ? SHAKEOFF_SYN_IDLE : SHAKEOFF_SYNACK_SENT);
	}
	assert_int_equal(system("ip route del 198.51.100.0/24 dev lo"), 0);
	assert_int_equal(harness.service->cause, SHAKEOFF_CAUSE_SYN_QUEUE);
	assert_int_equal(harness.service->activations, 1);
}

static void clients_in_a_handshake_with_the_kernel_pass(void **state)
{
	struct segment ack = { .from = ipv4.client, .sport = 40008, .flags = ACK };
	int seconds = 5;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	/* Keeps the server in SYN-RECEIVED until data comes. */
	assert_int_equal(setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)), 0);
	clients[0] = connected_socket(&ipv4, 40008);
	harness.service->flood_rate = 0;
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&ack, SHAKEOFF_SOCKET);
}

static void active_since(uint64_t surge_age_ns)
{
	harness.service->syns.since_ns = monotonic_ns() - 60 * SECOND;
	harness.service->syns.last_ns = monotonic_ns() - surge_age_ns;
	harness.service->activations = 1;
}

static void cookies_go_on_for_the_hold_time(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	active_since(SHAKEOFF_FLOOD_HOLD_NS - SECOND);
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_int_not_equal(harness.service->syns.since_ns, 0);
}

static void after_the_hold_time_it_is_idle_again(void **state)
{
	uint64_t before = monotonic_ns();

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	active_since(SHAKEOFF_FLOOD_HOLD_NS + SECOND);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_IDLE);
	assert_int_equal(harness.service->syns.since_ns, 0);
	assert_true(harness.service->released_ns > before - SECOND);
	assert_int_equal(harness.service->activations, 1);
}

static void half_the_rate_keeps_it_active(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.service->flood_rate = 0;
	active_since(SHAKEOFF_FLOOD_HOLD_NS - SECOND);
	for (int i = 0; i < 64; i++)
		assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_true(harness.service->syns.last_ns > monotonic_ns() - SECOND);
}

/* How much longer the surge lasts, from now. */
static int64_t surge_remaining(void)
{
	return (int64_t)(harness.service->syns.last_ns + SHAKEOFF_FLOOD_HOLD_NS - monotonic_ns());
}

/* Sends a burst that begins it; returns the number of SYNs. */
static int burst(uint32_t rate)
{
	int syns = 0;

	harness.service->flood_rate = rate;
	harness.service->syns.since_ns = harness.service->syns.last_ns = harness.service->syns.window_ns = 0;
	harness.service->syns.counted = 0;
	do {
		syns++;
		assert_true(syns < 10000);
	} while (run_segment(&linux_syn, NULL) == SHAKEOFF_SYN_IDLE);
	assert_int_equal(harness.service->cause, SHAKEOFF_CAUSE_SYN_RATE);
	return syns;
}

/* 11 SYNs at once, where half the rate is 500 a second: 22 ms. */
static void one_burst_keeps_cookies_on_for_its_time_at_half_the_rate(void **state)
{
	int64_t remaining;
	int syns;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	syns = burst(1000);
	remaining = surge_remaining();
	assert_in_range(syns, 11, 1000);
	assert_true(remaining <=
		    (int64_t)((syns + 1) * SECOND / 500)); /* the SYN that begins it counts as answered, too */
	usleep(syns * 1000000 / 500 + 20000);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_IDLE);
	assert_int_equal(harness.service->syns.since_ns, 0);
}

/* 140 of them every eight seconds kept it on forever when a window with half the rate was enough. */
static void bursts_do_not_keep_cookies_on(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.service->flood_rate = SHAKEOFF_FLOOD_RATE_DEFAULT;
	active_since(SHAKEOFF_FLOOD_HOLD_NS - 2 * SECOND);
	for (int i = 0; i < 160; i++)
		assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_true(surge_remaining() <= (int64_t)(2 * SECOND + 160 * SECOND / (SHAKEOFF_FLOOD_RATE_DEFAULT / 2)));
}

/* Each SYN of a flood prolongs it by its time at half the rate, up to the hold time. */
static void half_the_rate_on_average_keeps_cookies_on(void **state)
{
	int64_t before, remaining;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.service->flood_rate = 1000;
	active_since(SHAKEOFF_FLOOD_HOLD_NS - SECOND);
	before = surge_remaining();
	for (int i = 0; i < 1000; i++)
		assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	remaining = surge_remaining();
	assert_true(remaining > before + (int64_t)SECOND && remaining <= (int64_t)(3 * SECOND));
	for (int i = 0; i < 5000; i++)
		run_segment(&linux_syn, NULL);
	assert_true(surge_remaining() <= (int64_t)SHAKEOFF_FLOOD_HOLD_NS);
	assert_true(surge_remaining() > (int64_t)(SHAKEOFF_FLOOD_HOLD_NS - SECOND));
}

/* Sends a pulse, then makes it look as if there had been a pause this long. */
static void pulse(int syns, uint64_t pause_ns)
{
	while (syns--)
		assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	harness.service->syns.last_ns -= pause_ns;
}

/* A flood in pulses, five times half the rate on average, is also answered between the pulses. */
static void a_flood_in_pulses_goes_on(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	burst(100);
	for (int i = 0; i < 4; i++)
		pulse(5 * 250, 5 * SECOND);
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_int_equal(harness.service->activations, 1);
}

static void our_cookies_stay_good_after_the_flood(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	active_since(0);
	client_connect(&client, &linux_syn);
	active_since(SHAKEOFF_FLOOD_HOLD_NS + SECOND);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_IDLE);
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	metadata_read();
}

static void our_cookies_stay_good_when_the_service_is_bypassed(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_NEVER;
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	metadata_read();
}

/* Sets whether the one address is bypassed, and how long ago that changed. */
static void address_is_bypassed(bool bypassed, uint64_t age_ns)
{
	harness.service->bypass_changed_s = shakeoff_bypass_clock_s(monotonic_ns() - age_ns);
	address_set(SERVICE | (bypassed ? SHAKEOFF_ADDRESS_BYPASSED : 0));
}

/* The service's other addresses may be served or bypassed. */
static void assert_bypassed_address_takes_cookies(enum shakeoff_syncookies syncookies)
{
	const struct segment no_socket = { .flags = ACK }, rst = { .flags = RST };
	struct client client;

	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	harness.service->syncookies = syncookies;
	address_is_bypassed(true, SECOND);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_BYPASS);
	assert_verdict(&no_socket, SHAKEOFF_ACK_IDLE);
	assert_verdict(&rst, SHAKEOFF_ACK_IDLE);
	client.ack.ack ^= 1;
	assert_verdict(&client.ack, SHAKEOFF_ACK_IDLE);
	client.ack.ack ^= 1;
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	metadata_read();
	address_is_bypassed(false, 0);
}

static void our_cookies_stay_good_when_an_address_is_bypassed(void **state)
{
	(void)state;
	assert_bypassed_address_takes_cookies(SHAKEOFF_SYNCOOKIES_ALWAYS);
}

static void our_cookies_stay_good_when_all_addresses_are_bypassed(void **state)
{
	(void)state;
	harness.service->bypass = SHAKEOFF_BYPASS_NETFILTER; /* the change counts with SHAKEOFF_SYNCOOKIES_NEVER only */
	assert_bypassed_address_takes_cookies(SHAKEOFF_SYNCOOKIES_NEVER);
}

static void segments_of_a_bypassed_service_do_not_count_as_out_of_state(void **state)
{
	const struct segment no_socket = { .flags = ACK };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->flood_rate = 1;
	address_is_bypassed(true, SECOND);
	for (int i = 0; i < 1000; i++)
		assert_verdict(&no_socket, SHAKEOFF_ACK_IDLE);
	assert_int_equal(harness.service->out_of_state.since_ns, 0);
	assert_int_equal(harness.service->out_of_state.counted, 0);
	address_is_bypassed(false, 0);
}

static void segments_of_a_long_bypassed_address_are_not_looked_up(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	address_is_bypassed(true, SHAKEOFF_COOKIE_LIFETIME_NS + 3 * SECOND);
	assert_verdict(&client.ack, SHAKEOFF_ACK_IDLE);
	address_is_bypassed(false, 0);
}

static void segments_are_not_looked_up_when_our_cookies_have_expired(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	active_since(0);
	client_connect(&client, &linux_syn);
	harness.service->syns.since_ns = 0;
	harness.service->released_ns = monotonic_ns() - SHAKEOFF_COOKIE_LIFETIME_NS - SECOND;
	assert_verdict(&client.ack, SHAKEOFF_ACK_IDLE);
}

static void in_a_fleet_cookies_of_another_host_are_good_while_idle(void **state)
{
	const struct segment no_socket = { .flags = ACK };
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	active_since(0);
	client_connect(&client, &linux_syn);
	harness.service->syns.since_ns = 0;
	harness.control->flags |= SHAKEOFF_ACCEPT_NEXT_EPOCH;
	assert_verdict(&no_socket, SHAKEOFF_NO_SOCKET_PASS);
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	metadata_read();
}

static void after_the_flood_acks_without_our_cookie_pass_to_the_kernel(void **state)
{
	static const uint8_t flags[] = { ACK, ACK | PSH, RST, SYN | ACK };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.service->released_ns = monotonic_ns() - SECOND;
	for (size_t i = 0; i < COUNT(flags); i++) {
		const struct segment segment = { .flags = flags[i] };

		assert_verdict(&segment, SHAKEOFF_NO_SOCKET_PASS);
	}
}

static void in_a_flood_acks_without_an_issued_cookie_are_dropped(void **state)
{
	const struct segment ack = { .flags = ACK }, rst = { .flags = RST }, synack = { .flags = SYN | ACK },
			     null = { 0 };
	const struct segment invalid = { .flags = SYN | FIN };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_verdict(&ack, SHAKEOFF_ACK_BAD_COOKIE);
	assert_verdict(&rst, SHAKEOFF_RST_NO_SOCKET);
	assert_verdict(&synack, SHAKEOFF_SYNACK_NO_SOCKET);
	assert_verdict(&null, SHAKEOFF_BAD_SEGMENT);
	assert_verdict(&invalid, SHAKEOFF_SYN_INVALID);
}

/* The ACK to a SYN-ACK that the kernel itself sent before the hook became active. */
static struct segment ack_of_kernel_cookie(void)
{
	const struct segment syn = { .from = ipv4.client, .sport = 40010, .seq = CLIENT_ISN, .flags = SYN };

	return (struct segment){
		.from = ipv4.client, .sport = 40010, .seq = CLIENT_ISN + 1, .ack = kernel_cookie(&syn) + 1, .flags = ACK
	};
}

static void cookies_of_the_kernel_are_good_for_a_while_after_activation(void **state)
{
	struct segment ack, wrong;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	ack = ack_of_kernel_cookie();
	wrong = ack;
	wrong.ack += 0x10000;
	harness.service->syns.since_ns = harness.service->syns.last_ns = monotonic_ns() - SECOND;
	assert_verdict(&ack, SHAKEOFF_ACK_KERNEL_COOKIE);
	assert_verdict(&wrong, SHAKEOFF_ACK_BAD_COOKIE);
	harness.service->syns.since_ns = monotonic_ns() - SHAKEOFF_KERNEL_COOKIE_NS - SECOND;
	harness.control->started_ns = monotonic_ns() - SHAKEOFF_KERNEL_COOKIE_NS - SECOND;
	assert_verdict(&ack, SHAKEOFF_ACK_BAD_COOKIE);
}

/* Without a daemon the kernel may have answered. */
static void cookies_of_the_kernel_are_good_for_a_while_after_the_start_of_a_daemon(void **state)
{
	struct segment ack;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	ack = ack_of_kernel_cookie();
	harness.service->syns.last_ns = monotonic_ns();
	harness.service->syns.since_ns = monotonic_ns() - SHAKEOFF_KERNEL_COOKIE_NS - SECOND;
	harness.control->started_ns = monotonic_ns() - SECOND;
	assert_verdict(&ack, SHAKEOFF_ACK_KERNEL_COOKIE);
}

static void cookies_of_the_kernel_are_good_at_first_with_cookies_always(void **state)
{
	struct segment ack;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	ack = ack_of_kernel_cookie();
	assert_verdict(&ack, SHAKEOFF_ACK_KERNEL_COOKIE);
	assert_int_not_equal(harness.service->syns.since_ns, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, listener_setup, listener_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(while_idle_the_kernel_makes_the_handshake),
		TEST(a_syn_that_passes_while_idle_is_noted_in_the_filter),
		TEST(the_first_syn_beyond_the_rate_is_answered),
		TEST(below_the_rate_it_stays_idle),
		TEST(a_syn_queue_half_full_begins_cookies),
		TEST(clients_in_a_handshake_with_the_kernel_pass),
		TEST(cookies_go_on_for_the_hold_time),
		TEST(after_the_hold_time_it_is_idle_again),
		TEST(half_the_rate_keeps_it_active),
		TEST(one_burst_keeps_cookies_on_for_its_time_at_half_the_rate),
		TEST(bursts_do_not_keep_cookies_on),
		TEST(half_the_rate_on_average_keeps_cookies_on),
		TEST(a_flood_in_pulses_goes_on),
		TEST(our_cookies_stay_good_after_the_flood),
		TEST(our_cookies_stay_good_when_the_service_is_bypassed),
		TEST(our_cookies_stay_good_when_an_address_is_bypassed),
		TEST(our_cookies_stay_good_when_all_addresses_are_bypassed),
		TEST(segments_of_a_bypassed_service_do_not_count_as_out_of_state),
		TEST(segments_of_a_long_bypassed_address_are_not_looked_up),
		TEST(segments_are_not_looked_up_when_our_cookies_have_expired),
		TEST(in_a_fleet_cookies_of_another_host_are_good_while_idle),
		TEST(after_the_flood_acks_without_our_cookie_pass_to_the_kernel),
		TEST(in_a_flood_acks_without_an_issued_cookie_are_dropped),
		TEST(cookies_of_the_kernel_are_good_for_a_while_after_activation),
		TEST(cookies_of_the_kernel_are_good_for_a_while_after_the_start_of_a_daemon),
		TEST(cookies_of_the_kernel_are_good_at_first_with_cookies_always),
	};

	return cmocka_run_group_tests_name("syncookies", tests, harness_start, harness_stop);
}
