/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c */
/* SYNs while the service has no server, no heartbeat, or no room in its queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "harness.h"

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6;

static void without_a_server_the_kernel_answers(void **state)
{
	(void)state;
	harness.service->flags = SHAKEOFF_SERVICE_USED;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_NO_SERVER);
}

static void with_a_daemon_that_stopped_cleanly_the_kernel_answers(void **state)
{
	(void)state;
	harness.control->heartbeat_ns = 0;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_NO_SERVER);
}

static void a_heartbeat_just_under_two_seconds_old_is_enough(void **state)
{
	(void)state;
	harness.control->heartbeat_ns = monotonic_ns() - SHAKEOFF_HEARTBEAT_TIMEOUT_NS + 800000000;
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
}

static void without_a_heartbeat_for_two_seconds_syns_wait(void **state)
{
	(void)state;
	harness.control->heartbeat_ns = monotonic_ns() - SHAKEOFF_HEARTBEAT_TIMEOUT_NS - 20000000;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_DAEMON_DOWN);
}

static void without_a_heartbeat_for_a_cookies_lifetime_the_kernel_answers(void **state)
{
	(void)state;
	harness.control->heartbeat_ns = monotonic_ns() - SHAKEOFF_HEARTBEAT_TIMEOUT_NS - SHAKEOFF_COOKIE_LIFETIME_NS -
					20000000;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_NO_SERVER);
}

static void a_heartbeat_ahead_of_the_hooks_clock_is_fresh(void **state)
{
	(void)state;
	harness.control->heartbeat_ns = monotonic_ns() + 1000000000;
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
}

static void queue_fill(unsigned int waiting, enum shakeoff_overflow overflow)
{
	harness.service->enqueued = 1000 + waiting;
	harness.service->dequeued = 1000;
	harness.service->overflow = overflow;
}

static void one_free_position_in_the_queue_is_enough(void **state)
{
	(void)state;
	queue_fill(99, SHAKEOFF_OVERFLOW_DROP);
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
}

static void a_full_queue_drops_the_syn(void **state)
{
	(void)state;
	queue_fill(100, SHAKEOFF_OVERFLOW_DROP);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_OVERFLOW_DROP);
}

static void more_taken_than_counted_in_is_not_full(void **state)
{
	(void)state;
	harness.service->enqueued = 5;
	harness.service->dequeued = 6;
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
}

/* RFC 9293, section 3.10.7.1: no ACK in the segment: SEQ 0, ACK = SEG.SEQ + SEG.LEN, RST and ACK. */
static void assert_reset(const struct segment *syn, uint32_t ack)
{
	struct reading reading;

	queue_fill(100, SHAKEOFF_OVERFLOW_RESET);
	run_answered(syn, SHAKEOFF_SYN_OVERFLOW_RESET, &reading);
	assert_int_equal(reading.flags, RST | ACK);
	assert_int_equal(reading.seq, 0);
	assert_int_equal(reading.ack, ack);
	assert_int_equal(reading.window, 0);
	assert_int_equal(reading.options_len, 0);
	assert_int_equal(reading.sport, 80);
	assert_int_equal(reading.dport, 40000);
}

static void a_full_queue_resets_the_syn(void **state)
{
	(void)state;
	assert_reset(&linux_syn, CLIENT_ISN + 1);
}

static void a_full_queue_resets_the_syn_over_ipv6(void **state)
{
	(void)state;
	assert_reset(&linux_syn6, CLIENT_ISN + 1);
}

static void a_reset_acknowledges_the_data_of_the_syn(void **state)
{
	struct segment syn = linux_syn;

	(void)state;
	syn.payload = (struct bytes){ "GET /", 5 };
	assert_reset(&syn, CLIENT_ISN + 1 + 5);
}

static void a_reset_of_a_tagged_syn_is_tagged(void **state)
{
	struct segment syn = linux_syn;

	(void)state;
	syn.tags = 1;
	assert_reset(&syn, CLIENT_ISN + 1);
}

static void a_reset_of_a_tagged_short_syn_fits(void **state)
{
	const struct segment syn = { .seq = CLIENT_ISN, .flags = SYN, .tags = 1 };

	(void)state;
	assert_reset(&syn, CLIENT_ISN + 1);
}

#define TEST(function) cmocka_unit_test_setup(function, harness_reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_server_the_kernel_answers),
		TEST(with_a_daemon_that_stopped_cleanly_the_kernel_answers),
		TEST(a_heartbeat_just_under_two_seconds_old_is_enough),
		TEST(without_a_heartbeat_for_two_seconds_syns_wait),
		TEST(without_a_heartbeat_for_a_cookies_lifetime_the_kernel_answers),
		TEST(a_heartbeat_ahead_of_the_hooks_clock_is_fresh),
		TEST(one_free_position_in_the_queue_is_enough),
		TEST(a_full_queue_drops_the_syn),
		TEST(more_taken_than_counted_in_is_not_full),
		TEST(a_full_queue_resets_the_syn),
		TEST(a_full_queue_resets_the_syn_over_ipv6),
		TEST(a_reset_acknowledges_the_data_of_the_syn),
		TEST(a_reset_of_a_tagged_syn_is_tagged),
		TEST(a_reset_of_a_tagged_short_syn_fits),
	};

	return cmocka_run_group_tests_name("SYNs of a service", tests, harness_start, harness_stop);
}
