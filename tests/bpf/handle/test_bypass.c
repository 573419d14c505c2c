/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/listener.c */
/* Sockets, addresses and frames that are bypassed. */
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "listener.h"

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6;

/* --------------------------------------------------------------------------------------------------------- bypassed */

static void a_bypassed_service_gets_every_syn(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_NEVER);
	for (int i = 0; i < 1000; i++)
		assert_verdict(i % 2 ? &linux_syn : &linux_syn6, SHAKEOFF_SYN_BYPASS);
	assert_int_equal(harness.service->budget_window, 0);
	assert_int_equal(harness.service->budget_syns, 0);
	assert_int_equal(harness.service->syns.counted, 0);
}

static void a_bypassed_service_gets_no_malformed_syn(void **state)
{
	const struct segment with_fin = { .flags = SYN | FIN }, from_loopback = { .from = "127.0.0.1", .flags = SYN };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_NEVER);
	harness.service->bypass = SHAKEOFF_BYPASS_MPTCP;
	assert_verdict(&with_fin, SHAKEOFF_SYN_INVALID);
	assert_verdict(&from_loopback, SHAKEOFF_SYN_INVALID);
}

/* Otherwise a flood would fill it: nothing looks up sockets of bypassed services. */
static void a_bypassed_service_is_not_noted_in_the_filter(void **state)
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

static void segments_of_a_bypassed_service_pass(void **state)
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

static void a_few_syns_with_a_signature_pass_to_the_kernel(void **state)
{
	const struct segment authentic = { .flags = SYN, .options = BYTES(29, 4, 1, 1) };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_verdict(&authentic, SHAKEOFF_SYN_TCP_AUTH);
	budget_spend(true);
	assert_verdict(&authentic, SHAKEOFF_SYNACK_SENT);
}

static void syns_behind_two_vlan_tags_pass_to_the_kernel(void **state)
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

/* ---------------------------------------------------------------------------------------- addresses of VLAN devices */

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

static void a_frame_without_its_tag_passes_to_the_kernel(void **state)
{
	const struct segment ack = { .flags = ACK }, rst = { .flags = RST };

	(void)state;
	listens_behind_vlans(true);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_BYPASS);
	assert_verdict(&ack, SHAKEOFF_ACK_IDLE);
	assert_verdict(&rst, SHAKEOFF_ACK_IDLE);
}

/* In this order, because the look-up of the first is remembered for the second. */
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

/*
 * At the VLAN device itself, for example: a frame that comes in there has lost its tag, and gets it back when it
 * leaves.
 */
static void frames_without_a_tag_are_answered_where_no_tag_can_be_missing(void **state)
{
	struct client client;

	(void)state;
	listens_behind_vlans(false);
	admitted(&client, &linux_syn);
}

static void frames_of_no_vlan_device_are_answered_without_a_tag(void **state)
{
	struct client client;

	(void)state;
	listens_behind_vlans(true);
	address_set(SERVICE);
	admitted(&client, &linux_syn);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, listener_setup, listener_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_bypassed_service_gets_every_syn),
		TEST(a_bypassed_service_gets_no_malformed_syn),
		TEST(a_bypassed_service_is_not_noted_in_the_filter),
		TEST(a_socket_that_the_hook_does_not_find_gets_every_syn),
		TEST(segments_of_a_bypassed_service_pass),
		TEST(an_mptcp_socket_is_bypassed),
		TEST(a_socket_with_tcp_md5_keys_is_bypassed),
		TEST(a_socket_that_saves_syns_is_bypassed),
		TEST(a_few_syns_with_a_signature_pass_to_the_kernel),
		TEST(syns_behind_two_vlan_tags_pass_to_the_kernel),
		TEST(a_frame_without_its_tag_passes_to_the_kernel),
		TEST(a_frame_with_its_tag_is_answered_beside_those_without),
		TEST(frames_without_a_tag_are_answered_where_no_tag_can_be_missing),
		TEST(frames_of_no_vlan_device_are_answered_without_a_tag),
	};

	return cmocka_run_group_tests_name("bypass", tests, harness_start, harness_stop);
}
