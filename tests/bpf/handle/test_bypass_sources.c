/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sources whose SYNs pass to the kernel: which of them pass, and which become known.
 *
 * link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/acl_fixture.c user/datapath/?*.c user/common/process.c
 * link: user/common/link.c user/common/log.c user/acl/?*.c user/common/prefix.c user/common/text.c tests/bpf/sources.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <shakeoff/prefix_hash.h>

#include "sources.h"

/*
 * SYNs that the hook does not answer because it has no route for the reply: three more may pass in a window that does
 * not end while a test runs, and three more of known sources.
 */
static void few_may_pass(void)
{
	uint32_t most = SHAKEOFF_SYN_EXCEPTIONS / (SECOND / SHAKEOFF_BUDGET_WINDOW_NS);

	harness.control->flags |= SHAKEOFF_ANSWER_ROUTE;
	harness.service->budget_window = monotonic_ns() / SHAKEOFF_BUDGET_WINDOW_NS + 100;
	harness.service->budget_syns = harness.service->budget_known = most - 3;
}

static void known_sources_pass_beyond_what_others_may(void **state)
{
	(void)state;
	assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	few_may_pass();
	assert_int_equal(syns_that("198.51.100.8", 6, SHAKEOFF_SYN_UNROUTED, SHAKEOFF_SYN_UNROUTED_RATE), 3);
	assert_int_equal(syns_that("198.51.100.7", 6, SHAKEOFF_SYN_UNROUTED, SHAKEOFF_SYN_UNROUTED_RATE), 3);
}

/* Like the test of the reply budget. */
static void a_slow_cpu_does_not_restore_the_old_window_of_exceptions(void **state)
{
	(void)state;
	few_may_pass();
	harness.service->budget_syns += 3;
	assert_syn("198.51.100.8", SHAKEOFF_SYN_UNROUTED_RATE);
}

static void sources_with_a_connection_by_the_kernel_become_known(void **state)
{
	struct segment segment = { .from = "10.9.0.2", .sport = 30000, .seq = 1, .ack = 1, .flags = ACK };

	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_NEVER);
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	connected[0] = connected_socket(&ipv4, 30000);
	for (int i = 1; i < 64; i++)
		assert_verdict(&segment, SHAKEOFF_ACK_IDLE);
	assert_verdict(&segment, SHAKEOFF_SOCKET); /* its segment was looked up */
	assert_int_equal(count_of(harness.sources), 1);
}

static void segments_without_a_connection_make_no_source_known(void **state)
{
	struct segment segment = { .from = "10.9.0.2", .sport = 30001, .seq = 1, .ack = 1, .flags = ACK };

	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_NEVER);
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	for (int i = 1; i <= 128; i++)
		assert_verdict(&segment, i % 64 ? SHAKEOFF_ACK_IDLE : SHAKEOFF_NO_SOCKET_PASS);
	assert_int_equal(count_of(harness.sources), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, sources_setup, sources_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(known_sources_pass_beyond_what_others_may),
		TEST(a_slow_cpu_does_not_restore_the_old_window_of_exceptions),
		TEST(sources_with_a_connection_by_the_kernel_become_known),
		TEST(segments_without_a_connection_make_no_source_known),
	};

	return cmocka_run_group_tests_name("sources and the bypass", tests, sources_start, sources_stop);
}
