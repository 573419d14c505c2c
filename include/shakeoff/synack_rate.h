/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The reply budget: the hook sends no destination prefix (/24 of IPv4, /48 of IPv6) more SYN-ACKs and RSTs a second than it says, so
 * that nobody can turn us against somebody else by SYNs in his name. The kernel has none: it answers as many as its cookies let it, some
 * 100,000 to 300,000 a second and core. So honest clients of a prefix in whose name somebody floods are served as by the kernel up to the
 * default, and beyond it they have a chance.
 *
 * Replies are counted in windows, by prefix, in a table that prefixes share by a salted hash: what others cost a prefix makes
 * its budget smaller, never greater. Each CPU counts in a small table of its own, which fits into its nearest cache, and
 * carries what it counted over to the table of all CPUs in batches (bpf/lib/sketch.h).
 *
 * An eighth of the budget is kept apart: where a cell has had the rest, it is counted in one of many more spare cells, chosen by
 * further bits of the hash. So whoever floods in the name of a thousand prefixes does not shut out all that share a cell with them, a
 * fifth of the world, but those alone that share a spare cell as well: one in three hundred.
 *
 * Where a prefix, with those that share its cell, was sent more SYNs in the last windows than it may be answered, it is by lot who is
 * answered, with the chance that keeps to the budget over the whole window. The first of each window would be those of who floods in
 * bursts, and all others would get nothing.
 *
 * Known sources (source.h) are answered beyond the budget, each up to a bound of its own, an eighth of the budget: a flood in the
 * name of one of them takes from its own bound, and not from its neighbours. All of a prefix together, with allowed ones, are
 * answered no more than SHAKEOFF_REPLY_KNOWN budgets in addition.
 *
 *	 27          16 15            0
 *	+--------------+---------------+
 *	| cell         | spare cell    |    the hash of a prefix
 *	+--------------+---------------+
 *
 * What the CPUs have not carried over yet is less than a batch each; the limit that the common table is held to is smaller by
 * that. A uniformly random flood of 10 million SYNs a second on one CPU makes 164 replies a cell and window, on average, where
 * the default allows 4194 at least: no cell gets there. A budget is that of one datapath: interfaces with programs of their own have one
 * each.
 */
#ifndef SHAKEOFF_SYNACK_RATE_H
#define SHAKEOFF_SYNACK_RATE_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define SHAKEOFF_REPLY_BUDGET_DEFAULT 100000
#define SHAKEOFF_REPLY_BUDGET_MIN 100u /* 6 a window: the least that windows express without much error */
#define SHAKEOFF_REPLY_CELL_BITS 12
#define SHAKEOFF_REPLY_CELLS (1u << SHAKEOFF_REPLY_CELL_BITS)
#define SHAKEOFF_REPLY_SPARE_BITS 16
#define SHAKEOFF_REPLY_SPARES (1u << SHAKEOFF_REPLY_SPARE_BITS)
#define SHAKEOFF_REPLY_HASH_BITS (SHAKEOFF_REPLY_CELL_BITS + SHAKEOFF_REPLY_SPARE_BITS)
#define SHAKEOFF_REPLY_WINDOW_SHIFT 26 /* a window is 2^26 ns: 67 ms */
#define SHAKEOFF_REPLY_BATCH_MAX 200u

/* All known and allowed sources of a prefix are answered beyond the budget, but no more than so many times as much. */
#define SHAKEOFF_REPLY_KNOWN 1u

/* And of each known source this part of the budget. */
#define SHAKEOFF_REPLY_KNOWN_SOURCE 8u

/* What came in the windows before is forgotten after so many, a second, without any. */
#define SHAKEOFF_REPLY_EXPECT_WINDOWS 16u

/* Written by the daemon. */
struct shakeoff_reply_budget {
	__u64 salt;   /* random, odd; for all that is counted by a hash (bpf/lib/sketch.h) */
	__u32 rate;   /* `reply-budget =`, replies a second */
	__u32 limit;  /* of a window, in the common table */
	__u32 batch;  /* 1..SHAKEOFF_REPLY_BATCH_MAX; 0: there is no budget */
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
	__u32 drawn;    /* who wanted one more and found none, or had to draw lots */
	__u32 expected; /* so many may want one in this window, as in those before */
	__u32 pad[3];
};
_Static_assert(sizeof(struct shakeoff_reply_cell) == 32, "two of them are a cache line");

/*
 * How many replies are wanted in a window that begins, `passed` windows after that of the cell. The greatest of the last windows, which
 * fades by an eighth in each: bursts with pauses are expected in the pauses, too.
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

/* What a second's budget is for a window, shared by `cpus`. */
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
