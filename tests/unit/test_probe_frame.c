/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: user/shakeoffd/selftest/probe_frame.c */
/*
 * The self-test's probes: every field that the kernel checks, and the checksums against values computed elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "shakeoffd/selftest/probe_frame.h"

/* clang-format off */
#define ETHERNET 0x33, 0x11, 0x22, 0x33, 0x44, 0x55, 0x02, 0x00, 0x5a, 0xc0, 0xff, 0x02
#define ADDRESSES4 192, 0, 2, 77, 10, 9, 0, 1
#define ADDRESSES6 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77, \
		   0xfd, 0x77, 0x00, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01

static const uint8_t ack4[] = {
	ETHERNET, 0x08, 0x00,
	0x45, 0x00, 0x00, 0x28, 0x00, 0x00, 0x40, 0x00, 0x40, 0x06, 0x6e, 0x79, /* IPv4 */
	ADDRESSES4,
	0x9c, 0x40, 0x00, 0x50, 0x01, 0x02, 0x03, 0x05, 0xa1, 0xa2, 0xa3, 0xa4, /* TCP: the second probe */
	0x50, 0x10, 0xff, 0xff, 0xfd, 0x9e, 0x00, 0x00,
};

static const uint8_t syn4[] = {
	ETHERNET, 0x08, 0x00,
	0x45, 0x00, 0x00, 0x2c, 0x00, 0x00, 0x40, 0x00, 0x40, 0x06, 0x6e, 0x75,
	ADDRESSES4,
	0x9c, 0x40, 0x00, 0x50, 0x01, 0x02, 0x03, 0x05, 0x00, 0x00, 0x00, 0x00,
	0x60, 0x02, 0xff, 0xff, 0x2b, 0x38, 0x00, 0x00, 0x02, 0x04, 0x05, 0xb4, /* MSS 1460 */
};

static const uint8_t ack6[] = {
	ETHERNET, 0x86, 0xdd,
	0x60, 0x00, 0x00, 0x00, 0x00, 0x14, 0x06, 0x40, /* IPv6 */
	ADDRESSES6,
	0x9c, 0x40, 0x01, 0xbb, 0x01, 0x02, 0x03, 0x04, 0xa1, 0xa2, 0xa3, 0xa4, /* TCP: the first probe */
	0x50, 0x10, 0xff, 0xff, 0x9c, 0xe3, 0x00, 0x00,
};

static const uint8_t syn6[] = {
	ETHERNET, 0x86, 0xdd,
	0x60, 0x00, 0x00, 0x00, 0x00, 0x18, 0x06, 0x40,
	ADDRESSES6,
	0x9c, 0x40, 0x01, 0xbb, 0x01, 0x02, 0x03, 0x04, 0x00, 0x00, 0x00, 0x00,
	0x60, 0x02, 0xff, 0xff, 0xca, 0x90, 0x00, 0x00, 0x02, 0x04, 0x05, 0xa0, /* MSS 1440 */
};
/* clang-format on */

static const struct shakeoff_probe common = {
	.count = 2,
	.seq = 0x01020304,
	.ack = 0xa1a2a3a4,
	.group = { 0x33, 0x11, 0x22, 0x33, 0x44, 0x55 },
	.mac = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 },
};

/* Asserts that the frame is as expected, followed only by zeros; it has not arrived yet. */
static void becomes(const char *source, const char *address, uint16_t port, enum probe_kind kind, uint32_t index,
		    const uint8_t *expected, size_t size)
{
	struct probe_flow flow = { .port = port, .kind = kind };
	struct shakeoff_probe all = common;
	struct shakeoff_probe_frame probe;

	all.source_port = htons(40000);
	assert_int_equal(inet_pton(AF_INET6, source, &flow.source), 1);
	assert_int_equal(inet_pton(AF_INET6, address, &flow.address), 1);
	memset(&probe, 0xee, sizeof(probe));
	probe_frame_fill(&probe, &all, index, &flow);
	assert_memory_equal(probe.frame, expected, size);
	for (size_t i = size; i < sizeof(probe.frame); i++)
		assert_int_equal(probe.frame[i], 0);
	assert_int_equal(probe.arrived, 0);
}

static void ack_over_ipv4(void **state)
{
	(void)state;
	becomes("::ffff:192.0.2.77", "::ffff:10.9.0.1", 80, PROBE_ACK, 1, ack4, sizeof(ack4));
}

static void syn_over_ipv4(void **state)
{
	(void)state;
	becomes("::ffff:192.0.2.77", "::ffff:10.9.0.1", 80, PROBE_SYN, 1, syn4, sizeof(syn4));
}

static void ack_over_ipv6(void **state)
{
	(void)state;
	becomes("2001:db8::77", "fd77::1", 443, PROBE_ACK, 0, ack6, sizeof(ack6));
}

static void syn_over_ipv6(void **state)
{
	(void)state;
	becomes("2001:db8::77", "fd77::1", 443, PROBE_SYN, 0, syn6, sizeof(syn6));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(ack_over_ipv4),
		cmocka_unit_test(syn_over_ipv4),
		cmocka_unit_test(ack_over_ipv6),
		cmocka_unit_test(syn_over_ipv6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
