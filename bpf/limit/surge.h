/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Surges: more SYNs, out-of-state segments or forged cookies of a service than its rate allows (struct shakeoff_surge).
 *
 * Without a surge every event is counted. In a surge a CPU counts every 32nd event as 32, so that the CPUs do not
 * contend for the counter's cache line. Counts and times are written without a lock; the next window makes up for what
 * gets lost in a race.
 *
 * One window with too many events begins a surge. An average keeps it going (surge_extend()). Single windows do not, or
 * a burst of a few milliseconds every ten seconds would be enough.
 */
#ifndef SHAKEOFF_BPF_LIMIT_SURGE_H
#define SHAKEOFF_BPF_LIMIT_SURGE_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>

#include "core/ctx.h"
#include "core/state.h"
#include "lib/compiler.h"

#define FLOOD_BATCH 32

#define FLOOD_WINDOWS_PER_SECOND (NSEC_PER_SEC / SHAKEOFF_FLOOD_WINDOW_NS)

/* Below this rate a batch is too coarse: a single one would be too many for a window at half the rate. */
#define FLOOD_BATCH_RATE (4 * FLOOD_BATCH * FLOOD_WINDOWS_PER_SECOND)

enum surge { SURGE_SYNS, SURGE_OUT_OF_STATE, SURGE_FORGERY };

static __always_inline struct shakeoff_surge *surge_of(struct shakeoff_service *service, enum surge which)
{
	return which == SURGE_SYNS         ? &service->syns :
	       which == SURGE_OUT_OF_STATE ? &service->out_of_state :
					     &service->forgery;
}

/* Counts events. Returns whether the present window, of this length, has more than `rate` events a second allow. */
static __always_inline bool surge_exceeds(struct shakeoff_surge *surge, __u64 length_ns, __u64 now_ns, __u32 events,
					  __u32 rate)
{
	__u64 allowed = rate * (length_ns / NSEC_PER_MSEC) / 1000;

	/* Signed: another CPU may have begun it after our clock was read. */
	if ((__s64)(now_ns - surge->window_ns) >= (__s64)length_ns) {
		surge->window_ns = now_ns;
		surge->counted = events;
		return events > allowed;
	}
	__sync_fetch_and_add(&surge->counted, events);
	return surge->counted > allowed;
}

/* Returns how many events the present one stands for in a surge; 0: it is not counted. *seen: this CPU's count. */
static __always_inline __u32 surge_batch(__u32 *seen, __u32 rate)
{
	if (rate < FLOOD_BATCH_RATE)
		return 1;
	return ++*seen % FLOOD_BATCH ? 0 : FLOOD_BATCH;
}

/*
 * Makes a surge last for for_ns from now, or for that time longer if `adds`. It is a leaky bucket that the hold time
 * fills. If two CPUs write at the same time, one addition may get lost: in a flood that needs more than one CPU the
 * bucket is full anyway. which: enum surge. A global function: see scratch_get().
 */
__noinline int surge_hold(__u32 service_id, __u32 which, __u64 for_ns, __u32 adds)
{
	struct shakeoff_service *service = service_get(service_id);
	const struct scratch *scratch = scratch_get();
	__u64 *last_ns, now_ns, until_ns;
	__s64 remaining = 0;

	if (!scratch || !service) /* only for the verifier */
		return 0;
	now_ns = scratch->now.now_ns;
	last_ns = &surge_of(service, which)->last_ns;
	if (*last_ns)
		remaining = *last_ns + SHAKEOFF_FLOOD_HOLD_NS - now_ns;
	if (remaining < 0)
		remaining = 0;
	if (adds)
		for_ns += remaining;
	if (for_ns > SHAKEOFF_FLOOD_HOLD_NS)
		for_ns = SHAKEOFF_FLOOD_HOLD_NS;
	until_ns = now_ns - SHAKEOFF_FLOOD_HOLD_NS + for_ns;
	/*
	 * Signed: another CPU, whose clock is a tick ahead, may have filled the bucket. So there are few writes a tick.
	 */
	if (!*last_ns || (__s64)(until_ns - *last_ns) > 0)
		*last_ns = until_ns;
	return 0;
}

/*
 * Makes a surge last longer by events that came while it lasts, or that begin it. Each adds the time that half the rate
 * takes for one event. So a surge goes on while its average over the hold time is half the rate, and a short burst is
 * over soon.
 */
static __always_inline void surge_extend(const struct hook_ctx *hook, enum surge which, __u64 events, __u32 rate)
{
	__u64 last_ns = surge_of(hook->service, which)->last_ns;

	/* This tick has filled the bucket already: there is nothing to add. */
	if (last_ns && (__s64)(last_ns - hook->now_ns) >= 0)
		return;
	surge_hold(hook->service_id, which, rate ? events * (2 * NSEC_PER_SEC) / rate : SHAKEOFF_FLOOD_HOLD_NS, 1);
}

/* Counts events; in a surge they are batches of surge_batch(). Returns whether a surge begins with them. */
static __always_inline bool surge_count(const struct hook_ctx *hook, enum surge which, __u64 length_ns, __u32 events,
					__u32 rate)
{
	struct shakeoff_surge *surge = surge_of(hook->service, which);

	if (surge->since_ns) {
		if (events)
			surge_extend(hook, which, events, rate);
		return 0;
	}
	if (!surge_exceeds(surge, length_ns, hook->now_ns, events, rate))
		return 0;
	surge_extend(hook, which, surge->counted, rate);
	surge->since_ns = hook->now_ns;
	return 1;
}

/* Returns whether a surge goes on. Ends one that is over. */
static __always_inline bool surge_lasts(struct shakeoff_surge *surge, __u64 now_ns)
{
	if (!surge->since_ns)
		return 0;
	if (shakeoff_surge_lasts(surge->last_ns, now_ns))
		return 1;
	surge->since_ns = 0;
	return 0;
}

/* Returns whether the service is in a flood of SYNs, or was within the hold time. */
static __always_inline bool in_flood(const struct shakeoff_service *service, __u64 now_ns)
{
	return shakeoff_surge_lasts(service->syns.last_ns, now_ns);
}

#endif
