/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Decides what to do when shakeoff's tc program is not where it has to be, from repeated observations.
 *
 * Other programs also move to the front of a tcx hook: agents that watch or filter. If such a program lets packets pass
 * to the stack, they never reach shakeoff's program, and the kernel refuses a validated ACK without its request. So
 * shakeoff's program moves to the front again. It does not fight: if the other program comes back each time, it stays
 * behind, and SYNs pass to the kernel until the other program is gone.
 *
 * Shakeoff's program may also be first and still get nothing, for an unknown reason. The counters of both programs show
 * that.
 *
 * No system calls: interfaces_admit.c observes and acts.
 */
#ifndef SHAKEOFFD_HOOK_TC_ORDER_H
#define SHAKEOFFD_HOOK_TC_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "datapath/datapath.h"
#include "common/clock.h"

/* Maximum of moves to the front in a row. After a minute at the front the count begins again. */
#define TC_ORDER_MOVES 3
#define TC_ORDER_CALM_NS (60 * NS_PER_S)

/* How long to wait before the next try then; doubles with each try. */
#define TC_ORDER_RETRY_NS (30 * NS_PER_S)
#define TC_ORDER_RETRY_MAX_NS (600 * NS_PER_S)

/* How long a contested program has to stay first until it is trusted. */
#define TC_ORDER_SETTLED_NS (500 * NS_PER_MS)

/* The state for one hook. Zeros mean that it has not been observed yet. */
struct tc_order {
	unsigned int moves;
	bool contested;    /* another program insists on the first position */
	uint64_t first_ns; /* since when it is first; 0: it is not */
	uint64_t retry_ns; /* no move before */
	uint64_t retry_wait_ns;
};

/* Notes the program's present position. Returns whether to move it to the front. */
bool tc_order_look(struct tc_order *order, enum datapath_position position, uint64_t now_ns);

/*
 * Minimum of missing ACKs, and of the time without any ACK, before a loss is believed. An ACK takes microseconds. ACKs
 * that a full backlog queue drops do not count, because an attacker could cause that: tc_flow_excuse().
 */
#define TC_FLOW_MISSING 4
#define TC_FLOW_PATIENCE_NS (200 * NS_PER_MS)

/* How long SYNs pass to the kernel then; doubles with each try that changes nothing. */
#define TC_FLOW_HOLD_NS (2 * NS_PER_S)
#define TC_FLOW_HOLD_MAX_NS (60 * NS_PER_S)

/* The state for one interface. */
struct tc_flow {
	struct shakeoff_admissions seen; /* when the last ACK came, or when none was missing */
	uint64_t missing_ns;             /* since when ACKs are missing; 0: none is */
	uint64_t hold_ns;                /* length of the last hold; 0: there was none lately */
	uint64_t until_ns;               /* end of the present hold; 0: there is none */
	uint64_t held_ns;                /* end of the last hold */
};

/* Returns whether ACKs are missing that may soon count as lost. */
static inline bool tc_flow_waits(const struct tc_flow *flow)
{
	return flow->missing_ns != 0;
}

/* Forgets ACKs that are missing for a known reason. */
void tc_flow_excuse(struct tc_flow *flow, const struct shakeoff_admissions *counted);

/* Notes the present counts. Returns whether validated ACKs do not reach the tc program. */
bool tc_flow_look(struct tc_flow *flow, const struct shakeoff_admissions *counted, uint64_t now_ns);

#endif
