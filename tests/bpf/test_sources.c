/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What one source, or one prefix, may have: replies, positions of an accept queue, SYNs, connections; and who comes first.
 *
 * link: tests/bpf/harness.c tests/bpf/sockets.c tests/bpf/acl_fixture.c user/datapath/?*.c user/common/process.c user/common/link.c
 * link: user/common/log.c user/acl/?*.c user/common/prefix.c user/common/text.c
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <shakeoff/prefix_hash.h>
#include <shakeoff/source.h>

#include "harness.h"
#include "acl_fixture.h"
#include "sockets.h"

#define MS 1000000ull
#define SECOND 1000000000ull
#define BUDGET_WINDOW (1ull << SHAKEOFF_REPLY_WINDOW_SHIFT)

static const struct segment linux_syn = LINUX_SYN;

static int listener, connected[32];
static uint16_t next_port;

/* What every prefix has been sent, by the table of all CPUs. */
static void replies_sent(uint32_t window, uint32_t sent)
{
	static struct shakeoff_reply_cells cells;
	__u32 zero = 0;

	for (size_t i = 0; i < COUNT(cells.cells); i++)
		cells.cells[i] = (struct shakeoff_reply_cell){ .window = window, .sent = sent };
	for (size_t i = 0; i < COUNT(cells.spares); i++)
		cells.spares[i] = (struct shakeoff_reply_spare){ .window = window, .sent = sent };
	assert_int_equal(bpf_map_update_elem(harness.replies, &zero, &cells, BPF_ANY), 0);
}

/* So many were wanted of every prefix in this window. */
static void replies_wanted(uint32_t window, uint32_t wanted)
{
	static struct shakeoff_reply_cells cells;
	__u32 zero = 0;

	memset(&cells, 0, sizeof(cells));
	for (size_t i = 0; i < COUNT(cells.cells); i++)
		cells.cells[i] = (struct shakeoff_reply_cell){ .window = window, .drawn = wanted };
	assert_int_equal(bpf_map_update_elem(harness.replies, &zero, &cells, BPF_ANY), 0);
}

static int setup(void **state)
{
	listener = -1;
	memset(connected, -1, sizeof(connected));
	next_port = 20000;
	acl_fixture_reset();
	harness_reset(state);
	replies_sent(0, 0);
	/* A salt of its own: what an earlier test counted is in other cells. */
	harness.control->replies = shakeoff_reply_budget(monotonic_ns() * 0x9e3779b97f4a7c15ull, 0, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(connected); i++)
		if (connected[i] >= 0)
			reset_socket(&connected[i]);
	if (listener >= 0)
		close(listener);
	return 0;
}

static struct segment syn_from(const char *from)
{
	struct segment syn = linux_syn;

	syn.from = from;
	syn.sport = next_port++;
	return syn;
}

static enum shakeoff_verdict syn_result(const char *from)
{
	struct segment syn = syn_from(from);

	return run_segment(&syn, NULL);
}

#define assert_syn(from, verdict) assert_string_equal(verdict_name(syn_result(from)), verdict_name(verdict))

/* How many of so many SYNs have this verdict; all others have the second. */
static int syns_that(const char *from, int count, enum shakeoff_verdict verdict, enum shakeoff_verdict otherwise)
{
	int those = 0;

	while (count--) {
		enum shakeoff_verdict got = syn_result(from);

		if (got != verdict)
			assert_string_equal(verdict_name(got), verdict_name(otherwise));
		those += got == verdict;
	}
	return those;
}

/* The verdict on the ACK, or on the SYN if that is not answered. */
static enum shakeoff_verdict opens(const char *from)
{
	struct client client = { .syn = syn_from(from) };
	enum shakeoff_verdict verdict;
	static struct frame out;

	verdict = run_segment(&client.syn, &out);
	if (verdict != SHAKEOFF_SYNACK_SENT)
		return verdict;
	assert_null(frame_read(out.bytes, out.len, &client.synack));
	client_make_ack(&client);
	verdict = run_segment(&client.ack, NULL);
	if (verdict == SHAKEOFF_ACK_VALID)
		expect_event(SHAKEOFF_EVENT_OPEN);
	return verdict;
}

#define assert_opens(from, verdict) assert_string_equal(verdict_name(opens(from)), verdict_name(verdict))

/* ------------------------------------------------------------------------------------------------- the reply budget */

#define BUDGET 100 /* a second: 6 a window, one by one */
#define OF_A_WINDOW 6

static void budget(uint32_t rate)
{
	uint64_t offset_ns = harness.control->epoch_offset_ns;

	harness.control->replies = shakeoff_reply_budget(monotonic_ns() * 0x9e3779b97f4a7c15ull, rate, 1);
	harness.control->heartbeat_ns =
		monotonic_ns(); /* tests that are tried again may take longer than a daemon may be silent */
	harness.control->epoch_offset_ns = offset_ns + 1; /* has the hook read it now, rather than with its next tick */
}

static uint64_t window_now(void)
{
	return monotonic_ns() / BUDGET_WINDOW;
}

/*
 * Shortly after a window has begun by the hook's clock too, which goes by ticks of 10 ms at most. Returns its number: what takes
 * longer than the window, on a busy machine, has to be tried again.
 */
static uint64_t window_begins(void)
{
	struct timespec time;
	uint64_t wait = BUDGET_WINDOW - monotonic_ns() % BUDGET_WINDOW + 12 * MS;

	time = (struct timespec){ .tv_nsec = wait };
	nanosleep(&time, NULL);
	return window_now();
}

static void a_prefix_is_answered_as_often_as_its_budget_says(void **state)
{
	uint64_t begun;
	int answered;

	(void)state;
	do {
		budget(BUDGET);
		begun = window_begins();
		answered = 0;
		for (int i = 0; i < OF_A_WINDOW + 3; i++) {
			char from[32];

			snprintf(from, sizeof(from), "198.51.100.%d", i * 28 + 1);
			answered += syns_that(from, 1, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		}
	} while (window_now() != begun);
	assert_int_equal(answered, OF_A_WINDOW);
	assert_syn("198.51.101.7", SHAKEOFF_SYNACK_SENT);
	usleep((SHAKEOFF_REPLY_EXPECT_WINDOWS + 2) * BUDGET_WINDOW / 1000); /* until no more of them are expected */
	assert_syn("198.51.100.7", SHAKEOFF_SYNACK_SENT);
}

static void an_ipv6_prefix_is_answered_as_often_as_its_budget_says(void **state)
{
	uint64_t begun;
	int answered;

	(void)state;
	do {
		budget(BUDGET);
		begun = window_begins();
		answered = 0;
		for (int i = 0; i < OF_A_WINDOW + 2; i++) {
			char from[40];

			snprintf(from, sizeof(from), "2001:db8:7:%x::1", i);
			answered += syns_that(from, 1, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		}
	} while (window_now() != begun);
	assert_int_equal(answered, OF_A_WINDOW);
	assert_syn("2001:db8:8::1", SHAKEOFF_SYNACK_SENT);
}

/* Where a CPU carries its count over in batches, no more is answered than one by one. */
static void batches_keep_to_the_budget(void **state)
{
	const struct shakeoff_reply_budget expected = shakeoff_reply_budget(1, 1000, 1);
	int window = 1000 * BUDGET_WINDOW / SECOND, answered;
	uint64_t begun;

	(void)state;
	assert_true(expected.batch > 4);
	do {
		budget(1000);
		begun = window_begins();
		answered = syns_that("198.51.100.7", window + 10, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
	} while (window_now() != begun);
	assert_in_range(answered, expected.limit + expected.spare - expected.batch, window);
}

/* CPUs read the clock once a tick: one may be in the old window for so long. */
static void a_cpu_behind_does_not_take_back_the_window_of_another(void **state)
{
	uint64_t begun;
	int answered;

	(void)state;
	do {
		budget(BUDGET);
		begun = window_begins();
		replies_sent(begun + 1, harness.control->replies.limit);
		answered = syns_that("198.51.100.7", 4, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
	} while (window_now() != begun);
	assert_int_equal(answered, 0);
}

static uint32_t reply_hash(uint32_t address, uint32_t bits)
{
	__be32 in_packet = htonl(address);

	return shakeoff_hash_index(shakeoff_prefix_number(false, &in_packet), harness.control->replies.salt, bits);
}

/* An address of another prefix that shares the cell of this one. */
static void find_neighbour(const char *text, char *neighbour, size_t size)
{
	uint32_t address = ntohl(inet_addr(text)), other = 0x14000001;

	while (reply_hash(other, SHAKEOFF_REPLY_CELL_BITS) != reply_hash(address, SHAKEOFF_REPLY_CELL_BITS) ||
	       (uint16_t)reply_hash(other, SHAKEOFF_REPLY_HASH_BITS) ==
		       (uint16_t)reply_hash(address, SHAKEOFF_REPLY_HASH_BITS))
		other += 256;
	snprintf(neighbour, size, "%u.%u.%u.%u", other >> 24, other >> 16 & 255, other >> 8 & 255, other & 255);
}

static void a_prefix_that_shares_a_cell_with_a_flooded_one_is_answered(void **state)
{
	int flooded, others, window = 1000 * BUDGET_WINDOW / SECOND;
	char neighbour[INET_ADDRSTRLEN];
	uint64_t begun;

	(void)state;
	do {
		budget(1000);
		find_neighbour("198.51.100.7", neighbour, sizeof(neighbour));
		begun = window_begins();
		flooded = syns_that("198.51.100.7", window + 10, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		others = syns_that(neighbour, 4, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		flooded += syns_that("198.51.100.7", 4, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
	} while (window_now() != begun);
	assert_int_equal(others, 4);
	assert_in_range(flooded, 1, window);
}

static void without_a_budget_all_is_answered(void **state)
{
	(void)state;
	budget(0);
	assert_int_equal(syns_that("198.51.100.7", 300, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE), 300);
}

/* Of a known source an eighth of the budget is its bound, of an allowed one the whole budget once more. */
static void assert_bound_beyond_the_budget(const char *preferred, const char *other, int bound)
{
	int others, known;
	uint64_t begun;

	do {
		budget(BUDGET);
		begun = window_begins();
		others = syns_that(other, OF_A_WINDOW + 2, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		known = syns_that(preferred, 40, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		others += syns_that(other, 1, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
	} while (window_now() != begun);
	assert_int_equal(others, OF_A_WINDOW);
	assert_int_equal(known, bound);
}

static void a_known_source_is_answered_beyond_the_budget(void **state)
{
	(void)state;
	assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	assert_bound_beyond_the_budget("198.51.100.7", "198.51.100.8", 1);
}

static void a_known_ipv6_source_is_answered_beyond_the_budget(void **state)
{
	(void)state;
	assert_opens("2001:db8:7:1::7", SHAKEOFF_ACK_VALID);
	assert_bound_beyond_the_budget("2001:db8:7:1::8", "2001:db8:7:2::8", 1);
}

static void an_allowed_source_is_answered_beyond_the_budget(void **state)
{
	(void)state;
	acl_fixture_add("allow 198.51.100.7\n");
	assert_bound_beyond_the_budget("198.51.100.7", "198.51.100.8", SHAKEOFF_REPLY_KNOWN * OF_A_WINDOW);
}

/* Whoever knows the address of one client that is known floods in its name: its neighbours are answered all the same. */
static void assert_a_known_neighbour_is_answered(const char *flooded, const char *neighbour)
{
	const int source = shakeoff_reply_budget(1, 1000, 1).source, window = 1000 * BUDGET_WINDOW / SECOND;
	int sent, others;
	uint64_t begun;

	assert_opens(flooded, SHAKEOFF_ACK_VALID);
	assert_opens(neighbour, SHAKEOFF_ACK_VALID);
	do {
		budget(1000);
		begun = window_begins();
		sent = syns_that(flooded, 2 * window, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		others = syns_that(neighbour, source, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
	} while (window_now() != begun);
	assert_int_equal(others, source);
	assert_in_range(sent, source, window + source);
	budget(0);
}

/* However long ago that was: what is kept of a window's number are 16 bits. */
static void what_a_known_source_was_sent_in_another_window_does_not_count(void **state)
{
	static const uint16_t ago[] = { 1, 1000, 0x7fff, 0x8000, 0x8001, 0xfff0 };
	struct shakeoff_source_key key;
	struct shakeoff_source source;

	(void)state;
	assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	assert_int_equal(bpf_map_get_next_key(harness.sources, NULL, &key), 0);
	assert_int_equal(bpf_map_lookup_elem(harness.sources, &key, &source), 0);
	for (size_t i = 0; i < COUNT(ago); i++) {
		uint64_t begun;
		int known;

		do {
			budget(BUDGET);
			begun = window_begins();
			source.window = begun - ago[i];
			source.count = 1000000;
			assert_int_equal(bpf_map_update_elem(harness.sources, &key, &source, BPF_ANY), 0);
			syns_that("198.51.100.8", OF_A_WINDOW + 2, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
			known = syns_that("198.51.100.7", 3, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		} while (window_now() != begun);
		assert_int_equal(known, 1);
	}
	budget(0);
}

static void a_flood_in_the_name_of_a_known_source_leaves_its_neighbours_theirs(void **state)
{
	(void)state;
	assert_a_known_neighbour_is_answered("198.51.100.7", "198.51.100.8");
	assert_a_known_neighbour_is_answered("2001:db8:7:1::7", "2001:db8:7:2::8");
}

/* Those who come early in a window are no better off than those who come late, and all together get no more than the budget. */
static void assert_lots_are_drawn(const char *from)
{
	const int window = 2000 * BUDGET_WINDOW / SECOND, wanted = 2 * window;
	int early, late;
	uint64_t begun;

	do {
		budget(2000);
		begun = window_begins();
		replies_wanted(begun - 1, wanted);
		early = syns_that(from, wanted / 2, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
		late = syns_that(from, wanted / 2, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
	} while (window_now() != begun);
	assert_in_range(early + late, window / 3, window);
	/* Of 134 with a chance of 76 in 268: 38, and less than 13 once in a million times. */
	assert_true(late >= window / 10);
}

static void beyond_the_budget_lots_are_drawn(void **state)
{
	(void)state;
	assert_lots_are_drawn("198.51.100.7");
	assert_lots_are_drawn("2001:db8:7:1::7");
}

static void a_source_is_known_for_ten_minutes(void **state)
{
	struct shakeoff_source_key key;
	struct shakeoff_source source;
	uint64_t begun;
	int answered;

	(void)state;
	assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	assert_int_equal(bpf_map_get_next_key(harness.sources, NULL, &key), 0);
	assert_int_equal(bpf_map_lookup_elem(harness.sources, &key, &source), 0);
	source.known_ns = monotonic_ns() - SHAKEOFF_SOURCE_KNOWN_NS - SECOND;
	assert_int_equal(bpf_map_update_elem(harness.sources, &key, &source, BPF_ANY), 0);
	do {
		budget(BUDGET);
		begun = window_begins();
		answered = syns_that("198.51.100.7", 12, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_PREFIX_RATE);
	} while (window_now() != begun);
	assert_int_equal(answered, OF_A_WINDOW);
}

static void queue_fill(void)
{
	harness.service->enqueued = harness.service->capacity;
	harness.service->dequeued = 0;
	harness.service->overflow = SHAKEOFF_OVERFLOW_RESET;
}

static void resets_of_syns_are_replies(void **state)
{
	(void)state;
	queue_fill();
	budget(BUDGET);
	window_begins();
	assert_int_equal(syns_that("198.51.100.7", 12, SHAKEOFF_SYN_OVERFLOW_RESET, SHAKEOFF_SYN_PREFIX_RATE),
			 OF_A_WINDOW);
}

static void resets_of_acks_are_replies(void **state)
{
	struct client clients[OF_A_WINDOW + 2];

	(void)state;
	for (size_t i = 0; i < COUNT(clients); i++) {
		struct segment syn = syn_from("198.51.100.7");

		client_connect(&clients[i], &syn);
	}
	queue_fill();
	budget(BUDGET);
	window_begins();
	for (size_t i = 0; i < COUNT(clients); i++)
		assert_verdict(&clients[i].ack,
			       i < OF_A_WINDOW ? SHAKEOFF_ACK_OVERFLOW_RESET : SHAKEOFF_ACK_OVERFLOW_DROP);
}

/* ------------------------------------------------------------------------------------------------- the accept queue */

#define CAPACITY 32

static void shared_queue(void)
{
	harness.service->capacity = harness.service->backlog = CAPACITY;
	harness.service->fair_share = 1;
}

/* Another source has been here a moment ago. */
static void others_come(void)
{
	harness.service->mixed_ns = monotonic_ns();
}

/* Opens until it is refused, beside others; returns how many it got. */
static int takes(const char *from, enum shakeoff_verdict refusal)
{
	for (int got = 0;; got++) {
		enum shakeoff_verdict verdict;

		others_come();
		verdict = opens(from);

		if (verdict == SHAKEOFF_ACK_VALID || verdict == SHAKEOFF_ACK_ADMITTED)
			continue;
		assert_string_equal(verdict_name(verdict), verdict_name(refusal));
		return got;
	}
}

static void no_source_holds_more_positions_than_are_free(void **state)
{
	(void)state;
	shared_queue();
	assert_int_equal(takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP), CAPACITY / 2);
	assert_int_equal(takes("198.51.100.8", SHAKEOFF_SYN_SHARE_DROP), CAPACITY / 4);
	assert_opens("198.51.100.9", SHAKEOFF_ACK_VALID);
}

/* A proxy in front of everybody, say. */
static void a_source_that_is_alone_leaves_an_eighth(void **state)
{
	(void)state;
	shared_queue();
	for (int i = 0; i < CAPACITY - CAPACITY / 8; i++)
		assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	assert_opens("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
	assert_opens("198.51.100.8", SHAKEOFF_ACK_VALID);
	assert_syn("198.51.100.7", SHAKEOFF_SYN_SHARE_DROP);
}

static void two_sources_are_not_alone(void **state)
{
	(void)state;
	shared_queue();
	for (int i = 0; i < CAPACITY / 2; i++)
		assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	assert_opens("198.51.100.8", SHAKEOFF_ACK_VALID);
	assert_opens("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
}

static void no_ipv6_source_holds_more_positions_than_are_free(void **state)
{
	(void)state;
	shared_queue();
	assert_int_equal(takes("2001:db8:7:1::7", SHAKEOFF_ACK_SHARE_DROP), CAPACITY / 2);
	assert_opens("2001:db8:7:2::7", SHAKEOFF_ACK_VALID);
	/* The same /64. */
	assert_syn("2001:db8:7:1::8", SHAKEOFF_SYN_SHARE_DROP);
}

/* The i-th /64 of a /48. */
static const char *of_a_site(int i)
{
	static char text[40];

	snprintf(text, sizeof(text), "2001:db8:7:%x::7", i);
	return text;
}

/* How many connections of as many /64 of one /48 open, before one of them is refused like this. */
static int site_takes(enum shakeoff_verdict refusal)
{
	for (int got = 0;; got++) {
		enum shakeoff_verdict verdict;

		others_come();
		verdict = opens(of_a_site(got));
		if (verdict == SHAKEOFF_ACK_VALID)
			continue;
		assert_string_equal(verdict_name(verdict), verdict_name(refusal));
		return got;
	}
}

/* Four for each that is free. */
static void no_site_holds_more_than_four_fifths(void **state)
{
	(void)state;
	shared_queue();
	assert_int_equal(site_takes(SHAKEOFF_ACK_SHARE_DROP), 26);
	assert_syn("2001:db8:7:ffff::7", SHAKEOFF_SYN_SHARE_DROP);
	assert_opens("2001:db8:8:1::7", SHAKEOFF_ACK_VALID);
	assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
}

/* A proxy in front of everybody with many addresses, say. */
static void a_site_whose_only_source_is_alone_leaves_an_eighth(void **state)
{
	(void)state;
	shared_queue();
	for (int i = 0; i < CAPACITY - CAPACITY / 8; i++)
		assert_opens("2001:db8:7:1::7", SHAKEOFF_ACK_VALID);
	assert_opens("2001:db8:7:1::7", SHAKEOFF_ACK_SHARE_DROP);
	/* What it leaves is for the other sources of its site, too: the one that comes ends its being alone. */
	assert_syn("2001:db8:7:2::7", SHAKEOFF_SYNACK_SENT);
	assert_opens("2001:db8:7:2::7", SHAKEOFF_ACK_VALID);
	assert_syn("2001:db8:7:1::7", SHAKEOFF_SYN_SHARE_DROP);
}

static void a_source_with_its_share_gets_no_cookie(void **state)
{
	(void)state;
	shared_queue();
	takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
	assert_syn("198.51.100.7", SHAKEOFF_SYN_SHARE_DROP);
	assert_syn("198.51.100.8", SHAKEOFF_SYNACK_SENT);
}

static void with_overflow_reset_it_is_refused(void **state)
{
	struct reading reading;
	struct segment syn;

	(void)state;
	shared_queue();
	harness.service->overflow = SHAKEOFF_OVERFLOW_RESET;
	takes("198.51.100.7", SHAKEOFF_ACK_SHARE_RESET);
	syn = syn_from("198.51.100.7");
	run_answered(&syn, SHAKEOFF_SYN_SHARE_RESET, &reading);
	assert_int_equal(reading.flags, RST | ACK);
}

/* A flood in a queue that happens to be short pays nothing. */
static void syns_are_not_asked_when_no_source_holds_its_share(void **state)
{
	(void)state;
	shared_queue();
	takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
	harness.service->fair_share_ns -= SHAKEOFF_FAIR_SHARE_WATCH_NS + SECOND;
	others_come();
	assert_syn("198.51.100.7", SHAKEOFF_SYNACK_SENT);
	assert_opens("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
	assert_syn("198.51.100.7", SHAKEOFF_SYN_SHARE_DROP);
}

static void what_the_server_accepted_is_free_again(void **state)
{
	(void)state;
	shared_queue();
	takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
	harness.service->dequeued = harness.service->enqueued;
	assert_int_equal(takes("198.51.100.7", SHAKEOFF_SYN_SHARE_DROP), CAPACITY / 2);
}

/* Connections over loopback, say, and those of another datapath leave less of the queue to this one. */
static void what_a_source_holds_is_known_when_others_take_positions_elsewhere(void **state)
{
	(void)state;
	shared_queue();
	takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
	harness.service->dequeued = harness.service->enqueued - 12;
	harness.service->capacity = CAPACITY - 2;
	assert_int_equal(takes("198.51.100.7", SHAKEOFF_SYN_SHARE_DROP), 3);
}

static void a_queue_with_three_quarters_free_is_not_shared(void **state)
{
	(void)state;
	shared_queue();
	takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
	harness.service->dequeued = harness.service->enqueued - CAPACITY / 4 + 1;
	assert_syn("198.51.100.7", SHAKEOFF_SYNACK_SENT);
}

static void a_small_queue_is_not_shared(void **state)
{
	(void)state;
	shared_queue();
	harness.service->capacity = SHAKEOFF_FAIR_SHARE_CAPACITY_MIN - 1;
	assert_int_equal(syns_that("198.51.100.7", 1, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYNACK_SENT), 1);
	for (__u32 i = 0; i < SHAKEOFF_FAIR_SHARE_CAPACITY_MIN - 1; i++)
		assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	assert_syn("198.51.100.7", SHAKEOFF_SYN_OVERFLOW_DROP);
}

static void assert_takes_all(const char *from)
{
	for (int i = 0; i < CAPACITY; i++)
		assert_opens(from, SHAKEOFF_ACK_VALID);
	assert_syn(from, SHAKEOFF_SYN_OVERFLOW_DROP);
}

static void without_fair_share_one_source_takes_all(void **state)
{
	(void)state;
	shared_queue();
	harness.service->fair_share = 0;
	assert_takes_all("198.51.100.7");
}

static void an_allowed_source_takes_all(void **state)
{
	(void)state;
	shared_queue();
	acl_fixture_add("allow 198.51.100.7\n");
	assert_takes_all("198.51.100.7");
}

static void a_listening_socket_is_shared_as_well(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->fair_share = 1;
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	assert_int_equal(takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP), CAPACITY / 2);
	assert_syn("198.51.100.7", SHAKEOFF_SYN_SHARE_DROP);
	assert_opens("198.51.100.8", SHAKEOFF_ACK_ADMITTED);
}

static void fill_accept_queue(int count)
{
	for (int i = 0; i < count; i++)
		connected[i] = connected_socket(&ipv4, 0);
	generation_raise();
}

/* What the kernel put there has no number; it counts as taken. */
static void positions_that_the_kernel_gave_away_count(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->fair_share = 1;
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	fill_accept_queue(CAPACITY / 2);
	assert_int_equal(takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP), CAPACITY / 4);
	assert_opens("198.51.100.8", SHAKEOFF_ACK_ADMITTED);
}

static void an_accept_queue_that_is_half_full_makes_it_active(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.service->fair_share = 1;
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	fill_accept_queue(CAPACITY / 2 - 1);
	assert_syn("198.51.100.7", SHAKEOFF_SYN_IDLE);
	connected[CAPACITY / 2] = connected_socket(&ipv4, 0);
	generation_raise();
	assert_syn("198.51.100.7", SHAKEOFF_SYNACK_SENT);
	assert_int_equal(harness.service->cause, SHAKEOFF_CAUSE_ACCEPT_QUEUE);
}

/* The positions that the kernel gives away while idle have no number, and are not those of whoever was here in the last flood. */
static void positions_of_the_last_flood_are_not_held_in_the_next(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->fair_share = 1;
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	takes("198.51.100.7", SHAKEOFF_ACK_SHARE_DROP);
	harness.service->dequeued = harness.service->enqueued; /* they came to the socket, and were accepted */
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE;
	harness.service->syns.since_ns = 0;
	fill_accept_queue(CAPACITY / 2);
	others_come();
	assert_opens("198.51.100.7", SHAKEOFF_ACK_ADMITTED);
	assert_int_equal(harness.service->cause, SHAKEOFF_CAUSE_ACCEPT_QUEUE);
}

static void without_fair_share_it_does_not(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	fill_accept_queue(CAPACITY - 2);
	assert_syn("198.51.100.7", SHAKEOFF_SYN_IDLE);
}

/* ------------------------------------------------------------------------------------------------------------ limits */

static void accept_limit(uint32_t interval_ns, uint32_t burst)
{
	harness.service->accept_interval_ns = interval_ns;
	harness.service->accept_burst = burst;
}

static void a_source_opens_as_many_connections_as_its_limit_says(void **state)
{
	(void)state;
	accept_limit(SECOND, 5);
	assert_int_equal(takes("198.51.100.7", SHAKEOFF_ACK_SOURCE_RATE), 5);
	assert_opens("198.51.100.8", SHAKEOFF_ACK_VALID);
	nanosleep(&(struct timespec){ .tv_sec = 1, .tv_nsec = 200 * MS }, NULL);
	assert_int_equal(takes("198.51.100.7", SHAKEOFF_ACK_SOURCE_RATE), 1);
}

static void a_source_may_be_a_prefix(void **state)
{
	(void)state;
	accept_limit(SECOND, 2);
	harness.service->source_prefix4 = 24;
	harness.service->source_prefix6 = 48;
	assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	assert_opens("198.51.100.8", SHAKEOFF_ACK_VALID);
	assert_opens("198.51.100.9", SHAKEOFF_ACK_SOURCE_RATE);
	assert_opens("198.51.101.9", SHAKEOFF_ACK_VALID);
	assert_opens("2001:db8:7:1::1", SHAKEOFF_ACK_VALID);
	assert_opens("2001:db8:7:2::1", SHAKEOFF_ACK_VALID);
	assert_opens("2001:db8:7:3::1", SHAKEOFF_ACK_SOURCE_RATE);
	assert_opens("2001:db8:8:3::1", SHAKEOFF_ACK_VALID);
}

static void the_limits_skip_an_allowed_source(void **state)
{
	(void)state;
	accept_limit(SECOND, 1);
	harness.service->syn_interval_ns = SECOND;
	harness.service->syn_burst = harness.service->syn_hot = 1;
	acl_fixture_add("allow 198.51.100.0/24\n");
	for (int i = 0; i < 10; i++)
		assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
}

/* Nor what it had by a limit that the configuration has raised since. */
static void what_an_allowed_source_has_opened_is_not_held_against_it_later(void **state)
{
	(void)state;
	harness.service->capacity = 1000;
	accept_limit(SECOND / 4, 2);
	acl_fixture_add("allow 198.51.100.7\n");
	for (int i = 0; i < 40; i++)
		assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	acl_fixture_reset();
	nanosleep(&(struct timespec){ .tv_sec = 1, .tv_nsec = 600 * MS }, NULL);
	assert_in_range(takes("198.51.100.7", SHAKEOFF_ACK_SOURCE_RATE), 1, 2);
}

static void the_limit_holds_for_listening_sockets(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	accept_limit(SECOND, 3);
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	assert_int_equal(takes("198.51.100.7", SHAKEOFF_ACK_SOURCE_RATE), 3);
}

static void a_site_opens_as_many_connections_as_sixteen_sources(void **state)
{
	(void)state;
	harness.service->capacity = 1000;
	accept_limit(4000000000u, 2); /* one more of the site every 250 ms */
	assert_in_range(site_takes(SHAKEOFF_ACK_SOURCE_RATE), 2 * SHAKEOFF_SITE_LIMITS, 2 * SHAKEOFF_SITE_LIMITS + 2);
	assert_opens("2001:db8:8:1::7", SHAKEOFF_ACK_VALID);
}

static bool is_remembered(const char *from)
{
	struct shakeoff_source_key key = { .service = SERVICE | SHAKEOFF_SOURCE_IPV6 };
	struct shakeoff_source source;
	struct in6_addr address;

	assert_int_equal(inet_pton(AF_INET6, from, &address), 1);
	memcpy(key.prefix, &address, sizeof(key.prefix));
	return !bpf_map_lookup_elem(harness.sources, &key, &source);
}

/* A holder of a /48 has as many sources as the table has room for. */
static void a_site_makes_only_some_of_its_sources_known(void **state)
{
	struct shakeoff_source_key site = { .service = SERVICE | SHAKEOFF_SOURCE_IPV6 | SHAKEOFF_SOURCE_SITE };
	struct in6_addr address;
	struct shakeoff_source source;

	(void)state;
	assert_opens(of_a_site(1), SHAKEOFF_ACK_VALID);
	assert_int_equal(inet_pton(AF_INET6, "2001:db8:7::", &address), 1);
	memcpy(site.prefix, &address, sizeof(site.prefix));
	assert_int_equal(bpf_map_lookup_elem(harness.sources, &site, &source), 0);
	assert_int_equal(source.count, 1);
	source.count = SHAKEOFF_SITE_SOURCES - 1;
	assert_int_equal(bpf_map_update_elem(harness.sources, &site, &source, BPF_ANY), 0);
	for (int i = 2; i < 5; i++)
		assert_opens(of_a_site(i), SHAKEOFF_ACK_VALID);
	assert_true(is_remembered(of_a_site(1)) && is_remembered(of_a_site(2)));
	assert_false(is_remembered(of_a_site(3)) || is_remembered(of_a_site(4)));
	assert_opens("2001:db8:8:1::7", SHAKEOFF_ACK_VALID);
	assert_true(is_remembered("2001:db8:8:1::7"));

	/* In the next turn it may again. */
	assert_int_equal(bpf_map_lookup_elem(harness.sources, &site, &source), 0);
	source.window--;
	assert_int_equal(bpf_map_update_elem(harness.sources, &site, &source, BPF_ANY), 0);
	assert_opens(of_a_site(3), SHAKEOFF_ACK_VALID);
	assert_true(is_remembered(of_a_site(3)));
}

static void syn_limit(uint32_t hot, uint32_t burst)
{
	harness.service->syn_interval_ns = SECOND;
	harness.service->syn_burst = burst;
	harness.service->syn_hot = hot;
}

static void a_site_sends_as_many_syns_as_sixteen_sources(void **state)
{
	int answered = 0;

	(void)state;
	syn_limit(1, 1);
	for (__u32 i = 0; i < 2 * SHAKEOFF_SITE_LIMITS; i++)
		answered += syns_that(of_a_site(i), 1, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_SOURCE_RATE);
	/* One more every 62 ms; and what is learnt of a site at its first hot SYN counts from then on. */
	assert_in_range(answered, SHAKEOFF_SITE_LIMITS, SHAKEOFF_SITE_LIMITS + 3);
	assert_syn("2001:db8:8:1::7", SHAKEOFF_SYNACK_SENT);
}

static void a_source_is_answered_as_many_syns_as_its_limit_says(void **state)
{
	(void)state;
	syn_limit(1, 5);
	assert_int_equal(syns_that("198.51.100.7", 20, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_SOURCE_RATE), 5);
	assert_syn("198.51.100.8", SHAKEOFF_SYNACK_SENT);
	assert_int_equal(syns_that("2001:db8:7:1::7", 20, SHAKEOFF_SYNACK_SENT, SHAKEOFF_SYN_SOURCE_RATE), 5);
	assert_syn("2001:db8:7:2::7", SHAKEOFF_SYNACK_SENT);
}

#define SYN_RATE 200
#define SYN_BURST 20
#define SYN_HOT 26 /* what a single CPU would have */

/* Those that pass before the source is looked at closely are counted when it is. */
static void a_source_that_floods_is_answered_no_more_than_its_limit(void **state)
{
	uint64_t begin = monotonic_ns(), now;
	uint32_t answered = 0, most;

	(void)state;
	harness.service->syn_interval_ns = SECOND / SYN_RATE;
	harness.service->syn_burst = SYN_BURST;
	harness.service->syn_hot = SYN_HOT;
	do {
		answered += syn_result("198.51.100.7") == SHAKEOFF_SYNACK_SENT;
		now = monotonic_ns();
	} while (now - begin < 2 * SECOND);
	most = SYN_RATE * (now - begin) / SECOND + SYN_BURST;
	assert_in_range(answered, most / 2, most + 2 * SYN_HOT);
}

static void the_limit_of_syns_holds_while_idle(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	syn_limit(1, 5);
	assert_int_equal(syns_that("198.51.100.7", 20, SHAKEOFF_SYN_IDLE, SHAKEOFF_SYN_SOURCE_RATE), 5);
}

static int count(int map)
{
	struct shakeoff_source_key key, *previous = NULL;
	int elements = 0;

	for (; !bpf_map_get_next_key(map, previous, &key); previous = &key)
		elements++;
	return elements;
}

static void flood(int syns)
{
	while (syns--) {
		char from[32];

		snprintf(from, sizeof(from), "%ld.%ld.%ld.%ld", 20 + random() % 80, random() % 256, random() % 256,
			 random() % 256);
		assert_syn(from, SHAKEOFF_SYNACK_SENT);
	}
}

/* Two of a thousand sources share a counter now and then: none has enough to be looked at. */
static void a_flood_from_made_up_sources_leaves_nothing(void **state)
{
	(void)state;
	srandom(11);
	syn_limit(5, 5);
	nanosleep(&(struct timespec){ .tv_nsec = 300 * MS },
		  NULL); /* what earlier tests counted is of a window that is over */
	flood(1000);
	assert_int_equal(count(harness.syn_sources), 0);
	assert_int_equal(count(harness.sources), 0);
}

/* However many seem to send much: so many a tick. */
static void few_sources_are_learnt_in_a_tick(void **state)
{
	uint64_t begin = monotonic_ns();

	(void)state;
	syn_limit(1, 5);
	flood(400);
	assert_in_range(count(harness.syn_sources), 16, 16 * ((monotonic_ns() - begin) / MS + 2));
	assert_true(count(harness.syn_sources) < 400 || monotonic_ns() - begin > 20 * MS);
}

/* ------------------------------------------------------------------------------------------------------ bypassed */

/*
 * SYNs that the hook answers with nothing, as it does not know where to: three more may pass in a window that does not end while a test
 * runs, and as many of known sources.
 */
static void few_may_pass(void)
{
	uint32_t most = SHAKEOFF_SYN_EXCEPTIONS / (SECOND / SHAKEOFF_BUDGET_WINDOW_NS);

	harness.control->flags |= SHAKEOFF_ANSWER_ROUTE;
	harness.service->budget_window = monotonic_ns() / SHAKEOFF_BUDGET_WINDOW_NS + 100;
	harness.service->budget_syns = harness.service->budget_known = most - 3;
}

static void known_sources_pass_beyond_what_others_may(void **state)
{
	(void)state;
	assert_opens("198.51.100.7", SHAKEOFF_ACK_VALID);
	few_may_pass();
	assert_int_equal(syns_that("198.51.100.8", 6, SHAKEOFF_SYN_UNROUTED, SHAKEOFF_SYN_UNROUTED_RATE), 3);
	assert_int_equal(syns_that("198.51.100.7", 6, SHAKEOFF_SYN_UNROUTED, SHAKEOFF_SYN_UNROUTED_RATE), 3);
}

/* As with the reply budget. */
static void a_cpu_behind_does_not_take_back_the_window_of_exceptions(void **state)
{
	(void)state;
	few_may_pass();
	harness.service->budget_syns += 3;
	assert_syn("198.51.100.8", SHAKEOFF_SYN_UNROUTED_RATE);
}

static void sources_whose_connection_the_kernel_made_become_known(void **state)
{
	struct segment segment = { .from = "10.9.0.2", .sport = 30000, .seq = 1, .ack = 1, .flags = ACK };

	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_NEVER);
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	connected[0] = connected_socket(&ipv4, 30000);
	for (int i = 1; i < 64; i++)
		assert_verdict(&segment, SHAKEOFF_ACK_IDLE);
	assert_verdict(&segment, SHAKEOFF_SOCKET); /* it was looked at */
	assert_int_equal(count(harness.sources), 1);
}

static void segments_of_no_connection_make_nobody_known(void **state)
{
	struct segment segment = { .from = "10.9.0.2", .sport = 30001, .seq = 1, .ack = 1, .flags = ACK };

	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_NEVER);
	listener = listening_socket(&ipv4, ipv4.server, CAPACITY - 1); /* it takes one more */
	for (int i = 1; i <= 128; i++)
		assert_verdict(&segment, i % 64 ? SHAKEOFF_ACK_IDLE : SHAKEOFF_NO_SOCKET_PASS);
	assert_int_equal(count(harness.sources), 0);
}

static int start(void **state)
{
	return harness_start(state) || acl_fixture_start() ? -1 : 0;
}

static int stop(void **state)
{
	acl_fixture_stop();
	return harness_stop(state);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_prefix_is_answered_as_often_as_its_budget_says),
		TEST(an_ipv6_prefix_is_answered_as_often_as_its_budget_says),
		TEST(batches_keep_to_the_budget),
		TEST(a_cpu_behind_does_not_take_back_the_window_of_another),
		TEST(a_prefix_that_shares_a_cell_with_a_flooded_one_is_answered),
		TEST(without_a_budget_all_is_answered),
		TEST(a_known_source_is_answered_beyond_the_budget),
		TEST(a_known_ipv6_source_is_answered_beyond_the_budget),
		TEST(an_allowed_source_is_answered_beyond_the_budget),
		TEST(what_a_known_source_was_sent_in_another_window_does_not_count),
		TEST(a_flood_in_the_name_of_a_known_source_leaves_its_neighbours_theirs),
		TEST(beyond_the_budget_lots_are_drawn),
		TEST(a_source_is_known_for_ten_minutes),
		TEST(resets_of_syns_are_replies),
		TEST(resets_of_acks_are_replies),
		TEST(no_source_holds_more_positions_than_are_free),
		TEST(a_source_that_is_alone_leaves_an_eighth),
		TEST(two_sources_are_not_alone),
		TEST(no_ipv6_source_holds_more_positions_than_are_free),
		TEST(no_site_holds_more_than_four_fifths),
		TEST(a_site_whose_only_source_is_alone_leaves_an_eighth),
		TEST(a_source_with_its_share_gets_no_cookie),
		TEST(with_overflow_reset_it_is_refused),
		TEST(syns_are_not_asked_when_no_source_holds_its_share),
		TEST(what_the_server_accepted_is_free_again),
		TEST(what_a_source_holds_is_known_when_others_take_positions_elsewhere),
		TEST(a_queue_with_three_quarters_free_is_not_shared),
		TEST(a_small_queue_is_not_shared),
		TEST(without_fair_share_one_source_takes_all),
		TEST(an_allowed_source_takes_all),
		TEST(a_listening_socket_is_shared_as_well),
		TEST(positions_that_the_kernel_gave_away_count),
		TEST(an_accept_queue_that_is_half_full_makes_it_active),
		TEST(positions_of_the_last_flood_are_not_held_in_the_next),
		TEST(without_fair_share_it_does_not),
		TEST(a_source_opens_as_many_connections_as_its_limit_says),
		TEST(a_source_may_be_a_prefix),
		TEST(the_limits_skip_an_allowed_source),
		TEST(what_an_allowed_source_has_opened_is_not_held_against_it_later),
		TEST(the_limit_holds_for_listening_sockets),
		TEST(a_site_opens_as_many_connections_as_sixteen_sources),
		TEST(a_site_makes_only_some_of_its_sources_known),
		TEST(a_site_sends_as_many_syns_as_sixteen_sources),
		TEST(a_source_is_answered_as_many_syns_as_its_limit_says),
		TEST(a_source_that_floods_is_answered_no_more_than_its_limit),
		TEST(the_limit_of_syns_holds_while_idle),
		TEST(a_flood_from_made_up_sources_leaves_nothing),
		TEST(few_sources_are_learnt_in_a_tick),
		TEST(known_sources_pass_beyond_what_others_may),
		TEST(a_cpu_behind_does_not_take_back_the_window_of_exceptions),
		TEST(sources_whose_connection_the_kernel_made_become_known),
		TEST(segments_of_no_connection_make_nobody_known),
	};

	return cmocka_run_group_tests_name("sources at the hook", tests, start, stop);
}
