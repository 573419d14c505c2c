/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * source-syn-limit. A SYN proves nothing about its source. So memory is spent on a source only if a count without
 * memory for each source (sketch.h) shows that it may be beyond the limit, and only on a bounded number of new sources
 * a tick. The SYNs that passed until then count, too. In a flood of very many sources, a source without memory is
 * answered: the limit holds back the few that send much.
 */
#ifndef SHAKEOFF_BPF_LIMIT_SYN_RATE_H
#define SHAKEOFF_BPF_LIMIT_SYN_RATE_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/prefix_hash.h>
#include <shakeoff/source.h>

#include "core/ctx.h"
#include "core/maps.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "lib/rate.h"
#include "lib/sketch.h"
#include "limit/source.h"

/* Maximum number of new sources in a tick (1 to 10 ms) of a CPU; with sites twice as many. */
#define LIMIT_NEW_A_TICK 16

/* Counts a SYN. Returns the maximum number of SYNs that came from its source to this CPU in the present window. */
static __always_inline __u32 limit_count(const struct shakeoff_source_key *key, const struct now *now)
{
	__u32 window = now->now_ns >> SHAKEOFF_SYN_WINDOW_SHIFT, index, row, count;
	struct syn_counts *counts;
	__u16 *cell;

	/* SHAKEOFF_SOURCE_SITE, because a site and its first source have the same prefix. */
	index = shakeoff_hash_index((key->prefix[0] | (__u64)key->prefix[1] << 32) ^
					    (key->service & SHAKEOFF_SOURCE_SITE),
				    now->reply_salt, SYN_COUNT_BITS);
	row = index / SYN_COUNTS % SYN_COUNT_ROWS;
	counts = bpf_map_lookup_elem(&syn_counts, &row);
	if (!counts) /* only for the verifier */
		return 0;
	barrier_var(index);
	index &= SYN_COUNTS - 1;
	cell = &counts->cells[index];
	barrier_var(cell);
	count = sketch_next(*cell, window);
	if (count <= SKETCH_COUNT_MAX)
		*cell = sketch_cell(window, count);
	return count;
}

/*
 * Returns whether one more source, or site, may be learnt now: a site even if new sources, maybe its own, were too
 * many.
 */
static __always_inline bool limit_may_learn(struct scratch *scratch, bool site)
{
	if (scratch->learnt_tick != scratch->now.tick) {
		scratch->learnt_tick = scratch->now.tick;
		scratch->learnt = 0;
	}
	if (scratch->learnt >= (site ? 2 * LIMIT_NEW_A_TICK : LIMIT_NEW_A_TICK))
		return 0;
	scratch->learnt++;
	return 1;
}

/*
 * Returns whether the SYN in scratch is within the limit of its source. site: of the source's site instead, if it has
 * one. A global function: see scratch_get().
 */
__noinline int limit_allows_source(__u32 service_id, __u32 site)
{
	const struct shakeoff_service *service = service_get(service_id);
	struct scratch *scratch = scratch_get();
	struct shakeoff_source_key key;
	__u32 count, unseen, allows, limits = site ? SHAKEOFF_SITE_LIMITS : 1, interval_ns, burst, hot;
	__u64 *due_ns, first, now_ns;

	if (!scratch || !service) /* only for the verifier */
		return 1;
	now_ns = scratch->now.now_ns;
	interval_ns = service->syn_interval_ns / limits;
	burst = service->syn_burst * limits;
	hot = service->syn_hot * limits;
	if (hot > SHAKEOFF_SYN_HOT_MAX)
		hot = SHAKEOFF_SYN_HOT_MAX;
	source_key(&scratch->packet.flow, service_id, service, &key);
	if (site && !source_key_site(&scratch->packet.flow, service, &key))
		return 1;
	count = limit_count(&key, &scratch->now);
	if (count < hot)
		return 1;
	unseen = count == hot ? count - 1 : 0; /* they have passed, in this window, on this CPU */
	due_ns = bpf_map_lookup_elem(&syn_sources, &key);
	if (due_ns) {
		allows = rate_allows(*due_ns, now_ns, interval_ns, burst);
		if (unseen + allows)
			*due_ns = rate_next(*due_ns, now_ns, interval_ns, burst, unseen + allows);
		return allows;
	}
	first = now_ns + (__u64)(unseen + 1) * interval_ns;
	if (limit_may_learn(scratch, site))
		bpf_map_update_elem(&syn_sources, &key, &first, BPF_NOEXIST);
	return 1;
}

/*
 * Returns whether the SYN in scratch is within its source's limit; allowed sources have none. A global function: see
 * scratch_get().
 */
__noinline int limit_allows_syn(__u32 service_id, __u32 allowed)
{
	const struct scratch *scratch = scratch_get();

	if (!scratch || allowed) /* the first only for the verifier */
		return 1;
	return limit_allows_source(service_id, 0) && (!scratch->packet.flow.ipv6 || limit_allows_source(service_id, 1));
}

/* Returns the same. Without a limit it costs one load, of a cache line that every SYN needs. */
static __always_inline bool limit_admits_syn(const struct hook_ctx *hook)
{
	return !hook->service->syn_interval_ns || limit_allows_syn(hook->service_id, hook->allowed);
}

#endif
