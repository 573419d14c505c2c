/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The hook's side of the ACL's filter (shakeoff/acl.h). filter: the map of the filter's blocks. */
#ifndef SHAKEOFF_BPF_LIMIT_ACL_FILTER_H
#define SHAKEOFF_BPF_LIMIT_ACL_FILTER_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/acl.h>

#include "lib/compiler.h"

static __always_inline __u64 acl_filter_word(void *filter, __u32 block, __u32 word)
{
	const struct shakeoff_acl_block *found = bpf_map_lookup_elem(filter, &block);

	return found ? found->words[word & (SHAKEOFF_ACL_BLOCK_WORDS - 1)] : 0;
}

static __always_inline bool acl_bits_are_set(void *filter, __u64 hash, __u32 which, __u32 acl)
{
	struct shakeoff_acl_bits bits = shakeoff_acl_fine_bits(hash, which, acl);

	return (acl_filter_word(filter, bits.block, bits.word) & bits.mask) == bits.mask;
}

/* Returns whether the fine stage has the address, cut to granularity i. */
static __always_inline bool acl_fine_holds(void *filter, __u32 acl, bool ipv6, const __be32 *address, __u32 i)
{
	__u64 hash;

	if (!(acl & SHAKEOFF_ACL_FINE(ipv6, i)))
		return 0;
	hash = shakeoff_acl_fine_hash(ipv6, address, i);
	return acl_bits_are_set(filter, hash, 0, acl) && acl_bits_are_set(filter, hash, 1, acl);
}

/* Returns whether the address may be in a trie. */
static __always_inline bool acl_may_hold(void *filter, __u32 acl, bool ipv6, const __be32 *address)
{
	__u32 slot = shakeoff_acl_coarse_slot(ipv6, address);
	__u32 marks = acl_filter_word(filter, 0, SHAKEOFF_ACL_COARSE_WORD(slot)) >> SHAKEOFF_ACL_COARSE_SHIFT(slot) &
		      SHAKEOFF_ACL_MARKS;

	if (marks != SHAKEOFF_ACL_MARK_FINE)
		return marks;
	return acl_fine_holds(filter, acl, ipv6, address, 0) || acl_fine_holds(filter, acl, ipv6, address, 1) ||
	       (ipv6 && acl_fine_holds(filter, acl, ipv6, address, 2));
}

#endif
