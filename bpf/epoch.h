/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which key, when; and the cookie under it. */
#ifndef SHAKEOFF_BPF_EPOCH_H
#define SHAKEOFF_BPF_EPOCH_H

#define NSEC_PER_MSEC 1000000
#define NSEC_PER_SEC 1000000000ull

/*
 * The moment in scratch, read anew when the kernel's tick (1 to 10 ms) or the epochs' offset has changed. A tick is exact
 * enough for everything here, and looking at it costs one load, where the clock and the divisions cost a tenth of an
 * answer. The moment is never ahead of the clock.
 */
static __always_inline void moment_read(struct moment *moment, const struct shakeoff_control *control)
{
	__u64 tick = bpf_jiffies64(), offset_ns = control->epoch_offset_ns;

	if (moment->tick == tick && moment->epoch_offset_ns == offset_ns)
		return;
	moment->tick = tick;
	moment->epoch_offset_ns = offset_ns;
	moment->now_ns = bpf_ktime_get_ns();
	moment->epoch = (moment->now_ns + offset_ns) / SHAKEOFF_EPOCH_NS;
	moment->clock_ms = moment->now_ns / NSEC_PER_MSEC;
	moment->asked_period = shakeoff_asked_period(moment->now_ns);
	moment->reply_window = moment->now_ns >> SHAKEOFF_REPLY_WINDOW_SHIFT;
	moment->reply_batch = control->replies.batch;
	moment->reply_salt = control->replies.salt;
}

/*
 * The hash of cookie_begin() for packets like the one in scratch, from that of the last packet to this address, if it was of the same
 * epoch. NULL cannot be: for the verifier.
 */
static __always_inline const struct siphash *epoch_begin(struct scratch *scratch, __u32 epoch, __u32 bits)
{
	__u32 beginning = cookie_beginning(scratch->packet.flow.ipv6, bits), slot = epoch % SHAKEOFF_KEY_SLOTS;
	struct recent *recent = &scratch->recent;
	const struct shakeoff_key *key;
	struct siphash hash, *kept;

	/*
	 * Bounded where clang cannot drop it for what it knows: verifiers up to that of kernel 6.1 do not follow its 32-bit OR. And
	 * made a pointer at once: clang spills the number otherwise, of which they forget the bound.
	 */
	asm volatile("" : "+r"(beginning));
	beginning &= COOKIE_BEGINNINGS - 1;
	kept = &recent->hashes[beginning];
	asm volatile("" : "+r"(kept));
	if (recent->hash_epoch != epoch)
		recent->hashes_begun = 0;
	if (recent->hashes_begun & (1u << beginning))
		return kept;
	key = bpf_map_lookup_elem(&cookie_keys, &slot);
	if (!key)
		return NULL;
	cookie_begin(&hash, key, &scratch->packet.flow, epoch, bits);
	*kept = hash;
	recent->hash_epoch = epoch;
	recent->hashes_begun |= 1u << beginning;
	return kept;
}

/*
 * The cookie of an epoch for the packet in scratch, as of cookie_end(). bits: of cookie_encode(). A global function: see
 * scratch_get().
 */
__noinline __u64 epoch_cookie(__u32 client_isn, __u32 epoch, __u32 bits)
{
	struct scratch *scratch = scratch_get();
	const struct siphash *begun;
	struct siphash hash;

	if (!scratch) /* cannot be: for the verifier */
		return 0;
	begun = epoch_begin(scratch, epoch, bits);
	if (!begun)
		return 0;
	hash = *begun;
	return cookie_end(&hash, &scratch->packet.flow, client_isn, epoch, bits);
}

/*
 * Begins the hash of a cookie without timestamps, for an ACK of which every good epoch is tried: those of the present and the
 * previous epoch are kept side by side. That of the next is not: its key may still be exchanged.
 */
static __always_inline _Bool epoch_begin_plain(struct scratch *scratch, __u32 epoch, struct siphash *hash)
{
	__u32 behind = scratch->moment.epoch - epoch, begun, slot = epoch % SHAKEOFF_KEY_SLOTS;
	struct siphash *kept = behind ? &scratch->recent.previous : &scratch->recent.hashes[0];
	struct recent *recent = &scratch->recent;
	const struct shakeoff_key *key;

	if (recent->hash_epoch != scratch->moment.epoch) {
		recent->hash_epoch = scratch->moment.epoch;
		recent->hashes_begun = 0;
	}
	begun = behind ? 1u << COOKIE_BEGINNINGS : 1;
	if (behind <= 1 && (recent->hashes_begun & begun)) {
		*hash = *kept;
		return 1;
	}
	key = bpf_map_lookup_elem(&cookie_keys, &slot);
	if (!key) /* cannot be: for the verifier */
		return 0;
	cookie_begin(hash, key, &scratch->packet.flow, epoch, 0);
	if (behind <= 1) {
		*kept = *hash;
		recent->hashes_begun |= begun;
	}
	return 1;
}

/*
 * Reads a cookie without timestamps for the packet in scratch as one of this epoch, which is the present one, the previous or the
 * next. Returns its option bits, scratch->opening.unseen is then set; or -1: it is none. A global function: see scratch_get().
 */
__noinline int epoch_read_plain(__u32 client_isn, __u32 epoch, __u32 cookie)
{
	struct scratch *scratch = scratch_get();
	struct siphash hash;

	if (!scratch || !epoch_begin_plain(scratch, epoch, &hash))
		return -1;
	return cookie_read_plain(&hash, &scratch->packet.flow, client_isn, epoch, cookie, &scratch->opening.unseen);
}

#endif
