/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c */
/*
 * Queue handoff: segments of a connection whose socket the daemon is making. In repair mode it is in the kernel's table
 * already, but a segment that it met then would be answered with RST, or its FIN would keep the daemon from finishing it.
 */
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <shakeoff/validated.h>

#include "harness.h"
#include "sockets.h"

#ifndef TCP_REPAIR_OFF_NO_WP
#define TCP_REPAIR_OFF_NO_WP -1
#endif

#define PORT 40002

static const struct family *const families[] = { &ipv4, &ipv6 };
static const struct bytes linux_options = LINUX_OPTIONS;
static int half_made = -1;

static void repair(int mode)
{
	assert_int_equal(setsockopt(half_made, IPPROTO_TCP, TCP_REPAIR, &mode, sizeof(mode)), 0);
}

/* As the daemon does: from connect() on the kernel's look-up finds it. */
static void make_half(const struct family *family)
{
	union address server = make_address(family, family->server, 80);
	union address client = make_address(family, family->client, PORT);

	half_made = socket(family->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(half_made >= 0);
	repair(TCP_REPAIR_ON);
	assert_int_equal(bind(half_made, &server.any, sizeof(server)), 0);
	assert_int_equal(connect(half_made, &client.any, sizeof(client)), 0);
}

/* Closing in repair mode sends nothing, and leaves nothing. */
static void unmake(void)
{
	if (half_made < 0)
		return;
	repair(TCP_REPAIR_ON);
	close(half_made);
	half_made = -1;
}

static int teardown(void **state)
{
	(void)state;
	unmake();
	return 0;
}

static struct segment syn_of(const struct family *family)
{
	return (struct segment){
		.from = family->client, .sport = PORT, .seq = CLIENT_ISN, .flags = SYN, .options = linux_options
	};
}

static struct segment behind(const struct client *client, uint8_t flags)
{
	struct segment segment = client->ack;

	segment.flags = flags;
	segment.payload = (struct bytes){ "hello", 5 };
	return segment;
}

static bool is_confirmed(const struct segment *segment)
{
	struct shakeoff_validated entry;

	assert_true(validated_get(segment, &entry));
	return entry.flags & SHAKEOFF_VALIDATED_CONFIRMED;
}

/* ------------------------------------------------------------------------------------------------------------- tests */

static void its_segments_go_to_the_daemon(void **state)
{
	static const uint8_t flags[] = { ACK, ACK | PSH, ACK | FIN, RST, RST | ACK };

	(void)state;
	for (size_t i = 0; i < COUNT(families); i++) {
		struct segment syn = syn_of(families[i]), segment;
		struct client client;

		client_opens(&client, &syn);
		make_half(families[i]);
		for (size_t j = 0; j < COUNT(flags); j++) {
			segment = behind(&client, flags[j]);
			assert_verdict(&segment, SHAKEOFF_SEGMENT_QUEUED);
			expect_event(SHAKEOFF_EVENT_SEGMENT);
		}
		repair(TCP_REPAIR_OFF_NO_WP);
		segment = behind(&client, ACK | FIN);
		assert_verdict(&segment, SHAKEOFF_SOCKET);
		expect_no_event();
		unmake();
	}
}

static void they_take_the_input_path_if_their_ack_did(void **state)
{
	struct segment syn = syn_of(&ipv4), segment;
	struct client client;

	(void)state;
	harness.control->flags |= SHAKEOFF_INPUT;
	client_connect(&client, &syn);
	assert_verdict(&client.ack, SHAKEOFF_ACK_TO_INPUT);
	make_half(&ipv4);
	segment = behind(&client, ACK | FIN);
	assert_verdict(&segment, SHAKEOFF_SEGMENT_TO_INPUT);
	assert_false(is_confirmed(&segment));
	/* Nor does one that comes too late for the hook: input.bpf.c may still take it. */
	validated_age(&segment, SHAKEOFF_FOLLOW_NS + 10000000);
	assert_verdict(&segment, SHAKEOFF_SOCKET);
	assert_false(is_confirmed(&segment));
	repair(TCP_REPAIR_OFF_NO_WP);
	assert_verdict(&segment, SHAKEOFF_SOCKET);
	assert_true(is_confirmed(&segment));
}

static void a_syn_of_its_tuple_passes(void **state)
{
	struct segment syn = syn_of(&ipv4);
	struct client client;

	(void)state;
	client_opens(&client, &syn);
	make_half(&ipv4);
	assert_verdict(&syn, SHAKEOFF_SYN_SOCKET);
}

static void one_that_another_program_makes_gets_its_segments(void **state)
{
	struct segment syn = syn_of(&ipv4), segment = { .from = ipv4.client, .sport = PORT, .flags = ACK };
	struct client client;

	(void)state;
	make_half(&ipv4);
	assert_verdict(&segment, SHAKEOFF_SOCKET);
	unmake();
	client_opens(&client, &syn);
	validated_age(&client.ack, 2 * (int64_t)SHAKEOFF_FOLLOW_NS);
	make_half(&ipv4);
	assert_verdict(&client.ack, SHAKEOFF_SOCKET);
	expect_no_event();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_reset, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(its_segments_go_to_the_daemon),
		TEST(they_take_the_input_path_if_their_ack_did),
		TEST(a_syn_of_its_tuple_passes),
		TEST(one_that_another_program_makes_gets_its_segments),
	};

	return cmocka_run_group_tests(tests, harness_start, harness_stop);
}
