/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012) for BPF and for the host.
 *
 * The message is given as 64-bit words in host byte order, which must be little-endian to match the published test
 * vectors. This project's BPF programs are built for the machine that they run on.
 */
#ifndef SHAKEOFF_BPF_LIB_SIPHASH_H
#define SHAKEOFF_BPF_LIB_SIPHASH_H

#include <shakeoff/abi.h>

#include "lib/compiler.h"

#define SIPHASH_ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

#define SIPHASH_ROUND(v0, v1, v2, v3)                                                                                  \
	do {                                                                                                           \
		v0 += v1;                                                                                              \
		v2 += v3;                                                                                              \
		v1 = SIPHASH_ROTL(v1, 13);                                                                             \
		v3 = SIPHASH_ROTL(v3, 16);                                                                             \
		v1 ^= v0;                                                                                              \
		v3 ^= v2;                                                                                              \
		v0 = SIPHASH_ROTL(v0, 32);                                                                             \
		v2 += v1;                                                                                              \
		v0 += v3;                                                                                              \
		v1 = SIPHASH_ROTL(v1, 17);                                                                             \
		v3 = SIPHASH_ROTL(v3, 21);                                                                             \
		v1 ^= v2;                                                                                              \
		v3 ^= v0;                                                                                              \
		v2 = SIPHASH_ROTL(v2, 32);                                                                             \
	} while (0)

/* The state of a hash, after the part of the message that it has taken in. */
struct siphash {
	__u64 v0, v1, v2, v3;
};

static __always_inline void siphash_init(struct siphash *hash, const struct shakeoff_key *key)
{
	hash->v0 = key->k0 ^ 0x736f6d6570736575ull;
	hash->v1 = key->k1 ^ 0x646f72616e646f6dull;
	hash->v2 = key->k0 ^ 0x6c7967656e657261ull;
	hash->v3 = key->k1 ^ 0x7465646279746573ull;
}

static __always_inline void siphash_update(struct siphash *hash, __u64 word)
{
	hash->v3 ^= word;
	SIPHASH_ROUND(hash->v0, hash->v1, hash->v2, hash->v3);
	SIPHASH_ROUND(hash->v0, hash->v1, hash->v2, hash->v3);
	hash->v0 ^= word;
}

/*
 * Takes in the last word and returns the hash. The last word holds the remaining 0..7 bytes of the message and, in its
 * top byte, the message's length modulo 256 (section 2.2 of the paper); the caller composes it.
 */
static __always_inline __u64 siphash_final(struct siphash *hash, __u64 last)
{
	siphash_update(hash, last);
	hash->v2 ^= 0xff;
	SIPHASH_ROUND(hash->v0, hash->v1, hash->v2, hash->v3);
	SIPHASH_ROUND(hash->v0, hash->v1, hash->v2, hash->v3);
	SIPHASH_ROUND(hash->v0, hash->v1, hash->v2, hash->v3);
	SIPHASH_ROUND(hash->v0, hash->v1, hash->v2, hash->v3);
	return hash->v0 ^ hash->v1 ^ hash->v2 ^ hash->v3;
}

#endif
