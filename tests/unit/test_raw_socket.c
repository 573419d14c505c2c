/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Checksums of packets that are given back to the kernel: a card, or a virtual one, had left them out.
 *
 * link: user/shakeoffd/queue/raw_socket.c
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shakeoffd/queue/raw_socket.h"

#define IPV4_BYTES 20
#define IPV6_BYTES 40

static _Alignas(struct shakeoff_event) uint8_t memory[sizeof(struct shakeoff_event) + 65536];
static struct shakeoff_event *const event = (struct shakeoff_event *)memory;

static void packet(bool ipv6, const char *remote, const char *local, size_t payload, uint8_t byte)
{
	struct tcphdr tcp = { .source = htons(40000), .dest = htons(80), .seq = htonl(1), .doff = 5, .ack = 1 };

	memset(memory, 0, sizeof(memory));
	event->tcp_offset = ipv6 ? IPV6_BYTES : IPV4_BYTES;
	event->packet_len = (uint32_t)(event->tcp_offset + sizeof(tcp) + payload);
	if (ipv6) {
		inet_pton(AF_INET6, remote, event->tuple.remote);
		inet_pton(AF_INET6, local, event->tuple.local);
	} else {
		event->tuple.remote[2] = event->tuple.local[2] = htonl(0xffff);
		inet_pton(AF_INET, remote, &event->tuple.remote[3]);
		inet_pton(AF_INET, local, &event->tuple.local[3]);
	}
	memcpy(event->packet + event->tcp_offset, &tcp, sizeof(tcp));
	memset(event->packet + event->tcp_offset + sizeof(tcp), byte, payload);
}

/* Returns the checksum byte by byte in 64 bits, as in RFC 1071, section 4.1. */
static uint16_t reference(void)
{
	const uint8_t *segment = event->packet + event->tcp_offset;
	size_t len = event->packet_len - event->tcp_offset, skip = event->tcp_offset == IPV4_BYTES ? 12 : 0;
	const uint8_t *remote = (const uint8_t *)event->tuple.remote, *local = (const uint8_t *)event->tuple.local;
	uint64_t sum = IPPROTO_TCP + (len >> 16) + (len & 0xffff);

	for (size_t i = skip; i < 16; i++)
		sum += (uint64_t)(remote[i] + local[i]) << (i % 2 ? 0 : 8);
	for (size_t i = 0; i < len; i++)
		if (i != 16 && i != 17)
			sum += (uint64_t)segment[i] << (i % 2 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void checksums_are_those_of_rfc_1071(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 3, 1447, 1448, 65000 };
	static const uint8_t bytes[] = { 0, 1, 0x80, 0xff };

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		for (size_t b = 0; b < sizeof(bytes); b++) {
			packet(false, "198.51.100.7", "10.9.0.1", sizes[s], bytes[b]);
			assert_int_equal(raw_checksum(event), reference());
			packet(true, "2001:db8:7::7", "2001:db8::1", sizes[s], bytes[b]);
			assert_int_equal(raw_checksum(event), reference());
		}
	}
}

static void the_old_value_of_the_field_does_not_matter(void **state)
{
	uint16_t clean;

	(void)state;
	packet(false, "198.51.100.7", "10.9.0.1", 10, 7);
	clean = raw_checksum(event);
	memset(event->packet + event->tcp_offset + offsetof(struct tcphdr, check), 0x5a, 2);
	assert_int_equal(raw_checksum(event), clean);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums_are_those_of_rfc_1071),
		cmocka_unit_test(the_old_value_of_the_field_does_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
