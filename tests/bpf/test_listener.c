/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness.c tests/bpf/sockets.c */
/*
 * The listener handoff at the hook, in front of real listening sockets: when SYNs are answered with cookies and when they are
 * bypassed, and which ACKs go on to the tc program, with what. What that does with them: test_admit.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include <shakeoff/socket_filter.h>

#include "harness.h"
#include "sockets.h"
#include "metadata.h"

#define SECOND 1000000000ull
#define CLIENTS 8

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6;

static int listener, other_member, clients[CLIENTS];

static int setup(void **state)
{
	listener = other_member = -1;
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = -1;
	return harness_reset(state);
}

/* What the hook finds at the service's address: its id, and what stands beside it. */
static void address_set(__u32 value)
{
	struct shakeoff_address4 address = { .port = htons(80) };

	inet_pton(AF_INET, ipv4.server, &address.address);
	assert_int_equal(bpf_map_update_elem(harness.addresses4, &address, &value, BPF_ANY), 0);
	generation_raise();
}

static int teardown(void **state)
{
	(void)state;
	address_set(SERVICE);
	for (int i = 0; i < CLIENTS; i++)
		reset_socket(&clients[i]);
	if (listener >= 0)
		close(listener);
	if (other_member >= 0)
		close(other_member);
	return 0;
}

static void listens(enum shakeoff_syncookies syncookies)
{
	service_listens(syncookies);
	listener = listening_socket(&ipv4, ipv4.server, 5);
}

/* The hook looks at the listening socket once a tick: let it look again. */
static void fill_accept_queue(int count)
{
	for (int i = 0; i < count; i++)
		clients[i] = connected_socket(&ipv4, 0);
	generation_raise();
}

static struct metadata metadata_read(void)
{
	struct metadata metadata;

	assert_int_equal(harness.metadata_len, sizeof(metadata));
	memcpy(&metadata, harness.metadata, sizeof(metadata));
	assert_int_equal(metadata.magic, METADATA_MAGIC);
	assert_int_equal(metadata.service, SERVICE);
	return metadata;
}

/* A handshake whose ACK is accepted. */
static struct metadata admitted(struct client *client, const struct segment *syn)
{
	client_connect(client, syn);
	assert_verdict(&client->ack, SHAKEOFF_ACK_ADMITTED);
	expect_no_event();
	return metadata_read();
}

/* ------------------------------------------------------------------------------------------------- what goes on to tc */

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

static void its_hint_is_new_where_the_slot_has_an_old_one(void **state)
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

/* From the socket's own buffer, which a bound of the window is one of, too. */
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

static void a_client_of_small_segments_is_the_kernels_as_long_as_they_are_few(void **state)
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

static void the_sockets_window_and_scale_are_told_as_they_were_offered(void **state)
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

static void ecn_is_taken_up_where_the_kernel_would(void **state)
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

/* Whether a SYN that asks for ECN, itself marked so and with these bits of TCP, gets it; the profile is the present one. */
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

/* tcp_ecn_create_request(): where SYNs come marked, everything does (RFC 3168, 6.1.1). AccECN's bits say that it is meant. */
static void ecn_of_a_marked_syn_is_not_taken_up(void **state)
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

static void a_route_can_ask_for_ecn(void **state)
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

/* Where another tc program stands before ours, or ACKs get lost on the way to it. */
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
	assert_verdict(&no_socket, SHAKEOFF_NO_SOCKET_PASS); /* passes: it may be of a handshake of the kernel's */
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	assert_int_equal(metadata_read().mss, 1460);
}

static void behind_another_tc_program_only_cookies_that_are_out_are_taken(void **state)
{
	(void)state;
	syns_pass_to_the_kernel_where_acks_may_not_get_through(SHAKEOFF_ADMITS_BEHIND);
}

static void where_acks_are_lost_only_cookies_that_are_out_are_taken(void **state)
{
	(void)state;
	syns_pass_to_the_kernel_where_acks_may_not_get_through(SHAKEOFF_ADMITS_LOST);
}

static void without_a_tc_program_no_cookie_is_taken(void **state)
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

/* The MSS that a SYN-ACK of now offers. */
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

static void data_with_the_final_ack_goes_on_with_it(void **state)
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

/* ---------------------------------------------------------------------------------------------------- what listens */

static void a_dual_stack_socket_listens_for_ipv4(void **state)
{
	struct client client;

	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	listener = listening_socket(&ipv6, "::", 5);
	admitted(&client, &linux_syn);
	admitted(&client, &linux_syn6);
}

static void without_a_listening_socket_the_kernel_refuses(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	close(listener);
	listener = -1;
	generation_raise();
	assert_verdict(&client.syn, SHAKEOFF_SYN_NO_SERVER);
	assert_verdict(&client.ack, SHAKEOFF_ACK_NO_SERVER);
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE;
	harness.service->syns.since_ns = 0;
	assert_verdict(&client.syn, SHAKEOFF_SYN_NO_SERVER);
}

static void a_service_that_is_not_served_is_the_kernels(void **state)
{
	const struct segment ack = { .flags = ACK };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->flags = SHAKEOFF_SERVICE_USED;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_NO_SERVER);
	assert_verdict(&ack, SHAKEOFF_ACK_NO_SERVER);
}

static void without_the_tc_program_nothing_is_answered(void **state)
{
	struct shakeoff_interface profile = interface_default();
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	interface_set(&profile);
	assert_verdict(&client.syn, SHAKEOFF_SYN_NO_KEY);
	assert_verdict(&client.ack, SHAKEOFF_ACK_NO_SERVER);
}

static void without_keys_nothing_is_answered(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.control->flags = 0;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_NO_KEY);
}

static void segments_of_a_socket_pass(void **state)
{
	struct segment segment = { .from = ipv4.client, .sport = 40007, .flags = SYN, .options = LINUX_OPTIONS };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	clients[0] = connected_socket(&ipv4, 40007);
	assert_verdict(&segment, SHAKEOFF_SYN_SOCKET);
	segment = (struct segment){ .from = ipv4.client, .sport = 40007, .flags = ACK };
	assert_verdict(&segment, SHAKEOFF_SOCKET);
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE;
	harness.service->syns.since_ns = 0;
	segment.flags = SYN;
	assert_verdict(&segment, SHAKEOFF_SYN_SOCKET);
}

/* ----------------------------------------------------------------------------------------------------------- bypassed */

static void what_is_bypassed_gets_every_syn(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_NEVER);
	for (int i = 0; i < 1000; i++)
		assert_verdict(i % 2 ? &linux_syn : &linux_syn6, SHAKEOFF_SYN_BYPASS);
	assert_int_equal(harness.service->budget_window, 0);
	assert_int_equal(harness.service->budget_syns, 0);
	assert_int_equal(harness.service->syns.counted, 0);
}

static void malformed_syns_do_not_get_there(void **state)
{
	const struct segment with_fin = { .flags = SYN | FIN }, from_loopback = { .from = "127.0.0.1", .flags = SYN };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_NEVER);
	harness.service->bypass = SHAKEOFF_BYPASS_MPTCP;
	assert_verdict(&with_fin, SHAKEOFF_SYN_INVALID);
	assert_verdict(&from_loopback, SHAKEOFF_SYN_INVALID);
}

/* Or a flood would fill it: nobody asks for the sockets of what is bypassed. */
static void what_is_bypassed_is_not_noted_in_the_filter(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_NEVER);
	harness.service->bypass = SHAKEOFF_BYPASS_MPTCP;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_BYPASS);
	assert_int_equal(filter_get(&linux_syn, 0), 0);
	harness.service->bypass = SHAKEOFF_BYPASS_SYNCOOKIES; /* whose out-of-state segments are dropped */
	assert_verdict(&linux_syn, SHAKEOFF_SYN_BYPASS);
	assert_true(filter_get(&linux_syn, 0));
}

static void a_socket_that_the_hook_does_not_find_gets_every_syn(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	for (int i = 0; i < 1000; i++)
		assert_verdict(&linux_syn, SHAKEOFF_SYN_NO_SERVER);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_NO_SERVER);
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE;
	harness.service->syns.since_ns = 0;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_NO_SERVER);
}

static void segments_of_what_is_bypassed_pass(void **state)
{
	const struct segment ack = { .flags = ACK };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_NEVER);
	assert_verdict(&ack, SHAKEOFF_ACK_IDLE);
}

static void an_mptcp_socket_is_bypassed(void **state)
{
	union address address = make_address(&ipv4, ipv4.server, 80);
	int one = 1;

	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
	if (listener < 0)
		skip();
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(listener, &address.any, sizeof(address.in)), 0);
	assert_int_equal(listen(listener, 5), 0);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_BYPASS);
	assert_int_equal(harness.service->seen_bypass, SHAKEOFF_BYPASS_MPTCP);
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_BYPASS);
}

static void a_socket_with_tcp_md5_keys_is_bypassed(void **state)
{
	struct tcp_md5sig key = { .tcpm_keylen = 3, .tcpm_key = "key" };
	union address peer = make_address(&ipv4, ipv4.client, 0);

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	memcpy(&key.tcpm_addr, &peer, sizeof(peer.in));
	if (setsockopt(listener, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key)))
		skip();
	assert_verdict(&linux_syn, SHAKEOFF_SYN_BYPASS);
	assert_int_equal(harness.service->seen_bypass, SHAKEOFF_BYPASS_TCP_AUTH);
}

static void assert_bypassed_for_save_syn(enum shakeoff_syncookies syncookies)
{
	int value = 1;

	harness.service->syncookies = syncookies;
	harness.service->syns.since_ns = harness.service->seen_bypass = 0;
	generation_raise();
	assert_verdict(&linux_syn,
		       syncookies == SHAKEOFF_SYNCOOKIES_ADAPTIVE ? SHAKEOFF_SYN_IDLE : SHAKEOFF_SYNACK_SENT);
	assert_int_equal(harness.service->seen_bypass, SHAKEOFF_BYPASS_NONE);
	for (; value <= 2; value++) { /* 2: with the Ethernet header */
		assert_int_equal(setsockopt(listener, IPPROTO_TCP, TCP_SAVE_SYN, &value, sizeof(value)), 0);
		harness.service->seen_bypass = 0;
		generation_raise();
		assert_verdict(&linux_syn, SHAKEOFF_SYN_BYPASS);
		assert_int_equal(harness.service->seen_bypass, SHAKEOFF_BYPASS_SAVE_SYN);
	}
	value = 0;
	assert_int_equal(setsockopt(listener, IPPROTO_TCP, TCP_SAVE_SYN, &value, sizeof(value)), 0);
}

static void a_socket_that_saves_syns_is_bypassed(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_bypassed_for_save_syn(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_bypassed_for_save_syn(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
}

static void a_syn_with_a_signature_passes_to_the_kernel_as_long_as_they_are_few(void **state)
{
	const struct segment authentic = { .flags = SYN, .options = BYTES(29, 4, 1, 1) };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_verdict(&authentic, SHAKEOFF_SYN_TCP_AUTH);
	budget_spend(true);
	assert_verdict(&authentic, SHAKEOFF_SYNACK_SENT);
}

static void behind_two_vlan_tags_the_kernel_alone_can(void **state)
{
	struct segment syn = LINUX_SYN;
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	syn.tags = 1;
	admitted(&client, &syn);
	syn.tags = 2;
	assert_verdict(&syn, SHAKEOFF_NO_SERVICE);
}

/* ------------------------------------------------------------------------------------- addresses of VLAN devices */

/* With VLAN devices above the interface, where a tag may be beside the frame. */
static void listens_behind_vlans(bool vlans)
{
	struct shakeoff_interface profile = interface_default();

	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	profile.admits = 1;
	profile.vlans = vlans;
	interface_set(&profile);
	address_set(SERVICE | SHAKEOFF_ADDRESS_TAGGED);
}

static void a_frame_whose_tag_is_not_there_passes_to_the_kernel(void **state)
{
	const struct segment ack = { .flags = ACK }, rst = { .flags = RST };

	(void)state;
	listens_behind_vlans(true);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_BYPASS);
	assert_verdict(&ack, SHAKEOFF_ACK_IDLE);
	assert_verdict(&rst, SHAKEOFF_ACK_IDLE);
}

/* One after the other, as what the first has looked up is remembered for the second. */
static void a_frame_with_its_tag_is_answered_beside_those_without(void **state)
{
	struct segment tagged = LINUX_SYN;
	struct client client;

	(void)state;
	tagged.tags = 1;
	listens_behind_vlans(true);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_BYPASS);
	client_connect(&client, &tagged);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_BYPASS);
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	client.ack.tags = 0;
	assert_verdict(&client.ack, SHAKEOFF_ACK_IDLE);
}

/* At the VLAN device itself, say: what comes in there has lost its tag, and gets it back on its way out. */
static void where_no_tag_can_be_missing_frames_without_one_are_answered(void **state)
{
	struct client client;

	(void)state;
	listens_behind_vlans(false);
	admitted(&client, &linux_syn);
}

static void what_belongs_to_no_vlan_device_is_answered_without_a_tag(void **state)
{
	struct client client;

	(void)state;
	listens_behind_vlans(true);
	address_set(SERVICE);
	admitted(&client, &linux_syn);
}

/* ----------------------------------------------------------------------------------------------- idle and flooded */

static void while_idle_the_kernel_makes_the_handshake(void **state)
{
	static const uint8_t flags[] = { ACK, ACK | PSH, ACK | FIN, RST, 0 };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_IDLE);
	for (size_t i = 0; i < COUNT(flags); i++) {
		const struct segment segment = { .flags = flags[i] };

		assert_verdict(&segment, SHAKEOFF_ACK_IDLE);
	}
	assert_int_equal(harness.service->syns.since_ns, 0);
	assert_int_equal(harness.service->activations, 0);
}

static void a_syn_that_passes_while_idle_is_noted_in_the_filter(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_IDLE);
	assert_true(filter_get(&linux_syn, 0));
}

static void the_first_syn_beyond_the_rate_is_answered(void **state)
{
	enum shakeoff_verdict second = SHAKEOFF_VERDICT_COUNT;
	uint64_t before = monotonic_ns();

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.service->flood_rate = SECOND / SHAKEOFF_FLOOD_WINDOW_NS; /* one in a window */
	for (int i = 0; i < 100 && second != SHAKEOFF_SYNACK_SENT; i++) {
		harness.service->syns.window_ns = 0;
		assert_verdict(&linux_syn, SHAKEOFF_SYN_IDLE);
		second = run_segment(&linux_syn, NULL);
	}
	assert_string_equal(verdict_name(second), verdict_name(SHAKEOFF_SYNACK_SENT));
	assert_int_equal(harness.service->cause, SHAKEOFF_CAUSE_SYN_RATE);
	assert_int_equal(harness.service->activations, 1);
	assert_true(harness.service->syns.since_ns > before - SECOND &&
		    harness.service->syns.since_ns <= monotonic_ns());
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_int_equal(harness.service->activations, 1);
}

static void below_the_rate_it_stays_idle(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	for (int i = 0; i < 50; i++)
		assert_verdict(&linux_syn, SHAKEOFF_SYN_IDLE);
}

/* Handshakes that the client never ends, with SYNs that the hook does not see. */
static void a_syn_queue_half_full_begins_it(void **state)
{
	struct segment syn = LINUX_SYN;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	assert_int_equal(system("ip route add 198.51.100.0/24 dev lo"), 0); /* where the SYN-ACKs may go */
	for (int i = 0; i < 3; i++) {
		syn.sport = 41000 + i;
		kernel_receives(&syn);
		generation_raise();
		syn.sport = 42000;
		assert_verdict(&syn, i < 2 ? SHAKEOFF_SYN_IDLE : SHAKEOFF_SYNACK_SENT);
	}
	assert_int_equal(system("ip route del 198.51.100.0/24 dev lo"), 0);
	assert_int_equal(harness.service->cause, SHAKEOFF_CAUSE_SYN_QUEUE);
	assert_int_equal(harness.service->activations, 1);
}

static void clients_in_the_middle_of_the_kernels_handshake_pass(void **state)
{
	struct segment ack = { .from = ipv4.client, .sport = 40008, .flags = ACK };
	int seconds = 5;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	/* Keeps the server in SYN-RECEIVED until data comes. */
	assert_int_equal(setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)), 0);
	clients[0] = connected_socket(&ipv4, 40008);
	harness.service->flood_rate = 0;
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&ack, SHAKEOFF_SOCKET);
}

static void active_since(uint64_t surge_age_ns)
{
	harness.service->syns.since_ns = monotonic_ns() - 60 * SECOND;
	harness.service->syns.last_ns = monotonic_ns() - surge_age_ns;
	harness.service->activations = 1;
}

static void it_goes_on_for_the_hold_time(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	active_since(SHAKEOFF_FLOOD_HOLD_NS - SECOND);
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_int_not_equal(harness.service->syns.since_ns, 0);
}

static void after_the_hold_time_it_is_idle_again(void **state)
{
	uint64_t before = monotonic_ns();

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	active_since(SHAKEOFF_FLOOD_HOLD_NS + SECOND);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_IDLE);
	assert_int_equal(harness.service->syns.since_ns, 0);
	assert_true(harness.service->released_ns > before - SECOND);
	assert_int_equal(harness.service->activations, 1);
}

static void half_the_rate_keeps_it_active(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.service->flood_rate = 0;
	active_since(SHAKEOFF_FLOOD_HOLD_NS - SECOND);
	for (int i = 0; i < 64; i++)
		assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_true(harness.service->syns.last_ns > monotonic_ns() - SECOND);
}

/* How much longer the surge lasts, from now. */
static int64_t surge_remaining(void)
{
	return (int64_t)(harness.service->syns.last_ns + SHAKEOFF_FLOOD_HOLD_NS - monotonic_ns());
}

/* A burst that begins it; returns how many SYNs that were. */
static int burst(uint32_t rate)
{
	int syns = 0;

	harness.service->flood_rate = rate;
	harness.service->syns.since_ns = harness.service->syns.last_ns = harness.service->syns.window_ns = 0;
	harness.service->syns.counted = 0;
	do {
		syns++;
		assert_true(syns < 10000);
	} while (run_segment(&linux_syn, NULL) == SHAKEOFF_SYN_IDLE);
	assert_int_equal(harness.service->cause, SHAKEOFF_CAUSE_SYN_RATE);
	return syns;
}

/* 11 SYNs at once, where half the rate is 500 a second: 22 ms. */
static void one_burst_keeps_it_no_longer_than_half_the_rate_sends_as_many(void **state)
{
	int64_t remaining;
	int syns;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	syns = burst(1000);
	remaining = surge_remaining();
	assert_in_range(syns, 11, 1000);
	assert_true(remaining <=
		    (int64_t)((syns + 1) * SECOND / 500)); /* the SYN that begins it counts as answered, too */
	usleep(syns * 1000000 / 500 + 20000);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_IDLE);
	assert_int_equal(harness.service->syns.since_ns, 0);
}

/* 140 of them every eight seconds held it on for good, when a window with half the rate was enough. */
static void bursts_do_not_hold_it(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.service->flood_rate = SHAKEOFF_FLOOD_RATE_DEFAULT;
	active_since(SHAKEOFF_FLOOD_HOLD_NS - 2 * SECOND);
	for (int i = 0; i < 160; i++)
		assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_true(surge_remaining() <= (int64_t)(2 * SECOND + 160 * SECOND / (SHAKEOFF_FLOOD_RATE_DEFAULT / 2)));
}

/* Each SYN of a flood adds what half the rate needs for it, up to the hold time. */
static void half_the_rate_on_average_keeps_it(void **state)
{
	int64_t before, remaining;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.service->flood_rate = 1000;
	active_since(SHAKEOFF_FLOOD_HOLD_NS - SECOND);
	before = surge_remaining();
	for (int i = 0; i < 1000; i++)
		assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	remaining = surge_remaining();
	assert_true(remaining > before + (int64_t)SECOND && remaining <= (int64_t)(3 * SECOND));
	for (int i = 0; i < 5000; i++)
		run_segment(&linux_syn, NULL);
	assert_true(surge_remaining() <= (int64_t)SHAKEOFF_FLOOD_HOLD_NS);
	assert_true(surge_remaining() > (int64_t)(SHAKEOFF_FLOOD_HOLD_NS - SECOND));
}

/* As if a pulse had come, and then nothing for so long. */
static void pulse(int syns, uint64_t pause_ns)
{
	while (syns--)
		assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	harness.service->syns.last_ns -= pause_ns;
}

/* A flood in pulses, five times half the rate on average, is answered between them, too. */
static void a_flood_in_pulses_goes_on(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	burst(100);
	for (int i = 0; i < 4; i++)
		pulse(5 * 250, 5 * SECOND);
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_int_equal(harness.service->activations, 1);
}

static void our_cookies_stay_good_after_the_flood(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	active_since(0);
	client_connect(&client, &linux_syn);
	active_since(SHAKEOFF_FLOOD_HOLD_NS + SECOND);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_IDLE);
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	metadata_read();
}

static void our_cookies_stay_good_when_the_service_is_bypassed(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_NEVER;
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	metadata_read();
}

/* The one address that has been left, or is it no more, for so long. */
static void address_is_bypassed(bool bypassed, uint64_t age_ns)
{
	harness.service->bypass_changed_s = shakeoff_bypass_clock_s(monotonic_ns() - age_ns);
	address_set(SERVICE | (bypassed ? SHAKEOFF_ADDRESS_BYPASSED : 0));
}

/* The service's other addresses are answered for, or not. */
static void assert_bypassed_address_takes_cookies(enum shakeoff_syncookies syncookies)
{
	const struct segment no_socket = { .flags = ACK }, rst = { .flags = RST };
	struct client client;

	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	harness.service->syncookies = syncookies;
	address_is_bypassed(true, SECOND);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_BYPASS);
	assert_verdict(&no_socket, SHAKEOFF_ACK_IDLE);
	assert_verdict(&rst, SHAKEOFF_ACK_IDLE);
	client.ack.ack ^= 1;
	assert_verdict(&client.ack, SHAKEOFF_ACK_IDLE);
	client.ack.ack ^= 1;
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	metadata_read();
	address_is_bypassed(false, 0);
}

static void our_cookies_stay_good_when_an_address_is_bypassed(void **state)
{
	(void)state;
	assert_bypassed_address_takes_cookies(SHAKEOFF_SYNCOOKIES_ALWAYS);
}

static void so_they_do_when_all_are(void **state)
{
	(void)state;
	harness.service->bypass = SHAKEOFF_BYPASS_NETFILTER; /* which counts with SHAKEOFF_SYNCOOKIES_NEVER alone */
	assert_bypassed_address_takes_cookies(SHAKEOFF_SYNCOOKIES_NEVER);
}

static void of_what_is_bypassed_nothing_counts_as_out_of_state(void **state)
{
	const struct segment no_socket = { .flags = ACK };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->flood_rate = 1;
	address_is_bypassed(true, SECOND);
	for (int i = 0; i < 1000; i++)
		assert_verdict(&no_socket, SHAKEOFF_ACK_IDLE);
	assert_int_equal(harness.service->out_of_state.since_ns, 0);
	assert_int_equal(harness.service->out_of_state.counted, 0);
	address_is_bypassed(false, 0);
}

static void of_an_address_that_has_been_bypassed_for_long_no_segment_is_looked_at(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	address_is_bypassed(true, SHAKEOFF_COOKIE_LIFETIME_NS + 3 * SECOND);
	assert_verdict(&client.ack, SHAKEOFF_ACK_IDLE);
	address_is_bypassed(false, 0);
}

static void when_none_of_ours_can_be_out_segments_are_not_looked_at(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	active_since(0);
	client_connect(&client, &linux_syn);
	harness.service->syns.since_ns = 0;
	harness.service->released_ns = monotonic_ns() - SHAKEOFF_COOKIE_LIFETIME_NS - SECOND;
	assert_verdict(&client.ack, SHAKEOFF_ACK_IDLE);
}

static void of_a_fleet_another_host_may_have_given_one_though_it_is_idle_here(void **state)
{
	const struct segment no_socket = { .flags = ACK };
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	active_since(0);
	client_connect(&client, &linux_syn);
	harness.service->syns.since_ns = 0;
	harness.control->flags |= SHAKEOFF_ACCEPT_NEXT_EPOCH;
	assert_verdict(&no_socket, SHAKEOFF_NO_SOCKET_PASS);
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	metadata_read();
}

static void after_the_flood_what_is_not_ours_is_the_kernels_to_decide(void **state)
{
	static const uint8_t flags[] = { ACK, ACK | PSH, RST, SYN | ACK };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.service->released_ns = monotonic_ns() - SECOND;
	for (size_t i = 0; i < COUNT(flags); i++) {
		const struct segment segment = { .flags = flags[i] };

		assert_verdict(&segment, SHAKEOFF_NO_SOCKET_PASS);
	}
}

static void in_a_flood_what_was_not_issued_is_dropped(void **state)
{
	const struct segment ack = { .flags = ACK }, rst = { .flags = RST }, synack = { .flags = SYN | ACK },
			     null = { 0 };
	const struct segment invalid = { .flags = SYN | FIN };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_verdict(&ack, SHAKEOFF_ACK_BAD_COOKIE);
	assert_verdict(&rst, SHAKEOFF_RST_NO_SOCKET);
	assert_verdict(&synack, SHAKEOFF_SYNACK_NO_SOCKET);
	assert_verdict(&null, SHAKEOFF_BAD_SEGMENT);
	assert_verdict(&invalid, SHAKEOFF_SYN_INVALID);
}

/* The ACK to a SYN-ACK with which the kernel itself answered before the hook began to. */
static struct segment ack_of_kernel_cookie(void)
{
	const struct segment syn = { .from = ipv4.client, .sport = 40010, .seq = CLIENT_ISN, .flags = SYN };

	return (struct segment){
		.from = ipv4.client, .sport = 40010, .seq = CLIENT_ISN + 1, .ack = kernel_cookie(&syn) + 1, .flags = ACK
	};
}

static void cookies_of_the_kernel_are_good_for_a_while_after_activation(void **state)
{
	struct segment ack, wrong;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	ack = ack_of_kernel_cookie();
	wrong = ack;
	wrong.ack += 0x10000;
	harness.service->syns.since_ns = harness.service->syns.last_ns = monotonic_ns() - SECOND;
	assert_verdict(&ack, SHAKEOFF_ACK_KERNEL_COOKIE);
	assert_verdict(&wrong, SHAKEOFF_ACK_BAD_COOKIE);
	harness.service->syns.since_ns = monotonic_ns() - SHAKEOFF_KERNEL_COOKIE_NS - SECOND;
	harness.control->started_ns = monotonic_ns() - SHAKEOFF_KERNEL_COOKIE_NS - SECOND;
	assert_verdict(&ack, SHAKEOFF_ACK_BAD_COOKIE);
}

/* While there was none the kernel may have answered. */
static void they_are_so_too_after_the_start_of_a_daemon(void **state)
{
	struct segment ack;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	ack = ack_of_kernel_cookie();
	harness.service->syns.last_ns = monotonic_ns();
	harness.service->syns.since_ns = monotonic_ns() - SHAKEOFF_KERNEL_COOKIE_NS - SECOND;
	harness.control->started_ns = monotonic_ns() - SECOND;
	assert_verdict(&ack, SHAKEOFF_ACK_KERNEL_COOKIE);
}

static void they_are_so_too_where_cookies_are_always_given(void **state)
{
	struct segment ack;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	ack = ack_of_kernel_cookie();
	assert_verdict(&ack, SHAKEOFF_ACK_KERNEL_COOKIE);
	assert_int_not_equal(harness.service->syns.since_ns, 0);
}

/* ----------------------------------------------------------------------------------------------------- accept queue */

static void assert_full(enum shakeoff_overflow overflow, enum shakeoff_verdict syn, enum shakeoff_verdict ack)
{
	struct client client;

	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_int_equal(listen(listener, 2), 0);
	client_connect(&client, &linux_syn);
	fill_accept_queue(1);
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	fill_accept_queue(2);
	harness.service->overflow = overflow;
	assert_verdict(&linux_syn, syn);
	assert_verdict(&client.ack, ack);

	close(accept(listener, NULL, NULL));
	close(accept(listener, NULL, NULL));
	generation_raise();
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
}

static void a_full_accept_queue_drops(void **state)
{
	(void)state;
	assert_full(SHAKEOFF_OVERFLOW_DROP, SHAKEOFF_SYN_OVERFLOW_DROP, SHAKEOFF_ACK_OVERFLOW_DROP);
}

static void a_full_accept_queue_resets(void **state)
{
	(void)state;
	assert_full(SHAKEOFF_OVERFLOW_RESET, SHAKEOFF_SYN_OVERFLOW_RESET, SHAKEOFF_ACK_OVERFLOW_RESET);
}

static void a_full_accept_queue_turns_away_while_idle_too(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	assert_int_equal(listen(listener, 2), 0);
	fill_accept_queue(3); /* one more than listen() was given */
	assert_verdict(&linux_syn, SHAKEOFF_SYN_OVERFLOW_DROP);
	harness.service->overflow = SHAKEOFF_OVERFLOW_RESET;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_OVERFLOW_RESET);
}

static void a_socket_takes_one_more_than_listen_was_given(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	for (int backlog = 0; backlog < 5; backlog++) {
		assert_int_equal(listen(listener, backlog), 0);
		generation_raise();
		assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
		clients[backlog] = connected_socket(&ipv4, 0);
		generation_raise();
		assert_verdict(&linux_syn, SHAKEOFF_SYN_OVERFLOW_DROP);
		assert_int_equal(waiting_at(listener), backlog + 1);
	}
}

/* `backlog` of the configuration is meant as it says. */
static void the_services_backlog_holds_where_it_is_not_greater(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->backlog = 1;
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	fill_accept_queue(1);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_OVERFLOW_DROP);
	harness.service->backlog = 2;
	generation_raise();
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
	assert_int_equal(listen(listener, 1), 0); /* the same as the service's */
	harness.service->backlog = 1;
	generation_raise();
	assert_verdict(&linux_syn, SHAKEOFF_SYN_OVERFLOW_DROP);
	harness.service->backlog = 2;
	generation_raise();
	assert_verdict(&linux_syn, SHAKEOFF_SYNACK_SENT);
}

static void what_is_on_its_way_to_the_socket_counts(void **state)
{
	struct client client, other;
	struct segment syn = LINUX_SYN;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_int_equal(listen(listener, 0), 0); /* takes one */
	client_connect(&client, &linux_syn);
	syn.sport = 40001;
	client_connect(&other, &syn);
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	assert_verdict(&syn, SHAKEOFF_SYN_OVERFLOW_DROP);
	assert_verdict(&other.ack, SHAKEOFF_ACK_OVERFLOW_DROP);
	harness.service->dequeued = 1; /* the tc program has seen it, and the kernel refused it, say */
	generation_raise();
	assert_verdict(&other.ack, SHAKEOFF_ACK_ADMITTED);
}

/* A group: `listener`, whose accept queue has `waiting` of 6 connections, and `other_member`, which always has room. */
static void group_listens(int waiting)
{
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.control->flags |= SHAKEOFF_FILTER_READY; /* or every SYN would be looked up */
	harness.service->servers = 2;
	listener = listening_member(&ipv4, ipv4.server, 5);
	other_member = listening_member(&ipv4, ipv4.server, 1000);
	for (int have = 0; have < waiting;) {
		clients[have] = connected_socket(&ipv4, 0);
		if (waiting_at(listener) > have) {
			have++;
			continue;
		}
		close(accept(other_member, NULL, NULL));
		reset_socket(&clients[have]);
	}
}

/* A SYN that the kernel would give to the member in question: with `listener` full, the verdict tells. */
static struct segment syn_with_verdict(enum shakeoff_verdict wanted)
{
	struct segment syn = LINUX_SYN;

	assert_int_equal(waiting_at(listener), 6);
	for (syn.sport = 42000; syn.sport < 43000; syn.sport++) {
		generation_raise();
		if (run_segment(&syn, NULL) == wanted)
			return syn;
	}
	fail_msg("no SYN is given to this member");
	return syn;
}

static void assert_full_member(enum shakeoff_overflow overflow, enum shakeoff_verdict full)
{
	struct segment to_full, to_other;

	group_listens(6);
	harness.service->overflow = overflow;
	to_full = syn_with_verdict(full);
	to_other = syn_with_verdict(SHAKEOFF_SYNACK_SENT);
	for (int i = 0; i < 100; i++) {
		assert_verdict(&to_other, SHAKEOFF_SYNACK_SENT);
		assert_verdict(&to_full, full);
	}
}

static void a_full_member_of_a_group_drops(void **state)
{
	(void)state;
	assert_full_member(SHAKEOFF_OVERFLOW_DROP, SHAKEOFF_SYN_OVERFLOW_DROP);
}

static void a_full_member_of_a_group_resets(void **state)
{
	(void)state;
	assert_full_member(SHAKEOFF_OVERFLOW_RESET, SHAKEOFF_SYN_OVERFLOW_RESET);
}

/* Whether an ACK to a service with so many sockets notes that one is short of room. */
static void assert_noted(int waiting, uint16_t servers, uint64_t looked_ns, bool noted)
{
	struct client client;

	group_listens(waiting);
	close(other_member); /* now all is given to `listener` */
	other_member = -1;
	harness.service->servers = servers;
	client_connect(&client, &linux_syn);
	harness.service->looked_ns = looked_ns;
	harness.service->short_ns = 0;
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	assert_int_equal(harness.service->short_ns != 0, noted);
}

/* Not long ago, however long the test takes. */
static uint64_t lately(void)
{
	return monotonic_ns() + 60 * SECOND;
}

static void an_ack_that_makes_a_member_half_full_is_noted(void **state)
{
	(void)state;
	assert_noted(3, 2, lately(), true);
}

static void a_member_with_more_room_is_not_noted(void **state)
{
	(void)state;
	assert_noted(2, 2, lately(), false);
}

static void a_group_that_nobody_has_looked_at_is_taken_to_be_short(void **state)
{
	(void)state;
	assert_noted(0, 2, monotonic_ns() - SECOND, true);
}

static void a_single_socket_is_not_noted(void **state)
{
	(void)state;
	assert_noted(5, 1, 0, false);
}

/* Then the one that was looked at last in a tick stands for all. Until both SYNs come in one tick. */
static void after_the_hold_time_not_every_syn_is_looked_up(void **state)
{
	enum shakeoff_verdict verdict = SHAKEOFF_VERDICT_COUNT;
	struct segment to_full, to_other;

	(void)state;
	group_listens(6);
	to_full = syn_with_verdict(SHAKEOFF_SYN_OVERFLOW_DROP);
	to_other = syn_with_verdict(SHAKEOFF_SYNACK_SENT);
	for (int i = 0; i < 100 && verdict != SHAKEOFF_SYNACK_SENT; i++) {
		assert_verdict(&to_other, SHAKEOFF_SYNACK_SENT);
		harness.service->looked_ns = lately();
		harness.service->short_ns = monotonic_ns() - SHAKEOFF_FLOOD_HOLD_NS - SECOND;
		verdict = run_segment(&to_full, NULL);
	}
	assert_string_equal(verdict_name(verdict), verdict_name(SHAKEOFF_SYNACK_SENT));
}

/* ---------------------------------------------------------------------------------------- after the ACK, and again */

static void what_follows_the_ack_passes_without_metadata(void **state)
{
	static const uint8_t flags[] = { ACK | PSH, ACK, ACK | FIN, RST, RST | ACK };
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	admitted(&client, &linux_syn);
	validated_age(&client.ack, 0);
	for (size_t i = 0; i < COUNT(flags); i++) {
		struct segment segment = client.ack;

		segment.flags = flags[i];
		segment.seq += 1000;
		assert_verdict(&segment, SHAKEOFF_SEGMENT_AFTER_ACK);
		assert_int_equal(harness.metadata_len, 0);
	}
	validated_age(&client.ack, 2 * SHAKEOFF_FOLLOW_NS);
	client.ack.seq += 1000;
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
}

/* Says to the tc program that the segment may be here before its connection. */
static void assert_waits(const struct segment *segment)
{
	uint32_t mark;

	assert_verdict(segment, SHAKEOFF_SEGMENT_EARLY);
	assert_int_equal(harness.metadata_len, sizeof(mark));
	memcpy(&mark, harness.metadata, sizeof(mark));
	assert_int_equal(mark, METADATA_WAITS);
}

static void on_another_cpu_it_waits_for_the_socket(void **state)
{
	static const uint8_t flags[] = { ACK | PSH, ACK, ACK | FIN, RST, RST | ACK };
	struct shakeoff_validated entry;
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	admitted(&client, &linux_syn);
	validated_age(&client.ack, 0);
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(entry.replaced, sched_getcpu());
	assert_int_equal(SHAKEOFF_VALIDATED_TC_CPU(&entry), 0);
	entry.replaced |= (sched_getcpu() + 1) << 16; /* where the tc program saw it makes no difference here */
	validated_set(&client.ack, &entry);
	assert_verdict(&client.ack, SHAKEOFF_SEGMENT_AFTER_ACK);
	entry.replaced++; /* as if the ACK had come in by another CPU */
	validated_set(&client.ack, &entry);
	assert_waits(&client.ack);
	for (size_t i = 0; i < COUNT(flags); i++) {
		struct segment segment = client.ack;

		segment.flags = flags[i];
		segment.seq += 1000;
		assert_waits(&segment);
	}
	assert_int_equal(harness.service->enqueued, 1);
}

static void a_socket_with_backlog_zero_takes_one(void **state)
{
	struct client client;

	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	listener = listening_socket(&ipv4, ipv4.server, 0);
	admitted(&client, &linux_syn);
}

static void a_duplicate_of_the_ack_follows_it(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	admitted(&client, &linux_syn);
	validated_age(&client.ack, 0);
	assert_verdict(&client.ack, SHAKEOFF_SEGMENT_AFTER_ACK);
	assert_int_equal(harness.service->enqueued, 1);
}

static void an_ack_whose_connection_nobody_met_is_accepted_again(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	admitted(&client, &linux_syn);
	validated_age(&client.ack, 2 * SHAKEOFF_FOLLOW_NS);
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	metadata_read();
	assert_int_equal(harness.service->enqueued, 2);
}

static void a_late_duplicate_of_an_ack_that_has_had_its_connection_opens_nothing(void **state)
{
	struct shakeoff_validated entry;
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	admitted(&client, &linux_syn);
	assert_true(validated_get(&client.ack, &entry));
	entry.flags = SHAKEOFF_VALIDATED_ADMITTED | SHAKEOFF_VALIDATED_CONFIRMED;
	entry.established_ns -= 2 * SHAKEOFF_FOLLOW_NS;
	validated_set(&client.ack, &entry);
	assert_verdict(&client.ack, SHAKEOFF_ACK_REPLAYED);
}

static void a_segment_that_meets_the_socket_confirms_the_connection(void **state)
{
	const struct segment syn = {
		.from = ipv4.client, .sport = 40012, .seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS
	};
	struct shakeoff_validated entry;
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	admitted(&client, &syn);
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(entry.flags & SHAKEOFF_VALIDATED_CONFIRMED, 0);
	clients[0] = connected_socket(&ipv4, 40012); /* in the place of the one that the tc program would bring about */
	assert_verdict(&client.ack, SHAKEOFF_SOCKET);
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(entry.flags & SHAKEOFF_VALIDATED_CONFIRMED, SHAKEOFF_VALIDATED_CONFIRMED);
}

static void another_connection_of_the_tuple_is_accepted(void **state)
{
	struct segment syn = LINUX_SYN;
	struct shakeoff_validated entry;
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	admitted(&client, &syn);
	syn.seq += 12345;
	admitted(&client, &syn);
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(entry.client_isn, CLIENT_ISN + 12345);
}

static void an_expired_cookie_is_told_from_a_wrong_one(void **state)
{
	struct client client;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client_connect(&client, &linux_syn);
	harness.control->epoch_offset_ns += 2 * SHAKEOFF_EPOCH_NS;
	assert_verdict(&client.ack, SHAKEOFF_ACK_EXPIRED);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_validated_ack_passes_with_what_was_negotiated),
		TEST(its_hint_is_new_where_the_slot_has_an_old_one),
		TEST(an_ipv6_ack_passes_with_what_was_negotiated),
		TEST(without_timestamps_the_isn_brings_the_options_back),
		TEST(without_options_nothing_is_negotiated),
		TEST(an_ack_without_its_timestamps_passes_without_options),
		TEST(a_client_of_small_segments_is_the_kernels_as_long_as_they_are_few),
		TEST(the_sockets_window_and_scale_are_told_as_they_were_offered),
		TEST(ecn_is_taken_up_where_the_kernel_would),
		TEST(ecn_of_a_marked_syn_is_not_taken_up),
		TEST(a_route_can_ask_for_ecn),
		TEST(sack_that_has_been_switched_off_since_is_not_used),
		TEST(behind_another_tc_program_only_cookies_that_are_out_are_taken),
		TEST(where_acks_are_lost_only_cookies_that_are_out_are_taken),
		TEST(without_a_tc_program_no_cookie_is_taken),
		TEST(tcp_maxseg_of_the_socket_bounds_the_mss_that_is_offered),
		TEST(with_the_queue_handoff_a_sockets_tcp_maxseg_does_not_matter),
		TEST(data_with_the_final_ack_goes_on_with_it),
		TEST(the_daemons_heartbeat_does_not_matter),
		TEST(a_dual_stack_socket_listens_for_ipv4),
		TEST(without_a_listening_socket_the_kernel_refuses),
		TEST(a_service_that_is_not_served_is_the_kernels),
		TEST(without_the_tc_program_nothing_is_answered),
		TEST(without_keys_nothing_is_answered),
		TEST(segments_of_a_socket_pass),
		TEST(what_is_bypassed_gets_every_syn),
		TEST(malformed_syns_do_not_get_there),
		TEST(what_is_bypassed_is_not_noted_in_the_filter),
		TEST(a_socket_that_the_hook_does_not_find_gets_every_syn),
		TEST(segments_of_what_is_bypassed_pass),
		TEST(an_mptcp_socket_is_bypassed),
		TEST(a_socket_with_tcp_md5_keys_is_bypassed),
		TEST(a_socket_that_saves_syns_is_bypassed),
		TEST(a_syn_with_a_signature_passes_to_the_kernel_as_long_as_they_are_few),
		TEST(behind_two_vlan_tags_the_kernel_alone_can),
		TEST(a_frame_whose_tag_is_not_there_passes_to_the_kernel),
		TEST(a_frame_with_its_tag_is_answered_beside_those_without),
		TEST(where_no_tag_can_be_missing_frames_without_one_are_answered),
		TEST(what_belongs_to_no_vlan_device_is_answered_without_a_tag),
		TEST(while_idle_the_kernel_makes_the_handshake),
		TEST(a_syn_that_passes_while_idle_is_noted_in_the_filter),
		TEST(the_first_syn_beyond_the_rate_is_answered),
		TEST(below_the_rate_it_stays_idle),
		TEST(a_syn_queue_half_full_begins_it),
		TEST(clients_in_the_middle_of_the_kernels_handshake_pass),
		TEST(it_goes_on_for_the_hold_time),
		TEST(after_the_hold_time_it_is_idle_again),
		TEST(half_the_rate_keeps_it_active),
		TEST(one_burst_keeps_it_no_longer_than_half_the_rate_sends_as_many),
		TEST(bursts_do_not_hold_it),
		TEST(half_the_rate_on_average_keeps_it),
		TEST(a_flood_in_pulses_goes_on),
		TEST(our_cookies_stay_good_after_the_flood),
		TEST(our_cookies_stay_good_when_the_service_is_bypassed),
		TEST(our_cookies_stay_good_when_an_address_is_bypassed),
		TEST(so_they_do_when_all_are),
		TEST(of_what_is_bypassed_nothing_counts_as_out_of_state),
		TEST(of_an_address_that_has_been_bypassed_for_long_no_segment_is_looked_at),
		TEST(when_none_of_ours_can_be_out_segments_are_not_looked_at),
		TEST(of_a_fleet_another_host_may_have_given_one_though_it_is_idle_here),
		TEST(after_the_flood_what_is_not_ours_is_the_kernels_to_decide),
		TEST(in_a_flood_what_was_not_issued_is_dropped),
		TEST(cookies_of_the_kernel_are_good_for_a_while_after_activation),
		TEST(they_are_so_too_after_the_start_of_a_daemon),
		TEST(they_are_so_too_where_cookies_are_always_given),
		TEST(a_full_accept_queue_drops),
		TEST(a_full_accept_queue_resets),
		TEST(a_full_accept_queue_turns_away_while_idle_too),
		TEST(a_socket_takes_one_more_than_listen_was_given),
		TEST(the_services_backlog_holds_where_it_is_not_greater),
		TEST(what_is_on_its_way_to_the_socket_counts),
		TEST(a_full_member_of_a_group_drops),
		TEST(a_full_member_of_a_group_resets),
		TEST(an_ack_that_makes_a_member_half_full_is_noted),
		TEST(a_member_with_more_room_is_not_noted),
		TEST(a_group_that_nobody_has_looked_at_is_taken_to_be_short),
		TEST(a_single_socket_is_not_noted),
		TEST(after_the_hold_time_not_every_syn_is_looked_up),
		TEST(what_follows_the_ack_passes_without_metadata),
		TEST(on_another_cpu_it_waits_for_the_socket),
		TEST(a_socket_with_backlog_zero_takes_one),
		TEST(a_duplicate_of_the_ack_follows_it),
		TEST(an_ack_whose_connection_nobody_met_is_accepted_again),
		TEST(a_late_duplicate_of_an_ack_that_has_had_its_connection_opens_nothing),
		TEST(a_segment_that_meets_the_socket_confirms_the_connection),
		TEST(another_connection_of_the_tuple_is_accepted),
		TEST(an_expired_cookie_is_told_from_a_wrong_one),
	};

	return cmocka_run_group_tests_name("listener handoff", tests, harness_start, harness_stop);
}
