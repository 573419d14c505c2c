/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The hook's side of the reply budget (shakeoff/synack_rate.h). */
#ifndef SHAKEOFF_BPF_LIMIT_SYNACK_RATE_H
#define SHAKEOFF_BPF_LIMIT_SYNACK_RATE_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/prefix_hash.h>
#include <shakeoff/synack_rate.h>

#include "core/ctx.h"
#include "core/maps.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "lib/sketch.h"
#include "limit/source.h"

/* Takes one of the replies that are kept apart, for a prefix with this hash. Returns whether there was one. */
static __always_inline bool reply_spare(struct shakeoff_reply_cells *common, __u32 hash, __u32 window, __u32 most)
{
	struct shakeoff_reply_spare *cell;

	barrier_var(hash);
	hash &= SHAKEOFF_REPLY_SPARES - 1;
	cell = &common->spares[hash];
	barrier_var(cell);
	if ((__s32)(window - cell->window) > 0) { /* as below */
		cell->window = window;
		cell->sent = 0;
	}
	if (cell->sent >= most)
		return 0;
	__sync_fetch_and_add(&cell->sent, 1);
	return 1;
}

/* Counts in steps, so that the CPUs of a flood do not contend for the cell. random: any 32 bits. */
#define REPLY_DRAWN_STEP 16

static __always_inline void reply_count_drawn(struct shakeoff_reply_cell *cell, __u32 random)
{
	if (cell->expected < 64 * REPLY_DRAWN_STEP)
		__sync_fetch_and_add(&cell->drawn, 1);
	else if (!(random % REPLY_DRAWN_STEP))
		__sync_fetch_and_add(&cell->drawn, REPLY_DRAWN_STEP);
}

/*
 * Draws a lot: returns whether one of `expected` SYNs is answered. Lots are uneven, so only seven eighths of the limit
 * win: usually there is still a reply for the last SYN of the window.
 */
static __always_inline bool reply_draws(struct shakeoff_reply_cell *cell, __u32 limit, __u32 random)
{
	if (cell->sent >= limit || ((__u64)random * cell->expected) >> 32 >= limit - limit / 8)
		return 0;
	__sync_fetch_and_add(&cell->sent, 1);
	return 1;
}

/*
 * Settles a full batch of replies, whose last one would be for the packet in scratch. hash: of its prefix. Adds the
 * batch to the table of all CPUs, unless the prefix, with those that share its cell, has used up its budget. If more
 * replies are expected than the budget has, a lot decides. After that, the part that is kept apart is used, and then
 * only a known or allowed source is answered, up to a separate bound. Returns whether the reply may be sent. A global
 * function: see scratch_get().
 */
__noinline int reply_settle(__u32 hash, __u32 service_id, __u32 allowed)
{
	__u32 index = hash >> SHAKEOFF_REPLY_SPARE_BITS, random;
	struct shakeoff_control *control = control_get();
	struct scratch *scratch = scratch_get();
	struct shakeoff_reply_cells *common;
	struct shakeoff_reply_cell *cell;
	__u32 zero = 0, window, most;
	__u16 *own;

	common = bpf_map_lookup_elem(&reply_cells, &zero);
	if (!scratch || !control || !common) /* only for the verifier */
		return 0;
	barrier_var(index);
	index &= SHAKEOFF_REPLY_CELLS - 1;
	cell = &common->cells[index];
	own = &scratch->replies[index];
	barrier_var(cell);
	barrier_var(own);
	window = scratch->now.reply_window;
	/* Signed: a CPU whose clock was read earlier counts in the window of the others. */
	if ((__s32)(window - cell->window) > 0) {
		cell->expected = shakeoff_reply_expect(cell, window - cell->window, control->replies.limit);
		cell->window = window;
		cell->sent = cell->known = cell->drawn = 0;
	}
	if (cell->expected <= control->replies.limit &&
	    cell->sent + scratch->now.reply_batch <= control->replies.limit) {
		__sync_fetch_and_add(&cell->sent, scratch->now.reply_batch);
		*own = sketch_cell(window, 0);
		return 1;
	}
	*own = sketch_cell(window, scratch->now.reply_batch - 1); /* so that the next one comes here again */
	random = bpf_get_prandom_u32();
	reply_count_drawn(cell, random);
	if (cell->expected > control->replies.limit && reply_draws(cell, control->replies.limit, random))
		return 1;
	if (reply_spare(common, hash, window, control->replies.spare))
		return 1;
	most = (control->replies.limit + control->replies.spare) * SHAKEOFF_REPLY_KNOWN;
	if (cell->known >= most || !(allowed || source_takes_reply(service_id, window, control->replies.source)))
		return 0;
	__sync_fetch_and_add(&cell->known, 1);
	return 1;
}

/* Returns whether the source of the packet in scratch may be sent one more SYN-ACK or RST. */
static __always_inline bool reply_is_within_budget(const struct hook_ctx *hook)
{
	struct scratch *scratch = hook->scratch;
	const struct now *now = &scratch->now;
	__u32 batch = now->reply_batch, count, hash, index;
	__u64 prefix;
	__u16 *cell;

	if (!batch)
		return 1;
	prefix = shakeoff_prefix_number(scratch->packet.flow.ipv6, scratch->packet.flow.client);
	hash = shakeoff_hash_index(prefix, now->reply_salt, SHAKEOFF_REPLY_HASH_BITS);
	index = hash >> SHAKEOFF_REPLY_SPARE_BITS;
	barrier_var(index);
	index &= SHAKEOFF_REPLY_CELLS - 1;
	cell = &scratch->replies[index];
	barrier_var(cell);
	count = sketch_next(*cell, now->reply_window);
	if (count >= batch)
		return reply_settle(hash, hook->service_id, hook->allowed);
	*cell = sketch_cell(now->reply_window, count);
	return 1;
}

#endif
