/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c */
/* ACK floods that try to forge cookies: when the hook notices them, and what an ACK then needs to open a connection. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness.h"
#include "sockets.h"

#define SECOND 1000000000ull
#define ISSUED_SIZE (2 * SHAKEOFF_ISSUED_WORDS * sizeof(uint64_t))

/* The counter counts every sixteenth ACK: MANY adds at least two counts, and FEW adds far less than a window allows. */
#define MANY 48
#define FEW 80
#define ALLOWED (SHAKEOFF_FORGERY_RATE * (SHAKEOFF_FORGERY_WINDOW_NS / 1000000) / 1000)

static const struct segment linux_syn = LINUX_SYN, windows_syn = WINDOWS_SYN, windows_syn6 = WINDOWS_SYN6,
			    linux_syn6 = LINUX_SYN6;
static uint64_t *issued;
static int half_open, listener;

static int start(void **state)
{
	int error = harness_start(state);
	void *memory;

	if (error)
		return error;
	half_open = bpf_object__find_map_fd_by_name(harness.object, "half_open");
	memory = mmap(NULL, ISSUED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		      bpf_object__find_map_fd_by_name(harness.object, "issued"), 0);
	issued = memory;
	return memory == MAP_FAILED ? -1 : 0;
}

static int stop(void **state)
{
	munmap(issued, ISSUED_SIZE);
	return harness_stop(state);
}

/* Starts each test in the middle of a period, so that all of it is in one period. */
static int setup(void **state)
{
	uint64_t remaining = SHAKEOFF_ISSUED_PERIOD_NS - monotonic_ns() % SHAKEOFF_ISSUED_PERIOD_NS;

	if (remaining < SHAKEOFF_ISSUED_PERIOD_NS / 2)
		usleep(remaining / 1000 + 1000);
	memset(issued, 0, ISSUED_SIZE);
	listener = -1;
	return harness_reset(state);
}

static int teardown(void **state)
{
	(void)state;
	if (listener >= 0)
		close(listener);
	return 0;
}

static void listens(void)
{
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	listener = listening_socket(&ipv4, ipv4.server, 16);
}

/* Makes it look as if the forgery had lasted this long. */
static void forgery_for(uint64_t duration_ns)
{
	harness.service->forgery.since_ns = monotonic_ns() - duration_ns;
	harness.service->forgery.last_ns = monotonic_ns();
}

static void forgery(void)
{
	forgery_for(SHAKEOFF_FORGERY_WARM_NS + SECOND);
}

/* A client whose SYN is answered while cookies are being forged. */
static void forgery_client(struct client *client, const struct segment *syn)
{
	forgery();
	client_connect(client, syn);
}

static size_t notes(void)
{
	size_t count = 0;

	for (size_t i = 0; i < 2 * SHAKEOFF_ISSUED_WORDS; i++)
		count += issued[i] != 0;
	return count;
}

static void forget_notes(void)
{
	memset(issued, 0, ISSUED_SIZE);
}

/* Makes the notes one period older. */
static void notes_grow_older(void)
{
	for (size_t i = 0; i < SHAKEOFF_ISSUED_WORDS; i++) {
		uint64_t *even = &issued[i], *odd = &issued[i + SHAKEOFF_ISSUED_WORDS], kept = *even;

		*even = *odd ? *odd - (1ull << SHAKEOFF_ISSUED_TAG_SHIFT) : 0;
		*odd = kept ? kept - (1ull << SHAKEOFF_ISSUED_TAG_SHIFT) : 0;
	}
}

/* A nearly full window: on a slow machine it would end before the test has filled it. */
static void window_is_nearly_full(void)
{
	harness.service->forgery.window_ns = monotonic_ns();
	harness.service->forgery.counted = ALLOWED - 16;
}

static void bad_acks(int count)
{
	struct client client;

	client_connect(&client, &linux_syn);
	window_is_nearly_full();
	for (int i = 0; i < count; i++) {
		client.ack.ack++;
		assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
	}
}

/* ---------------------------------------------------------------------------------------------------------- noticed */

static void an_ack_flood_is_noticed(void **state)
{
	(void)state;
	bad_acks(MANY);
	assert_int_not_equal(harness.service->forgery.since_ns, 0);
	assert_true(monotonic_ns() - harness.service->forgery.since_ns < SECOND);
	assert_int_not_equal(harness.service->forgery.last_ns, 0);
}

static void an_ack_flood_to_a_listening_socket_is_noticed(void **state)
{
	(void)state;
	listens();
	bad_acks(MANY);
	assert_int_not_equal(harness.service->forgery.since_ns, 0);
}

/* Cookies of a flood are good for two minutes after it. */
static void an_ack_flood_is_noticed_when_the_hook_answers_no_more(void **state)
{
	struct client client;

	(void)state;
	listens();
	client_connect(&client, &linux_syn);
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE;
	harness.service->syns.since_ns = harness.service->syns.last_ns = 0;
	harness.service->released_ns = monotonic_ns();
	window_is_nearly_full();
	client.ack.ack++;
	for (int i = 0; i < MANY; i++)
		assert_verdict(&client.ack, SHAKEOFF_NO_SOCKET_PASS);
	assert_int_not_equal(harness.service->forgery.since_ns, 0);
}

static void a_few_bad_acks_are_no_forgery(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	client.ack.ack++;
	for (int i = 0; i < FEW; i++)
		assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
	assert_int_equal(harness.service->forgery.since_ns, 0);
}

static void expired_acks_count_too(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	put32(client.ack_options + 8, client.synack.tsval - 128000);
	client.ack.ack++;
	window_is_nearly_full();
	for (int i = 0; i < MANY; i++)
		assert_verdict(&client.ack, SHAKEOFF_ACK_EXPIRED);
	assert_int_not_equal(harness.service->forgery.since_ns, 0);
}

/* Every sixteenth goes to another service, so that each batch of invalid ACKs ends there. */
static void bad_acks_count_for_the_service_whose_cookies_are_forged(void **state)
{
	const __u32 other = SERVICE + 1;
	struct shakeoff_address4 address = { .port = htons(81) };
	struct segment elsewhere = { .dport = 81, .flags = ACK };
	struct client client;

	(void)state;
	inet_pton(AF_INET, "10.9.0.1", &address.address);
	assert_int_equal(bpf_map_update_elem(harness.addresses4, &address, &other, BPF_ANY), 0);
	harness.service[1] = *harness.service;
	for (int phase = 0; phase < 16; phase++) {
		client_connect(&client, &linux_syn);
		client.ack.ack++;
		harness.service->forgery.since_ns = 0;
		assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE); /* one more: the next phase */
		window_is_nearly_full();
		for (int i = 0; i < 4 * 16; i++) {
			harness.service_id = i % 16 ? SERVICE : other;
			assert_verdict(i % 16 ? &client.ack : &elsewhere, SHAKEOFF_ACK_BAD_COOKIE);
		}
		harness.service_id = SERVICE;
		assert_int_not_equal(harness.service->forgery.since_ns, 0);
	}
	memset(&harness.service[1], 0, sizeof(harness.service[1]));
	assert_int_equal(bpf_map_delete_elem(harness.addresses4, &address), 0);
}

static void valid_acks_do_not_count(void **state)
{
	(void)state;
	harness.service->capacity = MANY + 1;
	window_is_nearly_full();
	for (int i = 0; i < MANY; i++) {
		struct segment syn = WINDOWS_SYN;
		struct client client;

		syn.sport = 20000 + i;
		client_opens(&client, &syn);
	}
	assert_int_equal(harness.service->forgery.since_ns, 0);
}

static void forgery_begins_once_and_continues(void **state)
{
	uint64_t since;

	(void)state;
	forgery();
	since = harness.service->forgery.since_ns;
	harness.service->forgery.last_ns -= 2 * SECOND;
	bad_acks(2 * SHAKEOFF_FORGERY_RATE);
	assert_int_equal(harness.service->forgery.since_ns, since);
	assert_true(monotonic_ns() - harness.service->forgery.last_ns < SECOND);
}

/* Two seconds of half the rate are a thousand forged ACKs. */
static void a_few_forged_acks_do_not_prolong_the_forgery(void **state)
{
	struct client client;
	int64_t remaining;

	(void)state;
	client_connect(&client, &linux_syn);
	forgery();
	harness.service->forgery.last_ns -= SHAKEOFF_FLOOD_HOLD_NS - 2 * SECOND;
	client.ack.ack++;
	for (int i = 0; i < 160; i++)
		assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
	remaining = harness.service->forgery.last_ns + SHAKEOFF_FLOOD_HOLD_NS - monotonic_ns();
	assert_true(remaining <= (int64_t)(2 * SECOND + 160 * SECOND / (SHAKEOFF_FORGERY_RATE / 2)));
	assert_true(remaining > 0);
}

/* -------------------------------------------------------------------------------------------------- which ACKs open */

static void nothing_is_noted_while_idle(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &windows_syn);
	assert_int_equal(notes(), 0);
}

static void a_client_that_was_sent_a_cookie_opens(void **state)
{
	const struct segment *const syns[] = { &windows_syn, &windows_syn6 };

	(void)state;
	forgery();
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct client client;

		client_opens(&client, syns[i]);
		assert_int_equal(notes(), i + 1);
	}
}

static void a_source_that_was_not_sent_a_cookie_opens_nothing(void **state)
{
	const struct segment *const syns[] = { &windows_syn, &windows_syn6 };

	(void)state;
	forgery();
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct client client;

		client_connect(&client, syns[i]);
		forget_notes();
		assert_verdict(&client.ack, SHAKEOFF_ACK_NOT_ISSUED);
		assert_verdict(&client.ack, SHAKEOFF_ACK_NOT_ISSUED);
	}
}

static void a_listening_socket_needs_an_issued_cookie_too(void **state)
{
	struct client client;

	(void)state;
	listens();
	forgery_client(&client, &windows_syn);
	forget_notes();
	assert_verdict(&client.ack, SHAKEOFF_ACK_NOT_ISSUED);
	assert_verdict(&windows_syn, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
}

/* The note of a cookie with timestamps includes its options: an ACK that brings it back without an echo is forged. */
static void a_cookie_that_lost_its_timestamps_opens_nothing(void **state)
{
	const struct segment *const syns[] = { &linux_syn, &linux_syn6 };

	(void)state;
	forgery();
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct segment echoes_zero, without;
		struct client client;

		client_connect(&client, syns[i]);
		assert_int_equal(notes(), i + 1);
		without = echoes_zero = client.ack;
		without.options.len = 0;
		echoes_zero.options = (struct bytes)BYTES(1, 1, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0);
		assert_verdict(&without, SHAKEOFF_ACK_NOT_ISSUED);
		assert_verdict(&echoes_zero, SHAKEOFF_ACK_NOT_ISSUED);
		assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
		expect_event(SHAKEOFF_EVENT_OPEN);
	}
}

/* The tuple has been sent a cookie, but not this one. */
static void the_note_of_an_earlier_cookie_does_not_help_a_forged_one(void **state)
{
	struct segment again = WINDOWS_SYN;
	struct client client;

	(void)state;
	forgery_client(&client, &windows_syn);
	forget_notes();
	again.seq += 1000;
	assert_verdict(&again, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&client.ack, SHAKEOFF_ACK_NOT_ISSUED);
}

/* An attacker that sent a SYN from a client's address knows its offer and its time, but cannot compute its cookie. */
static void the_mac_of_a_noted_cookie_is_not_enough(void **state)
{
	struct client client;
	int bad = 0;

	(void)state;
	forgery_client(&client, &windows_syn);
	assert_int_equal(notes(), 1);
	for (uint32_t above = 0; above < 64; above++) {
		struct segment forged = client.ack;

		forged.ack = ((client.synack.seq & ((1u << 26) - 1)) | above << 26) + 1;
		if (forged.ack == client.ack.ack)
			continue;
		assert_verdict(&forged, SHAKEOFF_ACK_BAD_COOKIE);
		bad++;
	}
	assert_int_equal(bad, 63);
	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
}

static void cookies_that_were_not_issued_prolong_the_forgery(void **state)
{
	struct client client;

	(void)state;
	forgery_client(&client, &windows_syn);
	forget_notes();
	harness.service->forgery.last_ns -= 2 * SECOND;
	for (uint32_t i = 0; i < 2 * SHAKEOFF_FORGERY_RATE; i++)
		assert_verdict(&client.ack, SHAKEOFF_ACK_NOT_ISSUED);
	assert_true(monotonic_ns() - harness.service->forgery.last_ns < SECOND);
}

/* An ACK whose echo exceeds what it was sent by this much. */
static struct segment echoing(struct client *client, uint32_t more)
{
	struct segment ack = client->ack;

	put32(client->ack_options + 8, client->synack.tsval + more);
	return ack;
}

static void a_forged_cookie_with_timestamps_opens_nothing(void **state)
{
	const struct segment *const syns[] = { &linux_syn, &linux_syn6 };

	(void)state;
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct client client;

		forgery_client(&client, syns[i]);
		forget_notes();
		assert_verdict(&client.ack, SHAKEOFF_ACK_NOT_ISSUED);
		assert_verdict(syns[i], SHAKEOFF_SYNACK_SENT);
		assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
		expect_event(SHAKEOFF_EVENT_OPEN);
	}
}

/* An attacker that has sent a SYN from a client's address and guesses its ISN, 2^-31, must also guess the echo. */
static void an_echo_with_other_options_opens_nothing(void **state)
{
	const struct segment *const syns[] = { &linux_syn, &linux_syn6 };

	(void)state;
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct client client;
		struct segment ack;

		forgery_client(&client, syns[i]);
		for (int bit = 18; bit < 32; bit++) {
			ack = echoing(&client, 1u << bit);
			assert_verdict(&ack, SHAKEOFF_ACK_NOT_ISSUED);
		}
		ack = echoing(&client, 0);
		assert_verdict(&ack, SHAKEOFF_ACK_VALID);
		expect_event(SHAKEOFF_EVENT_OPEN);
	}
}

/* Also during the wait for cookies from before the forgery: the clock shows how long ago they were sent. */
static void an_old_or_future_echo_opens_nothing(void **state)
{
	const uint32_t wrong[] = { -(SHAKEOFF_ISSUED_ECHO_MS + 100), -60000, 100, 60000 };
	struct client client;
	struct segment ack;

	(void)state;
	client_connect(&client, &linux_syn);
	forgery_for(SHAKEOFF_FORGERY_WARM_NS - SECOND);
	for (size_t i = 0; i < COUNT(wrong); i++) {
		ack = echoing(&client, wrong[i]);
		assert_verdict(&ack, SHAKEOFF_ACK_NOT_ISSUED);
	}
	ack = echoing(&client, -(SHAKEOFF_ISSUED_ECHO_MS - 500));
	assert_verdict(&ack, SHAKEOFF_ACK_VALID);
}

static void without_forgery_the_echo_may_be_old(void **state)
{
	struct client client;
	struct segment ack;

	(void)state;
	client_connect(&client, &linux_syn);
	ack = echoing(&client, -60000);
	assert_verdict(&ack, SHAKEOFF_ACK_VALID);
}

static void cookies_from_before_the_forgery_are_accepted(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &windows_syn);
	forgery_for(SHAKEOFF_FORGERY_WARM_NS - SECOND);
	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
}

static void after_a_flood_cookies_need_no_note(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &windows_syn);
	forgery();
	harness.service->forgery.last_ns -= SHAKEOFF_FLOOD_HOLD_NS + SECOND;
	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
	assert_int_equal(harness.service->forgery.since_ns, 0);
}

static void an_answered_syn_ends_the_forgery_too(void **state)
{
	(void)state;
	forgery();
	harness.service->forgery.last_ns -= SHAKEOFF_FLOOD_HOLD_NS + SECOND;
	assert_verdict(&windows_syn, SHAKEOFF_SYNACK_SENT);
	assert_int_equal(harness.service->forgery.since_ns, 0);
	assert_int_equal(notes(), 0);
}

static void in_a_fleet_cookies_need_no_note(void **state)
{
	struct client client;

	(void)state;
	harness.control->flags |= SHAKEOFF_ACCEPT_NEXT_EPOCH;
	forgery_client(&client, &windows_syn);
	assert_int_equal(notes(), 0);
	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
}

/* --------------------------------------------------------------------------------------------------------- lifetime */

static void a_note_lives_into_the_next_period(void **state)
{
	struct client client;

	(void)state;
	forgery_client(&client, &windows_syn);
	notes_grow_older();
	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
}

static void a_note_does_not_live_into_the_period_after_the_next(void **state)
{
	struct client client;

	(void)state;
	forgery_client(&client, &windows_syn);
	notes_grow_older();
	notes_grow_older();
	assert_verdict(&client.ack, SHAKEOFF_ACK_NOT_ISSUED);
}

static void a_repeated_syn_renews_the_note(void **state)
{
	struct client client;

	(void)state;
	forgery_client(&client, &windows_syn);
	notes_grow_older();
	notes_grow_older();
	assert_verdict(&windows_syn, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
}

static void an_ack_that_a_full_queue_ignores_renews_the_note(void **state)
{
	struct client client;

	(void)state;
	forgery_client(&client, &windows_syn);
	harness.service->capacity = 0;
	for (int i = 0; i < 4; i++) {
		notes_grow_older();
		assert_verdict(&client.ack, SHAKEOFF_ACK_OVERFLOW_DROP);
	}
	harness.service->capacity = 1;
	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
}

static void a_half_open_connection_needs_no_note(void **state)
{
	struct shakeoff_tuple tuple = tuple_of_segment(&windows_syn);
	struct shakeoff_half_open entry = { .rcv_nxt = CLIENT_ISN + 1 };
	struct client client;

	(void)state;
	forgery_client(&client, &windows_syn);
	forget_notes();
	harness.control->half_open = 1;
	entry.rcv_nxt++;
	assert_int_equal(bpf_map_update_elem(half_open, &tuple, &entry, BPF_ANY), 0);
	assert_verdict(&client.ack, SHAKEOFF_ACK_NOT_ISSUED);
	entry.rcv_nxt--;
	assert_int_equal(bpf_map_update_elem(half_open, &tuple, &entry, BPF_ANY), 0);
	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
}

/* ------------------------------------------------------------------------------------------------------- duplicates */

static void a_duplicate_of_an_ack_that_opened_is_no_forgery(void **state)
{
	struct client client;

	(void)state;
	forgery();
	client_opens(&client, &windows_syn);
	forget_notes();
	assert_verdict(&client.ack, SHAKEOFF_SEGMENT_QUEUED);
	validated_age(&windows_syn, SECOND);
	assert_verdict(&client.ack, SHAKEOFF_ACK_REPLAYED);
}

static void an_ack_that_the_kernel_had_no_room_for_opens_again(void **state)
{
	struct client client;

	(void)state;
	listens();
	forgery_client(&client, &windows_syn);
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	forget_notes();
	validated_age(&windows_syn, SECOND);
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_ack_flood_is_noticed),
		TEST(an_ack_flood_to_a_listening_socket_is_noticed),
		TEST(an_ack_flood_is_noticed_when_the_hook_answers_no_more),
		TEST(a_few_bad_acks_are_no_forgery),
		TEST(expired_acks_count_too),
		TEST(bad_acks_count_for_the_service_whose_cookies_are_forged),
		TEST(valid_acks_do_not_count),
		TEST(forgery_begins_once_and_continues),
		TEST(a_few_forged_acks_do_not_prolong_the_forgery),
		TEST(nothing_is_noted_while_idle),
		TEST(a_client_that_was_sent_a_cookie_opens),
		TEST(a_source_that_was_not_sent_a_cookie_opens_nothing),
		TEST(a_listening_socket_needs_an_issued_cookie_too),
		TEST(a_cookie_that_lost_its_timestamps_opens_nothing),
		TEST(the_note_of_an_earlier_cookie_does_not_help_a_forged_one),
		TEST(the_mac_of_a_noted_cookie_is_not_enough),
		TEST(cookies_that_were_not_issued_prolong_the_forgery),
		TEST(a_forged_cookie_with_timestamps_opens_nothing),
		TEST(an_echo_with_other_options_opens_nothing),
		TEST(an_old_or_future_echo_opens_nothing),
		TEST(without_forgery_the_echo_may_be_old),
		TEST(cookies_from_before_the_forgery_are_accepted),
		TEST(after_a_flood_cookies_need_no_note),
		TEST(an_answered_syn_ends_the_forgery_too),
		TEST(in_a_fleet_cookies_need_no_note),
		TEST(a_note_lives_into_the_next_period),
		TEST(a_note_does_not_live_into_the_period_after_the_next),
		TEST(a_repeated_syn_renews_the_note),
		TEST(an_ack_that_a_full_queue_ignores_renews_the_note),
		TEST(a_half_open_connection_needs_no_note),
		TEST(a_duplicate_of_an_ack_that_opened_is_no_forgery),
		TEST(an_ack_that_the_kernel_had_no_room_for_opens_again),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
