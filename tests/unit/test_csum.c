/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The Internet checksum against published examples and against RFC 1071's definition, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <shakeoff/byteorder.h>
#include "lib/csum.h"

#define MAX_WORDS 16

/* RFC 1071, section 4.1: 16-bit big-endian words, end-around carry. Returns the field's value in host byte order. */
static uint16_t checksum_by_definition(const uint8_t *bytes, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2) {
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return ~sum & 0xffff;
}

static uint16_t checksum(const uint8_t *bytes, size_t len)
{
	__u32 words[MAX_WORDS] = { 0 };

	memcpy(words, bytes, len);
	return bpf_ntohs(csum_fold(csum_words(0, words, MAX_WORDS)));
}

static void example_of_rfc_1071_is_met(void **state)
{
	static const uint8_t example[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };

	(void)state;
	assert_int_equal(checksum(example, sizeof(example)), (uint16_t)~0xddf2);
}

static void header_of_a_known_packet_is_met(void **state)
{
	static const uint8_t header[] = { 0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
					  0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7 };

	(void)state;
	assert_int_equal(checksum(header, sizeof(header)), 0xb861);
}

static void empty_data_sums_to_all_ones(void **state)
{
	(void)state;
	assert_int_equal(csum_fold(0), 0xffff);
}

static void greatest_words_fold_without_losing_a_carry(void **state)
{
	uint8_t bytes[MAX_WORDS * 4];

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(checksum(bytes, sizeof(bytes)), checksum_by_definition(bytes, sizeof(bytes)));
}

static void every_sum_near_a_carry_folds_as_defined(void **state)
{
	static const __u64 edges[] = { 0x10000,     0x1ffff,        0xffffffff,    0x100000000,
				       0x1fffffffe, 0xffffffff0000, 0xfffffffffffe };

	(void)state;
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		for (int step = -2; step <= 2; step++) {
			__u64 sum = edges[i] + (__u64)(__s64)step, rest = sum;

			while (rest >> 16)
				rest = (rest & 0xffff) + (rest >> 16);
			assert_int_equal(csum_fold(sum), (uint16_t)~rest);
		}
	}
}

static void random_headers_sum_as_defined(void **state)
{
	uint8_t bytes[MAX_WORDS * 4];

	(void)state;
	srandom(1);
	for (int i = 0; i < 200000; i++) {
		for (size_t k = 0; k < sizeof(bytes); k++)
			bytes[k] = i % 3 ? random() : -(random() & 1);
		assert_int_equal(checksum(bytes, sizeof(bytes)), checksum_by_definition(bytes, sizeof(bytes)));
	}
}

static void a_sum_may_be_taken_in_parts(void **state)
{
	const __u32 words[4] = { 0xffffffff, 0x12345678, 0xfffffffe, 0x9abcdef0 };

	(void)state;
	assert_int_equal(csum_fold(csum_words(csum_words(0, words, 2), words + 2, 2)),
			 csum_fold(csum_words(0, words, 4)));
}

static void data_with_its_checksum_sums_to_zero(void **state)
{
	__u32 words[4] = { 0xdeadbeef, 0x01020304, 0, 0xffff0000 };

	(void)state;
	words[2] = csum_fold(csum_words(0, words, 4));
	assert_int_equal(csum_fold(csum_words(0, words, 4)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(example_of_rfc_1071_is_met),
		cmocka_unit_test(header_of_a_known_packet_is_met),
		cmocka_unit_test(empty_data_sums_to_all_ones),
		cmocka_unit_test(greatest_words_fold_without_losing_a_carry),
		cmocka_unit_test(every_sum_near_a_carry_folds_as_defined),
		cmocka_unit_test(random_headers_sum_as_defined),
		cmocka_unit_test(a_sum_may_be_taken_in_parts),
		cmocka_unit_test(data_with_its_checksum_sums_to_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
