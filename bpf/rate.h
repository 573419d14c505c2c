/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A token bucket in one number: the Generic Cell Rate Algorithm (ITU-T I.371, annex A, virtual scheduling). The number is when
 * the next event would be due, if all had come evenly; one may come earlier by what the burst allows.
 */
#ifndef SHAKEOFF_BPF_RATE_H
#define SHAKEOFF_BPF_RATE_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#include "compiler.h"

/* An event every interval_ns, and `burst` (at least 1) at once. */
static __always_inline _Bool rate_allows(__u64 due_ns, __u64 now_ns, __u32 interval_ns, __u32 burst)
{
	return (__s64)(due_ns - now_ns) <= (__s64)((__u64)(burst - 1) * interval_ns);
}

/* When the next one is due, after this one. */
static __always_inline __u64 rate_next(__u64 due_ns, __u64 now_ns, __u32 interval_ns)
{
	return ((__s64)(due_ns - now_ns) > 0 ? due_ns : now_ns) + interval_ns;
}

#endif
