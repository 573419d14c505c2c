/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ACL's result for a packet's source (shakeoff/acl.h). */
#ifndef SHAKEOFF_BPF_LIMIT_ACL_H
#define SHAKEOFF_BPF_LIMIT_ACL_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/acl.h>

#include "core/ctx.h"
#include "core/maps.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "lib/cookie.h"
#include "limit/acl_filter.h"

/* Maximum number of nested entries: one of each prefix length. */
#define ACL_NESTED_MAX(ipv6) ((ipv6) ? 129 : 33)

enum acl_result { ACL_NONE, ACL_BLOCKS, ACL_ALLOWS };

/*
 * Returns the live entry with the longest prefix for a key, or NULL. The trie finds the longest one, live or expired:
 * after an expired one the next shorter one is looked up.
 */
static __always_inline const struct shakeoff_acl_entry *acl_live(void *trie, void *key, __u32 *prefix_len, bool ipv6,
								 __u64 now_ns)
{
	for (int i = 0; i < ACL_NESTED_MAX(ipv6); i++) {
		const struct shakeoff_acl_entry *entry = bpf_map_lookup_elem(trie, key);

		if (!entry || !entry->expires_ns || (__s64)(entry->expires_ns - now_ns) > 0)
			return entry;
		if (!entry->prefix_len)
			return NULL;
		*prefix_len = SHAKEOFF_ACL_SCOPE_BITS + entry->prefix_len - 1;
	}
	return NULL;
}

static __always_inline const struct shakeoff_acl_entry *acl_live4(void *trie, const struct cookie_flow *flow,
								  __u32 scope, __u64 now_ns)
{
	struct shakeoff_acl_key4 key = { SHAKEOFF_ACL_SCOPE_BITS + 32, scope, flow->client[0] };

	return acl_live(trie, &key, &key.prefix_len, 0, now_ns);
}

static __always_inline const struct shakeoff_acl_entry *acl_live6(void *trie, const struct cookie_flow *flow,
								  __u32 scope, __u64 now_ns)
{
	struct shakeoff_acl_key6 key = { .prefix_len = SHAKEOFF_ACL_SCOPE_BITS + 128, .scope = scope };

	__builtin_memcpy(key.address, flow->client, sizeof(key.address));
	return acl_live(trie, &key, &key.prefix_len, 1, now_ns);
}

/* Chooses between two entries, which may be NULL: the longer prefix wins; of equal ones the service's own does. */
static __always_inline enum acl_result acl_choose(const struct shakeoff_acl_entry *general,
						  const struct shakeoff_acl_entry *own)
{
	const struct shakeoff_acl_entry *entry = own;

	if (!own || (general && general->prefix_len > own->prefix_len))
		entry = general;
	if (!entry)
		return ACL_NONE;
	return entry->action == SHAKEOFF_ACL_ALLOW ? ACL_ALLOWS : ACL_BLOCKS;
}

static __always_inline enum acl_result acl_match4(__u32 which, const struct cookie_flow *flow, __u32 scope,
						  __u64 now_ns)
{
	void *trie = bpf_map_lookup_elem(&acl4, &which);

	if (!trie)
		return ACL_NONE;
	return acl_choose(acl_live4(trie, flow, 0, now_ns), scope ? acl_live4(trie, flow, scope, now_ns) : NULL);
}

static __always_inline enum acl_result acl_match6(__u32 which, const struct cookie_flow *flow, __u32 scope,
						  __u64 now_ns)
{
	void *trie = bpf_map_lookup_elem(&acl6, &which);

	if (!trie)
		return ACL_NONE;
	return acl_choose(acl_live6(trie, flow, 0, now_ns), scope ? acl_live6(trie, flow, scope, now_ns) : NULL);
}

/*
 * Returns the ACL's enum acl_result for the packet in scratch. acl: of shakeoff_control; scope: that of the packet's
 * service. A global function: see scratch_get().
 */
__noinline int acl_match(__u32 acl, __u32 scope)
{
	const struct scratch *scratch = scratch_get();
	__u32 which = acl & SHAKEOFF_ACL_WHICH;
	const struct cookie_flow *flow;
	void *filter;

	if (!scratch) /* only for the verifier */
		return ACL_NONE;
	flow = &scratch->packet.flow;
	filter = bpf_map_lookup_elem(&acl_filters, &which);
	if (!filter || !(acl & SHAKEOFF_ACL_FAMILY(flow->ipv6)))
		return ACL_NONE;
	if (!(acl & SHAKEOFF_ACL_SCOPED))
		scope = 0;
	if (flow->ipv6)
		return acl_may_hold(filter, acl, 1, flow->client) ?
			       acl_match6(which, flow, scope, scratch->now.now_ns) :
			       ACL_NONE;
	return acl_may_hold(filter, acl, 0, flow->client) ? acl_match4(which, flow, scope, scratch->now.now_ns) :
							    ACL_NONE;
}

/* Returns the ACL's result. Without entries it costs one load, of a cache line that every packet needs. */
static __always_inline enum acl_result acl_of(const struct hook_ctx *hook)
{
	__u32 acl = *(const volatile __u32 *)&hook->control->acl; /* read once: it may change at any time */

	return acl ? acl_match(acl, hook->service->acl_scope) : ACL_NONE;
}

#endif
