/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c */
/*
 * What the hook keeps from one packet to the next (the service, the interface's profile, the cookie's hash so far): it
 * saves work, and has no visible effect. The daemon raises the generation after a change.
 */
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness.h"

#define OTHER_SERVICE 8

static const struct segment syn = LINUX_SYN;

static uint32_t cookie_of(const struct segment *segment)
{
	struct reading reading;

	run_answered(segment, SHAKEOFF_SYNACK_SENT, &reading);
	return reading.seq;
}

static void address_set(const char *text, uint16_t port, const __u32 *service)
{
	struct shakeoff_address4 address = { .port = htons(port) };

	inet_pton(AF_INET, text, &address.address);
	bpf_map_delete_elem(harness.addresses4, &address);
	if (service)
		assert_int_equal(bpf_map_update_elem(harness.addresses4, &address, service, BPF_ANY), 0);
}

static const __u32 the_service = SERVICE, other_service = OTHER_SERVICE;

static int restore(void **state)
{
	(void)state;
	address_set("10.9.0.1", 80, &the_service);
	address_set("10.9.0.1", 81, NULL);
	address_set("10.9.0.9", 80, NULL);
	return 0;
}

static void a_removed_address_passes(void **state)
{
	(void)state;
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	address_set("10.9.0.1", 80, NULL);
	generation_raise();
	assert_verdict(&syn, SHAKEOFF_NO_SERVICE);
}

static void an_added_address_is_served(void **state)
{
	struct segment other = syn;

	(void)state;
	other.to = "10.9.0.9";
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&other, SHAKEOFF_NO_SERVICE);
	address_set("10.9.0.9", 80, &the_service);
	assert_verdict(&other, SHAKEOFF_SYNACK_SENT);
}

static void an_address_that_moves_to_another_service_is_served_by_it(void **state)
{
	(void)state;
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	address_set("10.9.0.1", 80, &other_service);
	generation_raise();
	harness.service_id = OTHER_SERVICE;
	assert_verdict(&syn, SHAKEOFF_SYN_NO_SERVER);
}

static void another_port_of_the_address_is_looked_up_separately(void **state)
{
	struct segment other = syn;

	(void)state;
	other.dport = 81;
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&other, SHAKEOFF_NO_SERVICE);
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
}

static void a_changed_profile_is_seen(void **state)
{
	struct shakeoff_interface profile = interface_default();
	struct reading reading;

	(void)state;
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	profile.mss[0] = 1234;
	interface_set(&profile);
	run_answered(&syn, SHAKEOFF_SYNACK_SENT, &reading);
	assert_int_equal(get16(reading.options + 2), 1234);
}

static void a_changed_key_is_seen(void **state)
{
	uint32_t before;

	(void)state;
	before = cookie_of(&syn);
	key_set(EPOCH % SHAKEOFF_KEY_SLOTS, 12345);
	generation_raise();
	assert_int_not_equal(cookie_of(&syn), before);
}

static void a_key_of_another_epoch_changes_no_cookie(void **state)
{
	uint32_t before;

	(void)state;
	before = cookie_of(&syn);
	key_set((EPOCH + 2) % SHAKEOFF_KEY_SLOTS, 12345);
	generation_raise();
	assert_int_equal(cookie_of(&syn), before);
}

static void an_ack_under_a_changed_key_is_bad(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &syn);
	key_set(EPOCH % SHAKEOFF_KEY_SLOTS, 12345);
	generation_raise();
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
}

static void without_a_generation_every_change_is_seen_at_once(void **state)
{
	uint32_t before;

	(void)state;
	harness.control->generation = 0;
	before = cookie_of(&syn);
	key_set(EPOCH % SHAKEOFF_KEY_SLOTS, 12345);
	assert_int_not_equal(cookie_of(&syn), before);
	address_set("10.9.0.1", 80, NULL);
	assert_verdict(&syn, SHAKEOFF_NO_SERVICE);
}

static void a_changed_epoch_offset_is_seen(void **state)
{
	uint32_t before;

	(void)state;
	before = cookie_of(&syn);
	harness.control->epoch_offset_ns += SHAKEOFF_EPOCH_NS;
	assert_int_not_equal(cookie_of(&syn), before);
	harness.control->epoch_offset_ns -= SHAKEOFF_EPOCH_NS;
	assert_int_equal(cookie_of(&syn), before);
}

/* Addresses, ports, families, clients and epochs in every order: the cookies are those of a hook that keeps nothing. */
static void cookies_do_not_depend_on_what_came_before(void **state)
{
	struct segment segments[] = { LINUX_SYN, LINUX_SYN6, WINDOWS_SYN, WINDOWS_SYN6, LINUX_SYN, LINUX_SYN };
	uint32_t expected[COUNT(segments)][2];

	(void)state;
	address_set("10.9.0.9", 80, &the_service);
	address_set("10.9.0.1", 81, &the_service);
	segments[4].to = "10.9.0.9";
	segments[5].dport = 81;
	harness.control->generation = 0;
	for (size_t epoch = 0; epoch < 2; epoch++) {
		for (size_t i = 0; i < COUNT(segments); i++)
			expected[i][epoch] = cookie_of(&segments[i]);
		harness.control->epoch_offset_ns += epoch ? -SHAKEOFF_EPOCH_NS : SHAKEOFF_EPOCH_NS;
	}
	generation_raise();
	srandom(7);
	for (int i = 0; i < 2000; i++) {
		size_t k = random() % COUNT(segments), epoch = random() % 2;

		harness.control->epoch_offset_ns += epoch * SHAKEOFF_EPOCH_NS;
		assert_int_equal(cookie_of(&segments[k]), expected[k][epoch]);
		harness.control->epoch_offset_ns -= epoch * SHAKEOFF_EPOCH_NS;
	}
}

/* Every ACK comes back in the next epoch, between SYNs of this one: the hook alternates between two hashes. */
static void acks_of_the_previous_epoch_are_good_between_syns_of_this_one(void **state)
{
	struct client clients[20];

	(void)state;
	for (size_t i = 0; i < COUNT(clients); i++) {
		struct segment segment = syn;

		segment.sport = 5000 + i;
		client_connect(&clients[i], &segment);
	}
	harness.control->epoch_offset_ns += SHAKEOFF_EPOCH_NS;
	for (size_t i = 0; i < COUNT(clients); i++) {
		assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
		clients[i].ack.options.data = clients[i].ack_options;
		assert_verdict(&clients[i].ack, SHAKEOFF_ACK_VALID);
	}
}

static void another_interface_has_its_own_profile(void **state)
{
	struct ifreq request = { .ifr_name = "other", .ifr_flags = IFF_TAP | IFF_NO_PI };
	struct shakeoff_interface profile = interface_default();
	unsigned int lo = harness.ifindex;
	int tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct reading reading;

	(void)state;
	if (tap < 0 || ioctl(tap, TUNSETIFF, &request)) {
		if (tap >= 0)
			close(tap);
		skip();
	}
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	harness.ifindex = if_nametoindex("other");
	assert_verdict(&syn, SHAKEOFF_SYN_NO_KEY);
	profile.mss[0] = 1234;
	interface_set(&profile);
	run_answered(&syn, SHAKEOFF_SYNACK_SENT, &reading);
	assert_int_equal(get16(reading.options + 2), 1234);
	interface_set(NULL);
	harness.ifindex = lo;
	run_answered(&syn, SHAKEOFF_SYNACK_SENT, &reading);
	assert_int_equal(get16(reading.options + 2), MSS4);
	close(tap);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, harness_reset, restore)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_removed_address_passes),
		TEST(an_added_address_is_served),
		TEST(an_address_that_moves_to_another_service_is_served_by_it),
		TEST(another_port_of_the_address_is_looked_up_separately),
		TEST(a_changed_profile_is_seen),
		TEST(a_changed_key_is_seen),
		TEST(a_key_of_another_epoch_changes_no_cookie),
		TEST(an_ack_under_a_changed_key_is_bad),
		TEST(without_a_generation_every_change_is_seen_at_once),
		TEST(a_changed_epoch_offset_is_seen),
		TEST(cookies_do_not_depend_on_what_came_before),
		TEST(acks_of_the_previous_epoch_are_good_between_syns_of_this_one),
		TEST(another_interface_has_its_own_profile),
	};

	return cmocka_run_group_tests_name("kept state", tests, harness_start, harness_stop);
}
