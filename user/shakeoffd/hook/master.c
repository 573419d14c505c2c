/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The derivation is libsodium's crypto_kdf: BLAKE2b keyed with the master, with a number (the epoch) and a context of
 * eight characters as salt and personalisation. One call gives exactly the 128 bits that SipHash takes. OpenSSL's HKDF
 * would need a provider to fetch, two steps and a library fifteen times the size. libsodium also provides secure
 * memory.
 */
#include <endian.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "shakeoffd/hook/master.h"

#define CONTEXT_COOKIES "shakeoff"
#define CONTEXT_FINGERPRINT "shakeprt"
#define CONTEXT_OFFSET "shaketso"

struct master {
	unsigned char secret[MASTER_BYTES];
	uint64_t fingerprint;
};

_Static_assert(MASTER_BYTES == crypto_kdf_KEYBYTES, "a master is a key of crypto_kdf");
_Static_assert(sizeof(CONTEXT_COOKIES) == crypto_kdf_CONTEXTBYTES + 1, "a context has no terminator");
_Static_assert(sizeof(CONTEXT_FINGERPRINT) == crypto_kdf_CONTEXTBYTES + 1, "a context has no terminator");
_Static_assert(sizeof(CONTEXT_OFFSET) == crypto_kdf_CONTEXTBYTES + 1, "a context has no terminator");

#define KEY_BYTES 16
_Static_assert(KEY_BYTES >= crypto_kdf_BYTES_MIN, "crypto_kdf gives no less");

/* More than crypto_kdf uses of the stack, which is 1 to 2 KB. */
#define KDF_STACK 4096

static void derive(const struct master *master, const char *context, uint32_t number, unsigned char result[KEY_BYTES])
{
	/* Fails only for lengths that it does not support. */
	crypto_kdf_derive_from_key(result, KEY_BYTES, number, context, master->secret);
	/* blake2b_final() of libsodium 1.0.18 leaves a copy of the result there. */
	sodium_stackzero(KDF_STACK);
}

static uint64_t word_of(const unsigned char *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

void *master_memory(size_t size)
{
	return sodium_init() < 0 ? NULL : sodium_malloc(size);
}

void master_memory_close(void *memory)
{
	sodium_free(memory);
}

int master_open(struct master **result, const unsigned char secret[MASTER_BYTES])
{
	struct master *master = master_memory(sizeof(*master));
	unsigned char fingerprint[KEY_BYTES];

	if (!master)
		return -ENOMEM;
	memcpy(master->secret, secret, MASTER_BYTES);
	derive(master, CONTEXT_FINGERPRINT, 0, fingerprint);
	master->fingerprint = be64toh(word_of(fingerprint));
	sodium_mprotect_readonly(master);
	*result = master;
	return 0;
}

void master_close(struct master *master)
{
	sodium_free(master);
}

uint64_t master_fingerprint(const struct master *master)
{
	return master->fingerprint;
}

void master_derive(const struct master *master, uint32_t epoch, struct shakeoff_key *key)
{
	unsigned char bytes[KEY_BYTES];

	derive(master, CONTEXT_COOKIES, epoch, bytes);
	key->k0 = le64toh(word_of(bytes));
	key->k1 = le64toh(word_of(bytes + 8));
	sodium_memzero(bytes, sizeof(bytes));
}

void master_derive_offset(const struct master *master, __u64 offset[2])
{
	unsigned char bytes[KEY_BYTES];

	derive(master, CONTEXT_OFFSET, 0, bytes);
	offset[0] = le64toh(word_of(bytes));
	offset[1] = le64toh(word_of(bytes + 8));
	sodium_memzero(bytes, sizeof(bytes));
}
