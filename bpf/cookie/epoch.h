/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which key, when; and the cookie under it. */
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
 * The hash of cookie_init() for packets like the one in scratch: of the present and the previous epoch that of the last packet to this
 * address is kept. That of the next is not: its key may still be exchanged. 0 cannot be: for the verifier.
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

/* The key of our timestamps' offset in this epoch. NULL cannot be: for the verifier. */
static __always_inline const __u64 *epoch_offset_key(__u32 epoch)
{
	__u32 slot = epoch % SHAKEOFF_KEY_SLOTS;
	const struct shakeoff_epoch_key *key = bpf_map_lookup_elem(&cookie_keys, &slot);

	return key ? key->offset : NULL;
}

/*
 * The cookie of an epoch for the packet in scratch, as of cookie_final(). bits: of cookie_encode(). A global function: see
 * scratch_get().
 */
__noinline __u64 epoch_cookie(__u32 client_isn, __u32 epoch, __u32 bits)
{
	struct scratch *scratch = scratch_get();
	struct siphash hash;

	if (!scratch || !epoch_init(scratch, epoch, &hash)) /* cannot be: for the verifier */
		return 0;
	return cookie_final(&hash, &scratch->packet.flow, client_isn, epoch, bits);
}

/*
 * Reads the cookie of an ACK without timestamps for the packet in scratch as one of this epoch, which is the present one, the
 * previous or the next. Returns as cookie_read_plain() does; scratch->handshake.unseen is set. A global function: see scratch_get().
 */
__noinline int epoch_read_plain(__u32 client_isn, __u32 epoch, __u32 cookie)
{
	struct scratch *scratch = scratch_get();
	struct siphash hash;

	if (!scratch || !epoch_init(scratch, epoch, &hash)) /* cannot be: for the verifier */
		return -1;
	return cookie_read_plain(&hash, &scratch->packet.flow, client_isn, epoch, cookie, &scratch->handshake.unseen);
}

#endif
