/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/out_of_state.c */
/* Segments that no TCP ever sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "out_of_state.h"

/* Segments that no TCP sends: dropped in every state of the hook. */
static const struct impossible {
	const char *name;
	struct segment in;
	enum shakeoff_verdict verdict;
} impossible[] = {
	{ "no flags", { .flags = 0 }, SHAKEOFF_BAD_SEGMENT },
	{ "no flags over IPv6", { .from = "2001:db8:7::7", .flags = 0 }, SHAKEOFF_BAD_SEGMENT },
	{ "FIN alone", { .flags = FIN }, SHAKEOFF_BAD_SEGMENT },
	{ "URG alone", { .flags = URG }, SHAKEOFF_BAD_SEGMENT },
	{ "Xmas", { .flags = FIN | PSH | URG }, SHAKEOFF_BAD_SEGMENT },
	{ "SYN-ACK with FIN", { .flags = SYN | ACK | FIN }, SHAKEOFF_BAD_SEGMENT },
	{ "SYN-ACK with RST", { .flags = SYN | ACK | RST }, SHAKEOFF_BAD_SEGMENT },
	{ "every flag", { .flags = 0xff }, SHAKEOFF_BAD_SEGMENT },
	{ "an ACK from port 0", { .flags = ACK, .zero_sport = true }, SHAKEOFF_BAD_SEGMENT },
	{ "an ACK from the service itself", { .from = "10.9.0.1", .sport = 80, .flags = ACK }, SHAKEOFF_BAD_SEGMENT },
	{ "an RST from loopback", { .from = "127.0.0.1", .flags = RST }, SHAKEOFF_BAD_SEGMENT },
	{ "an RST from multicast", { .from = "239.1.2.3", .flags = RST }, SHAKEOFF_BAD_SEGMENT },
	{ "an ACK from ::1", { .from = "::1", .flags = ACK }, SHAKEOFF_BAD_SEGMENT },
	{ "an ACK with data offset 0", { .flags = ACK, .no_doff = true }, SHAKEOFF_BAD_HEADER },
	{ "an RST with a data offset beyond its end", { .flags = RST, .doff = 15 }, SHAKEOFF_BAD_HEADER },
	{ "an ACK longer than its frame", { .flags = ACK, .longer = 1 }, SHAKEOFF_BAD_HEADER },
	{ "SYN and FIN", { .flags = SYN | FIN }, SHAKEOFF_SYN_INVALID },
	{ "SYN and RST", { .flags = SYN | RST }, SHAKEOFF_SYN_INVALID },
	{ "a SYN from port 0", { .flags = SYN, .zero_sport = true }, SHAKEOFF_SYN_INVALID },
	{ "land attack", { .from = "10.9.0.1", .sport = 80, .flags = SYN }, SHAKEOFF_SYN_INVALID },
	{ "land attack over IPv6", { .from = "2001:db8::1", .sport = 80, .flags = SYN }, SHAKEOFF_SYN_INVALID },
	{ "a SYN from loopback", { .from = "127.0.0.1", .flags = SYN }, SHAKEOFF_SYN_INVALID },
	{ "a SYN with data offset 0", { .flags = SYN, .no_doff = true }, SHAKEOFF_SYN_INVALID },
	{ "a SYN longer than its frame", { .flags = SYN, .longer = 1 }, SHAKEOFF_SYN_INVALID },
};

static void is_dropped(const struct impossible *segment)
{
	assert_verdict(&segment->in, segment->verdict);
	expect_no_event();
}

static void malformed_segments_are_dropped_while_idle(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	for (size_t i = 0; i < COUNT(impossible); i++)
		is_dropped(&impossible[i]);
}

static void malformed_segments_are_dropped_when_out_of_state_segments_are(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	surge_note();
	for (size_t i = 0; i < COUNT(impossible); i++)
		is_dropped(&impossible[i]);
}

static void malformed_segments_are_dropped_where_the_hook_answers(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	for (size_t i = 0; i < COUNT(impossible); i++)
		is_dropped(&impossible[i]);
	surge_note();
	for (size_t i = 0; i < COUNT(impossible); i++)
		is_dropped(&impossible[i]);
}

static void malformed_segments_are_dropped_before_a_queue(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(impossible); i++)
		is_dropped(&impossible[i]);
	surge_note();
	for (size_t i = 0; i < COUNT(impossible); i++)
		is_dropped(&impossible[i]);
}

static void malformed_segments_are_dropped_before_a_bypassed_service(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_NEVER);
	harness.service->bypass = SHAKEOFF_BYPASS_MPTCP;
	for (size_t i = 0; i < COUNT(impossible); i++)
		is_dropped(&impossible[i]);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, out_of_state_setup, out_of_state_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(malformed_segments_are_dropped_while_idle),
		TEST(malformed_segments_are_dropped_when_out_of_state_segments_are),
		TEST(malformed_segments_are_dropped_where_the_hook_answers),
		TEST(malformed_segments_are_dropped_before_a_queue),
		TEST(malformed_segments_are_dropped_before_a_bypassed_service),
	};

	return cmocka_run_group_tests_name("malformed segments", tests, out_of_state_start, harness_stop);
}
