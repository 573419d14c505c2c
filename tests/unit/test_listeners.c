/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of listening sockets: added and removed sockets, the socket that gets a connection, reasons of a bypass.
 *
 * link: user/shakeoffd/discovery/listeners.c user/shakeoffd/discovery/bypass_reason.c user/common/names.c
 * link: user/shakeoffd/discovery/own_addresses.c user/shakeoffd/sys/rtnetlink.c user/common/netlink_dump.c
 * link: user/common/text.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "shakeoffd/discovery/bypass_reason.h"
#include "shakeoffd/discovery/listeners.h"

static struct listeners listeners;

static struct in6_addr address(const char *text)
{
	struct in6_addr address;

	assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
	return address;
}

/* The changes of the last list. */
static struct {
	size_t count;
	struct listener_facts before, now;
} seen;

static void note(void *context, struct listener *listener, const struct listener_facts *before)
{
	(void)context;
	seen.count++;
	seen.before = *before;
	seen.now = listener->facts;
}

static size_t settle(void)
{
	memset(&seen, 0, sizeof(seen));
	listeners_settle(&listeners, note, NULL);
	return seen.count;
}

static struct sock_diag_listener listening(const char *text, uint16_t port)
{
	struct sock_diag_listener socket = { .address = address(text), .port = port, .backlog = 128 };

	socket.family = IN6_IS_ADDR_V4MAPPED(&socket.address) ? AF_INET : AF_INET6;
	return socket;
}

static void see(const char *text, uint16_t port)
{
	struct sock_diag_listener socket = listening(text, port);

	assert_int_equal(listeners_see(&listeners, &socket, false), 0);
}

static void see_any(uint8_t family, bool dualstack, uint16_t port)
{
	struct sock_diag_listener socket = listening("::", port);

	socket.family = family;
	socket.dualstack = dualstack;
	assert_int_equal(listeners_see(&listeners, &socket, false), 0);
}

static const char *name_at(const char *text, uint16_t port)
{
	static char name[SHAKEOFF_NAME_LEN];
	struct in6_addr key = address(text);
	const struct listener *listener = listeners_at(&listeners, &key, port);

	if (!listener)
		return "nobody";
	listener_name(listener, name, sizeof(name));
	return name;
}

static int open_table(void **state)
{
	(void)state;
	return listeners_open(&listeners);
}

static int close_table(void **state)
{
	(void)state;
	listeners_close(&listeners);
	return 0;
}

static void a_new_socket_is_reported_once(void **state)
{
	(void)state;
	see("::ffff:10.9.0.1", 80);
	assert_int_equal(settle(), 1);
	assert_int_equal(seen.before.sockets, 0);
	assert_int_equal(seen.now.sockets, 1);
	see("::ffff:10.9.0.1", 80);
	assert_int_equal(settle(), 0);
}

static void a_closed_socket_is_reported_and_removed(void **state)
{
	(void)state;
	see("::ffff:10.9.0.1", 80);
	settle();
	assert_int_equal(settle(), 1);
	assert_int_equal(seen.before.sockets, 1);
	assert_int_equal(seen.now.sockets, 0);
	assert_int_equal(listeners.count, 0);
	assert_string_equal(name_at("::ffff:10.9.0.1", 80), "nobody");
}

static void a_closed_socket_is_kept_for_its_service(void **state)
{
	struct in6_addr key = address("::ffff:10.9.0.1");
	struct listener *listener;

	(void)state;
	see("::ffff:10.9.0.1", 80);
	settle();
	listener = listeners_at(&listeners, &key, 80);
	listener->discovered = (struct auto_service *)&seen;
	settle();
	assert_string_equal(name_at("::ffff:10.9.0.1", 80), "nobody");
	assert_int_equal(listeners.count, 1);
	see("::ffff:10.9.0.1", 80);
	settle();
	assert_ptr_equal(listeners_at(&listeners, &key, 80), listener);
	listeners_forget(&listeners, listener);
	assert_int_equal(listeners.count, 0);
}

static void sockets_at_one_endpoint_are_one_service(void **state)
{
	struct sock_diag_listener socket = listening("::ffff:10.9.0.1", 80);

	(void)state;
	listeners_see(&listeners, &socket, false);
	socket.backlog = 511;
	socket.ifindex = 3;
	listeners_see(&listeners, &socket, false);
	assert_int_equal(settle(), 1);
	assert_int_equal(seen.now.sockets, 2);
	assert_int_equal(seen.now.backlog, 511);
}

static void see_on_device(uint32_t ifindex, bool elsewhere, bool mptcp)
{
	struct sock_diag_listener socket = listening("::", 80);

	socket.family = AF_INET;
	socket.ifindex = ifindex;
	socket.mptcp = mptcp;
	assert_int_equal(listeners_see(&listeners, &socket, elsewhere), 0);
}

static void a_socket_on_a_device_without_the_hook_is_reported(void **state)
{
	(void)state;
	see_on_device(3, true, false);
	assert_int_equal(settle(), 1);
	assert_true(seen.now.elsewhere);
	assert_string_equal(name_at("::ffff:10.9.0.1", 80), "0.0.0.0:80");
	/* The hook's program has been attached to the device. */
	see_on_device(3, false, false);
	assert_int_equal(settle(), 1);
	assert_true(seen.before.elsewhere);
	assert_false(seen.now.elsewhere);
}

/* In any order of the kernel's list. */
static void a_socket_on_a_device_without_the_hook_does_not_affect_others(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		see_on_device(3, first, first);
		see_on_device(4, !first, !first);
		settle();
		assert_false(seen.now.elsewhere);
		assert_false(seen.now.mptcp);
		assert_int_equal(seen.now.sockets, 1);
		settle();
	}
	see_on_device(3, true, true);
	see_on_device(4, true, false);
	settle();
	assert_true(seen.now.elsewhere);
	assert_true(seen.now.mptcp);
	assert_int_equal(seen.now.sockets, 2);
}

static void see_of_user(uint32_t uid, uint32_t ifindex, bool mptcp)
{
	struct sock_diag_listener socket = listening("::", 80);

	socket.family = AF_INET;
	socket.ifindex = ifindex;
	socket.mptcp = mptcp;
	socket.uid = uid;
	assert_int_equal(listeners_see(&listeners, &socket, false), 0);
}

/* Two users can have sockets at one endpoint that are bound to different devices. In any order of the kernel's list. */
static void another_users_socket_does_not_affect_a_socket_of_root(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		see_of_user(first ? 1000 : 0, 3, first);
		see_of_user(first ? 0 : 1000, 4, !first);
		settle();
		assert_int_equal(seen.now.uid, 0);
		assert_false(seen.now.mptcp);
		assert_int_equal(seen.now.sockets, 1);
		settle();
	}
}

static void of_two_other_users_the_first_counts(void **state)
{
	(void)state;
	see_of_user(1000, 3, false);
	settle();
	see_of_user(1001, 4, true);
	see_of_user(1000, 3, false);
	assert_int_equal(settle(), 0);
	/* Until that user's socket closes. */
	see_of_user(1001, 4, true);
	assert_int_equal(settle(), 1);
	assert_int_equal(seen.now.uid, 1001);
	assert_true(seen.now.mptcp);
}

static bool names_1001(const void *context, uint16_t port, uint32_t uid)
{
	(void)context;
	return port == 80 && uid == 1001;
}

static void a_configured_user_has_precedence_over_root(void **state)
{
	(void)state;
	listeners.names = names_1001;
	see_of_user(0, 3, true);
	see_of_user(1001, 4, false);
	settle();
	assert_int_equal(seen.now.uid, 1001);
	assert_false(seen.now.mptcp);
}

static void a_socket_bound_to_lo_is_ignored(void **state)
{
	(void)state;
	see_on_device(LOOPBACK_IFINDEX, true, false);
	assert_int_equal(settle(), 0);
	assert_int_equal(listeners.count, 0);
}

static void a_changed_backlog_is_reported(void **state)
{
	struct sock_diag_listener socket = listening("::ffff:10.9.0.1", 80);

	(void)state;
	listeners_see(&listeners, &socket, false);
	settle();
	socket.backlog = 4096;
	socket.waiting = 17;
	listeners_see(&listeners, &socket, false);
	assert_int_equal(settle(), 1);
	assert_int_equal(seen.now.backlog, 4096);
	/* The number of waiting connections changes all the time. */
	socket.waiting = 18;
	listeners_see(&listeners, &socket, false);
	assert_int_equal(settle(), 0);
}

static void an_incomplete_list_changes_nothing(void **state)
{
	(void)state;
	see("::ffff:10.9.0.1", 80);
	see("::ffff:10.9.0.1", 81);
	settle();
	see("::ffff:10.9.0.1", 80);
	see("::ffff:10.9.0.1", 82);
	listeners_abandon(&listeners);
	assert_int_equal(listeners.count, 2);
	see("::ffff:10.9.0.1", 80);
	see("::ffff:10.9.0.1", 81);
	assert_int_equal(settle(), 0);
}

static void the_most_specific_socket_gets_the_connection(void **state)
{
	(void)state;
	see_any(AF_INET6, true, 80);
	settle();
	assert_string_equal(name_at("::ffff:10.9.0.1", 80), "*:80");
	assert_string_equal(name_at("2001:db8::1", 80), "*:80");

	see_any(AF_INET6, true, 80);
	see_any(AF_INET, false, 80);
	see("::ffff:10.9.0.1", 80);
	see("2001:db8::1", 80);
	settle();
	assert_string_equal(name_at("::ffff:10.9.0.1", 80), "10.9.0.1:80");
	assert_string_equal(name_at("::ffff:10.9.0.2", 80), "0.0.0.0:80");
	assert_string_equal(name_at("2001:db8::1", 80), "[2001:db8::1]:80");
	assert_string_equal(name_at("2001:db8::2", 80), "*:80");
	assert_string_equal(name_at("2001:db8::2", 81), "nobody");
}

static void a_v6only_socket_gets_no_ipv4(void **state)
{
	(void)state;
	see_any(AF_INET6, false, 80);
	settle();
	assert_string_equal(name_at("::ffff:10.9.0.1", 80), "nobody");
	assert_string_equal(name_at("2001:db8::1", 80), "[::]:80");
	assert_true(listeners_any(&listeners, 80));
	assert_false(listeners_any(&listeners, 81));
}

static void the_longest_name_fits(void **state)
{
	(void)state;
	see("2001:db8:1111:2222:3333:4444:5555:6666", 65535);
	settle();
	assert_string_equal(name_at("2001:db8:1111:2222:3333:4444:5555:6666", 65535),
			    "[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
}

static void thousands_of_sockets_are_followed(void **state)
{
	char text[32];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 20000; i++) {
			snprintf(text, sizeof(text), "::ffff:10.%d.%d.%d", 1 + i % 3, i / 256 % 256, i % 256);
			see(text, (uint16_t)(1 + i / 2));
		}
		assert_int_equal(settle(), round ? 0 : 20000);
	}
	assert_int_equal(settle(), 20000);
	assert_int_equal(listeners.count, 0);
}

static void sockets_without_a_served_address_are_not_followed(void **state)
{
	(void)state;
	see("::ffff:127.0.0.1", 80);
	see("::ffff:127.77.1.2", 80);
	see("::ffff:169.254.1.1", 80);
	see("::1", 80);
	see("fe80::1", 80);
	assert_int_equal(listeners.count, 0);
	see_any(AF_INET, false, 80);
	see_any(AF_INET6, false, 80);
	see("2001:db8::1", 80);
	assert_int_equal(listeners.count, 3);
}

static size_t longest_bucket(size_t buckets)
{
	size_t longest = 0;

	for (size_t i = 0; i < buckets; i++) {
		size_t length = 0;

		for (const struct listener *l = listeners.buckets[i]; l; l = l->next_in_bucket)
			length++;
		longest = length > longest ? length : longest;
	}
	return longest;
}

/* Uses addresses that a hash known in advance (FNV-1a over words, 2^14 buckets) puts in one bucket. */
static void an_attacker_cannot_choose_addresses_of_one_bucket(void **state)
{
	char text[32];

	(void)state;
	for (uint32_t i = 0, found = 0; found < 1024; i++) {
		uint8_t bytes[4] = { 10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i };
		uint32_t words[5] = { 0, 0, htonl(0xffff), 0, (uint16_t)(1000 + (i >> 24)) }, hash = 2166136261u;

		memcpy(&words[3], bytes, sizeof(bytes));
		for (size_t w = 0; w < 5; w++)
			hash = (hash ^ words[w]) * 16777619u;
		if ((hash ^ hash >> 15) % 16384)
			continue;
		snprintf(text, sizeof(text), "::ffff:10.%u.%u.%u", bytes[1], bytes[2], bytes[3]);
		see(text, (uint16_t)words[4]);
		found++;
	}
	settle();
	assert_true(listeners.count == 1024);
	assert_true(longest_bucket(16384) < 32);
}

/* --------------------------------------------------------------------------------------------------------- bypassed */

static void reasons_of_the_host_have_precedence_over_reasons_of_the_socket(void **state)
{
	const struct listener_facts plain = { .sockets = 1 }, mptcp = { .sockets = 1, .mptcp = true };
	const struct listener_facts keys = { .sockets = 1, .tcp_auth = true };
	const struct listener_facts elsewhere = { .sockets = 1, .elsewhere = true };
	const struct bypass_host able = { 0 }, no_cookies = { .no_cookies = true };
	const struct bypass_host old = { .cannot_admit = true, .no_cookies = true };
	const struct bypass_addresses reached = { 0 }, not_reached = { .not_reached = true };
	const struct bypass_addresses bridged = { .not_reached = true, .bridged = true };
	const struct bypass_addresses unfollowed = { .not_reached = true, .routes = true };

	(void)state;
	assert_int_equal(bypass_reason(&able, &plain, &reached), SHAKEOFF_BYPASS_NONE);
	assert_int_equal(bypass_reason(&able, &plain, &not_reached), SHAKEOFF_BYPASS_NETFILTER);
	assert_int_equal(bypass_reason(&able, &plain, &bridged), SHAKEOFF_BYPASS_BRIDGE);
	assert_int_equal(bypass_reason(&able, &plain, &unfollowed), SHAKEOFF_BYPASS_ROUTE);
	assert_int_equal(bypass_reason(&able, &keys, &not_reached), SHAKEOFF_BYPASS_TCP_AUTH);
	assert_int_equal(bypass_reason(&able, &mptcp, &reached), SHAKEOFF_BYPASS_MPTCP);
	assert_int_equal(bypass_reason(&able, &elsewhere, &not_reached), SHAKEOFF_BYPASS_DEVICE);
	assert_int_equal(bypass_reason(&no_cookies, &mptcp, &reached), SHAKEOFF_BYPASS_SYNCOOKIES);
	assert_int_equal(bypass_reason(&old, &mptcp, &not_reached), SHAKEOFF_BYPASS_KERNEL);
}

static void every_reason_has_a_help_text(void **state)
{
	(void)state;
	for (int i = 0; i < SHAKEOFF_BYPASS_COUNT; i++)
		assert_true(strlen(bypass_help((enum shakeoff_bypass)i)) > 1);
	assert_string_equal(bypass_help(SHAKEOFF_BYPASS_COUNT), "?");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_table, close_table)
	const struct CMUnitTest tests[] = {
		TEST(a_new_socket_is_reported_once),
		TEST(a_closed_socket_is_reported_and_removed),
		TEST(a_closed_socket_is_kept_for_its_service),
		TEST(sockets_at_one_endpoint_are_one_service),
		TEST(a_socket_on_a_device_without_the_hook_is_reported),
		TEST(a_socket_on_a_device_without_the_hook_does_not_affect_others),
		TEST(another_users_socket_does_not_affect_a_socket_of_root),
		TEST(of_two_other_users_the_first_counts),
		TEST(a_configured_user_has_precedence_over_root),
		TEST(a_socket_bound_to_lo_is_ignored),
		TEST(a_changed_backlog_is_reported),
		TEST(an_incomplete_list_changes_nothing),
		TEST(the_most_specific_socket_gets_the_connection),
		TEST(a_v6only_socket_gets_no_ipv4),
		TEST(the_longest_name_fits),
		TEST(thousands_of_sockets_are_followed),
		TEST(sockets_without_a_served_address_are_not_followed),
		TEST(an_attacker_cannot_choose_addresses_of_one_bucket),
		TEST(reasons_of_the_host_have_precedence_over_reasons_of_the_socket),
		TEST(every_reason_has_a_help_text),
	};

	return cmocka_run_group_tests_name("listeners", tests, NULL, NULL);
}
