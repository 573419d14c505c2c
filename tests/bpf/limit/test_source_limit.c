/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How many SYNs and connections one source, or one site, may have.
 *
 * link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/acl_fixture.c user/datapath/?*.c user/common/process.c
 * link: user/common/link.c user/common/log.c user/acl/?*.c user/common/prefix.c user/common/text.c tests/bpf/sources.c
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

#include <shakeoff/prefix_hash.h>
#include <shakeoff/source.h>

#include "sources.h"

static void accept_limit(uint32_t interval_ns, uint32_t burst)
{
	harness.service->accept_interval_ns = interval_ns;
	harness.service->accept_burst = burst;
}

static void a_source_opens_no_more_connections_than_its_limit(void **state)
{
	(void)state;
	accept_limit(SECOND, 5);
	assert_int_equal(takes("198.51.100.7", SHAKEOFF_ACK_SOURCE_RATE), 5);
	assert_opens("198.51.100.8", SHAKEOFF_ACK_VALID);
	nanosleep(&(struct timespec){ .tv_sec = 1, .tv_nsec = 200 * MS }, NULL);
	assert_int_equal(takes("198.51.100.7", SHAKEOFF_ACK_SOURCE_RATE), 1);
}

static void a_source_may_be_a_prefix(void **state)
{
	(void)state;
	accept_limit(SECOND, 2);
	harness.service->source_prefix4 = 24;
	harness.service->source_prefix6 = 48;
	assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	assert_opens("198.51.100.8", SHAKEOFF_ACK_VALID);
	assert_opens("198.51.100.9", SHAKEOFF_ACK_SOURCE_RATE);
	assert_opens("198.51.101.9", SHAKEOFF_ACK_VALID);
	assert_opens("2001:db8:7:1::1", SHAKEOFF_ACK_VALID);
	assert_opens("2001:db8:7:2::1", SHAKEOFF_ACK_VALID);
	assert_opens("2001:db8:7:3::1", SHAKEOFF_ACK_SOURCE_RATE);
	assert_opens("2001:db8:8:3::1", SHAKEOFF_ACK_VALID);
}

static void the_limits_skip_an_allowed_source(void **state)
{
	(void)state;
	accept_limit(SECOND, 1);
	harness.service->syn_interval_ns = SECOND;
	harness.service->syn_burst = harness.service->syn_hot = 1;
	acl_fixture_add("allow 198.51.100.0/24\n");
	for (int i = 0; i < 10; i++)
		assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
}

/* Neither do connections that it opened under a lower limit that the configuration has raised since. */
static void connections_of_an_allowed_source_do_not_count_later(void **state)
{
	(void)state;
	harness.service->capacity = 1000;
	accept_limit(SECOND / 4, 2);
	acl_fixture_add("allow 198.51.100.7\n");
	for (int i = 0; i < 40; i++)
		assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	acl_fixture_reset();
	nanosleep(&(struct timespec){ .tv_sec = 1, .tv_nsec = 600 * MS }, NULL);
	assert_in_range(takes("198.51.100.7", SHAKEOFF_ACK_SOURCE_RATE), 1, 2);
}

static void the_limit_holds_for_listening_sockets(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	accept_limit(SECOND, 3);
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* the socket takes one more */
	assert_int_equal(takes("198.51.100.7", SHAKEOFF_ACK_SOURCE_RATE), 3);
}

static void a_site_opens_as_many_connections_as_sixteen_sources(void **state)
{
	(void)state;
	harness.service->capacity = 1000;
	accept_limit(4000000000u, 2); /* one more of the site every 250 ms */
	assert_in_range(site_takes(SHAKEOFF_ACK_SOURCE_RATE), 2 * SHAKEOFF_SITE_LIMITS, 2 * SHAKEOFF_SITE_LIMITS + 2);
	assert_opens("2001:db8:8:1::7", SHAKEOFF_ACK_VALID);
}

static bool is_remembered(const char *from)
{
	struct shakeoff_source_key key = { .service = SERVICE | SHAKEOFF_SOURCE_IPV6 };
	struct shakeoff_source source;
	struct in6_addr address;

	assert_int_equal(inet_pton(AF_INET6, from, &address), 1);
	memcpy(key.prefix, &address, sizeof(key.prefix));
	return !bpf_map_lookup_elem(harness.sources, &key, &source);
}

/* The holder of a /48 has as many sources as the table has room for. */
static void a_site_makes_only_some_of_its_sources_known(void **state)
{
	struct shakeoff_source_key site = { .service = SERVICE | SHAKEOFF_SOURCE_IPV6 | SHAKEOFF_SOURCE_SITE };
	struct in6_addr address;
	struct shakeoff_source source;

	(void)state;
	assert_opens(of_a_site(1), SHAKEOFF_ACK_VALID);
	assert_int_equal(inet_pton(AF_INET6, "2001:db8:7::", &address), 1);
	memcpy(site.prefix, &address, sizeof(site.prefix));
	assert_int_equal(bpf_map_lookup_elem(harness.sources, &site, &source), 0);
	assert_int_equal(source.count, 1);
	source.count = SHAKEOFF_SITE_SOURCES - 1;
	assert_int_equal(bpf_map_update_elem(harness.sources, &site, &source, BPF_ANY), 0);
	for (int i = 2; i < 5; i++)
		assert_opens(of_a_site(i), SHAKEOFF_ACK_VALID);
	assert_true(is_remembered(of_a_site(1)) && is_remembered(of_a_site(2)));
	assert_false(is_remembered(of_a_site(3)) || is_remembered(of_a_site(4)));
	assert_opens("2001:db8:8:1::7", SHAKEOFF_ACK_VALID);
	assert_true(is_remembered("2001:db8:8:1::7"));

	/* In the next turn it may again. */
	assert_int_equal(bpf_map_lookup_elem(harness.sources, &site, &source), 0);
	source.window--;
	assert_int_equal(bpf_map_update_elem(harness.sources, &site, &source, BPF_ANY), 0);
	assert_opens(of_a_site(3), SHAKEOFF_ACK_VALID);
	assert_true(is_remembered(of_a_site(3)));
}

static void syn_limit(uint32_t hot, uint32_t burst)
{
	harness.service->syn_interval_ns = SECOND;
	harness.service->syn_burst = burst;
	harness.service->syn_hot = hot;
}

static void a_site_sends_as_many_syns_as_sixteen_sources(void **state)
{
	int answered = 0;

	(void)state;
	syn_limit(1, 1);
	for (__u32 i = 0; i < 2 * SHAKEOFF_SITE_LIMITS; i++)
		answered += syns_that(of_a_site(i), 1, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_SOURCE_RATE);
	/* One more every 62 ms; a site counts from the hot SYN at which it is learnt. */
	assert_in_range(answered, SHAKEOFF_SITE_LIMITS, SHAKEOFF_SITE_LIMITS + 3);
	assert_syn("2001:db8:8:1::7", SHAKEOFF_SYNACK_SENT);
}

static void the_limit_of_syns_is_exact(void **state)
{
	(void)state;
	syn_limit(1, 5);
	assert_int_equal(syns_that("198.51.100.7", 20, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_SOURCE_RATE), 5);
	assert_syn("198.51.100.8", SHAKEOFF_SYNACK_SENT);
	assert_int_equal(syns_that("2001:db8:7:1::7", 20, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_SOURCE_RATE), 5);
	assert_syn("2001:db8:7:2::7", SHAKEOFF_SYNACK_SENT);
}

#define SYN_RATE 200
#define SYN_BURST 20
#define SYN_HOT 26 /* the count that a single CPU would have */

/* SYNs that pass before the source is watched closely are counted when it is. */
static void a_source_that_floods_is_answered_no_more_than_its_limit(void **state)
{
	uint64_t begin = monotonic_ns(), now;
	uint32_t answered = 0, most;

	(void)state;
	harness.service->syn_interval_ns = SECOND / SYN_RATE;
	harness.service->syn_burst = SYN_BURST;
	harness.service->syn_hot = SYN_HOT;
	do {
		answered += syn_result("198.51.100.7") == SHAKEOFF_SYNACK_SENT;
		now = monotonic_ns();
	} while (now - begin < 2 * SECOND);
	most = SYN_RATE * (now - begin) / SECOND + SYN_BURST;
	assert_in_range(answered, most / 2, most + 2 * SYN_HOT);
}

static void the_limit_of_syns_holds_while_idle(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	syn_limit(1, 5);
	assert_int_equal(syns_that("198.51.100.7", 20, SHAKEOFF_SYN_IDLE, SHAKEOFF_SYN_SOURCE_RATE), 5);
}

static void flood(int syns)
{
	while (syns--) {
		char from[32];

		snprintf(from, sizeof(from), "%ld.%ld.%ld.%ld", 20 + random() % 80, random() % 256, random() % 256,
			 random() % 256);
		assert_syn(from, SHAKEOFF_SYNACK_SENT);
	}
}

/* Two of a thousand sources use the same counter now and then: no source has enough SYNs to be watched. */
static void a_flood_from_spoofed_sources_leaves_no_entries(void **state)
{
	(void)state;
	srandom(11);
	syn_limit(5, 5);
	nanosleep(&(struct timespec){ .tv_nsec = 300 * MS },
		  NULL); /* the window of the counts of earlier tests is over */
	flood(1000);
	assert_int_equal(count_of(harness.syn_sources), 0);
	assert_int_equal(count_of(harness.sources), 0);
}

/* A fixed number a tick, even if many sources seem to send many SYNs. */
static void few_sources_are_learnt_in_a_tick(void **state)
{
	uint64_t begin = monotonic_ns();

	(void)state;
	syn_limit(1, 5);
	flood(400);
	assert_in_range(count_of(harness.syn_sources), 16, 16 * ((monotonic_ns() - begin) / MS + 2));
	assert_true(count_of(harness.syn_sources) < 400 || monotonic_ns() - begin > 20 * MS);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, sources_setup, sources_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_source_opens_no_more_connections_than_its_limit),
		TEST(a_source_may_be_a_prefix),
		TEST(the_limits_skip_an_allowed_source),
		TEST(connections_of_an_allowed_source_do_not_count_later),
		TEST(the_limit_holds_for_listening_sockets),
		TEST(a_site_opens_as_many_connections_as_sixteen_sources),
		TEST(a_site_makes_only_some_of_its_sources_known),
		TEST(a_site_sends_as_many_syns_as_sixteen_sources),
		TEST(the_limit_of_syns_is_exact),
		TEST(a_source_that_floods_is_answered_no_more_than_its_limit),
		TEST(the_limit_of_syns_holds_while_idle),
		TEST(a_flood_from_spoofed_sources_leaves_no_entries),
		TEST(few_sources_are_learnt_in_a_tick),
	};

	return cmocka_run_group_tests_name("limits of a source", tests, sources_start, sources_stop);
}
