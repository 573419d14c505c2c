/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/wire.c */
/* ACKs that reach the tc program without their metadata, and those that the kernel refuses. */
#include <linux/tcp.h>
#include <net/ethernet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <shakeoff/socket_filter.h>

#include "wire.h"

static const struct segment linux_syn = LINUX_SYN;

#define OPTIONS_LINUX (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE)

static void without_metadata_the_cookie_is_read_again(void **state)
{
	socklen_t len = sizeof(struct tcp_info);
	struct tcp_info info;
	struct client client;

	(void)state;
	need_admit();
	client_validated(&client, &linux_syn);
	wire_send(&client.ack);
	accepts();
	assert_true(filter_get(&client.ack, 0) & SHAKEOFF_FILTER_PENDING);
	assert_int_equal(getsockopt(accepted, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	assert_int_equal(info.tcpi_options & OPTIONS_LINUX, OPTIONS_LINUX);
	assert_int_equal(info.tcpi_snd_wscale, 7);
	assert_int_equal(info.tcpi_snd_mss, 1448);
}

static void without_metadata_only_the_exact_validated_ack_counts(void **state)
{
	struct shakeoff_service_counters before;
	struct client client;

	(void)state;
	need_admit();
	client_validated(&client, &linux_syn);
	before = counters();
	client.ack.ack++;
	wire_send(&client.ack);
	client.ack.ack--;
	client.ack.seq++;
	wire_send(&client.ack);
	accepts_nothing();
	assert_int_equal(counters().admitted - before.admitted, 0);
	assert_int_equal(counters().unadmitted - before.unadmitted, 0);
	assert_int_equal(harness.service->dequeued, 0);
}

static void an_ack_that_was_not_validated_opens_nothing(void **state)
{
	struct shakeoff_service_counters before;
	struct client client;

	(void)state;
	need_admit();
	client_validated(&client, &linux_syn);
	before = counters();
	client.syn.sport = 40009;
	client_connect(&client, &client.syn);
	wire_send(&client.ack);
	accepts_nothing();
	assert_int_equal(counters().admitted - before.admitted, 0);
	assert_int_equal(counters().unadmitted - before.unadmitted, 0);
}

static void a_socket_that_is_gone_is_counted(void **state)
{
	struct shakeoff_service_counters before;
	struct client client;

	(void)state;
	need_admit();
	client_validated(&client, &linux_syn);
	before = counters();
	reset_socket(&listener);
	wire_send(&client.ack);
	for (int i = 0; i < 10000 && counters().unadmitted == before.unadmitted; i++)
		usleep(1000);
	assert_int_equal(counters().unadmitted - before.unadmitted, 1);
	assert_int_equal(harness.service->dequeued, 1);
}

/* A test run is not at ingress, so the kernel accepts no request. */
static void an_ack_that_the_kernel_refuses_is_counted_and_passes(void **state)
{
	struct shakeoff_service_counters before;
	struct client client;

	(void)state;
	need_admit();
	client_validated(&client, &linux_syn);
	before = counters();
	assert_int_equal(run_admit(&client.ack), TCX_NEXT);
	assert_int_equal(counters().admitted - before.admitted, 0);
	assert_int_equal(counters().unadmitted - before.unadmitted, 1);
}

static void every_packet_reaches_the_next_program_unchanged(void **state)
{
	const struct segment segments[] = {
		LINUX_SYN,
		LINUX_SYN6,
		{ .flags = ACK },
		{ .flags = RST },
		{ .flags = ACK, .dport = 81 },
		{ .flags = ACK, .to = "192.0.2.1" },
		{ .flags = ACK, .fragment = 100 },
		{ .flags = ACK, .tags = 2 },
		{ .flags = ACK, .no_doff = true },
		{ .flags = ACK, .protocol = IPPROTO_UDP },
		{ .flags = ACK, .ethertype = ETH_P_ARP },
		{ .flags = ACK, .ip_header_words = 15 },
	};
	struct client client;

	(void)state;
	need_admit();
	client_validated(&client, &linux_syn);
	validated_age(&client.ack, 2 * WAIT_NS); /* one of them is of the same tuple */
	for (size_t i = 0; i < COUNT(segments); i++)
		assert_int_equal(run_admit(&segments[i]), TCX_NEXT);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, wire_setup, wire_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_metadata_the_cookie_is_read_again),
		TEST(without_metadata_only_the_exact_validated_ack_counts),
		TEST(an_ack_that_was_not_validated_opens_nothing),
		TEST(a_socket_that_is_gone_is_counted),
		TEST(an_ack_that_the_kernel_refuses_is_counted_and_passes),
		TEST(every_packet_reaches_the_next_program_unchanged),
	};

	return cmocka_run_group_tests_name("ACKs that the tc program refuses", tests, wire_start, wire_stop);
}
