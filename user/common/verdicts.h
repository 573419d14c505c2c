/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of verdicts, and the totals of the verdicts. */
#ifndef SHAKEOFF_VERDICTS_H
#define SHAKEOFF_VERDICTS_H

#include <stdint.h>

#include <shakeoff/abi.h>

struct verdict_info {
	const char *name;
	const char *action;  /* "PASS", "TX", "DROP" */
	unsigned int counts; /* SHAKEOFF_COUNTS_* */
	const char *help;
};
extern const struct verdict_info verdict_table[SHAKEOFF_VERDICT_COUNT];

/* X(field, help): the totals, in the order of display. */
#define VERDICT_TOTALS(X)                                                                                              \
	X(syn_received, "SYNs to addresses of services")                                                               \
	X(synack_sent, "SYN-ACKs sent, each with a cookie")                                                            \
	X(ack_valid, "final ACKs with a valid cookie")                                                                 \
	X(ack_invalid, "ACKs without a socket that opened no connection")                                              \
	X(out_of_state, "segments without a socket that opened no connection")                                         \
	X(admitted, "connections given to listening sockets")                                                          \
	X(unadmitted, "connections that could not be given to a listening socket")                                     \
	X(synack_repeated, "SYN-ACKs sent again, because no ACK came")                                                 \
	X(established, "sockets made from final ACKs by the daemon")                                                   \
	X(accepted, "connections taken by servers from the daemon")                                                    \
	X(overflow, "SYNs and ACKs refused because of a full accept queue")                                            \
	X(passed, "packets passed to the kernel")

struct verdict_totals {
#define X(field, help) uint64_t field;
	VERDICT_TOTALS(X)
#undef X
};

/*
 * Adds the verdicts to their totals. The totals that are counted per service, from `admitted` to `accepted`, are
 * unchanged.
 */
void verdict_totals_add(struct verdict_totals *totals, const uint64_t counts[SHAKEOFF_VERDICT_COUNT]);

#endif
