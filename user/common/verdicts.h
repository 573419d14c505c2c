/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of verdicts, and the totals that are made of them. */
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

/* X(field, help): the totals, in the order in which they are shown. */
#define VERDICT_TOTALS(X)                                                                                              \
	X(syn_received, "SYNs to addresses of services")                                                               \
	X(synack_sent, "SYN-ACKs sent, each with a cookie")                                                            \
	X(ack_valid, "final ACKs whose cookie proved good")                                                            \
	X(ack_invalid, "ACKs without a socket that opened nothing")                                                    \
	X(out_of_state, "segments of no socket that opened nothing")                                                   \
	X(admitted, "connections given to listening sockets")                                                          \
	X(unadmitted, "connections that a listening socket could not be given")                                        \
	X(synack_repeated, "SYN-ACKs sent again, because no ACK came")                                                 \
	X(established, "sockets made from final ACKs by the daemon")                                                   \
	X(accepted, "connections taken by servers from the daemon")                                                    \
	X(overflow, "SYNs and ACKs turned away by a full accept queue")                                                \
	X(passed, "packets passed to the kernel")

struct verdict_totals {
#define X(field, help) uint64_t field;
	VERDICT_TOTALS(X)
#undef X
};

/* Adds what the verdicts count towards. What is counted per service is left alone: from `admitted` to `accepted`. */
void verdict_totals_add(struct verdict_totals *totals, const uint64_t counts[SHAKEOFF_VERDICT_COUNT]);

#endif
