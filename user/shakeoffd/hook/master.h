/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The master secret that the hosts of a fleet share, and the cookie keys that come from it.
 *
 * It lies in pages of its own, read-only, left out of core dumps, locked where the limit allows, and wiped when it is closed.
 */
#ifndef SHAKEOFFD_HOOK_MASTER_H
#define SHAKEOFFD_HOOK_MASTER_H

#include <stddef.h>
#include <stdint.h>

#include <shakeoff/abi.h>

#define MASTER_BYTES 32

struct master;

/* Memory as the master's, for what it is read from: wiped by master_memory_close(). NULL: there is none. */
void *master_memory(size_t size);
void master_memory_close(void *memory);

/* Copies `secret`. 0 or a negative errno. */
int master_open(struct master **master, const unsigned char secret[MASTER_BYTES]);
void master_close(struct master *master);

/* Tells masters apart and nothing of them: what may be shown. */
uint64_t master_fingerprint(const struct master *master);

/* The key of an epoch: the same on every host. Who gets it wipes it. */
void master_derive(const struct master *master, uint32_t epoch, struct shakeoff_key *key);

/* shakeoff_epoch_key.offset, likewise. */
void master_derive_offset(const struct master *master, __u64 offset[2]);

#endif
