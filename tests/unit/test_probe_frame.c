/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: user/shakeoffd/probe_frame.c */
/*
 * The self-test's probes: every field that the kernel checks, and the checksums against figures worked out elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include <shakeoffd/probe_frame.h>

/* clang-format off */
static const uint8_t expected4[] = {
	0x33, 0x11, 0x22, 0x33, 0x44, 0x55, 0x02, 0x00, 0x5a, 0xc0, 0xff, 0x02, 0x08, 0x00, /* Ethernet */
	0x45, 0x00, 0x00, 0x28, 0x00, 0x00, 0x40, 0x00, 0x40, 0x06, 0x6e, 0x79, /* IPv4 */
	192, 0, 2, 77, 10, 9, 0, 1,
	0x9c, 0x40, 0x00, 0x50, 0x01, 0x02, 0x03, 0x05, 0xa1, 0xa2, 0xa3, 0xa4, /* TCP: the second probe */
	0x50, 0x10, 0xff, 0xff, 0xfd, 0x9e, 0x00, 0x00,
};

static const uint8_t expected6[] = {
	0x33, 0x11, 0x22, 0x33, 0x44, 0x55, 0x02, 0x00, 0x5a, 0xc0, 0xff, 0x02, 0x86, 0xdd, /* Ethernet */
	0x60, 0x00, 0x00, 0x00, 0x00, 0x14, 0x06, 0x40, /* IPv6 */
	0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77,
	0xfd, 0x77, 0x00, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01,
	0x9c, 0x40, 0x01, 0xbb, 0x01, 0x02, 0x03, 0x04, 0xa1, 0xa2, 0xa3, 0xa4, /* TCP: the first probe */
	0x50, 0x10, 0xff, 0xff, 0x9c, 0xe3, 0x00, 0x00,
};
/* clang-format on */

static struct shakeoff_probe common(void)
{
	struct shakeoff_probe common = {
		.count = 2,
		.seq = 0x01020304,
		.ack = 0xa1a2a3a4,
		.group = { 0x33, 0x11, 0x22, 0x33, 0x44, 0x55 },
		.mac = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 },
		.source_port = htons(40000),
	};

	inet_pton(AF_INET, "192.0.2.77", &common.source4);
	inet_pton(AF_INET6, "2001:db8::77", common.source6);
	return common;
}

static void fill(struct shakeoff_probe_frame *probe, const char *address, uint16_t port, uint32_t index)
{
	struct shakeoff_probe all = common();
	struct in6_addr to;

	assert_int_equal(inet_pton(AF_INET6, address, &to), 1);
	memset(probe, 0xee, sizeof(*probe));
	probe_frame_fill(probe, &all, index, &to, port);
}

static void ipv4_frame(void **state)
{
	struct shakeoff_probe_frame probe;

	(void)state;
	fill(&probe, "::ffff:10.9.0.1", 80, 1);
	assert_memory_equal(probe.frame, expected4, sizeof(expected4));
	for (size_t i = sizeof(expected4); i < sizeof(probe.frame); i++)
		assert_int_equal(probe.frame[i], 0);
	assert_int_equal(probe.arrived, 0);
}

static void ipv6_frame(void **state)
{
	struct shakeoff_probe_frame probe;

	(void)state;
	fill(&probe, "fd77::1", 443, 0);
	assert_int_equal(sizeof(expected6), sizeof(probe.frame));
	assert_memory_equal(probe.frame, expected6, sizeof(expected6));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4_frame),
		cmocka_unit_test(ipv6_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
