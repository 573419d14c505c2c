/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c */
/* Packets of no service pass untouched; those of a service are found behind tags, options and extension headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "harness.h"

struct fixture {
	const char *name;
	struct segment in;
	enum shakeoff_verdict verdict;
};

/* A SYN to the service, except for the fields given. */
#define BUT(...)                                                                                                       \
	{                                                                                                              \
		.seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS, __VA_ARGS__                                 \
	}
#define BUT6(...) BUT(.from = "2001:db8:7::7", __VA_ARGS__)

/* IPv6 extension headers: next header, length, then data. */
#define PAD4 1, 4, 0, 0, 0, 0
#define ROUTING(next, left) next, 0, 4, left, 0, 0, 0, 0

static const struct fixture fixtures[] = {
	/* addresses, ports, protocols */
	{ "a SYN to the service", BUT(.tags = 0), SHAKEOFF_SYNACK_SENT },
	{ "a SYN to the service over IPv6", BUT6(.tags = 0), SHAKEOFF_SYNACK_SENT },
	{ "another port", BUT(.dport = 81), SHAKEOFF_NO_SERVICE },
	{ "another port over IPv6", BUT6(.dport = 81), SHAKEOFF_NO_SERVICE },
	{ "another address", BUT(.to = "10.9.0.2"), SHAKEOFF_NO_SERVICE },
	{ "another IPv6 address", BUT6(.to = "2001:db8::2"), SHAKEOFF_NO_SERVICE },
	{ "port 0 of the service's address", { .flags = SYN, .zero_dport = true }, SHAKEOFF_BAD_SEGMENT },
	{ "port 0 of the service's IPv6 address",
	  { .from = "2001:db8:7::7", .flags = ACK, .zero_dport = true },
	  SHAKEOFF_BAD_SEGMENT },
	{ "port 0 of another address", BUT(.to = "10.9.0.2", .zero_dport = true), SHAKEOFF_NO_SERVICE },
	{ "an ACK to another port", { .dport = 81, .flags = ACK }, SHAKEOFF_NO_SERVICE },
	{ "an RST to another address", { .to = "10.9.0.2", .flags = RST }, SHAKEOFF_NO_SERVICE },
	{ "from the service, not to it",
	  { .from = "10.9.0.1", .to = "10.9.0.7", .sport = 80, .dport = 40000, .flags = SYN },
	  SHAKEOFF_NO_SERVICE },
	{ "UDP", BUT(.protocol = IPPROTO_UDP), SHAKEOFF_NO_SERVICE },
	{ "UDP over IPv6", BUT6(.protocol = IPPROTO_UDP), SHAKEOFF_NO_SERVICE },
	{ "ICMP", BUT(.protocol = IPPROTO_ICMP), SHAKEOFF_NO_SERVICE },
	{ "SCTP", BUT6(.protocol = IPPROTO_SCTP), SHAKEOFF_NO_SERVICE },
	{ "IPv6 in IPv4", BUT(.protocol = IPPROTO_IPV6), SHAKEOFF_NO_SERVICE },

	/* Ethernet */
	{ "ARP", BUT(.ethertype = 0x0806), SHAKEOFF_NO_SERVICE },
	{ "MPLS", BUT(.ethertype = 0x8847), SHAKEOFF_NO_SERVICE },
	{ "IPv4 with the EtherType of IPv6", BUT(.ethertype = 0x86dd), SHAKEOFF_NO_SERVICE },
	{ "IPv6 with the EtherType of IPv4", BUT6(.ethertype = 0x0800), SHAKEOFF_NO_SERVICE },
	{ "to a group address", BUT(.group = true), SHAKEOFF_NO_SERVICE },
	{ "to a group address over IPv6", BUT6(.group = true), SHAKEOFF_NO_SERVICE },
	{ "one VLAN tag", BUT(.tags = 1), SHAKEOFF_SYNACK_SENT },
	{ "one VLAN tag, of 802.1ad", BUT6(.tags = 1, .provider_tag = true), SHAKEOFF_SYNACK_SENT },
	{ "two VLAN tags", BUT(.tags = 2), SHAKEOFF_NO_SERVICE },
	{ "two VLAN tags, the outer one 802.1ad", BUT6(.tags = 2, .provider_tag = true), SHAKEOFF_NO_SERVICE },
	{ "a tag with UDP", BUT(.tags = 1, .protocol = IPPROTO_UDP), SHAKEOFF_NO_SERVICE },
	{ "padding after the packet", BUT(.padding = 30), SHAKEOFF_SYNACK_SENT },

	/* IPv4 */
	{ "a later fragment", BUT(.fragment = FRAGMENT_MF | 185), SHAKEOFF_FRAG_PASS },
	{ "the last fragment", BUT(.fragment = 185), SHAKEOFF_FRAG_PASS },
	{ "a fragment of UDP", BUT(.protocol = IPPROTO_UDP, .fragment = 185), SHAKEOFF_NO_SERVICE },
	{ "IPv4 options", BUT(.ip_options = BYTES(148, 4, 0, 0)), SHAKEOFF_SYNACK_SENT },
	{ "an IPv4 header length below the minimum", BUT(.ip_header_words = 4), SHAKEOFF_BAD_HEADER },
	{ "an IPv4 header length of 0", BUT(.ip_header_words = 16), SHAKEOFF_NO_SERVICE },
	{ "an IPv4 length that holds no TCP header", BUT(.longer = -21), SHAKEOFF_BAD_HEADER },

	/* IPv6 */
	{ "a fragment header on a whole packet",
	  BUT6(.first_extension = 44, .extensions = BYTES(6, 0, 0, 0, 0, 0, 0, 1)), SHAKEOFF_SYNACK_SENT },
	{ "hop-by-hop options", BUT6(.extensions = BYTES(6, 0, PAD4)), SHAKEOFF_SYNACK_SENT },
	{ "destination options", BUT6(.first_extension = 60, .extensions = BYTES(6, 0, PAD4)), SHAKEOFF_SYNACK_SENT },
	{ "a routing header with no segments left", BUT6(.first_extension = 43, .extensions = BYTES(ROUTING(6, 0))),
	  SHAKEOFF_SYNACK_SENT },
	{ "a routing header with segments left: in transit",
	  BUT6(.first_extension = 43, .extensions = BYTES(ROUTING(6, 1))), SHAKEOFF_NO_SERVICE },
	{ "four extension headers", BUT6(.extensions = BYTES(60, 0, PAD4, 43, 0, PAD4, ROUTING(60, 0), 6, 0, PAD4)),
	  SHAKEOFF_SYNACK_SENT },
	{ "an authentication header", BUT6(.first_extension = 51, .extensions = BYTES(6, 0, PAD4)),
	  SHAKEOFF_NO_SERVICE },
	{ "no next header", BUT6(.first_extension = 59, .extensions = BYTES(6, 0, PAD4)), SHAKEOFF_NO_SERVICE },
	{ "UDP behind an extension header", BUT6(.extensions = BYTES(17, 0, PAD4)), SHAKEOFF_NO_SERVICE },
	{ "an extension header longer than the frame", BUT6(.extensions = BYTES(6, 255, PAD4)), SHAKEOFF_BAD_HEADER },
	{ "an IPv6 length that holds no TCP header", BUT6(.longer = -21), SHAKEOFF_BAD_HEADER },
	{ "an IPv6 length that ends within the extension headers", BUT6(.extensions = BYTES(6, 0, PAD4), .longer = -44),
	  SHAKEOFF_BAD_HEADER },
};

static void is_checked(void **state)
{
	const struct fixture *fixture = *state;

	assert_verdict(&fixture->in, fixture->verdict);
}

static void a_service_that_is_gone_passes(void **state)
{
	const struct segment ack = { .flags = ACK };

	(void)state;
	harness.service->flags = 0;
	assert_verdict(&ack, SHAKEOFF_ACK_NO_SERVER);
}

/* The longest headers that the parser skips: four extension headers of 2048 bytes do not fit a first buffer. */
static void a_tcp_header_beyond_the_first_buffer_is_dropped(void **state)
{
	static uint8_t chain[4 * 2048];
	struct segment segment = BUT6(.first_extension = 60);

	(void)state;
	for (int i = 0; i < 4; i++) {
		chain[i * 2048] = i < 3 ? 60 : 6;
		chain[i * 2048 + 1] = 255;
	}
	segment.extensions = (struct bytes){ chain, sizeof(chain) };
	harness.program = harness.frags_program;
	assert_verdict(&segment, SHAKEOFF_IPV6_EXTHDR);
}

static void one_long_extension_header_is_parsed(void **state)
{
	static uint8_t header[2048];
	struct segment segment = BUT6(.first_extension = 60);

	(void)state;
	header[0] = 6;
	header[1] = 255;
	segment.extensions = (struct bytes){ header, sizeof(header) };
	assert_verdict(&segment, SHAKEOFF_SYNACK_SENT);
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test_setup(a_service_that_is_gone_passes, harness_reset),
		cmocka_unit_test_setup(a_tcp_header_beyond_the_first_buffer_is_dropped, harness_reset),
		cmocka_unit_test_setup(one_long_extension_header_is_parsed, harness_reset),
	};
	struct CMUnitTest tests[COUNT(fixtures) + COUNT(others)];

	for (size_t i = 0; i < COUNT(fixtures); i++)
		tests[i] = (struct CMUnitTest){ fixtures[i].name, is_checked, harness_reset, NULL,
						(void *)&fixtures[i] };
	memcpy(tests + COUNT(fixtures), others, sizeof(others));
	return cmocka_run_group_tests_name("parsing", tests, harness_start, harness_stop);
}
