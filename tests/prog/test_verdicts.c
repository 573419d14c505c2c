/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/prog/harness.c */
/*
 * Every verdict of verdict.h is reached, by the plainest packet that does it: one function a verdict, which the table
 * of verdicts itself lists; a verdict without one does not compile. run_frame() checks the action and the counters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness.h"

static const struct segment syn = LINUX_SYN;

/* A real connection from 10.9.0.2 to the service; returns its port, and its descriptors for connection_close(). */
static int connection[3];

static uint16_t connection_open(void)
{
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons(80) },
			   client = { .sin_family = AF_INET };
	socklen_t len = sizeof(client);
	int one = 1;

	inet_pton(AF_INET, "10.9.0.1", &server.sin_addr);
	inet_pton(AF_INET, "10.9.0.2", &client.sin_addr);
	connection[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	connection[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(connection[0], SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(connection[0], (struct sockaddr *)&server, sizeof(server)), 0);
	assert_int_equal(listen(connection[0], 1), 0);
	assert_int_equal(bind(connection[1], (struct sockaddr *)&client, sizeof(client)), 0);
	assert_int_equal(connect(connection[1], (struct sockaddr *)&server, sizeof(server)), 0);
	connection[2] = accept(connection[0], NULL, NULL);
	assert_int_equal(getsockname(connection[1], (struct sockaddr *)&client, &len), 0);
	return ntohs(client.sin_port);
}

static void connection_close(void)
{
	for (int i = 0; i < 3; i++)
		close(connection[i]);
}

/* A handshake up to the ACK, which is then changed. */
static struct client connected(void)
{
	static struct client client;

	client_connect(&client, &syn);
	return client;
}

static void queue_full(enum shakeoff_overflow overflow)
{
	harness.service->enqueued = harness.service->capacity;
	harness.service->overflow = overflow;
}

static void reach_NOT_OURS(void)
{
	const struct segment other = { .dport = 81, .flags = SYN };

	assert_verdict(&other, SHAKEOFF_NOT_OURS);
}

static void reach_FRAGMENT(void)
{
	const struct segment fragment = { .fragment = 100, .flags = ACK };

	assert_verdict(&fragment, SHAKEOFF_FRAGMENT);
}

static void reach_SOCKET(void)
{
	const struct segment ack = { .from = "10.9.0.2", .sport = connection_open(), .flags = ACK };

	assert_verdict(&ack, SHAKEOFF_SOCKET);
	connection_close();
}

static void reach_SYN_SOCKET(void)
{
	const struct segment again = { .from = "10.9.0.2", .sport = connection_open(), .flags = SYN };

	assert_verdict(&again, SHAKEOFF_SYN_SOCKET);
	connection_close();
}

static void reach_SYN_TCP_AUTH(void)
{
	const struct segment authentic = { .flags = SYN, .options = BYTES(29, 4, 1, 1) };

	assert_verdict(&authentic, SHAKEOFF_SYN_TCP_AUTH);
}

static void reach_SYN_NO_KEY(void)
{
	harness.control->flags = 0;
	assert_verdict(&syn, SHAKEOFF_SYN_NO_KEY);
}

static void reach_SYN_UNSERVED(void)
{
	harness.service->flags = SHAKEOFF_SERVICE_USED;
	assert_verdict(&syn, SHAKEOFF_SYN_UNSERVED);
}

static void reach_ACK_UNSERVED(void)
{
	const struct segment ack = { .flags = ACK };

	harness.service->flags = SHAKEOFF_SERVICE_USED;
	assert_verdict(&ack, SHAKEOFF_ACK_UNSERVED);
}

static void reach_SYNACK_SENT(void)
{
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
}

static void reach_SYN_OVERFLOW_RESET(void)
{
	queue_full(SHAKEOFF_OVERFLOW_RESET);
	assert_verdict(&syn, SHAKEOFF_SYN_OVERFLOW_RESET);
}

static void reach_ACK_OVERFLOW_RESET(void)
{
	struct client client = connected();

	queue_full(SHAKEOFF_OVERFLOW_RESET);
	assert_verdict(&client.ack, SHAKEOFF_ACK_OVERFLOW_RESET);
}

static void reach_ACK_VALID(void)
{
	struct client client = connected();

	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
}

static void reach_SEGMENT_HELD(void)
{
	struct client client = connected();

	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
	validated_age(&client.ack, 0);
	assert_verdict(&client.ack, SHAKEOFF_SEGMENT_HELD);
}

static void reach_SYN_OVERFLOW_DROP(void)
{
	queue_full(SHAKEOFF_OVERFLOW_DROP);
	assert_verdict(&syn, SHAKEOFF_SYN_OVERFLOW_DROP);
}

static void reach_ACK_OVERFLOW_DROP(void)
{
	struct client client = connected();

	queue_full(SHAKEOFF_OVERFLOW_DROP);
	assert_verdict(&client.ack, SHAKEOFF_ACK_OVERFLOW_DROP);
}

static void reach_SYN_DAEMON_DOWN(void)
{
	harness.control->heartbeat_ns = monotonic_ns() - SHAKEOFF_HEARTBEAT_TIMEOUT_NS - 1000000000;
	assert_verdict(&syn, SHAKEOFF_SYN_DAEMON_DOWN);
}

static void reach_SYN_INVALID(void)
{
	const struct segment invalid = { .flags = SYN | FIN };

	assert_verdict(&invalid, SHAKEOFF_SYN_INVALID);
}

static void reach_ACK_BAD_COOKIE(void)
{
	struct client client = connected();

	client.ack.ack++;
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
}

static void reach_ACK_EXPIRED(void)
{
	const struct segment windows = WINDOWS_SYN;
	struct client client;

	client_connect(&client, &windows);
	harness.control->epoch_offset_ns += 2 * SHAKEOFF_EPOCH_NS;
	assert_verdict(&client.ack, SHAKEOFF_ACK_EXPIRED);
}

static void reach_ACK_REPLAYED(void)
{
	struct client client = connected();

	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
	validated_age(&client.ack, 2 * SHAKEOFF_FOLLOW_NS);
	assert_verdict(&client.ack, SHAKEOFF_ACK_REPLAYED);
}

static void reach_RING_FULL(void)
{
	struct client client = connected();

	rings_set(0);
	assert_verdict(&client.ack, SHAKEOFF_RING_FULL);
}

static void reach_RST_IGNORED(void)
{
	const struct segment rst = { .flags = RST };

	assert_verdict(&rst, SHAKEOFF_RST_IGNORED);
}

static void reach_SYNACK_IGNORED(void)
{
	const struct segment synack = { .flags = SYN | ACK };

	assert_verdict(&synack, SHAKEOFF_SYNACK_IGNORED);
}

static void reach_BAD_SEGMENT(void)
{
	const struct segment null = { .flags = 0 };

	assert_verdict(&null, SHAKEOFF_BAD_SEGMENT);
}

static void is_reached(void **state)
{
	void (*const *reach)(void) = *state;

	(*reach)();
}

int main(void)
{
	static void (*const reaches[])(void) = {
#define X(constant, name, action, counts, help) reach_##constant,
		SHAKEOFF_VERDICTS(X)
#undef X
	};
	struct CMUnitTest tests[SHAKEOFF_VERDICT_COUNT];

	for (int i = 0; i < SHAKEOFF_VERDICT_COUNT; i++)
		tests[i] = (struct CMUnitTest){ verdict_name(i), is_reached, harness_reset, NULL, (void *)&reaches[i] };
	return cmocka_run_group_tests_name("verdicts", tests, harness_start, harness_stop);
}
