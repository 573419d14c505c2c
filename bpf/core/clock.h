/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The time in the units that the hook needs, read once a tick. */
#ifndef SHAKEOFF_BPF_CORE_CLOCK_H
#define SHAKEOFF_BPF_CORE_CLOCK_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/issued.h>
#include <shakeoff/synack_rate.h>

#include "core/ctx.h"
#include "lib/compiler.h"

/*
 * Reads the time into scratch when the kernel's tick (1 to 10 ms) or the epochs' offset has changed. A tick is exact
 * enough for everything here. Checking it costs one load; the clock and the divisions cost a tenth of a SYN-ACK. The
 * time in scratch is never ahead of the clock.
 */
static __always_inline void now_read(struct now *now, const struct shakeoff_control *control)
{
	__u64 tick = bpf_jiffies64(), offset_ns = control->epoch_offset_ns;

	if (now->tick == tick && now->epoch_offset_ns == offset_ns)
		return;
	now->tick = tick;
	now->epoch_offset_ns = offset_ns;
	now->now_ns = bpf_ktime_get_ns();
	now->epoch = (now->now_ns + offset_ns) / SHAKEOFF_EPOCH_NS;
	/* With the epochs' offset, as hosts of a fleet read each other's clock. */
	now->clock_ms = (now->now_ns + offset_ns) / NSEC_PER_MSEC;
	now->issued_period = shakeoff_issued_period(now->now_ns);
	now->reply_window = now->now_ns >> SHAKEOFF_REPLY_WINDOW_SHIFT;
	now->reply_batch = control->replies.batch;
	now->reply_salt = control->replies.salt;
}

/* Sets a time to now. The clock advances in ticks, so there are only a few writes a tick. */
static __always_inline void time_note(__u64 *time_ns, __u64 now_ns)
{
	if (*time_ns != now_ns)
		*time_ns = now_ns;
}

#endif
