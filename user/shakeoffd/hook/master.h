/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The master secret that the hosts of a fleet share, and the cookie keys derived from it.
 *
 * Its memory pages are separate, read-only, left out of core dumps, locked if the limit allows, and wiped when it is
 * closed.
 */
#ifndef SHAKEOFFD_HOOK_MASTER_H
#define SHAKEOFFD_HOOK_MASTER_H

#include <stddef.h>
#include <stdint.h>

#include <shakeoff/abi.h>

#define MASTER_BYTES 32

struct master;

/*
 * Returns the same kind of memory, for the data that the master is read from; master_memory_close() wipes it. NULL: no
 * memory.
 */
void *master_memory(size_t size);
void master_memory_close(void *memory);

/* Makes a master from a copy of `secret`. 0 or a negative errno. */
int master_open(struct master **master, const unsigned char secret[MASTER_BYTES]);
void master_close(struct master *master);

/* Returns a number that distinguishes masters and reveals nothing about them, so it may be displayed. */
uint64_t master_fingerprint(const struct master *master);

/* Derives the key of an epoch, the same on every host. The caller wipes it. */
void master_derive(const struct master *master, uint32_t epoch, struct shakeoff_key *key);

/* Derives shakeoff_epoch_key.offset in the same way. */
void master_derive_offset(const struct master *master, __u64 offset[2]);

#endif
