/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness.c */
/* The final ACK and what comes with it: what the daemon is told, and what is dropped under which name. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "harness.h"

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6;
static const struct segment windows_syn = WINDOWS_SYN, windows_syn6 = WINDOWS_SYN6;

static uint8_t data[20000];

static struct bytes payload(size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = i * 31 + (i >> 8);
	return (struct bytes){ data, len };
}

/* ------------------------------------------------------------------------------------------------ the OPEN event */

/* The event's packet is the segment's, from the IP header to the last byte that IP counts. */
static void assert_event_carries(const struct shakeoff_event *event, const struct segment *segment)
{
	struct segment bare = *segment;
	static struct frame frame;

	bare.padding = 0;
	frame_make(&frame, &bare);
	assert_int_equal(event->packet_len, frame.len - frame.l3);
	assert_int_equal(event->tcp_offset, frame.l4 - frame.l3);
	assert_memory_equal(event->packet, frame.bytes + frame.l3, event->packet_len);
}

static void assert_event_names(const struct shakeoff_event *event, const struct segment *segment)
{
	struct shakeoff_tuple tuple = tuple_of_segment(segment);
	uint64_t now = monotonic_ns();

	assert_int_equal(event->service, SERVICE);
	assert_int_equal(event->ifindex, harness.ifindex);
	assert_memory_equal(&event->tuple, &tuple, sizeof(tuple));
	assert_true(event->time_ns <= now && now - event->time_ns < 2000000000);
	assert_int_equal(event->taken, 0);
}

/* Sends the ACK and gives back the OPEN event, checked for all that does not depend on the options. */
static const struct shakeoff_event *opens(const struct client *client)
{
	const struct shakeoff_event *event;

	assert_verdict(&client->ack, SHAKEOFF_ACK_VALID);
	event = expect_event(SHAKEOFF_EVENT_OPEN);
	assert_event_names(event, &client->ack);
	assert_event_carries(event, &client->ack);
	assert_int_equal(event->rcv_nxt, client->syn.seq + 1);
	assert_int_equal(event->snd_nxt, client->synack.seq + 1);
	assert_int_equal(event->rcv_wnd, client->synack.window);
	expect_no_event();
	return event;
}

/* What a SYN offers, and what the connection has of it. */
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
	{ "timestamps, the least that is exact", OFFERS(2, 4, 0x04, 0xc4, 4, 2, TS, 1, 3, 3, 2), BOTH, 1220, 2,
	  OUR_WSCALE },
	{ "timestamps, below it", OFFERS(2, 4, 0x04, 0xc3, 4, 2, TS, 1, 3, 3, 2), BOTH, 1100, 2, OUR_WSCALE },
	{ "timestamps, small MSS", OFFERS(2, 4, 0x02, 0x18, 4, 2, TS, 1, 3, 3, 2), BOTH, 536, 2, OUR_WSCALE },
	{ "timestamps, smaller MSS", OFFERS(2, 4, 0x01, 0xff, 4, 2, TS, 1, 3, 3, 2), BOTH, 400, 2, OUR_WSCALE },
	{ "timestamps, the least MSS", OFFERS(2, 4, 0x00, 0x58, 4, 2, TS, 1, 3, 3, 2), BOTH, 88, 2, OUR_WSCALE },
	{ "timestamps, jumbo frames", OFFERS(2, 4, 0x23, 0x00, 4, 2, TS, 1, 3, 3, 2), BOTH, 8960, 2, OUR_WSCALE },
};

/*
 * Our timestamps when the ACK came are those of the SYN-ACK and the time since, and one: the first round trip is never taken for
 * shorter than it was. The test's own time is what it may be too long.
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

static void the_window_and_the_scale_of_the_synack_are_told(void **state)
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

/* The time between SYN-ACK and ACK is in the clock, to the millisecond and one for rounding; ticks are 10 ms at most. */
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

/* It may be another host's clock: so far ahead of the echo the kernel takes no sample. */
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

/* Around the ends of the records' size classes, and what an Ethernet frame holds. */
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

static void ethernet_padding_is_left_behind(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &windows_syn);
	client.ack.padding = 6;
	opens(&client);
}

static void the_vlan_tag_is_left_behind(void **state)
{
	struct segment syn = linux_syn;
	struct client client;

	(void)state;
	syn.tags = 1;
	client_connect(&client, &syn);
	opens(&client);
}

static void ip_options_travel_along(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	client.ack.ip_options = (struct bytes)BYTES(148, 4, 0, 0);
	assert_int_equal(opens(&client)->tcp_offset, 24);
}

static void ipv6_extension_headers_travel_along(void **state)
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

/* The records lie at other places each time round the ring, over what was payload before. */
static void a_used_ring_leaves_nothing_of_its_past_in_an_event(void **state)
{
	(void)state;
	rings_set(4096);
	for (int i = 0; i < 100; i++) {
		struct segment syn = i % 2 ? linux_syn : windows_syn;
		struct client client;

		syn.sport = 2000 + i;
		client_connect(&client, &syn);
		memset(data, 0xff, 100);
		client.ack.payload = (struct bytes){ data, 100 };
		assert_int_equal(!!opens(&client)->tsval, i % 2);
	}
}

/* ------------------------------------------------------------------------------------------ what follows the ACK */

static const struct shakeoff_event *follows(const struct segment *segment)
{
	const struct shakeoff_event *event;

	assert_verdict(segment, SHAKEOFF_SEGMENT_QUEUED);
	event = expect_event(SHAKEOFF_EVENT_SEGMENT);
	assert_event_names(event, segment);
	assert_event_carries(event, segment);
	assert_int_equal(event->rcv_nxt | event->snd_nxt | event->rcv_wnd | event->snd_wnd | event->mss | event->flags,
			 0);
	expect_no_event();
	return event;
}

/* Each of these on a connection opened this moment. */
static void a_duplicate_of_the_ack_follows(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	validated_age(&client.ack, 0);
	follows(&client.ack);
}

static void the_first_data_follows(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn6);
	client.ack.payload = payload(500);
	validated_age(&client.ack, 0);
	follows(&client.ack);
}

static void later_data_follows(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &windows_syn);
	client.ack.seq += 1460;
	client.ack.payload = payload(1460);
	validated_age(&client.ack, 0);
	follows(&client.ack);
}

static void no_more_segments_follow_than_a_first_flight_has(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &windows_syn);
	client.ack.seq += 1460;
	client.ack.payload = payload(1);
	validated_age(&client.ack, 0);
	for (int i = 0; i < SHAKEOFF_FOLLOW_SEGMENTS; i++)
		follows(&client.ack);
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
	expect_no_event();
}

/* The address has come to be bypassed, because of a firewall's rule. */
static void address_is_bypassed(bool bypassed)
{
	const struct shakeoff_address4 key = { .address = inet_addr("10.9.0.1"), .port = htons(80) };
	const __u32 value = SERVICE | (bypassed ? SHAKEOFF_ADDRESS_BYPASSED : 0);

	assert_int_equal(bpf_map_update_elem(harness.addresses4, &key, &value, BPF_ANY), 0);
	generation_raise();
}

static void at_an_address_that_is_bypassed_cookies_stay_good_and_all_else_is_the_kernels(void **state)
{
	static const uint8_t flags[] = { ACK, ACK | PSH, ACK | FIN, RST, RST | ACK, SYN | ACK };
	struct client client;

	(void)state;
	client_connect(&client, &windows_syn);
	harness.service->syns.since_ns = 0; /* which is of the listener handoff */
	address_is_bypassed(true);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_BYPASS);
	for (size_t i = 0; i < COUNT(flags); i++) {
		const struct segment no_socket = { .flags = flags[i] };

		assert_verdict(&no_socket, SHAKEOFF_ACK_IDLE);
	}
	client.ack.ack ^= 1;
	assert_verdict(&client.ack, SHAKEOFF_ACK_IDLE);
	client.ack.ack ^= 1;
	opens(&client);
	client.ack.seq += 1460;
	client.ack.payload = payload(1460);
	validated_age(&client.ack, 0);
	follows(&client.ack);
	address_is_bypassed(false);
}

static void a_fin_follows(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	client.ack.flags = FIN | ACK;
	client.ack.seq += 100;
	validated_age(&client.ack, 0);
	follows(&client.ack);
}

static void an_rst_follows(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	client.ack.flags = RST;
	validated_age(&client.ack, 0);
	follows(&client.ack);
}

static void an_rst_with_ack_follows(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	client.ack.flags = RST | ACK;
	validated_age(&client.ack, 0);
	follows(&client.ack);
}

static void a_segment_follows_an_ack_that_another_cpus_clock_saw_later(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	client.ack.seq += 10;
	client.ack.payload = payload(20);
	validated_age(&client.ack, -50000000);
	follows(&client.ack);
}

static void following_does_not_count_into_the_queue(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	validated_age(&client.ack, 0);
	follows(&client.ack);
	assert_int_equal(harness.service->enqueued, 1);
}

static void segments_follow_into_a_full_queue(void **state)
{
	struct client client;

	(void)state;
	harness.service->capacity = 1;
	client_opens(&client, &linux_syn);
	client.ack.payload = payload(5);
	validated_age(&client.ack, 0);
	follows(&client.ack);
}

static void a_damaged_segment_does_not_follow(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	client.ack.longer = 1;
	validated_age(&client.ack, 0);
	assert_verdict(&client.ack, SHAKEOFF_BAD_HEADER);
}

/* ------------------------------------------------------------------------------------- a connection, not a second */

#define AFTER_FOLLOWING (SHAKEOFF_FOLLOW_NS + 20000000)

static void a_late_duplicate_of_the_ack_does_not_open_again(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	validated_age(&client.ack, AFTER_FOLLOWING);
	assert_verdict(&client.ack, SHAKEOFF_ACK_REPLAYED);
	expect_no_event();
}

static void a_late_duplicate_with_data_does_not_open_again(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &windows_syn);
	validated_age(&client.ack, AFTER_FOLLOWING);
	client.ack.payload = payload(7);
	assert_verdict(&client.ack, SHAKEOFF_ACK_REPLAYED);
}

static void late_data_is_nobodys(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	validated_age(&client.ack, AFTER_FOLLOWING);
	client.ack.seq += 100;
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
}

static void a_late_rst_is_nobodys(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	validated_age(&client.ack, AFTER_FOLLOWING);
	client.ack.flags = RST;
	assert_verdict(&client.ack, SHAKEOFF_RST_NO_SOCKET);
}

/* The client comes back from the same port with another ISN, so long after its first connection. */
static void assert_reconnects(uint64_t after_ns)
{
	struct segment again = linux_syn;
	struct shakeoff_validated entry;
	struct client client;

	client_opens(&client, &linux_syn);
	again.seq += 250000;
	client_connect(&client, &again);
	validated_age(&client.ack, after_ns);
	opens(&client);
	assert_int_equal(harness.service->enqueued, 2);
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(entry.client_isn, again.seq);
	assert_int_equal(entry.cookie, client.synack.seq);
}

static void a_client_reconnects_from_the_same_port(void **state)
{
	(void)state;
	assert_reconnects(AFTER_FOLLOWING);
}

static void a_client_reconnects_from_the_same_port_at_once(void **state)
{
	(void)state;
	assert_reconnects(0);
}

static void data_follows_the_new_connection_after_a_reconnect(void **state)
{
	struct segment again = linux_syn;
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	again.seq += 250000;
	client_opens(&client, &again);
	client.ack.payload = payload(9);
	validated_age(&client.ack, 0);
	follows(&client.ack);
}

static void a_client_with_the_same_isn_and_another_epoch_reconnects(void **state)
{
	struct client client;

	(void)state;
	client_opens(&client, &linux_syn);
	harness.control->epoch_offset_ns += SHAKEOFF_EPOCH_NS;
	client_connect(&client, &linux_syn);
	validated_age(&client.ack, AFTER_FOLLOWING);
	opens(&client);
}

/* ---------------------------------------------------------------------------------------------------- bad cookies */

/* ACKs that nobody's SYN brought about. Client ISN and addresses are those of a handshake that did happen. */
static void an_ack_out_of_the_blue_is_dropped(void **state)
{
	const struct segment ack = { .seq = 1, .ack = 12345, .flags = ACK };

	(void)state;
	assert_verdict(&ack, SHAKEOFF_ACK_BAD_COOKIE);
}

/* Of an ACK with timestamps. An offset that is not its own makes the echo look old as often as not: a matter of names. */
static void assert_is_no_cookie(const struct segment *ack)
{
	enum shakeoff_verdict verdict = run_segment(ack, NULL);

	assert_true(verdict == SHAKEOFF_ACK_BAD_COOKIE || verdict == SHAKEOFF_ACK_EXPIRED);
	expect_no_event();
}

/* Every bit of the acknowledgment number, one at a time. */
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

/* What stands above the MAC without timestamps, for so many clients that offer the same at the same time. */
static void assert_nothing_is_shown(struct segment syn)
{
	uint64_t seen = 0;

	for (int i = 0; i < 1024; i++) {
		struct client client;

		syn.sport = 20000 + i;
		client_connect(&client, &syn);
		seen |= 1ull << (client.synack.seq >> 26);
	}
	assert_int_equal(seen, ~0ull); /* that one of the 64 values is missing by chance: 10^-5 */
}

static void a_synack_without_timestamps_shows_neither_options_nor_epoch(void **state)
{
	(void)state;
	assert_nothing_is_shown(windows_syn);
	assert_nothing_is_shown(windows_syn6);
}

/* The MAC of a cookie that was sent, under each of the 64 values that can stand above it. */
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

/* The options in the echo have no MAC, as those of the kernel's cookies: who changes them changes his own connection. */
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

/* What can be told of such a client: that it has its address. */
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

/* --------------------------------------------------------------------------------------------------------- epochs */

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

/* What is kept of the hash of one epoch is not taken for that of the other. */
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

/* Which epoch it is of only who has its key can tell. */
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

/* Its key is that of the present epoch. */
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

/* ---------------------------------------------------------------------------------------------- other segments */

struct out_of_state_row {
	const char *name;
	struct segment in;
	enum shakeoff_verdict verdict;
};

static const struct out_of_state_row out_of_state_rows[] = {
	{ "RST", { .seq = 1, .flags = RST }, SHAKEOFF_RST_NO_SOCKET },
	{ "RST and ACK", { .seq = 1, .ack = 1, .flags = RST | ACK }, SHAKEOFF_RST_NO_SOCKET },
	{ "RST over IPv6", { .from = "2001:db8:7::7", .flags = RST }, SHAKEOFF_RST_NO_SOCKET },
	{ "RST and FIN", { .flags = RST | FIN }, SHAKEOFF_RST_NO_SOCKET },
	{ "SYN-ACK", { .flags = SYN | ACK, .options = LINUX_OPTIONS }, SHAKEOFF_SYNACK_NO_SOCKET },
	{ "SYN-ACK over IPv6", { .from = "2001:db8:7::7", .flags = SYN | ACK }, SHAKEOFF_SYNACK_NO_SOCKET },
	{ "no flags at all", { .flags = 0 }, SHAKEOFF_BAD_SEGMENT },
	{ "FIN alone", { .flags = FIN }, SHAKEOFF_BAD_SEGMENT },
	{ "Christmas tree", { .flags = FIN | PSH | URG }, SHAKEOFF_BAD_SEGMENT },
	{ "PSH alone", { .flags = PSH }, SHAKEOFF_BAD_SEGMENT },
	{ "ACK with data offset 0", { .flags = ACK, .no_doff = true }, SHAKEOFF_BAD_HEADER },
	{ "ACK with a data offset beyond the segment", { .flags = ACK, .doff = 15 }, SHAKEOFF_BAD_HEADER },
	{ "ACK longer than its frame", { .flags = ACK, .longer = 1 }, SHAKEOFF_BAD_HEADER },
	{ "FIN and ACK of nobody", { .seq = 1, .ack = 12345, .flags = FIN | ACK }, SHAKEOFF_ACK_BAD_COOKIE },
};

static void an_out_of_state_segment_is_dropped(void **state)
{
	const struct out_of_state_row *row = *state;

	assert_verdict(&row->in, row->verdict);
	expect_no_event();
}

static void an_ack_cut_at_any_length_opens_nothing(void **state)
{
	static struct frame frame;
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	client.ack.payload = payload(30);
	client.ack.tags = 1;
	frame_make(&frame, &client.ack);
	for (size_t len = 14, whole = frame.len; len < whole; len++) {
		frame.len = len;
		assert_string_equal(verdict_name(run_frame(&frame, NULL)),
				    len < frame.l3 + 20 ? "no_service" : "bad_header");
	}
	expect_no_event();
}

/* Handshakes with bytes at random: whatever they are taken for, run_frame() finds one verdict for each. */
static void damaged_acks_never_bring_forth_garbage(void **state)
{
	static struct frame frame;
	struct client client;

	(void)state;
	srandom(6);
	for (int i = 0; i < 20000; i++) {
		if (i % 200 == 0) {
			harness_reset(NULL);
			client_connect(&client, i % 400 ? &linux_syn : &windows_syn6);
			client.ack.payload = payload(random() % 100);
			harness.service->overflow = SHAKEOFF_OVERFLOW_RESET;
			harness.service->capacity = i % 800 ? 2 : 0;
		}
		frame_make(&frame, &client.ack);
		for (int k = random() % 4; k > 0; k--)
			frame.bytes[12 + random() % (frame.len - 12)] = random();
		run_frame(&frame, NULL);
		while (next_event())
			;
	}
}

/* --------------------------------------------------------------------------------------------- service and queue */

static void with_the_queue_full_the_ack_is_dropped(void **state)
{
	struct shakeoff_validated entry;
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.service->enqueued = harness.service->capacity;
	assert_verdict(&client.ack, SHAKEOFF_ACK_OVERFLOW_DROP);
	expect_no_event();
	assert_false(validated_get(&client.ack, &entry));
}

static void an_ack_ignored_while_the_queue_was_full_opens_when_repeated(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.service->enqueued = harness.service->capacity;
	assert_verdict(&client.ack, SHAKEOFF_ACK_OVERFLOW_DROP);
	harness.service->dequeued = 1;
	opens(&client);
}

/* RFC 9293, section 3.10.7.1: an ACK in the segment: SEQ = SEG.ACK, RST alone. */
static void assert_reset(const struct segment *syn, size_t payload_len)
{
	struct reading reading;
	struct client client;

	client_connect(&client, syn);
	client.ack.payload = payload(payload_len);
	harness.service->enqueued = harness.service->capacity;
	harness.service->overflow = SHAKEOFF_OVERFLOW_RESET;
	run_answered(&client.ack, SHAKEOFF_ACK_OVERFLOW_RESET, &reading);
	assert_int_equal(reading.flags, RST);
	assert_int_equal(reading.seq, client.ack.ack);
	assert_int_equal(reading.ack, 0);
	assert_int_equal(reading.window, 0);
	assert_int_equal(reading.options_len, 0);
	assert_int_equal(reading.payload_len, 0);
	assert_int_equal(reading.sport, 80);
	assert_int_equal(reading.dport, 40000);
	expect_no_event();
}

static void with_the_queue_full_the_ack_is_reset(void **state)
{
	(void)state;
	assert_reset(&linux_syn, 0);
}

static void with_the_queue_full_the_ack_is_reset_over_ipv6(void **state)
{
	(void)state;
	assert_reset(&windows_syn6, 0);
}

static void with_the_queue_full_an_ack_with_data_is_reset(void **state)
{
	(void)state;
	assert_reset(&windows_syn, 1460);
}

static void with_the_queue_full_a_bad_cookie_is_not_reset(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	client.ack.ack++;
	harness.service->enqueued = harness.service->capacity;
	harness.service->overflow = SHAKEOFF_OVERFLOW_RESET;
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
}

static void without_a_server_acks_pass(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.service->flags = SHAKEOFF_SERVICE_USED;
	assert_verdict(&client.ack, SHAKEOFF_ACK_NO_SERVER);
}

static void without_a_server_out_of_state_segments_pass_unless_no_tcp_sends_them(void **state)
{
	(void)state;
	harness.service->flags = SHAKEOFF_SERVICE_USED;
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++) {
		enum shakeoff_verdict served = out_of_state_rows[i].verdict;

		assert_verdict(&out_of_state_rows[i].in,
			       served == SHAKEOFF_BAD_SEGMENT || served == SHAKEOFF_BAD_HEADER ?
				       served :
				       SHAKEOFF_ACK_NO_SERVER);
	}
}

static void without_a_key_acks_pass(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.control->flags = 0;
	assert_verdict(&client.ack, SHAKEOFF_ACK_NO_SERVER);
}

static void without_a_profile_of_the_interface_acks_pass(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	interface_set(NULL);
	assert_verdict(&client.ack, SHAKEOFF_ACK_NO_SERVER);
}

static void while_the_daemon_is_down_acks_go_on_being_validated(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.control->heartbeat_ns = monotonic_ns() - SHAKEOFF_HEARTBEAT_TIMEOUT_NS - SHAKEOFF_COOKIE_LIFETIME_NS +
					1000000000;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_DAEMON_DOWN);
	opens(&client);
}

static void after_a_cookies_lifetime_without_a_daemon_acks_pass(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.control->heartbeat_ns = monotonic_ns() - SHAKEOFF_HEARTBEAT_TIMEOUT_NS - SHAKEOFF_COOKIE_LIFETIME_NS -
					20000000;
	assert_verdict(&client.ack, SHAKEOFF_ACK_NO_SERVER);
}

/* ------------------------------------------------------------------------------------------------------- the ring */

static void assert_ring_full(const struct client *client)
{
	struct shakeoff_validated entry;

	assert_verdict(&client->ack, SHAKEOFF_RING_FULL);
	assert_false(validated_get(&client->ack, &entry));
	assert_int_equal(harness.service->enqueued, 0);
}

static void an_ack_that_finds_no_ring_is_left_for_the_client_to_repeat(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	rings_set(0);
	assert_ring_full(&client);
	rings_set(SHAKEOFF_RING_BYTES);
	opens(&client);
}

static void before_any_daemon_there_is_no_ring(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &linux_syn);
	harness.control->rings = 0;
	assert_ring_full(&client);
}

static void an_ack_that_finds_the_ring_full_is_left_for_the_client_to_repeat(void **state)
{
	struct client client;
	int held = 0;

	(void)state;
	rings_set(4096);
	client_opens(&client, &linux_syn);
	validated_age(&client.ack, 0);
	while (run_segment(&client.ack, NULL) == SHAKEOFF_SEGMENT_QUEUED)
		held++;
	assert_in_range(held, 10, 20);
	assert_verdict(&client.ack, SHAKEOFF_RING_FULL);
	while (next_event())
		held--;
	assert_int_equal(held, 0);
	follows(&client.ack);
}

#define TEST(function) cmocka_unit_test_setup(function, harness_reset)

static const struct CMUnitTest others[] = {
	TEST(the_greatest_scaled_window_is_not_cut),
	TEST(the_window_and_the_scale_of_the_synack_are_told),
	TEST(the_clock_goes_on_with_the_round_trip),
	TEST(a_fleet_takes_no_round_trip_time_from_the_echo),
	TEST(a_handshake_is_counted_into_the_queue),
	TEST(a_handshake_is_remembered),
	TEST(payload_of_every_size_arrives),
	TEST(payload_of_every_size_arrives_over_ipv6),
	TEST(ethernet_padding_is_left_behind),
	TEST(the_vlan_tag_is_left_behind),
	TEST(ip_options_travel_along),
	TEST(ipv6_extension_headers_travel_along),
	TEST(an_ack_with_fin_opens),
	TEST(an_ack_with_sack_blocks_opens),
	TEST(hosts_with_many_rings_lose_no_event),
	TEST(a_used_ring_leaves_nothing_of_its_past_in_an_event),
	TEST(a_duplicate_of_the_ack_follows),
	TEST(the_first_data_follows),
	TEST(later_data_follows),
	TEST(no_more_segments_follow_than_a_first_flight_has),
	TEST(a_fin_follows),
	TEST(at_an_address_that_is_bypassed_cookies_stay_good_and_all_else_is_the_kernels),
	TEST(an_rst_follows),
	TEST(an_rst_with_ack_follows),
	TEST(a_segment_follows_an_ack_that_another_cpus_clock_saw_later),
	TEST(following_does_not_count_into_the_queue),
	TEST(segments_follow_into_a_full_queue),
	TEST(a_damaged_segment_does_not_follow),
	TEST(a_late_duplicate_of_the_ack_does_not_open_again),
	TEST(a_late_duplicate_with_data_does_not_open_again),
	TEST(late_data_is_nobodys),
	TEST(a_late_rst_is_nobodys),
	TEST(a_client_reconnects_from_the_same_port),
	TEST(a_client_reconnects_from_the_same_port_at_once),
	TEST(data_follows_the_new_connection_after_a_reconnect),
	TEST(a_client_with_the_same_isn_and_another_epoch_reconnects),
	TEST(an_ack_out_of_the_blue_is_dropped),
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
	TEST(an_ack_cut_at_any_length_opens_nothing),
	TEST(damaged_acks_never_bring_forth_garbage),
	TEST(with_the_queue_full_the_ack_is_dropped),
	TEST(an_ack_ignored_while_the_queue_was_full_opens_when_repeated),
	TEST(with_the_queue_full_the_ack_is_reset),
	TEST(with_the_queue_full_the_ack_is_reset_over_ipv6),
	TEST(with_the_queue_full_an_ack_with_data_is_reset),
	TEST(with_the_queue_full_a_bad_cookie_is_not_reset),
	TEST(without_a_server_acks_pass),
	TEST(without_a_server_out_of_state_segments_pass_unless_no_tcp_sends_them),
	TEST(without_a_key_acks_pass),
	TEST(without_a_profile_of_the_interface_acks_pass),
	TEST(while_the_daemon_is_down_acks_go_on_being_validated),
	TEST(after_a_cookies_lifetime_without_a_daemon_acks_pass),
	TEST(an_ack_that_finds_no_ring_is_left_for_the_client_to_repeat),
	TEST(before_any_daemon_there_is_no_ring),
	TEST(an_ack_that_finds_the_ring_full_is_left_for_the_client_to_repeat),
};

int main(void)
{
	struct CMUnitTest tests[COUNT(negotiations) + COUNT(out_of_state_rows) + COUNT(others)], *test = tests;

	for (size_t i = 0; i < COUNT(negotiations); i++)
		*test++ = (struct CMUnitTest){ negotiations[i].name, the_connection_has_what_was_negotiated,
					       harness_reset, NULL, (void *)&negotiations[i] };
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
		*test++ = (struct CMUnitTest){ out_of_state_rows[i].name, an_out_of_state_segment_is_dropped,
					       harness_reset, NULL, (void *)&out_of_state_rows[i] };
	memcpy(test, others, sizeof(others));
	return cmocka_run_group_tests_name("ACK", tests, harness_start, harness_stop);
}
