/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the lists of sources (shakeoff/list.h) say of a packet's. */
#ifndef SHAKEOFF_BPF_LIMIT_ACL_H
#define SHAKEOFF_BPF_LIMIT_ACL_H

#include "limit/acl_filter.h"

/* So many entries can lie in each other: one of each length. */
#define LIST_NESTED_MAX(ipv6) ((ipv6) ? 129 : 33)

enum list_says { LIST_NOTHING, LIST_BLOCKS, LIST_ALLOWS };

/*
 * The live entry with the longest prefix for a key, or NULL. The trie finds the longest one, live or not: behind one that has
 * expired the next shorter one is looked for.
 */
static __always_inline const struct shakeoff_listed *list_live(void *trie, void *key, __u32 *prefix_len, _Bool ipv6,
							       __u64 now_ns)
{
	for (int i = 0; i < LIST_NESTED_MAX(ipv6); i++) {
		const struct shakeoff_listed *listed = bpf_map_lookup_elem(trie, key);

		if (!listed || !listed->expires_ns || (__s64)(listed->expires_ns - now_ns) > 0)
			return listed;
		if (!listed->prefix_len)
			return NULL;
		*prefix_len = SHAKEOFF_LIST_SCOPE_BITS + listed->prefix_len - 1;
	}
	return NULL;
}

static __always_inline const struct shakeoff_listed *list_live4(void *trie, const struct cookie_flow *flow, __u32 scope,
								__u64 now_ns)
{
	struct shakeoff_list_key4 key = { SHAKEOFF_LIST_SCOPE_BITS + 32, scope, flow->client[0] };

	return list_live(trie, &key, &key.prefix_len, 0, now_ns);
}

static __always_inline const struct shakeoff_listed *list_live6(void *trie, const struct cookie_flow *flow, __u32 scope,
								__u64 now_ns)
{
	struct shakeoff_list_key6 key = { .prefix_len = SHAKEOFF_LIST_SCOPE_BITS + 128, .scope = scope };

	__builtin_memcpy(key.address, flow->client, sizeof(key.address));
	return list_live(trie, &key, &key.prefix_len, 1, now_ns);
}

/* Of two entries, each of which may be NULL: the longer prefix; of equal ones the service's own. */
static __always_inline enum list_says list_choose(const struct shakeoff_listed *general,
						  const struct shakeoff_listed *own)
{
	const struct shakeoff_listed *listed = own;

	if (!own || (general && general->prefix_len > own->prefix_len))
		listed = general;
	if (!listed)
		return LIST_NOTHING;
	return listed->action == SHAKEOFF_LIST_ALLOW ? LIST_ALLOWS : LIST_BLOCKS;
}

static __always_inline enum list_says list_say4(__u32 which, const struct cookie_flow *flow, __u32 scope, __u64 now_ns)
{
	void *trie = bpf_map_lookup_elem(&lists4, &which);

	if (!trie)
		return LIST_NOTHING;
	return list_choose(list_live4(trie, flow, 0, now_ns), scope ? list_live4(trie, flow, scope, now_ns) : NULL);
}

static __always_inline enum list_says list_say6(__u32 which, const struct cookie_flow *flow, __u32 scope, __u64 now_ns)
{
	void *trie = bpf_map_lookup_elem(&lists6, &which);

	if (!trie)
		return LIST_NOTHING;
	return list_choose(list_live6(trie, flow, 0, now_ns), scope ? list_live6(trie, flow, scope, now_ns) : NULL);
}

/*
 * What the lists say of the packet in scratch: enum list_says. lists: of lists_in_use(); scope: that of the packet's service. A
 * global function: see scratch_get().
 */
__noinline int list_judge(__u32 lists, __u32 scope)
{
	const struct scratch *scratch = scratch_get();
	__u32 which = lists & SHAKEOFF_LISTS_WHICH;
	const struct cookie_flow *flow;
	void *filter;

	if (!scratch) /* cannot be: for the verifier */
		return LIST_NOTHING;
	flow = &scratch->packet.flow;
	filter = bpf_map_lookup_elem(&list_filters, &which);
	if (!filter || !(lists & SHAKEOFF_LISTS_FAMILY(flow->ipv6)))
		return LIST_NOTHING;
	if (!(lists & SHAKEOFF_LISTS_SCOPED))
		scope = 0;
	if (flow->ipv6)
		return list_may_hold(filter, lists, 1, flow->client) ?
			       list_say6(which, flow, scope, scratch->now.now_ns) :
			       LIST_NOTHING;
	return list_may_hold(filter, lists, 0, flow->client) ? list_say4(which, flow, scope, scratch->now.now_ns) :
							       LIST_NOTHING;
}

/* As long as nothing is listed, one load of a cache line that every packet needs is the only cost. */
static __always_inline enum list_says list_says_of(const struct hook_ctx *hook)
{
	__u32 lists = *(const volatile __u32 *)&hook->control->lists; /* once: it changes at any time */

	return lists ? list_judge(lists, hook->service->list_scope) : LIST_NOTHING;
}

#endif
