/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether an attacker tries to forge cookies, and whether this cookie was sent lately (shakeoff/issued.h).
 *
 * In a fleet another host may have sent it: there, nothing is noted or looked up.
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
 * Each CPU counts invalid ACKs in batches, as it counts SYNs in a flood, but separately for each service. Otherwise an
 * attacker that mixes one ACK for another service among fifteen forged ones could have the batch counted there.
 */
#define FORGERY_BATCH 16

/* Counts an ACK that brought back no good cookie, or one that was not sent lately. */
static __always_inline void forgery_count(const struct hook_ctx *hook)
{
	struct shakeoff_service_counters *counters = bpf_map_lookup_elem(&service_counts, &hook->service_id);

	if (counters && !(++counters->forgeries % FORGERY_BATCH))
		surge_count(hook, SURGE_FORGERY, SHAKEOFF_FORGERY_WINDOW_NS, FORGERY_BATCH, SHAKEOFF_FORGERY_RATE);
}

/* Returns whether an attacker tries to forge cookies of the service. Ends a surge that is over. */
static __always_inline bool forgery_lasts(struct shakeoff_service *service, __u64 now_ns)
{
	return surge_lasts(&service->forgery, now_ns);
}

/*
 * Notes a cookie. If two CPUs write to a word at the same time, one of the two notes may get lost: about one in a
 * million, at a million a second.
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

/*
 * Returns whether a cookie was noted lately. Another CPU's clock may be a tick ahead of ours, and so in the next
 * period.
 */
static __always_inline bool issued_lately(__u32 hash, __u32 period)
{
	return issued_in(hash, period) || issued_in(hash, period - 1) || issued_in(hash, period + 1);
}

/*
 * Notes the cookie of a SYN-ACK that is about to leave, unless the forgery is over. A global function: see
 * scratch_get().
 */
__noinline int issued_answered(__u32 service_id, __u32 hash)
{
	struct shakeoff_service *service = service_get(service_id);
	const struct scratch *scratch = scratch_get();
	const struct shakeoff_control *control = control_get();

	if (!service || !scratch || !control) /* only for the verifier */
		return 0;
	if (!(control->flags & SHAKEOFF_ACCEPT_NEXT_EPOCH) && forgery_lasts(service, scratch->now.now_ns))
		issued_note(hash, scratch->now.issued_period);
	return 0;
}

/* Returns whether the daemon may have sent a SYN-ACK to the ACK's tuple again, long after the first one. */
static __always_inline bool is_half_open(const struct scratch *scratch, const struct shakeoff_control *control)
{
	const struct shakeoff_half_open *entry;

	if (!control->half_open)
		return 0;
	entry = bpf_map_lookup_elem(&half_open, &scratch->tuple);
	return entry && entry->rcv_nxt == scratch->packet.seq;
}

/* Returns whether the ACK in scratch, which has a good cookie, echoes a recent SYN-ACK, or has no timestamps. */
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
 * Returns whether the good cookie in scratch, which has opened nothing yet, must be taken for a forgery. If not, notes
 * it again, for clients whose ACK a full queue ignores. A global function: see scratch_get().
 */
__noinline int ack_is_not_issued(__u32 service_id)
{
	struct shakeoff_service *service = service_get(service_id);
	const struct scratch *scratch = scratch_get();
	const struct shakeoff_control *control = control_get();
	__u64 now_ns;

	if (!service || !scratch || !control) /* only for the verifier */
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
