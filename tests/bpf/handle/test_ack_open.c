/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/ack_events.c */
/* The final ACK: what its event tells the daemon about the connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ack_events.h"

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6;
static const struct segment windows_syn = WINDOWS_SYN, windows_syn6 = WINDOWS_SYN6;

/* What a SYN offers, and which of it the connection has. */
struct negotiation {
	const char *name;
	struct segment syn;
	uint16_t flags, mss;
	uint8_t snd_wscale, rcv_wscale;
};

#define OFFERS(...)                                                                                                    \
	{                                                                                                              \
		.seq = CLIENT_ISN, .flags = SYN, .options = BYTES(__VA_ARGS__)                                         \
	}
#define TS 8, 10, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0
#define BOTH (SHAKEOFF_EVENT_SACK | SHAKEOFF_EVENT_TIMESTAMPS)
#define NONE SHAKEOFF_NO_WSCALE

static const struct negotiation negotiations[] = {
	{ "Linux", LINUX_SYN, BOTH, 1460, 7, OUR_WSCALE },
	{ "Linux over IPv6", LINUX_SYN6, BOTH, 1460, 7, OUR_WSCALE },
	{ "Windows", WINDOWS_SYN, SHAKEOFF_EVENT_SACK, 1460, 8, OUR_WSCALE },
	{ "Windows over IPv6", WINDOWS_SYN6, SHAKEOFF_EVENT_SACK, 1440, 8, OUR_WSCALE },
	{ "no options", { .seq = CLIENT_ISN, .flags = SYN }, 0, 536, NONE, NONE },
	{ "no options over IPv6", { .from = "2001:db8:7::7", .seq = CLIENT_ISN, .flags = SYN }, 0, 1220, NONE, NONE },
	{ "MSS alone", OFFERS(2, 4, 0x05, 0xa0), 0, 1440, NONE, NONE },
	{ "an MSS between classes is rounded down", OFFERS(2, 4, 0x05, 0xb3, 1, 1, 4, 2), SHAKEOFF_EVENT_SACK, 1440,
	  NONE, NONE },
	{ "SACK without scale", OFFERS(2, 4, 0x05, 0xb4, 1, 1, 4, 2), SHAKEOFF_EVENT_SACK, 1460, NONE, NONE },
	{ "a scale that no class has is rounded down", OFFERS(2, 4, 0x05, 0xb4, 1, 1, 4, 2, 1, 3, 3, 14),
	  SHAKEOFF_EVENT_SACK, 1460, 8, OUR_WSCALE },
	{ "scale 0", OFFERS(2, 4, 0x05, 0xb4, 1, 1, 4, 2, 1, 3, 3, 0), SHAKEOFF_EVENT_SACK, 1460, 0, OUR_WSCALE },
	{ "timestamps alone", OFFERS(2, 4, 0x05, 0xb4, 1, 1, TS), SHAKEOFF_EVENT_TIMESTAMPS, 1460, NONE, NONE },
	{ "timestamps and scale", OFFERS(2, 4, 0x05, 0xb4, 1, 1, TS, 1, 3, 3, 14), SHAKEOFF_EVENT_TIMESTAMPS, 1460, 14,
	  OUR_WSCALE },
	{ "timestamps, every MSS of usual links is exact", OFFERS(2, 4, 0x05, 0xb3, 4, 2, TS, 1, 3, 3, 2), BOTH, 1459,
	  2, OUR_WSCALE },
	{ "timestamps, the smallest exact MSS", OFFERS(2, 4, 0x04, 0xc4, 4, 2, TS, 1, 3, 3, 2), BOTH, 1220, 2,
	  OUR_WSCALE },
	{ "timestamps, below the smallest exact MSS", OFFERS(2, 4, 0x04, 0xc3, 4, 2, TS, 1, 3, 3, 2), BOTH, 1100, 2,
	  OUR_WSCALE },
	{ "timestamps, small MSS", OFFERS(2, 4, 0x02, 0x18, 4, 2, TS, 1, 3, 3, 2), BOTH, 536, 2, OUR_WSCALE },
	{ "timestamps, smaller MSS", OFFERS(2, 4, 0x01, 0xff, 4, 2, TS, 1, 3, 3, 2), BOTH, 400, 2, OUR_WSCALE },
	{ "timestamps, the smallest MSS", OFFERS(2, 4, 0x00, 0x58, 4, 2, TS, 1, 3, 3, 2), BOTH, 88, 2, OUR_WSCALE },
	{ "timestamps, jumbo frames", OFFERS(2, 4, 0x23, 0x00, 4, 2, TS, 1, 3, 3, 2), BOTH, 8960, 2, OUR_WSCALE },
};

/*
 * Our timestamps at the ACK are the SYN-ACK's timestamp, plus the elapsed time, plus one tick, so that the first round
 * trip is never measured too short. The result may exceed that by the test's own run time.
 */
static void assert_clock_goes_on(const struct shakeoff_event *event, const struct client *client)
{
	uint32_t since = event->tsecr - client->synack.tsval;

	assert_in_range(since, 1, 1000);
}

static void the_connection_has_what_was_negotiated(void **state)
{
	const struct negotiation *negotiation = *state;
	const struct shakeoff_event *event;
	struct client client;

	client_connect(&client, &negotiation->syn);
	event = opens(&client);
	assert_int_equal(event->flags, negotiation->flags);
	assert_int_equal(event->mss, negotiation->mss);
	assert_int_equal(event->snd_wscale, negotiation->snd_wscale);
	assert_int_equal(event->rcv_wscale, negotiation->rcv_wscale);
	assert_int_equal(event->snd_wnd, 502u << (negotiation->snd_wscale == NONE ? 0 : negotiation->snd_wscale));
	if (negotiation->flags & SHAKEOFF_EVENT_TIMESTAMPS) {
		assert_int_equal(event->tsval, LINUX_TSVAL + 1);
		assert_clock_goes_on(event, &client);
	} else {
		assert_int_equal(event->tsval | event->tsecr, 0);
	}
}

static void the_greatest_scaled_window_is_not_cut(void **state)
{
	const struct segment syn = OFFERS(2, 4, 0x05, 0xb4, 4, 2, TS, 1, 3, 3, 14);
	struct client client;

	(void)state;
	client_connect(&client, &syn);
	client.ack.window = 65535;
	assert_int_equal(opens(&client)->snd_wnd, 65535u << 14);
}

static void event_is_of_the_synack(const struct shakeoff_event *event, uint32_t window, uint8_t wscale)
{
	assert_int_equal(event->rcv_wnd, window);
	assert_int_equal(event->rcv_wscale, wscale);
}

static void the_event_has_the_window_and_the_scale_of_the_synack(void **state)
{
	struct client client;

	(void)state;
	harness.service->offer.rcv_space = 5000;
	harness.service->offer.rcv_locked = 1;
	client_connect(&client, &linux_syn);
	event_is_of_the_synack(opens(&client), 3 * SEGMENT(0, 1), 0);
	harness.service->offer.rcv_space = 500000;
	usleep(11000); /* the next tick */
	client.syn.sport = 40001;
	client_connect(&client, &client.syn);
	event_is_of_the_synack(opens(&client), 65535, 3);
}

/*
 * The time between SYN-ACK and ACK is in the clock, to the millisecond and one for rounding; ticks are 10 ms at most.
 */
static void the_clock_goes_on_with_the_round_trip(void **state)
{
	const struct segment *const syns[] = { &linux_syn, &linux_syn6 };

	(void)state;
	for (size_t i = 0; i < COUNT(syns); i++) {
		uint64_t sent = monotonic_ns(), since, longest;
		struct client client;

		client_connect(&client, syns[i]);
		usleep(150000);
		since = opens(&client)->tsecr - client.synack.tsval;
		longest = (monotonic_ns() - sent) / 1000000;
		assert_in_range(since, 150 - 10 + 1, longest + 10 + 2);
	}
}

/* The echo may be from another host's clock: the kernel takes no sample from a clock this far ahead of the echo. */
static void a_fleet_takes_no_round_trip_time_from_the_echo(void **state)
{
	struct client client;

	(void)state;
	harness.control->flags |= SHAKEOFF_ACCEPT_NEXT_EPOCH;
	client_connect(&client, &linux_syn);
	assert_int_equal(opens(&client)->tsecr - client.synack.tsval, INT32_MAX / 1000 + 1);
}

static void a_handshake_is_counted_into_the_queue(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	assert_int_equal(harness.service->enqueued, 1);
}

static void a_handshake_is_remembered(void **state)
{
	struct shakeoff_validated entry;
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(entry.client_isn, CLIENT_ISN);
	assert_int_equal(entry.cookie, client.synack.seq);
	assert_int_equal(entry.service, SERVICE);
}

/* Around the ends of the records' size classes, and the size of an Ethernet frame. */
static void payload_of_every_size_arrives(void **state)
{
	static const size_t sizes[] = { 0,   1,    2,    3,    107,  108,  109,  110,  119,  120,
					121, 1400, 1448, 1460, 1483, 1484, 1485, 1496, 1497, 3000 };

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct client client;
		struct segment syn = linux_syn;

		syn.sport = 1000 + i;
		client_connect(&client, &syn);
		client.ack.payload = payload(sizes[i]);
		client.ack.flags |= sizes[i] ? PSH : 0;
		opens(&client);
	}
}

static void payload_of_every_size_arrives_over_ipv6(void **state)
{
	static const size_t sizes[] = { 0,    1,    87,   88,   89,   99,   100,  101, 1428,
					1440, 1463, 1464, 1465, 1475, 1476, 1477, 3000 };

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct client client;
		struct segment syn = windows_syn6;

		syn.sport = 1000 + i;
		client_connect(&client, &syn);
		client.ack.payload = payload(sizes[i]);
		opens(&client);
	}
}

static void ethernet_padding_is_removed(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &windows_syn);
	client.ack.padding = 6;
	opens(&client);
}

static void the_vlan_tag_is_removed(void **state)
{
	struct segment syn = linux_syn;
	struct client client;

	(void)state;
	syn.tags = 1;
	client_connect(&client, &syn);
	opens(&client);
}

static void ip_options_are_in_the_event(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	client.ack.ip_options = (struct bytes)BYTES(148, 4, 0, 0);
	assert_int_equal(opens(&client)->tcp_offset, 24);
}

static void ipv6_extension_headers_are_in_the_event(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn6);
	client.ack.extensions = (struct bytes)BYTES(6, 0, 1, 4, 0, 0, 0, 0);
	assert_int_equal(opens(&client)->tcp_offset, 48);
}

static void an_ack_with_fin_opens(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	client.ack.flags |= FIN;
	client.ack.payload = payload(10);
	opens(&client);
}

static void an_ack_with_sack_blocks_opens(void **state)
{
	static const uint8_t sack[] = { 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2 };
	struct client client;

	(void)state;
	client_connect(&client, &windows_syn);
	client.ack.options = (struct bytes){ sack, sizeof(sack) };
	opens(&client);
}

static void hosts_with_many_rings_lose_no_event(void **state)
{
	(void)state;
	for (int i = 0; i < 30; i++) {
		struct segment syn = linux_syn;
		struct client client;

		syn.sport = 2000 + i;
		client_opens(&client, &syn);
	}
}

/* The records are at other positions each time round the ring, over earlier payload. */
static void a_used_ring_leaves_no_old_bytes_in_an_event(void **state)
{
	uint8_t data[100];

	(void)state;
	rings_set(4096);
	for (int i = 0; i < 100; i++) {
		struct segment syn = i % 2 ? linux_syn : windows_syn;
		struct client client;

		syn.sport = 2000 + i;
		client_connect(&client, &syn);
		memset(data, 0xff, sizeof(data));
		client.ack.payload = (struct bytes){ data, sizeof(data) };
		assert_int_equal(!!opens(&client)->tsval, i % 2);
	}
}

#define TEST(function) cmocka_unit_test_setup(function, harness_reset)

int main(void)
{
	const struct CMUnitTest others[] = {
		TEST(the_greatest_scaled_window_is_not_cut),
		TEST(the_event_has_the_window_and_the_scale_of_the_synack),
		TEST(the_clock_goes_on_with_the_round_trip),
		TEST(a_fleet_takes_no_round_trip_time_from_the_echo),
		TEST(a_handshake_is_counted_into_the_queue),
		TEST(a_handshake_is_remembered),
		TEST(payload_of_every_size_arrives),
		TEST(payload_of_every_size_arrives_over_ipv6),
		TEST(ethernet_padding_is_removed),
		TEST(the_vlan_tag_is_removed),
		TEST(ip_options_are_in_the_event),
		TEST(ipv6_extension_headers_are_in_the_event),
		TEST(an_ack_with_fin_opens),
		TEST(an_ack_with_sack_blocks_opens),
		TEST(hosts_with_many_rings_lose_no_event),
		TEST(a_used_ring_leaves_no_old_bytes_in_an_event),
	};
	struct CMUnitTest tests[COUNT(negotiations) + COUNT(others)], *test = tests;

	for (size_t i = 0; i < COUNT(negotiations); i++)
		*test++ = (struct CMUnitTest){ negotiations[i].name, the_connection_has_what_was_negotiated,
					       harness_reset, NULL, (void *)&negotiations[i] };
	memcpy(test, others, sizeof(others));
	return cmocka_run_group_tests_name("events of final ACKs", tests, harness_start, harness_stop);
}
