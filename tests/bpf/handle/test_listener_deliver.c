/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/listener.c */
/* Which ACKs pass to the tc program, and with which metadata. For that program's work see test_admit.c. */
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include <shakeoff/socket_filter.h>

#include "listener.h"

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6;

static void a_validated_ack_passes_with_what_was_negotiated(void **state)
{
	struct shakeoff_validated entry;
	struct metadata metadata;
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	metadata = admitted(&client, &linux_syn);
	assert_int_equal(metadata.mss, 1460);
	assert_int_equal(metadata.snd_wscale, 7);
	assert_int_equal(metadata.rcv_wscale, OUR_WSCALE);
	assert_int_equal(metadata.flags, METADATA_SACK | METADATA_TIMESTAMPS);
	assert_int_equal(metadata.tsval, LINUX_TSVAL + 1);
	assert_in_range(monotonic_ns() / 1000000 + metadata.ts_base - client.synack.tsval, 1, 1000);

	assert_int_equal(harness.service->enqueued, 1);
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(entry.service, SERVICE);
	assert_int_equal(entry.client_isn, CLIENT_ISN);
	assert_int_equal(entry.cookie, client.synack.seq);
	assert_int_equal(entry.flags, 0);
	assert_true(filter_get(&client.ack, 0));
}

static void a_validated_ack_replaces_the_old_hint_of_its_entry(void **state)
{
	const uint8_t old = SHAKEOFF_FILTER_SOCKET | SHAKEOFF_FILTER_UNCONFIRMED | 5 * SHAKEOFF_FILTER_AGE_ONE;
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	filter_fill(old);
	harness.control->flags |= SHAKEOFF_FILTER_BUILDING;
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	for (__u32 which = 0; which < 2; which++)
		assert_int_equal(filter_get(&client.ack, which),
				 SHAKEOFF_FILTER_SOCKET | SHAKEOFF_FILTER_UNCONFIRMED | SHAKEOFF_FILTER_PENDING);
}

static void an_ipv6_ack_passes_with_what_was_negotiated(void **state)
{
	struct metadata metadata;
	struct client client;

	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	listener = listening_socket(&ipv6, ipv6.server, 5);
	metadata = admitted(&client, &linux_syn6);
	assert_int_equal(metadata.mss, 1460);
	assert_int_equal(metadata.snd_wscale, 7);
	assert_int_equal(metadata.flags, METADATA_SACK | METADATA_TIMESTAMPS);
}

static void without_timestamps_the_isn_brings_the_options_back(void **state)
{
	const struct segment syn = WINDOWS_SYN;
	struct metadata metadata;
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	metadata = admitted(&client, &syn);
	assert_int_equal(metadata.mss, 1460);
	assert_int_equal(metadata.snd_wscale, 8);
	assert_int_equal(metadata.rcv_wscale, OUR_WSCALE);
	assert_int_equal(metadata.flags, METADATA_SACK);
	assert_int_equal(metadata.tsval, 0);
	assert_int_equal(metadata.ts_base, 0);
}

static void without_options_nothing_is_negotiated(void **state)
{
	const struct segment syn = { .seq = CLIENT_ISN, .flags = SYN };
	struct metadata metadata;
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	metadata = admitted(&client, &syn);
	assert_int_equal(metadata.mss, 536);
	assert_int_equal(metadata.snd_wscale, SHAKEOFF_NO_WSCALE);
	assert_int_equal(metadata.rcv_wscale, SHAKEOFF_NO_WSCALE);
	assert_int_equal(metadata.flags, 0);
}

/* From the socket's own buffer; a clamped window limits it, too. */
static void an_ack_without_its_timestamps_passes_without_options(void **state)
{
	const bool echoes_zero[] = { false, true };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	for (size_t i = 0; i < COUNT(echoes_zero); i++) {
		struct segment syn = LINUX_SYN;
		struct metadata metadata;
		struct client client;

		syn.sport = 40001 + i;
		client_connect(&client, &syn);
		put32(client.ack_options + 8, 0);
		if (!echoes_zero[i])
			client.ack.options.len = 0;
		assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
		metadata = metadata_read();
		assert_int_equal(metadata.mss, 536);
		assert_int_equal(metadata.snd_wscale, SHAKEOFF_NO_WSCALE);
		assert_int_equal(metadata.rcv_wscale, SHAKEOFF_NO_WSCALE);
		assert_int_equal(metadata.flags, 0);
	}
}

#define SYN_WITH_MSS(mss)                                                                                              \
	{                                                                                                              \
		.seq = CLIENT_ISN, .flags = SYN, .options = BYTES(2, 4, (mss) >> 8, (mss)&0xff)                        \
	}

#define SYN6_WITH_MSS(mss)                                                                                             \
	{                                                                                                              \
		.from = "2001:db8:7::7", .seq = CLIENT_ISN, .flags = SYN,                                              \
		.options = BYTES(2, 4, (mss) >> 8, (mss)&0xff)                                                         \
	}

static void a_few_clients_of_small_segments_pass_to_the_kernel(void **state)
{
	const struct segment small[] = { SYN_WITH_MSS(535), SYN_WITH_MSS(1), SYN6_WITH_MSS(1219) },
			     usual[] = { SYN_WITH_MSS(536), SYN6_WITH_MSS(1220) };

	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	listener = listening_socket(&ipv6, "::", 5);
	for (size_t i = 0; i < COUNT(small); i++) {
		budget_spend(false);
		assert_verdict(&small[i], SHAKEOFF_SYN_SMALL_MSS);
		budget_spend(true);
		assert_verdict(&small[i], SHAKEOFF_SYNACK_SENT);
	}
	budget_spend(false);
	for (size_t i = 0; i < COUNT(usual); i++)
		assert_verdict(&usual[i], SHAKEOFF_SYNACK_SENT);
}

static void the_metadata_has_the_window_and_scale_that_were_offered(void **state)
{
	const int buffer = 40000; /* the kernel doubles it, and half of that is for data */
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)), 0);
	assert_int_equal(admitted(&client, &linux_syn).rcv_wscale, 0);
	assert_int_equal(client.synack.options[19], 0);
	assert_int_equal(client.synack.window, 40000 / SEGMENT(0, 1) * SEGMENT(0, 1));
}

static void ecn_is_accepted_where_the_kernel_would(void **state)
{
	struct segment syn = { .seq = CLIENT_ISN, .flags = SYN | ECE | CWR, .options = LINUX_OPTIONS };
	struct shakeoff_interface profile = interface_default();
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_int_equal(admitted(&client, &syn).flags & METADATA_ECN, 0);
	assert_int_equal(client.synack.flags, SYN | ACK);

	profile.admits = profile.ecn = 1;
	interface_set(&profile);
	syn.sport = 40001;
	assert_int_equal(admitted(&client, &syn).flags & METADATA_ECN, METADATA_ECN);
	assert_int_equal(client.synack.flags, SYN | ACK | ECE);
	syn.sport = 40002;
	syn.flags = SYN;
	assert_int_equal(admitted(&client, &syn).flags & METADATA_ECN, 0);
}

/*
 * Returns whether a SYN that requests ECN, with this ECN mark and these TCP bits, gets it; the profile stays as it is.
 */
static bool gets_ecn(uint8_t tos, uint8_t reserved, uint16_t port)
{
	const struct segment syn = { .sport = port,
				     .seq = CLIENT_ISN,
				     .flags = SYN | ECE | CWR,
				     .tos = tos,
				     .reserved = reserved,
				     .options = LINUX_OPTIONS };
	struct client client;
	bool admits = admitted(&client, &syn).flags & METADATA_ECN;

	assert_int_equal(client.synack.flags, SYN | ACK | (admits ? ECE : 0));
	return admits;
}

/*
 * tcp_ecn_create_request(): where SYNs arrive marked, all packets do (RFC 3168, 6.1.1). AccECN's bits show that the
 * request is meant.
 */
static void ecn_of_a_marked_syn_is_not_accepted(void **state)
{
	struct shakeoff_interface profile = interface_default();

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_int_equal(listen(listener, 64), 0);
	profile.admits = profile.ecn = 1;
	interface_set(&profile);
	assert_true(gets_ecn(0, 0, 40001));
	assert_true(gets_ecn(0xfc, 0, 40002));
	for (uint8_t mark = 1; mark <= 3; mark++) {
		assert_false(gets_ecn(mark, 0, 40010 + mark));
		assert_false(gets_ecn(0xb8 | mark, 0, 40020 + mark));
		assert_true(gets_ecn(mark, 1, 40030 + mark));
		assert_true(gets_ecn(mark, 8, 40040 + mark));
	}
}

static void a_route_can_request_ecn(void **state)
{
	const struct shakeoff_route with = { .ecn = 1, .id = 1 }, without = { .id = 2 };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_false(gets_ecn(0, 0, 40001));
	route_set("198.51.100.0/24", &with);
	assert_true(gets_ecn(0, 0, 40002));
	assert_false(gets_ecn(1, 0, 40003));
	route_set("198.51.100.7/32", &without);
	assert_false(gets_ecn(0, 0, 40004));
}

static void sack_that_has_been_switched_off_since_is_not_used(void **state)
{
	struct shakeoff_interface profile = interface_default();
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	profile.admits = 1;
	profile.sack = 0;
	interface_set(&profile);
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	assert_int_equal(metadata_read().flags, METADATA_TIMESTAMPS);
}

/* Where another tc program runs before ours, or ACKs get lost on the way to it. */
static void syns_pass_to_the_kernel_where_acks_may_not_get_through(enum shakeoff_admits admits)
{
	const struct segment no_socket = { .seq = 77, .ack = 78, .flags = ACK, .sport = 40002 };
	struct shakeoff_interface profile = interface_default();
	struct client client;

	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	profile.admits = admits;
	interface_set(&profile);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_NO_KEY);
	assert_verdict(&no_socket, SHAKEOFF_NO_SOCKET_PASS); /* passes: it may belong to a handshake of the kernel */
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	assert_int_equal(metadata_read().mss, 1460);
}

static void behind_another_tc_program_only_issued_cookies_are_accepted(void **state)
{
	(void)state;
	syns_pass_to_the_kernel_where_acks_may_not_get_through(SHAKEOFF_ADMITS_BEHIND);
}

static void where_acks_are_lost_only_issued_cookies_are_accepted(void **state)
{
	(void)state;
	syns_pass_to_the_kernel_where_acks_may_not_get_through(SHAKEOFF_ADMITS_LOST);
}

static void without_a_tc_program_no_cookie_is_accepted(void **state)
{
	struct shakeoff_interface profile = interface_default();
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	profile.admits = SHAKEOFF_ADMITS_NOTHING;
	interface_set(&profile);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_NO_KEY);
	assert_verdict(&client.ack, SHAKEOFF_ACK_NO_SERVER);
}

/* Returns the MSS that a SYN-ACK offers now. */
static uint16_t offered_mss(const struct segment *syn)
{
	struct client client;

	generation_raise();
	client_connect(&client, syn);
	assert_memory_equal(client.synack.options, "\2\4", 2);
	return get16(client.synack.options + 2);
}

static void maxseg(int mss)
{
	assert_int_equal(setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)), 0);
}

static void tcp_maxseg_of_the_socket_bounds_the_mss_that_is_offered(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	listener = listening_socket(&ipv6, "::", 5);
	maxseg(1000);
	assert_int_equal(offered_mss(&linux_syn), 1000);
	assert_int_equal(offered_mss(&linux_syn6), 1000);
	maxseg(MSS4 + 1);
	assert_int_equal(offered_mss(&linux_syn), MSS4);
	maxseg(0);
	assert_int_equal(offered_mss(&linux_syn), MSS4);
}

static void with_the_queue_handoff_a_sockets_tcp_maxseg_does_not_matter(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	maxseg(1000);
	assert_int_equal(offered_mss(&linux_syn), 1000);
	harness.service->handoff = SHAKEOFF_HANDOFF_QUEUE;
	assert_int_equal(offered_mss(&linux_syn), MSS4);
}

static void data_with_the_final_ack_passes_with_it(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	client.ack.payload = (struct bytes)BYTES('G', 'E', 'T');
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
}

static void the_daemons_heartbeat_does_not_matter(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.control->heartbeat_ns = 0;
	admitted(&client, &linux_syn);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, listener_setup, listener_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_validated_ack_passes_with_what_was_negotiated),
		TEST(a_validated_ack_replaces_the_old_hint_of_its_entry),
		TEST(an_ipv6_ack_passes_with_what_was_negotiated),
		TEST(without_timestamps_the_isn_brings_the_options_back),
		TEST(without_options_nothing_is_negotiated),
		TEST(an_ack_without_its_timestamps_passes_without_options),
		TEST(a_few_clients_of_small_segments_pass_to_the_kernel),
		TEST(the_metadata_has_the_window_and_scale_that_were_offered),
		TEST(ecn_is_accepted_where_the_kernel_would),
		TEST(ecn_of_a_marked_syn_is_not_accepted),
		TEST(a_route_can_request_ecn),
		TEST(sack_that_has_been_switched_off_since_is_not_used),
		TEST(behind_another_tc_program_only_issued_cookies_are_accepted),
		TEST(where_acks_are_lost_only_issued_cookies_are_accepted),
		TEST(without_a_tc_program_no_cookie_is_accepted),
		TEST(tcp_maxseg_of_the_socket_bounds_the_mss_that_is_offered),
		TEST(with_the_queue_handoff_a_sockets_tcp_maxseg_does_not_matter),
		TEST(data_with_the_final_ack_passes_with_it),
		TEST(the_daemons_heartbeat_does_not_matter),
	};

	return cmocka_run_group_tests_name("delivery to a listener", tests, harness_start, harness_stop);
}
