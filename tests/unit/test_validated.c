/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How evenly tuples are spread over the sets of the table of accepted ACKs: a full set forgets its oldest entry. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <shakeoff/validated.h>

#define SETS (1u << SHAKEOFF_VALIDATED_SET_BITS)

/* As many as arrive while a segment may follow its ACK, at 120,000 a second. */
#define CONNECTIONS (120000 * SHAKEOFF_FOLLOW_NS / 1000000000)

typedef void (*make_fn)(struct shakeoff_tuple *tuple, uint32_t number);

static void of_many_addresses(struct shakeoff_tuple *tuple, uint32_t number)
{
	tuple->remote[3] = htonl(number * 2654435761u);
	tuple->remote_port = htons(32768 + number * 40503u % 28232);
}

static void of_neighbours(struct shakeoff_tuple *tuple, uint32_t number)
{
	tuple->remote[3] = htonl(0x0a000000 + number % 1000);
	tuple->remote_port = htons(32768 + number / 1000);
}

static void of_two_addresses(struct shakeoff_tuple *tuple, uint32_t number)
{
	tuple->remote[3] = htonl(0xc6336401 + number / 64000);
	tuple->remote_port = htons(1024 + number % 64000);
}

static void of_an_ipv6_prefix(struct shakeoff_tuple *tuple, uint32_t number)
{
	tuple->remote[0] = tuple->local[0] = htonl(0x20010db8);
	tuple->remote[2] = 0;
	tuple->local[2] = 0;
	tuple->remote[3] = htonl(number);
	tuple->remote_port = htons(40000);
}

static uint32_t forgotten(make_fn make)
{
	static uint32_t used[SETS];
	uint32_t lost = 0;

	memset(used, 0, sizeof(used));
	for (uint32_t number = 0; number < CONNECTIONS; number++) {
		struct shakeoff_tuple tuple = {
			.remote = { 0, 0, htonl(0xffff) },
			.local = { 0, 0, htonl(0xffff), htonl(0x0a090001) },
			.local_port = htons(443),
		};
		__u32 set;

		make(&tuple, number);
		set = shakeoff_validated_set(shakeoff_filter_tuple_slot(&tuple));
		assert_int_equal(set % SHAKEOFF_VALIDATED_WAYS, 0);
		assert_true(set < SHAKEOFF_MAX_VALIDATED);
		lost += used[set / SHAKEOFF_VALIDATED_WAYS]++ >= SHAKEOFF_VALIDATED_WAYS;
	}
	return lost;
}

static void few_are_forgotten_while_segments_may_follow(void **state)
{
	static const make_fn makes[] = { of_many_addresses, of_neighbours, of_two_addresses, of_an_ipv6_prefix };

	(void)state;
	for (size_t i = 0; i < sizeof(makes) / sizeof(makes[0]); i++) {
		uint32_t lost = forgotten(makes[i]);

		print_message("kind %zu: %u of %u\n", i, lost, (unsigned int)CONNECTIONS);
		assert_true(lost * 1000 < 5 * CONNECTIONS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_are_forgotten_while_segments_may_follow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
