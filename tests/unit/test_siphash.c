// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * SipHash-2-4 against the vectors that its authors published (vectors.h of their reference implementation: key
 * 00 01 .. 0f, message 00 01 .. n-1), for the lengths that cookies use and those around a word's end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/siphash.h"

static __u64 hash_words(const struct shakeoff_key *key, const __u64 *words, int count, __u64 last)
{
	struct siphash hash;

	siphash_init(&hash, key);
	for (int i = 0; i < count; i++)
		siphash_update(&hash, words[i]);
	return siphash_final(&hash, last);
}

static __u64 hash_counting_message(int length)
{
	const struct shakeoff_key key = { 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull };
	__u8 message[64] = { 0 };
	__u64 words[8], last;

	for (int i = 0; i < length; i++)
		message[i] = i;
	memcpy(words, message, sizeof(words));
	last = words[length / 8] | ((__u64)length << 56);
	return hash_words(&key, words, length / 8, last);
}

static void published_vectors_are_met(void **state)
{
	static const struct {
		int length;
		__u64 hash;
	} vectors[] = {
		{ 0, 0x726fdb47dd0e0e31ull },  { 7, 0xab0200f58b01d137ull },  { 8, 0x93f5f5799a932462ull },
		{ 15, 0xa129ca6149be45e5ull }, { 16, 0x3f2acc7f57c29bdbull }, { 23, 0xa80c038ccd5ccec8ull },
		{ 47, 0xd06c98cd5c0975ebull },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		assert_int_equal(hash_counting_message(vectors[i].length), vectors[i].hash);
}

static void every_bit_of_the_key_counts(void **state)
{
	const __u64 words[2] = { 1, 2 };

	(void)state;
	for (int bit = 0; bit < 128; bit++) {
		struct shakeoff_key key = { 5, 6 }, other = key;

		*(bit < 64 ? &other.k0 : &other.k1) ^= 1ull << (bit % 64);
		assert_int_not_equal(hash_words(&key, words, 2, 3), hash_words(&other, words, 2, 3));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors_are_met),
		cmocka_unit_test(every_bit_of_the_key_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
