/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "pair.h"

#ifndef TCP_REPAIR_OFF_NO_WP
#define TCP_REPAIR_OFF_NO_WP -1
#endif

struct pair pair;

void pair_listen(const struct family *family)
{
	pair.listener = listening_socket(family, family->server, 5);
}

void pair_connect(const struct family *family)
{
	union address server = make_address(family, family->server, 80), client = { 0 };
	socklen_t len = sizeof(client);

	if (connect(pair.client, &server.any, sizeof(server)))
		fail_msg("connect: %s", strerror(errno));
	assert_int_equal(getsockname(pair.client, &client.any, &len), 0);
	pair.port = ntohs(client.in.sin_port);
	pair.segment = (struct segment){ .from = family->client, .sport = pair.port };
}

void pair_measure(void)
{
	int on = TCP_REPAIR_ON, off = TCP_REPAIR_OFF_NO_WP, queue = 2 /* TCP_SEND_QUEUE */;
	socklen_t len = sizeof(uint32_t);

	assert_int_equal(setsockopt(pair.client, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(pair.client, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)), 0);
	assert_int_equal(getsockopt(pair.client, IPPROTO_TCP, TCP_QUEUE_SEQ, &pair.snd_nxt, &len), 0);
	assert_int_equal(getsockopt(pair.client, IPPROTO_TCP, TCP_TIMESTAMP, &pair.tsval, &len), 0);
	assert_int_equal(setsockopt(pair.client, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)), 0);
}

void pair_open(const struct family *family)
{
	pair_listen(family);
	if (pair.client < 0)
		pair.client = bound_socket(family, family->client, 0);
	pair_connect(family);
	pair.server = accept(pair.listener, NULL, NULL);
	assert_true(pair.server >= 0);
	pair_measure();
}

void pair_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int pair_setup(void **state)
{
	pair = (struct pair){ .listener = -1, .client = -1, .server = -1 };
	return harness_reset(state);
}

int pair_teardown(void **state)
{
	(void)state;
	reset_socket(&pair.client);
	pair_close(&pair.server);
	pair_close(&pair.listener);
	return 0;
}

uint32_t time_wait_rcv_nxt(void)
{
	return pair.snd_nxt + 1;
}

struct segment of_pair(uint8_t flags)
{
	struct segment segment = pair.segment;

	segment.flags = flags;
	segment.seq = pair.snd_nxt;
	segment.ack = 1;
	return segment;
}

static const struct bytes linux_options = LINUX_OPTIONS, windows_options = WINDOWS_OPTIONS;
static uint8_t syn_options[20];

struct segment syn_of_pair(int32_t isn_step, bool timestamps, int32_t clock_step)
{
	struct segment syn = of_pair(SYN);

	memcpy(syn_options, timestamps ? linux_options.data : windows_options.data, timestamps ? 20 : 12);
	if (timestamps)
		put32(syn_options + 8, pair.tsval + (uint32_t)clock_step);
	syn.options = (struct bytes){ syn_options, timestamps ? 20 : 12 };
	syn.seq = time_wait_rcv_nxt() + (uint32_t)isn_step;
	return syn;
}

void assert_all_pass(enum shakeoff_verdict syn)
{
	static const uint8_t flags[] = {
		ACK, ACK | PSH, ACK | FIN, RST, RST | ACK, SYN | ACK, 0, FIN, FIN | PSH | URG
	};
	struct segment segment = syn_of_pair(5000, true, 10);

	assert_verdict(&segment, syn);
	for (size_t i = 0; i < COUNT(flags); i++) {
		segment = of_pair(flags[i]);
		assert_verdict(&segment, SHAKEOFF_SOCKET);
	}
	expect_no_event();
}
