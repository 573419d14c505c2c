/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keys from a master secret: the same on every host, with known values. The expected values are from another
 * implementation of BLAKE2b, Python's:
 *
 *	hashlib.blake2b(b"", digest_size=16, key=master, salt=epoch.to_bytes(8, "little"), person=b"shakeoff").digest()
 *
 * link: user/shakeoffd/hook/master.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shakeoffd/hook/master.h"

static struct master *master_of(unsigned char first)
{
	unsigned char secret[MASTER_BYTES];
	struct master *master;

	for (int i = 0; i < MASTER_BYTES; i++)
		secret[i] = first + i;
	assert_int_equal(master_open(&master, secret), 0);
	return master;
}

static void the_keys_of_an_epoch_have_known_values(void **state)
{
	static const struct {
		unsigned char first; /* the secret counts from here on */
		uint32_t epoch;
		struct shakeoff_key key;
	} known[] = {
		{ 0x0, 0u, { 0x1467e3b4d3a02d21, 0xae53cfdc942840b1 } },
		{ 0x0, 1u, { 0x5387b7e79866c23c, 0x09c87bc85cc3febe } },
		{ 0x0, 28051171u, { 0x9031aa158f6613ad, 0x7647596d034e4287 } },
		{ 0x0, 4294967295u, { 0x4c76efdb55004c8c, 0xb1e81de5a9cc381e } },
		{ 0x80, 28051171u, { 0xee0386d5f50e392e, 0xed44ee4a0bcf465b } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct master *master = master_of(known[i].first);
		struct shakeoff_key key;

		master_derive(master, known[i].epoch, &key);
		assert_int_equal(key.k0, known[i].key.k0);
		assert_int_equal(key.k1, known[i].key.k1);
		master_close(master);
	}
}

/* As above, of number 0 with person=b"shaketso". */
static void the_offset_of_timestamps_has_a_known_value(void **state)
{
	static const struct {
		unsigned char first;
		__u64 offset[2];
	} known[] = {
		{ 0x0, { 0x3d7d5744f4a03690, 0xba2c89ea9acc9801 } },
		{ 0x80, { 0x53993beb729a98cd, 0x5a48477f5df9e127 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct master *master = master_of(known[i].first);
		__u64 offset[2];

		master_derive_offset(master, offset);
		assert_int_equal(offset[0], known[i].offset[0]);
		assert_int_equal(offset[1], known[i].offset[1]);
		master_close(master);
	}
}

static void a_fingerprint_identifies_a_master_and_has_a_known_value(void **state)
{
	struct master *one = master_of(0), *same = master_of(0), *other = master_of(1);

	(void)state;
	assert_int_equal(master_fingerprint(one), 0xabe18b542a171a89);
	assert_int_equal(master_fingerprint(one), master_fingerprint(same));
	assert_int_not_equal(master_fingerprint(one), master_fingerprint(other));
	master_close(one);
	master_close(same);
	master_close(other);
}

static void a_fingerprint_is_no_key(void **state)
{
	struct master *master = master_of(0);
	struct shakeoff_key key;

	(void)state;
	master_derive(master, 0, &key);
	assert_int_not_equal(__builtin_bswap64(key.k0), master_fingerprint(master));
	master_close(master);
}

/* Returns whether the stack below this frame, after other functions have used it, holds the key. */
__attribute__((noinline, no_sanitize("address"), no_sanitize("undefined"))) static bool remains_on_the_stack(
	const struct shakeoff_key *key)
{
	const volatile unsigned char *wanted = (const volatile unsigned char *)key;
	volatile unsigned char here = 0;

	for (const volatile unsigned char *at = &here - 16384; at < &here - sizeof(*key); at++) {
		size_t same = here;

		while (same < sizeof(*key) && at[same] == wanted[same])
			same++;
		if (same == sizeof(*key))
			return true;
	}
	return false;
}

static void no_part_of_a_key_remains_on_the_stack(void **state)
{
	struct master *master = master_of(0);
	struct shakeoff_key key;
	__u64 offset[2];
	bool remains;

	(void)state;
	master_derive(master, 28051171u, &key);
	remains = remains_on_the_stack(&key);
	assert_false(remains);
	master_derive_offset(master, offset);
	key = (struct shakeoff_key){ offset[0], offset[1] };
	remains = remains_on_the_stack(&key);
	assert_false(remains);
	master_close(master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_keys_of_an_epoch_have_known_values),
		cmocka_unit_test(the_offset_of_timestamps_has_a_known_value),
		cmocka_unit_test(a_fingerprint_identifies_a_master_and_has_a_known_value),
		cmocka_unit_test(a_fingerprint_is_no_key),
		cmocka_unit_test(no_part_of_a_key_remains_on_the_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
