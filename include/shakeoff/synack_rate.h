/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The reply budget: maximum of SYN-ACKs and RSTs a second that the hook sends to a destination prefix (/24 of IPv4, /48
 * of IPv6), so that an attacker cannot use it for reflection by SYNs with a victim's source address. The kernel has no
 * such limit: it sends as many SYN-ACKs as its cookies allow, some 100,000 to 300,000 a second and core. Up to the
 * default, honest clients of a spoofed prefix are served as by the kernel; beyond it they have a chance.
 *
 * Replies are counted in windows, by prefix, in a table that prefixes share by a salted hash: the replies to other
 * prefixes can make a prefix's budget smaller, never greater. Each CPU counts in a small table of its own, which fits
 * into its nearest cache, and adds its counts to the table of all CPUs in batches (bpf/lib/sketch.h).
 *
 * An eighth of the budget is reserved: when a cell has used up the rest, replies are counted in one of many more spare
 * cells, chosen by further bits of the hash. So a flood that spoofs a thousand prefixes does not shut out all prefixes
 * that share a cell with them, a fifth of the world, but only those that share a spare cell as well: one in three
 * hundred.
 *
 * When the cell of a prefix got more SYNs in the last windows than the budget answers, the hook draws lots: each SYN is
 * answered with the probability that keeps to the budget over the whole window. Otherwise a flood in bursts would get
 * the first replies of each window, and other clients would get none.
 *
 * Known sources (source.h) are answered beyond the budget, each up to a bound of its own, an eighth of the budget: a
 * flood that spoofs a known source uses up that source's bound, not its neighbours'. All known and allowed sources of a
 * prefix together get at most SHAKEOFF_REPLY_KNOWN budgets in addition.
 *
 *	 27          16 15            0
 *	+--------------+---------------+
 *	| cell         | spare cell    |    the hash of a prefix
 *	+--------------+---------------+
 *
 * Each CPU holds back less than a batch; the limit of the common table is smaller by that. A uniformly random flood of
 * 10 million SYNs a second on one CPU makes 164 replies a cell and window, on average, where the default allows at
 * least 4194: no cell gets there. Each datapath has a budget: interfaces with programs of their own have one each.
 */
#ifndef SHAKEOFF_SYNACK_RATE_H
#define SHAKEOFF_SYNACK_RATE_H

#include <shakeoff/types.h>

#define SHAKEOFF_REPLY_BUDGET_DEFAULT 100000
#define SHAKEOFF_REPLY_BUDGET_MIN 100u /* 6 a window: the least that windows express without much error */
#define SHAKEOFF_REPLY_CELL_BITS 12
#define SHAKEOFF_REPLY_CELLS (1u << SHAKEOFF_REPLY_CELL_BITS)
#define SHAKEOFF_REPLY_SPARE_BITS 16
#define SHAKEOFF_REPLY_SPARES (1u << SHAKEOFF_REPLY_SPARE_BITS)
#define SHAKEOFF_REPLY_HASH_BITS (SHAKEOFF_REPLY_CELL_BITS + SHAKEOFF_REPLY_SPARE_BITS)
#define SHAKEOFF_REPLY_WINDOW_SHIFT 26 /* a window is 2^26 ns: 67 ms */
#define SHAKEOFF_REPLY_BATCH_MAX 200u

/* All known and allowed sources of a prefix together get at most this many budgets in addition to the budget. */
#define SHAKEOFF_REPLY_KNOWN 1u

/* A known source gets this fraction of the budget. */
#define SHAKEOFF_REPLY_KNOWN_SOURCE 8u

/* After this many windows without SYNs, a second, the SYNs of earlier windows are forgotten. */
#define SHAKEOFF_REPLY_EXPECT_WINDOWS 16u

/* Written by the daemon. */
struct shakeoff_reply_budget {
	__u64 salt;   /* random, odd; for all counters that use a hash (bpf/lib/sketch.h) */
	__u32 rate;   /* `reply-budget =`, replies a second */
	__u32 limit;  /* of a window, in the common table */
	__u32 batch;  /* 1..SHAKEOFF_REPLY_BATCH_MAX; 0: no budget */
	__u32 spare;  /* of a window, in a spare cell, beyond the limit */
	__u32 source; /* of a window, to one known source, beyond both */
	__u32 pad[9];
};
_Static_assert(sizeof(struct shakeoff_reply_budget) == 64, "one cache line");

/* The table of all CPUs. */
struct shakeoff_reply_cell {
	__u32 window;
	__u32 sent;
	__u32 known;    /* beyond the limit, to known and allowed sources */
	__u32 drawn;    /* SYNs beyond the limit, and those that had to draw lots */
	__u32 expected; /* SYNs expected in this window, estimated from the windows before */
	__u32 pad[3];
};
_Static_assert(sizeof(struct shakeoff_reply_cell) == 32, "two of them are a cache line");

/*
 * Returns how many replies are expected to be wanted in a window that begins `passed` windows after the cell's. It is
 * the maximum of the last windows, which fades by an eighth in each, so that bursts are still expected during their
 * pauses.
 */
static inline __attribute__((always_inline)) __u32 shakeoff_reply_expect(const struct shakeoff_reply_cell *cell,
									 __u32 passed, __u32 limit)
{
	__u32 last = cell->drawn, before = cell->expected - cell->expected / 8;

	if (passed > SHAKEOFF_REPLY_EXPECT_WINDOWS)
		return 0;
	if (cell->expected <= limit)
		last += cell->sent;
	for (__u32 i = 1; i < SHAKEOFF_REPLY_EXPECT_WINDOWS; i++)
		if (i < passed)
			before -= before / 8;
	return last > before ? last : before;
}

struct shakeoff_reply_spare {
	__u32 window;
	__u32 sent;
};

struct shakeoff_reply_cells {
	struct shakeoff_reply_cell cells[SHAKEOFF_REPLY_CELLS];
	struct shakeoff_reply_spare spares[SHAKEOFF_REPLY_SPARES];
};

/* Returns the budget of a window for a rate a second, shared by `cpus`. */
static inline struct shakeoff_reply_budget shakeoff_reply_budget(__u64 salt, __u32 rate, __u32 cpus)
{
	__u64 window = (__u64)rate * (1ull << SHAKEOFF_REPLY_WINDOW_SHIFT) / 1000000000;
	__u64 batch = window / (4ull * cpus), spare = window / 8;

	if (!rate)
		return (struct shakeoff_reply_budget){ .salt = salt | 1 };
	batch = batch < 1 ? 1 : batch > SHAKEOFF_REPLY_BATCH_MAX ? SHAKEOFF_REPLY_BATCH_MAX : batch;
	return (struct shakeoff_reply_budget){
		.salt = salt | 1,
		.rate = rate,
		.limit = window - spare - cpus * (batch - 1),
		.batch = batch,
		.spare = spare,
		.source = window < SHAKEOFF_REPLY_KNOWN_SOURCE ? 1 : window / SHAKEOFF_REPLY_KNOWN_SOURCE,
	};
}

#endif
