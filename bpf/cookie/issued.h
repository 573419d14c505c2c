/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Does an attacker try to forge cookies, and was this one sent to anybody (shakeoff/issued.h)?
 *
 * In a fleet another host may have sent it: nothing is noted and looked up there.
 */
#ifndef SHAKEOFF_BPF_COOKIE_ISSUED_H
#define SHAKEOFF_BPF_COOKIE_ISSUED_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/issued.h>

#include "core/ctx.h"
#include "core/maps.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "limit/surge.h"

/*
 * Each CPU counts invalid ACKs in batches, as it does SYNs in a flood; but those of each service by themselves: who mixes one ACK
 * for another service among fifteen forged ones is not to have the batch counted there.
 */
#define FORGERY_BATCH 16

/* An ACK that brought back no cookie, or one that nobody was sent. */
static __always_inline void forgery_count(const struct hook_ctx *hook)
{
	struct shakeoff_service_counters *counters = bpf_map_lookup_elem(&service_counts, &hook->service_id);

	if (counters && !(++counters->forgeries % FORGERY_BATCH))
		surge_count(hook, SURGE_FORGERY, SHAKEOFF_FORGERY_WINDOW_NS, FORGERY_BATCH, SHAKEOFF_FORGERY_RATE);
}

/* Whether an attacker tries to forge cookies of the service. Ends what has been without a surge for long enough. */
static __always_inline bool forgery_lasts(struct shakeoff_service *service, __u64 now_ns)
{
	return surge_lasts(&service->forgery, now_ns);
}

/*
 * Notes a cookie. Two CPUs that write to a word at the same moment may lose one note of the two: about one of a million, at a
 * million a second.
 */
static __always_inline void issued_note(__u32 hash, __u32 period)
{
	__u32 index = shakeoff_issued_index(period, hash);
	__u64 *word = bpf_map_lookup_elem(&issued, &index);

	if (word)
		*word = shakeoff_issued_add(*word, period, shakeoff_issued_bits(hash));
}

static __always_inline bool issued_in(__u32 hash, __u32 period)
{
	__u32 index = shakeoff_issued_index(period, hash);
	const __u64 *word = bpf_map_lookup_elem(&issued, &index);

	return word && shakeoff_issued_has(*word, period, shakeoff_issued_bits(hash));
}

/* Another CPU's clock may be a tick ahead of ours, and so in the next period. */
static __always_inline bool issued_lately(__u32 hash, __u32 period)
{
	return issued_in(hash, period) || issued_in(hash, period - 1) || issued_in(hash, period + 1);
}

/* A SYN-ACK is about to leave while cookies are being forged, or were. A global function: see scratch_get(). */
__noinline int issued_answered(__u32 service_id, __u32 hash)
{
	struct shakeoff_service *service = service_get(service_id);
	const struct scratch *scratch = scratch_get();
	const struct shakeoff_control *control = control_get();

	if (!service || !scratch || !control) /* cannot be: for the verifier */
		return 0;
	if (!(control->flags & SHAKEOFF_ACCEPT_NEXT_EPOCH) && forgery_lasts(service, scratch->now.now_ns))
		issued_note(hash, scratch->now.issued_period);
	return 0;
}

/* Was a SYN-ACK to the ACK's tuple perhaps sent again by the daemon, long after the first? */
static __always_inline bool is_half_open(const struct scratch *scratch, const struct shakeoff_control *control)
{
	const struct shakeoff_half_open *entry;

	if (!control->half_open)
		return 0;
	entry = bpf_map_lookup_elem(&half_open, &scratch->tuple);
	return entry && entry->rcv_nxt == scratch->packet.seq;
}

/* Is what the ACK in scratch echoes, which has a good cookie, of a SYN-ACK of the last moments? One without timestamps tells nothing. */
static __always_inline bool echo_is_fresh(const struct handshake *handshake)
{
	return !handshake->options.timestamps || (__u32)(handshake->echo_age_ms + SHAKEOFF_ISSUED_AHEAD_MS) <=
							 SHAKEOFF_ISSUED_AHEAD_MS + SHAKEOFF_ISSUED_ECHO_MS;
}

static __always_inline bool is_warm(const struct shakeoff_service *service, __u64 now_ns)
{
	return (__s64)(now_ns - service->forgery.since_ns) > (__s64)SHAKEOFF_FORGERY_WARM_NS;
}

/*
 * The good cookie in scratch, that has opened nothing yet: is it to be taken for a forgery? One that is not is noted again, for
 * clients whose ACK a full queue ignores. A global function: see scratch_get().
 */
__noinline int ack_is_not_issued(__u32 service_id)
{
	struct shakeoff_service *service = service_get(service_id);
	const struct scratch *scratch = scratch_get();
	const struct shakeoff_control *control = control_get();
	__u64 now_ns;

	if (!service || !scratch || !control) /* cannot be: for the verifier */
		return 0;
	now_ns = scratch->now.now_ns;
	if ((control->flags & SHAKEOFF_ACCEPT_NEXT_EPOCH) || !forgery_lasts(service, now_ns))
		return 0;
	if ((!echo_is_fresh(&scratch->handshake) ||
	     (is_warm(service, now_ns) && !issued_lately(scratch->handshake.unseen, scratch->now.issued_period))) &&
	    !is_half_open(scratch, control))
		return 1;
	issued_note(scratch->handshake.unseen, scratch->now.issued_period);
	return 0;
}

#endif
