/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A token bucket in one number: the Generic Cell Rate Algorithm (ITU-T I.371, annex A, virtual scheduling). The number
 * is the time at which the next event would be due, if all had come evenly. An event may come earlier by what the burst
 * allows.
 */
#ifndef SHAKEOFF_BPF_LIB_RATE_H
#define SHAKEOFF_BPF_LIB_RATE_H

#include "lib/compiler.h"

/*
 * A limit's due times are ahead of now by at most its burst and this slack: CPUs read the clock at different times, and
 * source-syn-limit counts some events later (limit/syn_rate.h).
 */
#define RATE_SLACK_NS 1000000000ull

/* Returns how far ahead of now the next event is due. 0 if the due time is of another limit, or of none. */
static __always_inline __s64 rate_ahead(__u64 due_ns, __u64 now_ns, __u32 interval_ns, __u32 burst)
{
	__s64 ahead = due_ns - now_ns;

	return ahead < 0 || ahead > (__s64)((__u64)burst * interval_ns + RATE_SLACK_NS) ? 0 : ahead;
}

/* Returns whether an event may come now: one every interval_ns, and `burst` (at least 1) at once. */
static __always_inline bool rate_allows(__u64 due_ns, __u64 now_ns, __u32 interval_ns, __u32 burst)
{
	return rate_ahead(due_ns, now_ns, interval_ns, burst) <= (__s64)((__u64)(burst - 1) * interval_ns);
}

/* Returns when the next event is due, after this number of events. */
static __always_inline __u64 rate_next(__u64 due_ns, __u64 now_ns, __u32 interval_ns, __u32 burst, __u32 events)
{
	return now_ns + rate_ahead(due_ns, now_ns, interval_ns, burst) + (__u64)events * interval_ns;
}

#endif
