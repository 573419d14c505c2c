/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c */
/* SYNs: which are answered, byte for byte, and which are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "harness.h"

/*
 * Packet in, packet out. The SYN-ACK is compared as a whole with `out`, to which the test adds what cannot be known
 * beforehand: the cookie, and our TSval (bytes 8 to 11 of the options that have timestamps).
 */
struct fixture {
	const char *name;
	struct segment in, out;
};

#define ANSWERS(...)                                                                                                   \
	{                                                                                                              \
		.seq = 0, .ack = CLIENT_ISN + 1, .flags = SYN | ACK, .reply = true, __VA_ARGS__                        \
	}

#define ANSWERS4(...)                                                                                                  \
	ANSWERS(.from = "10.9.0.1", .to = "198.51.100.7", .ttl = OUR_TTL, .fragment = FRAGMENT_DF, __VA_ARGS__)
#define ANSWERS6(...) ANSWERS(.from = "2001:db8::1", .to = "2001:db8:7::7", .ttl = OUR_HOP_LIMIT, __VA_ARGS__)
#define PORTS .sport = 80, .dport = 40000

#define OFFERS(...)                                                                                                    \
	{                                                                                                              \
		.seq = CLIENT_ISN, .flags = SYN, .options = BYTES(__VA_ARGS__)                                         \
	}

#define OFFERS6(...)                                                                                                   \
	{                                                                                                              \
		.from = "2001:db8:7::7", .seq = CLIENT_ISN, .flags = SYN, .options = BYTES(__VA_ARGS__)                \
	}

/* What we send: our MSS, our scale, our TSval (left open), the client's TSval. */
#define SAY_MSS 2, 4, 0x05, 0xb4
#define SAY_MSS6 2, 4, 0x05, 0xa0
#define SAY_SACK_TS 4, 2, 8, 10, 0, 0, 0, 0, 0x11, 0x22, 0x33, 0x44
#define SAY_TS 1, 1, 8, 10, 0, 0, 0, 0, 0x11, 0x22, 0x33, 0x44
#define SAY_SCALE 1, 3, 3, OUR_WSCALE
#define SAY_SACK 1, 1, 4, 2
#define SAY_ALL SAY_MSS, SAY_SACK_TS, SAY_SCALE
#define SAY_ALL6 SAY_MSS6, SAY_SACK_TS, SAY_SCALE

#define OFFER_TS 8, 10, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0

#define ANSWERS_LINUX(...) ANSWERS4(PORTS, .window = WINDOW(0, 1), .options = BYTES(SAY_ALL), __VA_ARGS__)
#define ANSWERS_LINUX6(...) ANSWERS6(PORTS, .window = WINDOW(1, 1), .options = BYTES(SAY_ALL6), __VA_ARGS__)

/* Hop-by-hop options with padding, then destination options, then a routing header of type 4 with no segments left. */
#define IPV6_CHAIN                                                                                                     \
	BYTES(60, 0, 1, 4, 0, 0, 0, 0, 43, 0, 1, 4, 0, 0, 0, 0, 6, 2, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2,  \
	      3, 4, 5, 6, 7, 8)

static const struct fixture answered[] = {
	{ "Linux", LINUX_SYN, ANSWERS_LINUX(.tags = 0) },
	{ "Linux over IPv6", LINUX_SYN6, ANSWERS_LINUX6(.tags = 0) },
	{ "Windows", WINDOWS_SYN,
	  ANSWERS4(PORTS, .window = WINDOW(0, 0), .options = BYTES(SAY_MSS, SAY_SACK, SAY_SCALE)) },
	{ "Windows over IPv6", WINDOWS_SYN6,
	  ANSWERS6(PORTS, .window = WINDOW(1, 0), .options = BYTES(SAY_MSS6, SAY_SACK, SAY_SCALE)) },
	{ "macOS", OFFERS(2, 4, 0x05, 0xb4, 1, 3, 3, 6, 1, 1, OFFER_TS, 4, 2, 0, 0), ANSWERS_LINUX(.tags = 0) },
	{ "no options: MSS alone is answered, padded with zeros to 60 bytes",
	  { .seq = CLIENT_ISN, .flags = SYN },
	  ANSWERS4(PORTS, .window = WINDOW(0, 0), .options = BYTES(SAY_MSS), .padding = 2) },
	{ "no options over IPv6: no MSS, which would make the SYN-ACK longer",
	  { .from = "2001:db8:7::7", .seq = CLIENT_ISN, .flags = SYN },
	  ANSWERS6(PORTS, .window = WINDOW(1, 0)) },
	{ "the padding of a short frame is not echoed",
	  { .seq = CLIENT_ISN, .flags = SYN, .payload = BYTES(0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa), .longer = -6 },
	  ANSWERS4(PORTS, .window = WINDOW(0, 0), .options = BYTES(SAY_MSS), .padding = 2) },
	{ "MSS and scale without SACK: no scale, which the cookie could not bring back",
	  OFFERS(2, 4, 0x05, 0xb4, 1, 3, 3, 7),
	  ANSWERS4(PORTS, .window = WINDOW(0, 0), .options = BYTES(SAY_MSS), .padding = 2) },
	{ "MSS and SACK", OFFERS(2, 4, 0x05, 0xb4, 1, 1, 4, 2),
	  ANSWERS4(PORTS, .window = WINDOW(0, 0), .options = BYTES(SAY_MSS, SAY_SACK)) },
	{ "a small MSS without timestamps: only MSS", OFFERS(2, 4, 0x02, 0x18, 1, 3, 3, 8, 1, 1, 4, 2),
	  ANSWERS4(PORTS, .window = WINDOW(0, 0), .options = BYTES(SAY_MSS), .padding = 2) },
	{ "timestamps without SACK", OFFERS(2, 4, 0x05, 0xb4, 1, 1, OFFER_TS, 1, 3, 3, 7),
	  ANSWERS4(PORTS, .window = WINDOW(0, 1), .options = BYTES(SAY_MSS, SAY_TS, SAY_SCALE)) },
	{ "timestamps without scale", OFFERS(2, 4, 0x05, 0xb4, 4, 2, OFFER_TS),
	  ANSWERS4(PORTS, .window = WINDOW(0, 1), .options = BYTES(SAY_MSS, SAY_SACK_TS)) },
	{ "a small MSS with timestamps: everything", OFFERS(2, 4, 0x02, 0x18, 4, 2, OFFER_TS, 1, 3, 3, 7),
	  ANSWERS_LINUX(.tags = 0) },
	{ "an option list that is cut off: what came before counts", OFFERS(2, 4, 0x05, 0xb4, 1, 1, 4, 2, 8, 10, 0, 0),
	  ANSWERS4(PORTS, .window = WINDOW(0, 0), .options = BYTES(SAY_MSS, SAY_SACK)) },
	{ "40 bytes of options",
	  OFFERS(2, 4, 0x05, 0xb4, 4, 2, OFFER_TS, 1, 3, 3, 7, 253, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
		 15, 16, 17, 18),
	  ANSWERS_LINUX(.tags = 0) },
	{ "payload is not acknowledged",
	  { .seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS, .payload = BYTES('G', 'E', 'T', ' ', '/') },
	  ANSWERS_LINUX(.tags = 0) },
	{ "fast open: its data is not acknowledged, its cookie is ignored",
	  { .seq = CLIENT_ISN,
	    .flags = SYN,
	    .options = BYTES(2, 4, 0x05, 0xb4, 4, 2, OFFER_TS, 1, 3, 3, 7, 34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1),
	    .payload = BYTES('G', 'E', 'T', ' ', '/') },
	  ANSWERS_LINUX(.tags = 0) },
	{ "ECN: not accepted",
	  { .seq = CLIENT_ISN, .flags = SYN | ECE | CWR, .options = LINUX_OPTIONS },
	  ANSWERS_LINUX(.tags = 0) },
	{ "PSH and URG do not matter",
	  { .seq = CLIENT_ISN, .flags = SYN | PSH | URG, .options = LINUX_OPTIONS },
	  ANSWERS_LINUX(.tags = 0) },
	{ "MPTCP: answered as plain TCP", OFFERS(2, 4, 0x05, 0xb4, 4, 2, OFFER_TS, 1, 3, 3, 7, 30, 4, 1, 1),
	  ANSWERS_LINUX(.tags = 0) },
	{ "TOS of the SYN is not copied",
	  { .seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS, .tos = 0xb8 },
	  ANSWERS_LINUX(.tags = 0) },
	{ "traffic class of the SYN is not copied",
	  { .from = "2001:db8:7::7", .seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS, .tos = 0xb8 },
	  ANSWERS_LINUX6(.tags = 0) },
	{ "without DF",
	  { .seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS, .fragment = 0 },
	  ANSWERS_LINUX(.tags = 0) },
	{ "with DF",
	  { .seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS, .fragment = FRAGMENT_DF },
	  ANSWERS_LINUX(.tags = 0) },
	{ "one VLAN tag",
	  { .seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS, .tags = 1 },
	  ANSWERS_LINUX(.tags = 1) },
	{ "a VLAN tag of a provider",
	  { .seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS, .tags = 1, .provider_tag = true },
	  ANSWERS_LINUX(.tags = 1, .provider_tag = true) },
	{ "one VLAN tag over IPv6",
	  { .from = "2001:db8:7::7", .seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS, .tags = 1 },
	  ANSWERS_LINUX6(.tags = 1) },
	{ "no options with one VLAN tag: no MSS, which would make the SYN-ACK longer",
	  { .seq = CLIENT_ISN, .flags = SYN, .tags = 1 },
	  ANSWERS4(PORTS, .window = WINDOW(0, 0), .tags = 1, .padding = 2) },
	{ "SACK alone: answered with MSS alone",
	  { .seq = CLIENT_ISN, .flags = SYN, .options = BYTES(1, 1, 4, 2) },
	  ANSWERS4(PORTS, .window = WINDOW(0, 0), .options = BYTES(SAY_MSS), .padding = 2) },
	{ "IPv4 options are removed",
	  { .seq = CLIENT_ISN,
	    .flags = SYN,
	    .options = LINUX_OPTIONS,
	    .ip_options = BYTES(7, 11, 4, 1, 2, 3, 4, 0, 0, 0, 0, 0) },
	  ANSWERS_LINUX(.tags = 0) },
	{ "40 bytes of IPv4 options",
	  { .seq = CLIENT_ISN,
	    .flags = SYN,
	    .options = LINUX_OPTIONS,
	    .ip_options = BYTES(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
				1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0) },
	  ANSWERS_LINUX(.tags = 0) },
	{ "IPv6 hop-by-hop options are removed",
	  { .from = "2001:db8:7::7",
	    .seq = CLIENT_ISN,
	    .flags = SYN,
	    .options = LINUX_OPTIONS,
	    .extensions = BYTES(6, 0, 1, 4, 0, 0, 0, 0) },
	  ANSWERS_LINUX6(.tags = 0) },
	{ "IPv6 destination options are removed",
	  { .from = "2001:db8:7::7",
	    .seq = CLIENT_ISN,
	    .flags = SYN,
	    .options = LINUX_OPTIONS,
	    .first_extension = 60,
	    .extensions = BYTES(6, 1, 1, 4, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 0, 0) },
	  ANSWERS_LINUX6(.tags = 0) },
	{ "a chain of three IPv6 headers is removed",
	  { .from = "2001:db8:7::7",
	    .seq = CLIENT_ISN,
	    .flags = SYN,
	    .options = LINUX_OPTIONS,
	    .extensions = IPV6_CHAIN },
	  ANSWERS_LINUX6(.tags = 0) },
	{ "sequence numbers that wrap",
	  { .seq = 0xffffffff, .flags = SYN, .options = LINUX_OPTIONS },
	  { .from = "10.9.0.1",
	    .to = "198.51.100.7",
	    PORTS,
	    .fragment = FRAGMENT_DF,
	    .reply = true,
	    .ttl = OUR_TTL,
	    .ack = 0,
	    .flags = SYN | ACK,
	    .window = WINDOW(0, 1),
	    .options = BYTES(SAY_ALL) } },
};

static void is_answered(void **state)
{
	static struct frame out, expected;
	const struct fixture *fixture = *state;
	struct segment answer = fixture->out;
	uint8_t options[40] = { 0 };
	struct reading reading;

	assert_string_equal(verdict_name(run_segment(&fixture->in, &out)), "synack_sent");
	assert_null(frame_read(out.bytes, out.len, &reading));
	answer.seq = reading.seq;
	put_bytes(options, answer.options);
	if (answer.options.len >= 16)
		put32(options + 8, reading.tsval);
	answer.options.data = options;
	frame_make(&expected, &answer);
	assert_int_equal(out.len, expected.len);
	assert_memory_equal(out.bytes, expected.bytes, expected.len);
}

/* The parts of a SYN-ACK that repeat from the last one are kept: every kind follows every other. */
static void no_reply_depends_on_the_last_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(answered); i++) {
		for (size_t j = 0; j < COUNT(answered); j++) {
			void *first = (void *)&answered[i], *second = (void *)&answered[j];

			is_answered(&first);
			is_answered(&second);
		}
	}
}

/* Packet in, verdict. */
struct refusal {
	const char *name;
	struct segment in;
	enum shakeoff_verdict verdict;
};

#define SYN_FROM(address)                                                                                              \
	{                                                                                                              \
		.from = (address), .seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS                           \
	}

static const struct refusal refused[] = {
	{ "TCP-MD5", OFFERS(2, 4, 0x05, 0xb4, 1, 1, 19, 18, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
	  SHAKEOFF_SYN_TCP_AUTH },
	{ "TCP-AO", OFFERS(29, 16, 1, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), SHAKEOFF_SYN_TCP_AUTH },
	{ "TCP-AO over IPv6", OFFERS6(29, 16, 1, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), SHAKEOFF_SYN_TCP_AUTH },
	{ "SYN and FIN", { .flags = SYN | FIN, .options = LINUX_OPTIONS }, SHAKEOFF_SYN_INVALID },
	{ "SYN and RST", { .flags = SYN | RST, .options = LINUX_OPTIONS }, SHAKEOFF_SYN_INVALID },
	{ "Christmas tree with SYN", { .flags = SYN | FIN | RST | PSH | URG }, SHAKEOFF_SYN_INVALID },
	{ "source port 0", { .flags = SYN, .options = LINUX_OPTIONS, .zero_sport = true }, SHAKEOFF_SYN_INVALID },
	{ "from 0.0.0.0", SYN_FROM("0.0.0.0"), SHAKEOFF_SYN_INVALID },
	{ "from this network", SYN_FROM("0.1.2.3"), SHAKEOFF_SYN_INVALID },
	{ "from loopback", SYN_FROM("127.0.0.1"), SHAKEOFF_SYN_INVALID },
	{ "from multicast", SYN_FROM("224.0.0.1"), SHAKEOFF_SYN_INVALID },
	{ "from broadcast", SYN_FROM("255.255.255.255"), SHAKEOFF_SYN_INVALID },
	{ "from ::", SYN_FROM("::"), SHAKEOFF_SYN_INVALID },
	{ "from ::1", SYN_FROM("::1"), SHAKEOFF_SYN_INVALID },
	{ "from IPv6 multicast", SYN_FROM("ff02::1"), SHAKEOFF_SYN_INVALID },
	{ "from an IPv4-mapped address", SYN_FROM("::ffff:198.51.100.7"), SHAKEOFF_SYN_INVALID },
	{ "land attack",
	  { .from = "10.9.0.1", .sport = 80, .flags = SYN, .options = LINUX_OPTIONS },
	  SHAKEOFF_SYN_INVALID },
	{ "land attack over IPv6",
	  { .from = "2001:db8::1", .sport = 80, .flags = SYN, .options = LINUX_OPTIONS },
	  SHAKEOFF_SYN_INVALID },
	{ "from the reserved space, which the kernel treats like any other", SYN_FROM("240.0.0.1"),
	  SHAKEOFF_SYNACK_SENT },
	{ "from the service's own address, another port",
	  { .from = "10.9.0.1", .flags = SYN, .options = LINUX_OPTIONS },
	  SHAKEOFF_SYNACK_SENT },
	{ "from a neighbour of the service's IPv6 address, same port",
	  { .from = "2001:db8::2:1", .sport = 80, .flags = SYN, .options = LINUX_OPTIONS },
	  SHAKEOFF_SYNACK_SENT },
	{ "data offset 0", { .flags = SYN, .options = LINUX_OPTIONS, .no_doff = true }, SHAKEOFF_SYN_INVALID },
	{ "data offset below the header", { .flags = SYN, .options = LINUX_OPTIONS, .doff = 4 }, SHAKEOFF_SYN_INVALID },
	{ "data offset beyond the segment",
	  { .flags = SYN, .options = LINUX_OPTIONS, .doff = 11 },
	  SHAKEOFF_SYN_INVALID },
	{ "IPv4 length beyond the frame",
	  { .flags = SYN, .options = LINUX_OPTIONS, .longer = 1 },
	  SHAKEOFF_SYN_INVALID },
	{ "IPv6 length beyond the frame",
	  { .from = "2001:db8:7::7", .flags = SYN, .options = LINUX_OPTIONS, .longer = 1 },
	  SHAKEOFF_SYN_INVALID },
};

static void is_refused(void **state)
{
	const struct refusal *refusal = *state;

	assert_verdict(&refusal->in, refusal->verdict);
}

static const struct segment linux_syn = LINUX_SYN;

/* ---------------------------------------------------------------------------------------------------- the interface */

static void without_a_key_nothing_is_answered(void **state)
{
	(void)state;
	harness.control->flags = 0;
	assert_verdict(&linux_syn, SHAKEOFF_SYN_NO_KEY);
}

static void without_a_profile_of_the_interface_nothing_is_answered(void **state)
{
	(void)state;
	interface_set(NULL);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_NO_KEY);
}

static void sack_that_the_host_switched_off_is_not_answered(void **state)
{
	struct shakeoff_interface profile = interface_default();
	struct reading reading;

	(void)state;
	profile.sack = 0;
	interface_set(&profile);
	run_answered(&linux_syn, SHAKEOFF_SYNACK_SENT, &reading);
	assert_memory_equal(reading.options + 4, ((const uint8_t[]){ 1, 1, 8, 10 }), 4);
}

static void timestamps_that_the_host_switched_off_are_not_answered(void **state)
{
	static const uint8_t expected[] = { SAY_MSS, SAY_SACK, SAY_SCALE };
	struct shakeoff_interface profile = interface_default();
	struct reading reading;

	(void)state;
	profile.timestamps = 0;
	interface_set(&profile);
	run_answered(&linux_syn, SHAKEOFF_SYNACK_SENT, &reading);
	assert_int_equal(reading.options_len, sizeof(expected));
	assert_memory_equal(reading.options, expected, sizeof(expected));
}

static void scaling_that_the_host_switched_off_is_not_answered(void **state)
{
	struct shakeoff_interface profile = interface_default();
	struct reading reading;

	(void)state;
	profile.window_scaling = 0;
	interface_set(&profile);
	run_answered(&linux_syn, SHAKEOFF_SYNACK_SENT, &reading);
	assert_int_equal(reading.options_len, 16);
}

static void the_scale_fits_the_space_that_the_host_allows(void **state)
{
	struct shakeoff_interface profile = interface_default();
	struct reading reading;

	(void)state;
	profile.window_space = 1 << 19;
	interface_set(&profile);
	run_answered(&linux_syn, SHAKEOFF_SYNACK_SENT, &reading);
	assert_int_equal(reading.options[19], 4);
	assert_int_equal(reading.window, WINDOW(0, 1));
}

static void the_window_is_the_servers_receive_space(void **state)
{
	struct reading reading;

	(void)state;
	harness.service->offer.rcv_space = 5000;
	run_answered(&linux_syn, SHAKEOFF_SYNACK_SENT, &reading);
	assert_int_equal(reading.window, 3 * SEGMENT(0, 1));
	assert_int_equal(reading.options[19], OUR_WSCALE);
}

/* As in tcp_select_initial_window(): the limit applies to the scale, too. */
static void so_rcvbuf_of_the_server_bounds_the_scale(void **state)
{
	struct reading reading;

	(void)state;
	harness.service->offer.rcv_space = 200000;
	harness.service->offer.rcv_locked = 1;
	run_answered(&linux_syn, SHAKEOFF_SYNACK_SENT, &reading);
	assert_int_equal(reading.window, 65535);
	assert_int_equal(reading.options[19], 2); /* 200000 is more than 2^17 */
}

static void signed_windows_are_respected(void **state)
{
	struct shakeoff_interface profile = interface_default();
	struct reading reading;

	(void)state;
	profile.signed_windows = 1;
	interface_set(&profile);
	run_answered(&linux_syn, SHAKEOFF_SYNACK_SENT, &reading);
	assert_int_equal(reading.window, 32767);
}

static void the_mss_is_the_interfaces(void **state)
{
	const struct segment syn = OFFERS(2, 4, 0x02, 0x18);
	struct shakeoff_interface profile = interface_default();
	struct reading reading;

	(void)state;
	profile.mss[0] = 8960;
	interface_set(&profile);
	run_answered(&syn, SHAKEOFF_SYNACK_SENT, &reading);
	assert_int_equal(get16(reading.options + 2), 8960);
}

/* ----------------------------------------------------------------------------------------------------------- length */

static const struct bytes option_parts[] = { BYTES(2, 4, 0x05, 0xb4), BYTES(4, 2),
					     BYTES(8, 10, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0), BYTES(3, 3, 7) };

/*
 * Writes the options of a set of kinds, starting with one of them, packed as closely as possible: NOPs only up to a
 * whole word.
 */
static struct bytes pack_options(unsigned int set, size_t first, uint8_t *to)
{
	size_t len = 0;

	for (size_t i = 0; i < COUNT(option_parts); i++) {
		const struct bytes *part = &option_parts[(first + i) % COUNT(option_parts)];

		if (!(set >> (first + i) % COUNT(option_parts) & 1))
			continue;
		memcpy(to + len, part->data, part->len);
		len += part->len;
	}
	while (len % 4)
		to[len++] = 1;
	return (struct bytes){ to, len };
}

/* The connection must open with what the SYN-ACK offers: without an MSS option, timestamps are at another position. */
static void assert_answer_is_no_longer(const struct segment *syn)
{
	static struct frame in, out;
	struct client client = { .syn = *syn };

	frame_make(&in, syn);
	assert_string_equal(verdict_name(run_frame(&in, &out)), "synack_sent");
	assert_null(frame_read(out.bytes, out.len, &client.synack));
	assert_true(out.len <= (in.len > 60 ? in.len : 60));
	assert_true(client.synack.ip_len <= in.len - in.l3 || out.len == 60);
	if (client.synack.timestamps)
		assert_int_equal(client.synack.tsecr, LINUX_TSVAL);
	client_make_ack(&client);
	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
	expect_event(SHAKEOFF_EVENT_OPEN);
}

static void a_reply_is_never_longer_than_the_syn_or_the_shortest_frame(void **state)
{
	uint8_t options[40];

	for (unsigned int i = 0; i < 2 * 3 * 16 * COUNT(option_parts); i++) {
		struct segment syn = {
			.from = i & 1 ? "2001:db8:7::7" : "198.51.100.7",
			.tags = i / 2 % 2,
			.seq = CLIENT_ISN,
			.flags = SYN,
			.options = pack_options(i / 6 % 16, i / 96, options),
		};

		harness_reset(state);
		assert_answer_is_no_longer(&syn);
	}
}

/* Both kinds of SYN-ACK are kept one after the other: the options that one omits, the other has. */
static void a_kept_reply_is_not_sent_to_a_shorter_syn(void **state)
{
	const struct segment shorter = { .from = "2001:db8:7::7",
					 .flags = SYN,
					 .options = BYTES(1, 1, 1, 1, 4, 2, 1, 1) };
	const struct segment shortest = { .from = "2001:db8:7::7", .flags = SYN, .options = BYTES(1, 1, 4, 2) };
	struct reading reading;

	(void)state;
	run_answered(&shorter, SHAKEOFF_SYNACK_SENT, &reading);
	assert_int_equal(reading.options_len, 4);
	run_answered(&shortest, SHAKEOFF_SYNACK_SENT, &reading);
	assert_int_equal(reading.options_len, 4);
	run_answered(&(const struct segment){ .from = "2001:db8:7::7", .flags = SYN }, SHAKEOFF_SYNACK_SENT, &reading);
	assert_int_equal(reading.options_len, 0);
	run_answered(&shortest, SHAKEOFF_SYNACK_SENT, &reading);
	assert_int_equal(reading.options_len, 4);
}

/* --------------------------------------------------------------------------------------------------- damaged frames */

/* Asserts that a SYN cut at any length is not answered: without its IP header it has no owner. */
static void assert_cut_is_not_answered(const struct segment *syn)
{
	static struct frame frame;

	frame_make(&frame, syn);
	for (size_t len = 14, whole = frame.len; len < whole; len++) {
		frame.len = len;
		assert_string_equal(verdict_name(run_frame(&frame, NULL)),
				    len < frame.l3 + (segment_is_ipv6(syn) ? 40 : 20) ? "no_service" :
				    len < frame.l4 + 20                               ? "bad_header" :
											"syn_invalid");
	}
}

static void a_syn_cut_at_any_length_is_not_answered(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(answered); i++)
		if (answered[i].in.longer == 0)
			assert_cut_is_not_answered(&answered[i].in);
}

/*
 * Frames with random bytes after the Ethernet addresses: run_frame()'s assertions hold for each of them. They may be
 * answered, where the damage is in a payload or an ISN.
 */
static void damaged_frames_get_a_valid_reply_or_none(void **state)
{
	static struct frame frame;

	(void)state;
	srandom(5);
	for (int i = 0; i < 30000; i++) {
		frame_make(&frame, &answered[random() % COUNT(answered)].in);
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
	const struct CMUnitTest others[] = {
		TEST(without_a_key_nothing_is_answered),
		TEST(without_a_profile_of_the_interface_nothing_is_answered),
		TEST(no_reply_depends_on_the_last_one),
		TEST(sack_that_the_host_switched_off_is_not_answered),
		TEST(timestamps_that_the_host_switched_off_are_not_answered),
		TEST(scaling_that_the_host_switched_off_is_not_answered),
		TEST(the_scale_fits_the_space_that_the_host_allows),
		TEST(the_window_is_the_servers_receive_space),
		TEST(so_rcvbuf_of_the_server_bounds_the_scale),
		TEST(signed_windows_are_respected),
		TEST(the_mss_is_the_interfaces),
		TEST(a_reply_is_never_longer_than_the_syn_or_the_shortest_frame),
		TEST(a_kept_reply_is_not_sent_to_a_shorter_syn),
		TEST(a_syn_cut_at_any_length_is_not_answered),
		TEST(damaged_frames_get_a_valid_reply_or_none),
	};
	struct CMUnitTest tests[COUNT(answered) + COUNT(refused) + COUNT(others)], *test = tests;

	for (size_t i = 0; i < COUNT(answered); i++)
		*test++ = (struct CMUnitTest){ answered[i].name, is_answered, harness_reset, NULL,
					       (void *)&answered[i] };
	for (size_t i = 0; i < COUNT(refused); i++)
		*test++ = (struct CMUnitTest){ refused[i].name, is_refused, harness_reset, NULL, (void *)&refused[i] };
	memcpy(test, others, sizeof(others));
	return cmocka_run_group_tests_name("SYN", tests, harness_start, harness_stop);
}
