/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How much of an accept queue one source, or one site, may hold.
 *
 * link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/acl_fixture.c user/datapath/?*.c user/common/process.c
 * link: user/common/link.c user/common/log.c user/acl/?*.c user/common/prefix.c user/common/text.c tests/bpf/sources.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include <shakeoff/prefix_hash.h>

#include "sources.h"

static void no_source_holds_more_positions_than_are_free(void **state)
{
	(void)state;
	shared_queue();
	assert_int_equal(takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP), CAPACITY / 2);
	assert_int_equal(takes("198.51.100.8", SHAKEOFF_SYN_SHARE_DROP), CAPACITY / 4);
	assert_opens("198.51.100.9", SHAKEOFF_ACK_VALID);
}

/* For example a proxy in front of all clients. */
static void a_single_source_leaves_an_eighth(void **state)
{
	(void)state;
	shared_queue();
	for (int i = 0; i < CAPACITY - CAPACITY / 8; i++)
		assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	assert_opens("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
	assert_opens("198.51.100.8", SHAKEOFF_ACK_VALID);
	assert_syn("198.51.100.7", SHAKEOFF_SYN_SHARE_DROP);
}

static void the_exception_for_a_single_source_ends_with_the_second(void **state)
{
	(void)state;
	shared_queue();
	for (int i = 0; i < CAPACITY / 2; i++)
		assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	assert_opens("198.51.100.8", SHAKEOFF_ACK_VALID);
	assert_opens("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
}

static void no_ipv6_source_holds_more_positions_than_are_free(void **state)
{
	(void)state;
	shared_queue();
	assert_int_equal(takes("2001:db8:7:1::7", SHAKEOFF_ACK_SHARE_DROP), CAPACITY / 2);
	assert_opens("2001:db8:7:2::7", SHAKEOFF_ACK_VALID);
	/* Another source of the same /64. */
	assert_syn("2001:db8:7:1::8", SHAKEOFF_SYN_SHARE_DROP);
}

/* A site may hold four positions for each free one. */
static void no_site_holds_more_than_four_fifths(void **state)
{
	(void)state;
	shared_queue();
	assert_int_equal(site_takes(SHAKEOFF_ACK_SHARE_DROP), 26);
	assert_syn("2001:db8:7:ffff::7", SHAKEOFF_SYN_SHARE_DROP);
	assert_opens("2001:db8:8:1::7", SHAKEOFF_ACK_VALID);
	assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
}

/* For example a proxy with many addresses in front of all clients. */
static void a_site_with_the_single_source_leaves_an_eighth(void **state)
{
	(void)state;
	shared_queue();
	for (int i = 0; i < CAPACITY - CAPACITY / 8; i++)
		assert_opens("2001:db8:7:1::7", SHAKEOFF_ACK_VALID);
	assert_opens("2001:db8:7:1::7", SHAKEOFF_ACK_SHARE_DROP);
	/*
	 * The free positions are for other sources of its site, too: the next source ends the exception for a single
	 * source.
	 */
	assert_syn("2001:db8:7:2::7", SHAKEOFF_SYNACK_SENT);
	assert_opens("2001:db8:7:2::7", SHAKEOFF_ACK_VALID);
	assert_syn("2001:db8:7:1::7", SHAKEOFF_SYN_SHARE_DROP);
}

static void a_source_at_its_fair_share_gets_no_cookie(void **state)
{
	(void)state;
	shared_queue();
	takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
	assert_syn("198.51.100.7", SHAKEOFF_SYN_SHARE_DROP);
	assert_syn("198.51.100.8", SHAKEOFF_SYNACK_SENT);
}

static void with_overflow_reset_a_source_at_its_fair_share_is_reset(void **state)
{
	struct reading reading;
	struct segment syn;

	(void)state;
	shared_queue();
	harness.service->overflow = SHAKEOFF_OVERFLOW_RESET;
	takes("198.51.100.7", SHAKEOFF_ACK_SHARE_RESET);
	syn = syn_from("198.51.100.7");
	run_answered(&syn, SHAKEOFF_SYN_SHARE_RESET, &reading);
	assert_int_equal(reading.flags, RST | ACK);
}

/* A flood in a queue that happens to be short costs no look-ups. */
static void syns_are_not_checked_when_no_source_is_at_its_fair_share(void **state)
{
	(void)state;
	shared_queue();
	takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
	harness.service->fair_share_ns -= SHAKEOFF_FAIR_SHARE_WATCH_NS + SECOND;
	others_come();
	assert_syn("198.51.100.7", SHAKEOFF_SYNACK_SENT);
	assert_opens("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
	assert_syn("198.51.100.7", SHAKEOFF_SYN_SHARE_DROP);
}

static void positions_of_accepted_connections_are_free_again(void **state)
{
	(void)state;
	shared_queue();
	takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
	harness.service->dequeued = harness.service->enqueued;
	assert_int_equal(takes("198.51.100.7", SHAKEOFF_SYN_SHARE_DROP), CAPACITY / 2);
}

/* For example connections over loopback, and those of another datapath, use up positions of this queue. */
static void positions_of_a_source_are_known_when_others_take_positions_elsewhere(void **state)
{
	(void)state;
	shared_queue();
	takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
	harness.service->dequeued = harness.service->enqueued - 12;
	harness.service->capacity = CAPACITY - 2;
	assert_int_equal(takes("198.51.100.7", SHAKEOFF_SYN_SHARE_DROP), 3);
}

static void a_queue_with_three_quarters_free_is_not_shared(void **state)
{
	(void)state;
	shared_queue();
	takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
	harness.service->dequeued = harness.service->enqueued - CAPACITY / 4 + 1;
	assert_syn("198.51.100.7", SHAKEOFF_SYNACK_SENT);
}

static void a_small_queue_is_not_shared(void **state)
{
	(void)state;
	shared_queue();
	harness.service->capacity = SHAKEOFF_FAIR_SHARE_CAPACITY_MIN - 1;
	assert_int_equal(syns_that("198.51.100.7", 1, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYNACK_SENT), 1);
	for (__u32 i = 0; i < SHAKEOFF_FAIR_SHARE_CAPACITY_MIN - 1; i++)
		assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	assert_syn("198.51.100.7", SHAKEOFF_SYN_OVERFLOW_DROP);
}

static void assert_takes_all(const char *from)
{
	for (int i = 0; i < CAPACITY; i++)
		assert_opens(from, SHAKEOFF_ACK_VALID);
	assert_syn(from, SHAKEOFF_SYN_OVERFLOW_DROP);
}

static void without_fair_share_one_source_takes_all(void **state)
{
	(void)state;
	shared_queue();
	harness.service->fair_share = 0;
	assert_takes_all("198.51.100.7");
}

static void an_allowed_source_takes_all(void **state)
{
	(void)state;
	shared_queue();
	acl_fixture_add("allow 198.51.100.7\n");
	assert_takes_all("198.51.100.7");
}

static void a_listening_socket_is_shared_as_well(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->fair_share = 1;
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	assert_int_equal(takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP), CAPACITY / 2);
	assert_syn("198.51.100.7", SHAKEOFF_SYN_SHARE_DROP);
	assert_opens("198.51.100.8", SHAKEOFF_ACK_ADMITTED);
}

static void fill_accept_queue(int count)
{
	for (int i = 0; i < count; i++)
		connected[i] = connected_socket(&ipv4, 0);
	generation_raise();
}

/* The kernel's connections in it have no queue number; they count as taken. */
static void positions_that_the_kernel_filled_count(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->fair_share = 1;
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	fill_accept_queue(CAPACITY / 2);
	assert_int_equal(takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP), CAPACITY / 4);
	assert_opens("198.51.100.8", SHAKEOFF_ACK_ADMITTED);
}

static void a_half_full_accept_queue_makes_it_active(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.service->fair_share = 1;
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	fill_accept_queue(CAPACITY / 2 - 1);
	assert_syn("198.51.100.7", SHAKEOFF_SYN_IDLE);
	connected[CAPACITY / 2] = connected_socket(&ipv4, 0);
	generation_raise();
	assert_syn("198.51.100.7", SHAKEOFF_SYNACK_SENT);
	assert_int_equal(harness.service->cause, SHAKEOFF_CAUSE_ACCEPT_QUEUE);
}

/*
 * The positions that the kernel fills while idle have no queue number. They must not count for sources of the last
 * flood.
 */
static void positions_of_the_last_flood_are_not_held_in_the_next(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->fair_share = 1;
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
	harness.service->dequeued = harness.service->enqueued; /* they came to the socket, and were accepted */
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE;
	harness.service->syns.since_ns = 0;
	fill_accept_queue(CAPACITY / 2);
	others_come();
	assert_opens("198.51.100.7", SHAKEOFF_ACK_ADMITTED);
	assert_int_equal(harness.service->cause, SHAKEOFF_CAUSE_ACCEPT_QUEUE);
}

static void without_fair_share_a_half_full_accept_queue_stays_idle(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	fill_accept_queue(CAPACITY - 2);
	assert_syn("198.51.100.7", SHAKEOFF_SYN_IDLE);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, sources_setup, sources_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_source_holds_more_positions_than_are_free),
		TEST(a_single_source_leaves_an_eighth),
		TEST(the_exception_for_a_single_source_ends_with_the_second),
		TEST(no_ipv6_source_holds_more_positions_than_are_free),
		TEST(no_site_holds_more_than_four_fifths),
		TEST(a_site_with_the_single_source_leaves_an_eighth),
		TEST(a_source_at_its_fair_share_gets_no_cookie),
		TEST(with_overflow_reset_a_source_at_its_fair_share_is_reset),
		TEST(syns_are_not_checked_when_no_source_is_at_its_fair_share),
		TEST(positions_of_accepted_connections_are_free_again),
		TEST(positions_of_a_source_are_known_when_others_take_positions_elsewhere),
		TEST(a_queue_with_three_quarters_free_is_not_shared),
		TEST(a_small_queue_is_not_shared),
		TEST(without_fair_share_one_source_takes_all),
		TEST(an_allowed_source_takes_all),
		TEST(a_listening_socket_is_shared_as_well),
		TEST(positions_that_the_kernel_filled_count),
		TEST(a_half_full_accept_queue_makes_it_active),
		TEST(positions_of_the_last_flood_are_not_held_in_the_next),
		TEST(without_fair_share_a_half_full_accept_queue_stays_idle),
	};

	return cmocka_run_group_tests_name("fair share of the accept queue", tests, sources_start, sources_stop);
}
