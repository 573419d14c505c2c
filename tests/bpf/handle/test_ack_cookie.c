/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/ack_events.c */
/* ACKs with a cookie that is wrong, too old, or from another key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ack_events.h"

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6;
static const struct segment windows_syn = WINDOWS_SYN, windows_syn6 = WINDOWS_SYN6;

/* ------------------------------------------------------------------------------------------------------ bad cookies */

/* ACKs that follow no SYN. The client's ISN and addresses are those of a handshake that did happen. */
static void an_ack_without_a_syn_is_dropped(void **state)
{
	const struct segment ack = { .seq = 1, .ack = 12345, .flags = ACK };

	(void)state;
	assert_verdict(&ack, SHAKEOFF_ACK_BAD_COOKIE);
}

/* Of an ACK with timestamps. A wrong offset makes the echo look old half of the time, so either verdict is right. */
static void assert_is_no_cookie(const struct segment *ack)
{
	enum shakeoff_verdict verdict = run_segment(ack, NULL);

	assert_true(verdict == SHAKEOFF_ACK_BAD_COOKIE || verdict == SHAKEOFF_ACK_EXPIRED);
	expect_no_event();
}

/* Changes every bit of the acknowledgment number, one at a time. */
static void assert_every_bit_of_the_cookie_counts(const struct segment *syn)
{
	struct client client;

	client_connect(&client, syn);
	for (int bit = 0; bit < 32; bit++) {
		struct segment forged = client.ack;

		forged.ack = (client.synack.seq ^ 1u << bit) + 1;
		assert_verdict(&forged, SHAKEOFF_ACK_BAD_COOKIE);
	}
	expect_no_event();
	opens(&client);
}

static void every_bit_of_the_cookie_counts(void **state)
{
	(void)state;
	assert_every_bit_of_the_cookie_counts(&linux_syn);
}

static void every_bit_of_the_cookie_counts_without_timestamps(void **state)
{
	(void)state;
	assert_every_bit_of_the_cookie_counts(&windows_syn);
}

static void every_bit_of_the_cookie_counts_over_ipv6(void **state)
{
	(void)state;
	assert_every_bit_of_the_cookie_counts(&linux_syn6);
}

/* What is above the MAC without timestamps, for this many clients that offer the same at the same time. */
static void assert_nothing_is_shown(struct segment syn)
{
	uint64_t seen = 0;

	for (int i = 0; i < 1024; i++) {
		struct client client;

		syn.sport = 20000 + i;
		client_connect(&client, &syn);
		seen |= 1ull << (client.synack.seq >> 26);
	}
	assert_int_equal(seen, ~0ull); /* probability that one of the 64 values is missing by chance: 10^-5 */
}

static void a_synack_without_timestamps_shows_neither_options_nor_epoch(void **state)
{
	(void)state;
	assert_nothing_is_shown(windows_syn);
	assert_nothing_is_shown(windows_syn6);
}

/* The MAC of a cookie that was sent, with each of the 64 values that can be above it. */
static void the_mac_alone_opens_nothing(void **state)
{
	const struct segment *const syns[] = { &windows_syn, &windows_syn6 };

	(void)state;
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct client client;

		client_connect(&client, syns[i]);
		for (uint32_t wrong = 1; wrong < 64; wrong++) {
			struct segment forged = client.ack;

			forged.ack = (client.synack.seq ^ wrong << 26) + 1;
			assert_verdict(&forged, SHAKEOFF_ACK_BAD_COOKIE);
		}
	}
}

static void every_bit_of_the_clients_isn_counts(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	for (int bit = 0; bit < 32; bit++) {
		struct segment forged = client.ack;

		forged.seq = (CLIENT_ISN ^ 1u << bit) + 1;
		assert_verdict(&forged, SHAKEOFF_ACK_BAD_COOKIE);
	}
}

/*
 * The options in the echo have no MAC, as in the kernel's cookies: a client that changes them changes only its own
 * connection.
 */
static void options_that_the_client_changes_are_its_own(void **state)
{
	const struct shakeoff_event *event;
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	put32(client.ack_options + 8, client.synack.tsval - (0x10u << 18) + (2u << 18) - (7u << 24));
	event = opens(&client);
	assert_int_equal(event->flags, SHAKEOFF_EVENT_TIMESTAMPS);
	assert_int_equal(event->snd_wscale, 9);
	assert_int_equal(event->mss, 1460 - 7);
}

static void another_address_makes_the_cookie_bad(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	client.ack.from = "198.51.100.8";
	assert_is_no_cookie(&client.ack);
}

static void another_ipv6_address_makes_the_cookie_bad(void **state)
{
	static const char *const others[] = { "2001:db9:7::7", "2001:db8:7:1::7", "2001:db8:7::1:0:7",
					      "2001:db8:7::8" };
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn6);
	for (size_t i = 0; i < COUNT(others); i++) {
		client.ack.from = others[i];
		assert_is_no_cookie(&client.ack);
	}
}

static void another_port_makes_the_cookie_bad(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	client.ack.sport = 40001;
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
}

/* Asserts that only the address of such a client is known. */
static void assert_opens_without_options(struct client *client)
{
	const struct shakeoff_event *event;

	client->synack.window = WINDOW(!!client->syn.from, 0); /* its segments have room for timestamps */
	event = opens(client);
	assert_int_equal(event->flags, 0);
	assert_int_equal(event->mss, client->syn.from ? 1220 : 536);
	assert_int_equal(event->snd_wscale, SHAKEOFF_NO_WSCALE);
	assert_int_equal(event->rcv_wscale, SHAKEOFF_NO_WSCALE);
	assert_int_equal(event->snd_wnd, 502);
	assert_int_equal(event->tsval | event->tsecr, 0);
}

static void an_ack_that_lost_its_timestamps_opens_without_options(void **state)
{
	const struct segment *const syns[] = { &linux_syn, &linux_syn6 };

	(void)state;
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct client client;

		client_connect(&client, syns[i]);
		client.ack.options.len = 0;
		assert_opens_without_options(&client);
	}
}

static void an_ack_that_echoes_zero_opens_without_options(void **state)
{
	const struct segment *const syns[] = { &linux_syn, &linux_syn6 };

	(void)state;
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct client client;

		client_connect(&client, syns[i]);
		put32(client.ack_options + 8, 0);
		assert_opens_without_options(&client);
	}
}

static void an_ack_that_lost_its_timestamps_is_good_in_the_next_epoch(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	client.ack.options.len = 0;
	harness.control->epoch_offset_ns += SHAKEOFF_EPOCH_NS;
	assert_opens_without_options(&client);
}

static void without_timestamps_every_bit_of_their_cookie_counts(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	client.ack.options.len = 0;
	for (int bit = 0; bit < 32; bit++) {
		struct segment forged = client.ack;

		forged.ack = (client.synack.seq ^ 1u << bit) + 1;
		assert_verdict(&forged, SHAKEOFF_ACK_BAD_COOKIE);
	}
	assert_opens_without_options(&client);
}

static void an_ack_that_gained_timestamps_is_bad(void **state)
{
	static const uint8_t options[] = { 1, 1, 8, 10, 0, 0, 0, 1, 0x12, 0x34, 0x56, 0x78 };
	struct client client;

	(void)state;
	client_connect(&client, &windows_syn);
	client.ack.options = (struct bytes){ options, sizeof(options) };
	assert_is_no_cookie(&client.ack);
}

static void an_ack_under_another_key_is_bad(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &windows_syn);
	harness.control->epoch_offset_ns += 4 * SHAKEOFF_EPOCH_NS; /* the same slot, another epoch */
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
}

/* ----------------------------------------------------------------------------------------------------------- epochs */

static void epochs_pass(int epochs)
{
	harness.control->epoch_offset_ns += (uint64_t)epochs * SHAKEOFF_EPOCH_NS;
}

static void a_cookie_of_the_previous_epoch_is_good(void **state)
{
	const struct segment *const syns[] = { &linux_syn, &windows_syn, &linux_syn6, &windows_syn6 };

	(void)state;
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct segment syn = *syns[i];
		struct client client;

		syn.sport = 3000 + i;
		client_connect(&client, &syn);
		epochs_pass(1);
		opens(&client);
	}
}

/* The kept hash of one epoch must not be used for the other epoch. */
static void cookies_of_two_epochs_are_good_in_turn(void **state)
{
	const struct segment *const syns[] = { &windows_syn, &windows_syn6, &linux_syn, &linux_syn6 };
	struct client old[4 * 3], new[4 * 3];

	(void)state;
	harness.service->capacity = 2 * COUNT(old);
	for (size_t i = 0; i < COUNT(old); i++) {
		struct segment syn = *syns[i % COUNT(syns)];

		syn.sport = 3000 + i;
		client_connect(&old[i], &syn);
	}
	epochs_pass(1);
	for (size_t i = 0; i < COUNT(new); i++) {
		struct segment syn = *syns[i / 3];

		syn.sport = 4000 + i;
		client_connect(&new[i], &syn);
	}
	for (size_t i = 0; i < COUNT(old); i++) {
		opens(&old[i]);
		opens(&new[i]);
	}
}

/* Only the key of an epoch shows that a cookie is from that epoch. */
static void a_cookie_two_epochs_old_is_bad(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &windows_syn);
	epochs_pass(2);
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
}

static void a_cookie_three_epochs_old_is_bad(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &windows_syn6);
	epochs_pass(3);
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
}

/* Its key has the slot of the present epoch. */
static void a_cookie_four_epochs_old_is_bad(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &windows_syn);
	epochs_pass(4);
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
}

static void a_cookie_with_timestamps_two_epochs_old_has_expired(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	epochs_pass(2);
	assert_verdict(&client.ack, SHAKEOFF_ACK_EXPIRED);
}

static void a_cookie_of_the_next_epoch_is_bad(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &windows_syn);
	epochs_pass(-1);
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
	client_connect(&client, &linux_syn);
	epochs_pass(-1);
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
}

static void a_cookie_of_the_next_epoch_is_good_where_clocks_may_differ(void **state)
{
	const struct segment *const syns[] = { &linux_syn, &windows_syn, &linux_syn6, &windows_syn6 };

	(void)state;
	harness.control->flags |= SHAKEOFF_ACCEPT_NEXT_EPOCH;
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct segment syn = *syns[i];
		struct client client;

		syn.sport = 3000 + i;
		client_connect(&client, &syn);
		epochs_pass(-1);
		opens(&client);
	}
}

#define TEST(function) cmocka_unit_test_setup(function, harness_reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_ack_without_a_syn_is_dropped),
		TEST(every_bit_of_the_cookie_counts),
		TEST(every_bit_of_the_cookie_counts_without_timestamps),
		TEST(every_bit_of_the_cookie_counts_over_ipv6),
		TEST(a_synack_without_timestamps_shows_neither_options_nor_epoch),
		TEST(the_mac_alone_opens_nothing),
		TEST(every_bit_of_the_clients_isn_counts),
		TEST(options_that_the_client_changes_are_its_own),
		TEST(another_address_makes_the_cookie_bad),
		TEST(another_ipv6_address_makes_the_cookie_bad),
		TEST(another_port_makes_the_cookie_bad),
		TEST(an_ack_that_lost_its_timestamps_opens_without_options),
		TEST(an_ack_that_echoes_zero_opens_without_options),
		TEST(an_ack_that_lost_its_timestamps_is_good_in_the_next_epoch),
		TEST(without_timestamps_every_bit_of_their_cookie_counts),
		TEST(an_ack_that_gained_timestamps_is_bad),
		TEST(an_ack_under_another_key_is_bad),
		TEST(a_cookie_of_the_previous_epoch_is_good),
		TEST(cookies_of_two_epochs_are_good_in_turn),
		TEST(a_cookie_two_epochs_old_is_bad),
		TEST(a_cookie_three_epochs_old_is_bad),
		TEST(a_cookie_four_epochs_old_is_bad),
		TEST(a_cookie_with_timestamps_two_epochs_old_has_expired),
		TEST(a_cookie_of_the_next_epoch_is_bad),
		TEST(a_cookie_of_the_next_epoch_is_good_where_clocks_may_differ),
	};

	return cmocka_run_group_tests_name("cookies of ACKs", tests, harness_start, harness_stop);
}
