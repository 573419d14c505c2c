/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What to do about a tc program of ours that is not where it has to be, decided again and again from what is seen of it.
 *
 * Other programs come to the front of a tcx hook, too: agents that watch or filter. One that lets packets pass to the stack then hides
 * them from ours, and a validated ACK without its request is refused by the kernel. So ours goes to the front again; but it does not
 * fight: against one that comes back each time it stays behind, and SYNs pass to the kernel until the other is gone.
 *
 * And ours may be first and get nothing all the same, for a reason that cannot be seen from here. Both programs count, and that shows it.
 *
 * No system calls: who looks, and who acts, is interfaces.c.
 */
#ifndef SHAKEOFFD_HOOK_TC_ORDER_H
#define SHAKEOFFD_HOOK_TC_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "datapath/datapath.h"
#include "common/clock.h"

/* So often in a row is it put to the front. Who has stood there for a minute since is left alone: the count begins anew. */
#define TC_ORDER_MOVES 3
#define TC_ORDER_CALM_NS (60 * NS_PER_S)

/* After that it is tried again so much later, and each time twice as late. */
#define TC_ORDER_RETRY_NS (30 * NS_PER_S)
#define TC_ORDER_RETRY_MAX_NS (600 * NS_PER_S)

/* One that was contested is trusted when nobody has come before it for so long. */
#define TC_ORDER_SETTLED_NS (500 * NS_PER_MS)

/* Of one hook. Zeros are the state of one that has never been looked at. */
struct tc_order {
	unsigned int moves;
	bool contested;    /* another insists on its place */
	uint64_t first_ns; /* since when it stands there; 0: it does not */
	uint64_t retry_ns; /* not to be moved before */
	uint64_t retry_wait_ns;
};

/* Notes where the program stands now. Returns whether it is to be put to the front. */
bool tc_order_look(struct tc_order *order, enum datapath_position position, uint64_t now_ns);

/*
 * So many ACKs have to be missing, all of a time in which none came, before it is believed. They take microseconds. Not while a full
 * backlog queue drops packets, as an attacker could bring about: tc_flow_excuse().
 */
#define TC_FLOW_MISSING 4
#define TC_FLOW_PATIENCE_NS (200 * NS_PER_MS)

/* Then SYNs pass to the kernel for so long, and after each try without a change twice as long. */
#define TC_FLOW_HOLD_NS (2 * NS_PER_S)
#define TC_FLOW_HOLD_MAX_NS (60 * NS_PER_S)

/* Of one interface. */
struct tc_flow {
	struct shakeoff_admissions seen; /* when the last one came, or when nothing was missing */
	uint64_t missing_ns;             /* since when some are missing; 0: none is */
	uint64_t hold_ns;                /* how long the last hold was; 0: there was none lately */
	uint64_t until_ns;               /* of the present hold; 0: there is none */
	uint64_t held_ns;                /* when the last one ended */
};

/* Whether some are missing that would be believed before long. */
static inline bool tc_flow_waits(const struct tc_flow *flow)
{
	return flow->missing_ns != 0;
}

/* What is missing by now got lost for a reason that is known. */
void tc_flow_excuse(struct tc_flow *flow, const struct shakeoff_admissions *counted);

/* Notes what has been counted by now. Returns whether validated ACKs do not come to the tc program. */
bool tc_flow_look(struct tc_flow *flow, const struct shakeoff_admissions *counted, uint64_t now_ns);

#endif
