/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c */
/*
 * Packets without a whole TCP header: fragments, headers that are cut off, and endless IPv6 extension headers. At an
 * address that has a service, packets that no TCP sends are dropped with a verdict of their own, and the rest passes
 * within a budget; everything to other addresses, and everything that is not TCP, passes.
 */
#include <bpf/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "harness.h"

#define SECOND 1000000000ull

#define MF FRAGMENT_MF
#define DATA .payload = BYTES(1, 2, 3, 4, 5, 6, 7, 8)
#define FROM6 .from = "2001:db8:7::7"

/* IPv6: a fragment header; offset in units of 8 bytes. */
#define FRAGMENT6(next, offset, more) next, 0, (offset) >> 5, (((offset)&0x1f) << 3) | (more), 0, 0, 0, 7
#define PAD4 1, 4, 0, 0, 0, 0
#define IN6(next, offset, more) FROM6, .first_extension = 44, .extensions = BYTES(FRAGMENT6(next, offset, more))

static const struct fixture {
	const char *name;
	struct segment in;
	enum shakeoff_verdict verdict;
} fixtures[] = {
	/* IPv4 */
	{ "a first fragment", { .fragment = MF, .flags = ACK, DATA }, SHAKEOFF_FRAG_PASS },
	{ "a later fragment", { .fragment = MF | 185, .flags = ACK, DATA }, SHAKEOFF_FRAG_PASS },
	{ "the last fragment", { .fragment = 185, .flags = ACK, DATA }, SHAKEOFF_FRAG_PASS },
	{ "the first offset after the header", { .fragment = MF | 3, .flags = ACK, DATA }, SHAKEOFF_FRAG_PASS },
	{ "a later fragment whose data looks like a SYN", { .fragment = 100, .flags = SYN }, SHAKEOFF_FRAG_PASS },
	{ "a first fragment with a SYN",
	  { .fragment = MF, .flags = SYN, .options = LINUX_OPTIONS },
	  SHAKEOFF_FRAG_SYN },
	{ "a first fragment with a SYN-ACK", { .fragment = MF, .flags = SYN | ACK }, SHAKEOFF_FRAG_SYN },
	{ "a first fragment with a SYN to a port without a service",
	  { .fragment = MF, .flags = SYN, .dport = 81 },
	  SHAKEOFF_FRAG_SYN },
	{ "a first fragment of 8 bytes", { .fragment = MF, .flags = ACK, .longer = -12 }, SHAKEOFF_FRAG_TINY },
	{ "a first fragment without a byte", { .fragment = MF, .flags = ACK, .longer = -20 }, SHAKEOFF_FRAG_TINY },
	{ "a first fragment that cuts the options", { .fragment = MF, .flags = ACK, .doff = 8 }, SHAKEOFF_FRAG_TINY },
	{ "a first fragment with data offset 0",
	  { .fragment = MF, .flags = ACK, .no_doff = true },
	  SHAKEOFF_FRAG_TINY },
	{ "offset 8 bytes: RFC 3128", { .fragment = 1, .flags = ACK }, SHAKEOFF_FRAG_TINY },
	{ "offset 8 bytes and more to come", { .fragment = MF | 1, .flags = ACK }, SHAKEOFF_FRAG_TINY },
	{ "offset 16 bytes", { .fragment = 2, .flags = ACK }, SHAKEOFF_FRAG_TINY },
	{ "a first fragment behind IPv4 options",
	  { .fragment = MF, .flags = SYN, .ip_options = BYTES(148, 4, 0, 0) },
	  SHAKEOFF_FRAG_SYN },
	{ "a first fragment behind a VLAN tag", { .fragment = MF, .flags = SYN, .tags = 1 }, SHAKEOFF_FRAG_SYN },
	{ "a fragment whose length is less than its header",
	  { .fragment = MF, .flags = ACK, .longer = -24 },
	  SHAKEOFF_BAD_HEADER },

	/* IPv6 */
	{ "an IPv6 first fragment", { IN6(6, 0, 1), .flags = ACK, DATA }, SHAKEOFF_FRAG_PASS },
	{ "an IPv6 later fragment", { IN6(6, 185, 1), .flags = ACK, DATA }, SHAKEOFF_FRAG_PASS },
	{ "the last IPv6 fragment", { IN6(6, 185, 0), .flags = ACK, DATA }, SHAKEOFF_FRAG_PASS },
	{ "an IPv6 later fragment at a great offset", { IN6(6, 8191, 0), .flags = ACK, DATA }, SHAKEOFF_FRAG_PASS },
	{ "an IPv6 first fragment with a SYN", { IN6(6, 0, 1), .flags = SYN }, SHAKEOFF_FRAG_SYN },
	{ "an IPv6 first fragment of 8 bytes", { IN6(6, 0, 1), .flags = ACK, .longer = -12 }, SHAKEOFF_FRAG_TINY },
	{ "an IPv6 first fragment that cuts the options",
	  { IN6(6, 0, 1), .flags = ACK, .doff = 8 },
	  SHAKEOFF_FRAG_TINY },
	{ "an IPv6 fragment at offset 8", { IN6(6, 1, 1), .flags = ACK }, SHAKEOFF_FRAG_TINY },
	{ "an IPv6 fragment behind hop-by-hop options",
	  { FROM6, .flags = SYN, .extensions = BYTES(44, 0, PAD4, FRAGMENT6(6, 0, 1)) },
	  SHAKEOFF_FRAG_SYN },
	{ "an IPv6 first fragment with options before TCP",
	  { FROM6, .flags = SYN, .first_extension = 44, .extensions = BYTES(FRAGMENT6(60, 0, 1), 6, 0, PAD4) },
	  SHAKEOFF_FRAG_SYN },
	{ "a later IPv6 fragment of a packet that begins with options",
	  { IN6(60, 185, 0), .flags = ACK, DATA },
	  SHAKEOFF_FRAG_PASS },
	{ "an IPv6 first fragment that ends before TCP",
	  { FROM6, .first_extension = 44, .extensions = BYTES(FRAGMENT6(60, 0, 1), 6, 0, PAD4), .longer = -20 },
	  SHAKEOFF_FRAG_TINY },

	/* endless headers */
	{ "five extension headers",
	  { FROM6, .flags = SYN, .extensions = BYTES(60, 0, PAD4, 60, 0, PAD4, 60, 0, PAD4, 60, 0, PAD4, 6, 0, PAD4) },
	  SHAKEOFF_IPV6_EXTHDR },
	{ "a fragment header behind four others",
	  { FROM6, .flags = ACK,
	    .extensions = BYTES(60, 0, PAD4, 60, 0, PAD4, 60, 0, PAD4, 44, 0, PAD4, FRAGMENT6(6, 0, 1)) },
	  SHAKEOFF_IPV6_EXTHDR },

	/* cut off */
	{ "a length that ends within the TCP header", { .flags = ACK, .longer = -1 }, SHAKEOFF_BAD_HEADER },
	{ "an IPv6 length that ends within the TCP header",
	  { FROM6, .flags = ACK, .longer = -1 },
	  SHAKEOFF_BAD_HEADER },
	{ "no length at all", { .flags = ACK, .longer = -40 }, SHAKEOFF_BAD_HEADER },
};

/* Other protocols, which the hook does not touch. */
static const struct fixture others[] = {
	{ "a first fragment of UDP", { .protocol = IPPROTO_UDP, .fragment = MF }, SHAKEOFF_NO_SERVICE },
	{ "a tiny fragment of UDP", { .protocol = IPPROTO_UDP, .fragment = 1 }, SHAKEOFF_NO_SERVICE },
	{ "a fragment of ICMP", { .protocol = IPPROTO_ICMP, .fragment = 100 }, SHAKEOFF_NO_SERVICE },
	{ "a first fragment of UDP over IPv6", { IN6(17, 0, 1), DATA }, SHAKEOFF_NO_SERVICE },
	{ "a later fragment of UDP over IPv6", { IN6(17, 185, 0), DATA }, SHAKEOFF_NO_SERVICE },
	{ "a fragment of ICMPv6", { IN6(58, 185, 0), DATA }, SHAKEOFF_NO_SERVICE },
	{ "a fragment of ESP", { IN6(50, 185, 0), DATA }, SHAKEOFF_NO_SERVICE },
	{ "a fragment of UDP behind options",
	  { FROM6, .first_extension = 44, .extensions = BYTES(FRAGMENT6(60, 0, 1), 17, 0, PAD4) },
	  SHAKEOFF_NO_SERVICE },
	{ "ESP", { FROM6, .protocol = 50 }, SHAKEOFF_NO_SERVICE },
	{ "ESP behind four extension headers",
	  { FROM6, .extensions = BYTES(60, 0, PAD4, 60, 0, PAD4, 60, 0, PAD4, 50, 0, PAD4) },
	  SHAKEOFF_NO_SERVICE },
	{ "a UDP header that is cut off", { .protocol = IPPROTO_UDP, .longer = -30 }, SHAKEOFF_NO_SERVICE },
};

static void is_checked(void **state)
{
	const struct fixture *fixture = *state;

	assert_verdict(&fixture->in, fixture->verdict);
}

#define MOST (SHAKEOFF_FRAGMENT_RATE / (SECOND / SHAKEOFF_BUDGET_WINDOW_NS)) /* may pass in a window */

/* Uses up the budget, in a window that does not end while a test runs. */
static void fragments_spend(void)
{
	harness.control->fragment_window = monotonic_ns() / SHAKEOFF_BUDGET_WINDOW_NS + 100;
	harness.control->fragments = MOST;
}

/* To 10.9.0.2 and 2001:db8::2, where there is no service. */
static void at_an_address_without_a_service_all_fragments_pass(void **state)
{
	(void)state;
	fragments_spend();
	for (size_t i = 0; i < COUNT(fixtures); i++) {
		struct segment segment = fixtures[i].in;
		enum shakeoff_verdict verdict;

		segment.to = segment_is_ipv6(&segment) ? "2001:db8::2" : "10.9.0.2";
		verdict = run_segment(&segment, NULL);
		if (verdict != SHAKEOFF_FRAG_PASS && verdict != SHAKEOFF_NO_SERVICE)
			fail_msg("%s: %s", fixtures[i].name, verdict_name(verdict));
	}
}

static void at_an_address_with_bypassed_services_all_fragments_pass(void **state)
{
	const struct segment syn = { .fragment = MF, .flags = SYN };
	const __u32 itself = SHAKEOFF_ADDRESS_ITSELF;
	struct shakeoff_address4 address = { 0 };

	(void)state;
	inet_pton(AF_INET, "10.9.0.1", &address.address);
	assert_int_equal(bpf_map_delete_elem(harness.addresses4, &address), 0);
	assert_verdict(&syn, SHAKEOFF_FRAG_PASS);
	assert_int_equal(bpf_map_update_elem(harness.addresses4, &address, &itself, BPF_ANY), 0);
	assert_verdict(&syn, SHAKEOFF_FRAG_SYN);
}

/* Where other services of the address are served. */
static void a_fragment_with_a_syn_for_a_bypassed_service_passes(void **state)
{
	const struct segment syn = { .fragment = MF, .flags = SYN }, syn6 = { IN6(6, 0, 1), .flags = SYN };
	const struct segment elsewhere = { .fragment = MF, .flags = SYN, .dport = 81 };

	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_NEVER);
	harness.service->bypass = SHAKEOFF_BYPASS_MPTCP;
	assert_verdict(&syn, SHAKEOFF_FRAG_PASS);
	assert_verdict(&syn6, SHAKEOFF_FRAG_PASS);
	assert_verdict(&elsewhere, SHAKEOFF_FRAG_SYN);
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE;
	harness.service->bypass = SHAKEOFF_BYPASS_NONE;
	assert_verdict(&syn, SHAKEOFF_FRAG_SYN);
}

/* The mark of a VLAN device's address stands for its services. */
static void a_fragment_with_a_syn_for_a_bypassed_vlan_address_passes(void **state)
{
	const struct segment syn = { .fragment = MF, .flags = SYN };
	struct shakeoff_address4 address = { .port = htons(80) };
	__u32 tagged = SERVICE | SHAKEOFF_ADDRESS_TAGGED, plain = SERVICE;

	(void)state;
	inet_pton(AF_INET, "10.9.0.1", &address.address);
	service_listens(SHAKEOFF_SYNCOOKIES_NEVER);
	harness.service->bypass = SHAKEOFF_BYPASS_MPTCP;
	assert_int_equal(bpf_map_update_elem(harness.addresses4, &address, &tagged, BPF_ANY), 0);
	assert_verdict(&syn, SHAKEOFF_FRAG_PASS);
	assert_int_equal(bpf_map_update_elem(harness.addresses4, &address, &plain, BPF_ANY), 0);
}

/* One more may pass in the window, and the next may not. A new window may begin between them. */
static void beyond_the_budget_fragments_are_dropped(void **state)
{
	const struct segment fragment = { .fragment = 100, .flags = ACK }, first6 = { IN6(6, 0, 1), .flags = ACK };
	const struct segment udp = { .protocol = IPPROTO_UDP, .fragment = 100 };
	enum shakeoff_verdict second = SHAKEOFF_VERDICT_COUNT;

	(void)state;
	for (int i = 0; i < 20 && second != SHAKEOFF_FRAG_RATE; i++) {
		fragments_spend();
		harness.control->fragments--;
		harness.control->fragments_wanted = harness.control->fragments_expected = 0;
		assert_verdict(&fragment, SHAKEOFF_FRAG_PASS);
		second = run_segment(&first6, NULL);
	}
	assert_string_equal(verdict_name(second), verdict_name(SHAKEOFF_FRAG_RATE));
	assert_verdict(&udp, SHAKEOFF_NO_SERVICE);
}

/* Begins a window of a flood. */
static uint32_t flood_begins(uint32_t fair_expected)
{
	uint32_t window = monotonic_ns() / SHAKEOFF_BUDGET_WINDOW_NS;

	harness.control->replies.salt = (monotonic_ns() * 0x9e3779b97f4a7c15ull) | 1; /* other cells */
	harness.control->fragment_window = window;
	harness.control->fragments = harness.control->fragments_wanted = harness.control->fragments_fair = 0;
	harness.control->fragments_expected = 10 * MOST;
	harness.control->fragments_fair_expected = fair_expected;
	return window;
}

static bool passes(const struct segment *segment, uint16_t id)
{
	static struct frame frame;
	enum shakeoff_verdict verdict;

	frame_make(&frame, segment);
	if (segment_is_ipv6(segment))
		put32(frame.bytes + frame.l4 - 4, id);
	else
		put16(frame.bytes + frame.l3 + 4, id);
	verdict = run_frame(&frame, NULL);
	if (verdict != SHAKEOFF_FRAG_PASS)
		assert_string_equal(verdict_name(verdict), verdict_name(SHAKEOFF_FRAG_RATE));
	return verdict == SHAKEOFF_FRAG_PASS;
}

/*
 * Twice as many packets as may pass, each from another prefix, in two pieces each: if every piece were drawn
 * separately, only a quarter of the packets would pass.
 */
static void in_a_flood_all_pieces_of_a_packet_pass_or_none(void **state)
{
	char text[40];
	struct segment first4 = { .from = text, .fragment = MF, .flags = ACK, DATA };
	struct segment last4 = { .from = text, .fragment = 100, .flags = ACK };
	struct segment first6 = { IN6(6, 0, 1), .flags = ACK, DATA }, last6 = { IN6(6, 100, 0), .flags = ACK };
	uint32_t window, whole, parts;

	(void)state;
	first6.from = last6.from = text;
	do {
		window = flood_begins(2 * MOST);
		whole = parts = 0;
		for (uint16_t i = 0; i < 160; i++) {
			bool first, last;

			snprintf(text, sizeof(text), i % 2 ? "2001:db8:%x::7" : "203.0.%d.7", i + 1);
			first = passes(i % 2 ? &first6 : &first4, i);
			last = passes(i % 2 ? &last6 : &last4, i);
			whole += first && last;
			parts += first != last;
		}
	} while (window != harness.control->fragment_window);
	assert_int_equal(parts, 0);
	/* 160 packets with a chance of seven in sixteen: expected 70; fewer than 40 once in a million times. */
	assert_in_range(whole, 40, 100);
}

/* A flood from one prefix gets an eighth of the budget, and the rest remains for other prefixes. */
static void in_a_flood_a_prefix_gets_an_eighth(void **state)
{
	char text[40];
	const struct segment flood = { .from = "198.51.100.7", .fragment = 100, .flags = ACK };
	const struct segment other = { .from = text, .fragment = 100, .flags = ACK };
	uint32_t window, flooded, others;

	(void)state;
	do {
		window = flood_begins(0);
		flooded = others = 0;
		for (uint16_t i = 0; i < 200; i++)
			flooded += passes(&flood, i);
		for (uint16_t i = 0; i < 10; i++) {
			snprintf(text, sizeof(text), "203.0.%d.7", i + 1);
			others += passes(&other, i);
		}
	} while (window != harness.control->fragment_window);
	assert_int_equal(flooded, MOST / SHAKEOFF_FRAGMENT_PREFIX);
	/* one of them may be in the flooded cell */
	assert_in_range(others, 9, 10);
}

/* An honest prefix that sends many fragments while no other prefix sends any. */
static void without_a_flood_a_prefix_has_the_whole_budget(void **state)
{
	const struct segment much = { .from = "198.51.100.7", .fragment = 100, .flags = ACK };
	uint32_t window, passed;

	(void)state;
	do {
		window = flood_begins(0);
		harness.control->fragments_expected = MOST;
		harness.control->fragments = MOST - 200;
		passed = 0;
		for (uint16_t i = 0; i < 210; i++)
			passed += passes(&much, i);
	} while (window != harness.control->fragment_window);
	assert_int_equal(passed, 200);
}

/* A source that sends a few fragments after a flood does not suffer for it, even if no fragment came in between. */
static void a_flood_that_is_over_has_no_effect(void **state)
{
	const struct segment honest = { .from = "203.0.113.7", .fragment = 100, .flags = ACK };

	(void)state;
	flood_begins(1000000);
	harness.control->fragments_wanted = harness.control->fragments_fair = 1000000;
	harness.control->fragment_window -= 10; /* a second ago */
	for (uint16_t i = 0; i < 5; i++)
		assert_true(passes(&honest, i));
}

static void a_window_that_another_cpu_has_begun_goes_on(void **state)
{
	const struct segment fragment = { .fragment = 100, .flags = ACK };

	(void)state;
	fragments_spend();
	assert_verdict(&fragment, SHAKEOFF_FRAG_RATE);
}

static void a_fragment_header_on_a_whole_packet_changes_nothing(void **state)
{
	const struct segment syn = { IN6(6, 0, 0), .seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS };
	const struct segment rst = { IN6(6, 0, 0), .sport = 41000, .flags = RST };
	struct client client;

	(void)state;
	client_connect(&client, &syn);
	client.ack.first_extension = 44;
	client.ack.extensions = syn.extensions;
	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
	assert_verdict(&rst, SHAKEOFF_RST_NO_SOCKET);
}

/* Frames with bytes at random: one verdict for each, and nothing is sent (run_frame()). */
static void damaged_frames_have_a_verdict(void **state)
{
	static struct frame frame;

	(void)state;
	srandom(7);
	for (int i = 0; i < 20000; i++) {
		frame_make(&frame, &fixtures[random() % COUNT(fixtures)].in);
		for (int k = random() % 4 + 1; k > 0; k--)
			frame.bytes[12 + random() % (frame.len - 12)] = random();
		if (random() % 4 == 0)
			frame.len = 14 + random() % (frame.len - 13);
		run_frame(&frame, NULL);
	}
}

#define TEST(function) cmocka_unit_test_setup(function, harness_reset)

int main(void)
{
	static const struct CMUnitTest rest[] = {
		TEST(at_an_address_without_a_service_all_fragments_pass),
		TEST(a_fragment_with_a_syn_for_a_bypassed_service_passes),
		TEST(a_fragment_with_a_syn_for_a_bypassed_vlan_address_passes),
		TEST(at_an_address_with_bypassed_services_all_fragments_pass),
		TEST(beyond_the_budget_fragments_are_dropped),
		TEST(in_a_flood_all_pieces_of_a_packet_pass_or_none),
		TEST(in_a_flood_a_prefix_gets_an_eighth),
		TEST(without_a_flood_a_prefix_has_the_whole_budget),
		TEST(a_flood_that_is_over_has_no_effect),
		TEST(a_window_that_another_cpu_has_begun_goes_on),
		TEST(a_fragment_header_on_a_whole_packet_changes_nothing),
		TEST(damaged_frames_have_a_verdict),
	};
	struct CMUnitTest tests[COUNT(fixtures) + COUNT(others) + COUNT(rest)], *test = tests;

	for (size_t i = 0; i < COUNT(fixtures); i++)
		*test++ = (struct CMUnitTest){ fixtures[i].name, is_checked, harness_reset, NULL,
					       (void *)&fixtures[i] };
	for (size_t i = 0; i < COUNT(others); i++)
		*test++ = (struct CMUnitTest){ others[i].name, is_checked, harness_reset, NULL, (void *)&others[i] };
	memcpy(test, rest, sizeof(rest));
	return cmocka_run_group_tests_name("fragments", tests, harness_start, harness_stop);
}
