/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/unit/cookies.c */
/* The offset of the timestamps of a pair of addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cookies.h"

#define CLIENTS 65536
#define BINS 64

static const __u64 secret[2] = { 0x0123456789abcdefull, 0xfedcba9876543210ull };

static __u32 offset_of(const struct cookie_flow *flow, const __u64 *key)
{
	return cookie_offset_final(cookie_offset_init(flow, key), flow, key);
}

static void the_offset_depends_only_on_the_addresses(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct cookie_flow flow = flows[ipv6];
		__u32 offset = offset_of(&flow, secret);

		for (__u32 port = 0; port <= 0xffff; port += 257) {
			flow.client_port = port;
			flow.server_port = ~port;
			assert_int_equal(offset_of(&flow, secret), offset);
		}
	}
}

static void every_bit_of_addresses_and_secret_changes_the_offset(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct {
			struct cookie_flow flow;
			__u64 secret[2];
		} input = { flows[ipv6], { secret[0], secret[1] } };
		const struct {
			void *field;
			int from, bits;
		} parts[] = {
			{ input.flow.client, 0, ipv6 ? 128 : 32 },
			{ input.flow.server, 0, ipv6 ? 128 : 32 },
			{ &input.secret[0], 0, 64 },
			{ &input.secret[1], 1,
			  63 }, /* the multiplier is odd; its highest bit counts where the other factor is odd, too */
		};
		__u32 before = offset_of(&input.flow, input.secret);

		for (size_t i = 0; i < COUNT(parts); i++) {
			for (int bit = parts[i].from; bit < parts[i].bits; bit++) {
				__u8 *byte = (__u8 *)parts[i].field + bit / 8;

				*byte ^= 1 << bit % 8;
				assert_int_not_equal(offset_of(&input.flow, input.secret), before);
				*byte ^= 1 << bit % 8;
			}
		}
		assert_int_equal(offset_of(&input.flow, input.secret), before);
	}
}

static void an_offset_begun_once_serves_every_client_of_an_address(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		__u64 begun = cookie_offset_init(&flows[ipv6], secret);

		for (__u32 i = 0; i < 10000; i++) {
			struct cookie_flow flow = flows[ipv6];

			flow.client[i % (ipv6 ? 4 : 1)] += i;
			assert_int_equal(cookie_offset_final(begun, &flow, secret), offset_of(&flow, secret));
		}
	}
}

/* Neighbours have offsets far from each other, and the clients of one server reveal nothing about another server's. */
static void offsets_of_neighbours_have_nothing_in_common(void **state)
{
	int near = 0, alike = 0;

	(void)state;
	for (__u32 i = 0; i < 1 << 16; i++) {
		struct cookie_flow flow = flows[i & 1];
		__u32 here, next, elsewhere, next_elsewhere;

		flow.client[0] = i << 16; /* the last bytes of the address, as they are in the packet */
		here = offset_of(&flow, secret);
		flow.server[0]++;
		elsewhere = offset_of(&flow, secret);
		flow.client[0] = (i + 2) << 16;
		next_elsewhere = offset_of(&flow, secret);
		flow.server[0]--;
		next = offset_of(&flow, secret);
		near += next - here + (1u << 24) < 1u << 25;
		alike += next - here - (next_elsewhere - elsewhere) + (1u << 24) < 1u << 25;
	}
	/* One of 128 by chance, 512 +- 23 of these; they need to be no more random than the clock that they hide. */
	assert_in_range(near, 0, 2 * 512);
	assert_in_range(alike, 0, 2 * 512);
}

static void offsets_are_spread_evenly(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		int count[BINS] = { 0 };

		for (__u32 client = 0; client < CLIENTS; client++) {
			struct cookie_flow flow = flows[i & 1];

			flow.client[0] = i & 2 ? client << 16 : client;
			count[offset_of(&flow, secret) >> 26]++;
		}
		for (int bin = 0; bin < BINS; bin++)
			assert_in_range(count[bin], CLIENTS / BINS / 2, CLIENTS / BINS * 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_offset_depends_only_on_the_addresses),
		cmocka_unit_test(every_bit_of_addresses_and_secret_changes_the_offset),
		cmocka_unit_test(an_offset_begun_once_serves_every_client_of_an_address),
		cmocka_unit_test(offsets_of_neighbours_have_nothing_in_common),
		cmocka_unit_test(offsets_are_spread_evenly),
	};

	return cmocka_run_group_tests_name("offset of timestamps", tests, NULL, NULL);
}
