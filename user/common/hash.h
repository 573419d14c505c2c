/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * FNV-1a, 64 bits (draft-eastlake-fnv): to detect changes, and for tables whose keys an attacker cannot choose. An
 * attacker who chooses keys can produce collisions: for such a table see shakeoffd/discovery/listeners.c.
 */
#ifndef SHAKEOFF_COMMON_HASH_H
#define SHAKEOFF_COMMON_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_INIT UINT64_C(0xcbf29ce484222325)

/* Returns `hash` extended by `data`. The first `hash` is HASH_INIT. */
static inline uint64_t hash_update(uint64_t hash, const void *data, size_t size)
{
	const uint8_t *byte = data;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
	return hash;
}

#endif
