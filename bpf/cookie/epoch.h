/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Key epochs: which key is valid at a given time, and the cookie under that key. */
#ifndef SHAKEOFF_BPF_COOKIE_EPOCH_H
#define SHAKEOFF_BPF_COOKIE_EPOCH_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>

#include "core/ctx.h"
#include "core/maps.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "lib/cookie.h"
#include "lib/siphash.h"

/*
 * Begins the hash (cookie_init()) for packets like the one in scratch. For the present and the previous epoch, keeps
 * that of the last packet to this address. That of the next epoch is not kept: its key may still be exchanged. Returns
 * 0 only for the verifier.
 */
static __always_inline bool epoch_init(struct scratch *scratch, __u32 epoch, struct siphash *hash)
{
	__u32 behind = scratch->now.epoch - epoch, slot = epoch % SHAKEOFF_KEY_SLOTS;
	struct siphash *kept = behind ? &scratch->recent.hashes[1] : &scratch->recent.hashes[0];
	struct recent *recent = &scratch->recent;
	const struct shakeoff_epoch_key *key;
	__u32 begun = behind ? 2 : 1;

	if (recent->hash_epoch != scratch->now.epoch) {
		recent->hash_epoch = scratch->now.epoch;
		recent->hashes_ready = 0;
	}
	if (behind <= 1 && (recent->hashes_ready & begun)) {
		*hash = *kept;
		return 1;
	}
	key = bpf_map_lookup_elem(&cookie_keys, &slot);
	if (!key)
		return 0;
	cookie_init(hash, &key->cookie, &scratch->packet.flow, epoch);
	if (behind <= 1) {
		*kept = *hash;
		recent->hashes_ready |= begun;
	}
	return 1;
}

/* Returns the key of our timestamps' offset in this epoch; NULL only for the verifier. */
static __always_inline const __u64 *epoch_offset_key(__u32 epoch)
{
	__u32 slot = epoch % SHAKEOFF_KEY_SLOTS;
	const struct shakeoff_epoch_key *key = bpf_map_lookup_elem(&cookie_keys, &slot);

	return key ? key->offset : NULL;
}

/*
 * Returns the cookie of an epoch for the packet in scratch, as cookie_final() does. bits: of cookie_encode(). A global
 * function: see scratch_get().
 */
__noinline __u64 epoch_cookie(__u32 client_isn, __u32 epoch, __u32 bits)
{
	struct scratch *scratch = scratch_get();
	struct siphash hash;

	if (!scratch || !epoch_init(scratch, epoch, &hash)) /* only for the verifier */
		return 0;
	return cookie_final(&hash, &scratch->packet.flow, client_isn, epoch, bits);
}

/*
 * Reads the cookie of an ACK without timestamps, the packet in scratch, as one of this epoch: the present, the previous
 * or the next. Returns what cookie_read_plain() does, and sets scratch->handshake.unseen. A global function: see
 * scratch_get().
 */
__noinline int epoch_read_plain(__u32 client_isn, __u32 epoch, __u32 cookie)
{
	struct scratch *scratch = scratch_get();
	struct siphash hash;

	if (!scratch || !epoch_init(scratch, epoch, &hash)) /* only for the verifier */
		return -1;
	return cookie_read_plain(&hash, &scratch->packet.flow, client_isn, epoch, cookie, &scratch->handshake.unseen);
}

#endif
