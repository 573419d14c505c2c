/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Scans of the kernel's listening sockets: equal sockets are one entry, most scans omit crowds, and the cost of the
 * scans decides when the next is made.
 *
 * link: user/shakeoffd/discovery/listener_scan.c user/shakeoffd/sys/background_task.c user/shakeoffd/sys/event_loop.c
 * link: user/common/log.c
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shakeoffd/discovery/listener_scan.h"

/* The kernel's list: `count` sockets at each port. */
static struct {
	uint16_t port;
	uint32_t uid;
	size_t count;
} kernel[8];
static size_t kernel_count;
static size_t described, skipped;
static int failure;

int sock_diag_each_listener_but(const struct sock_diag_skip *skips, size_t skip_count,
				int (*callback)(void *context, const struct sock_diag_listener *listener),
				void *context)
{
	int error = failure;

	described = 0;
	skipped = skip_count;
	for (size_t k = 0; k < kernel_count && !error; k++) {
		struct sock_diag_listener socket = { .family = AF_INET, .port = kernel[k].port, .uid = kernel[k].uid };
		bool skip = false;

		for (size_t s = 0; s < skip_count; s++)
			skip |= skips[s].family == AF_INET && skips[s].port == socket.port &&
				IN6_ARE_ADDR_EQUAL(&skips[s].address, &socket.address);
		for (size_t i = 0; i < kernel[k].count && !skip && !error; i++) {
			socket.inode = (uint32_t)(1000 * k + i);
			socket.backlog = (uint32_t)i;
			described++;
			error = callback(context, &socket);
		}
	}
	return error;
}

static struct listener_scan scan;
static uint64_t now;

static int begin(void **state)
{
	(void)state;
	memset(kernel, 0, sizeof(kernel));
	kernel_count = 0;
	failure = 0;
	now = 1000 * NS_PER_S;
	return listener_scan_open(&scan);
}

static int end(void **state)
{
	(void)state;
	listener_scan_close(&scan);
	return 0;
}

static void listens(uint16_t port, uint32_t uid, size_t count)
{
	kernel[kernel_count].port = port;
	kernel[kernel_count].uid = uid;
	kernel[kernel_count++].count = count;
}

/* Runs a scan, with these costs from then on. Without a thread it is done at once. */
static int scan_costs(uint64_t whole_ms, uint64_t ms)
{
	int error = 0;

	listener_scan_begin(&scan, now, NULL, 0);
	assert_true(listener_scan_take(&scan, &error));
	scan.whole_cost_ns = whole_ms * NS_PER_MS;
	scan.cost_ns = ms * NS_PER_MS;
	return error;
}

static const struct listener_scan_entry *entry_at(uint16_t port)
{
	for (size_t i = 0; i < scan.seen.count; i++)
		if (scan.seen.list[i].socket.port == port)
			return &scan.seen.list[i];
	return NULL;
}

static void equal_sockets_are_one_entry(void **state)
{
	(void)state;
	listens(80, 0, 3);
	listens(81, 1000, 1);
	assert_int_equal(scan_costs(1, 1), 0);
	assert_int_equal(scan.seen.count, 2);
	assert_int_equal(entry_at(80)->count, 3);
	assert_int_equal(entry_at(80)->socket.backlog, 2);
}

static void sockets_passed_to_the_daemon_are_omitted(void **state)
{
	const uint32_t own[] = { 0, 2 };
	int error;

	(void)state;
	listens(80, 0, 3);
	listener_scan_begin(&scan, now, own, 2);
	assert_true(listener_scan_take(&scan, &error));
	assert_int_equal(entry_at(80)->count, 1);
}

static void a_cheap_scan_is_made_twice_a_second(void **state)
{
	(void)state;
	assert_true(listener_scan_is_due(&scan, now));
	scan_costs(1, 1);
	now += LISTENER_SCAN_PERIOD_NS - 1;
	assert_false(listener_scan_is_due(&scan, now));
	now += 1;
	assert_true(listener_scan_is_due(&scan, now));
}

static void an_expensive_scan_takes_a_twentieth_of_a_cpu(void **state)
{
	(void)state;
	scan_costs(200, 0);
	now += 20 * 200 * NS_PER_MS - 1;
	assert_false(listener_scan_is_due(&scan, now));
	now += 1;
	assert_true(listener_scan_is_due(&scan, now));
}

static void most_scans_omit_a_crowd_and_assume_it_unchanged(void **state)
{
	size_t whole = 0, all = 0;

	(void)state;
	listens(80, 0, 1);
	listens(9000, 1000, 30000);
	scan_costs(100, 1);
	for (uint64_t end_ns = now + 60 * NS_PER_S; now < end_ns; now += 100 * NS_PER_MS) {
		if (!listener_scan_is_due(&scan, now))
			continue;
		scan_costs(100, 1);
		all++;
		whole += described > 1;
		assert_int_equal(entry_at(9000)->count, 30000);
		assert_int_equal(entry_at(9000)->socket.uid, 1000);
		assert_int_equal(entry_at(80)->count, 1);
	}
	assert_true(all >= 119);
	/* 100 ms each: half of a twentieth. */
	assert_true(whole >= 13 && whole <= 16);
}

static void a_new_socket_beside_a_crowd_is_seen_at_once(void **state)
{
	(void)state;
	listens(9000, 1000, 30000);
	scan_costs(1000, 1);
	listens(80, 0, 1);
	now += LISTENER_SCAN_PERIOD_NS;
	assert_true(listener_scan_is_due(&scan, now));
	scan_costs(1000, 1);
	assert_int_equal(described, 1);
	assert_non_null(entry_at(80));
}

static void a_crowd_that_has_gone_is_forgotten(void **state)
{
	(void)state;
	listens(9000, 1000, 30000);
	scan_costs(100, 1);
	kernel_count = 0;
	now += 40 * 100 * NS_PER_MS;
	scan_costs(1, 1);
	assert_int_equal(scan.seen.count, 0);
	now += LISTENER_SCAN_PERIOD_NS;
	scan_costs(1, 1);
	assert_int_equal(skipped, 1);
}

static void after_a_failed_scan_the_next_is_made(void **state)
{
	(void)state;
	listens(80, 0, 1);
	failure = -ENOBUFS;
	assert_int_equal(scan_costs(1, 1), -ENOBUFS);
	failure = 0;
	now += LISTENER_SCAN_PERIOD_NS;
	assert_true(listener_scan_is_due(&scan, now));
	assert_int_equal(scan_costs(1, 1), 0);
	assert_non_null(entry_at(80));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(equal_sockets_are_one_entry),
		TEST(sockets_passed_to_the_daemon_are_omitted),
		TEST(a_cheap_scan_is_made_twice_a_second),
		TEST(an_expensive_scan_takes_a_twentieth_of_a_cpu),
		TEST(most_scans_omit_a_crowd_and_assume_it_unchanged),
		TEST(a_new_socket_beside_a_crowd_is_seen_at_once),
		TEST(a_crowd_that_has_gone_is_forgotten),
		TEST(after_a_failed_scan_the_next_is_made),
	};

	return cmocka_run_group_tests_name("listener_scan", tests, NULL, NULL);
}
