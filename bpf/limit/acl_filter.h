/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The hook's side of the lists' filter (shakeoff/list.h). filter: the map of its blocks. */
#ifndef SHAKEOFF_BPF_LIMIT_ACL_FILTER_H
#define SHAKEOFF_BPF_LIMIT_ACL_FILTER_H

#include <shakeoff/acl.h>

#include "lib/compiler.h"

static __always_inline __u64 list_filter_word(void *filter, __u32 block, __u32 word)
{
	const struct shakeoff_list_block *found = bpf_map_lookup_elem(filter, &block);

	return found ? found->words[word & (SHAKEOFF_LIST_BLOCK_WORDS - 1)] : 0;
}

static __always_inline _Bool list_bits_are_set(void *filter, __u64 hash, __u32 which, __u32 lists)
{
	struct shakeoff_list_bits bits = shakeoff_list_fine_bits(hash, which, lists);

	return (list_filter_word(filter, bits.block, bits.word) & bits.mask) == bits.mask;
}

/* Does the fine stage know the address, cut to granularity i? */
static __always_inline _Bool list_fine_holds(void *filter, __u32 lists, _Bool ipv6, const __be32 *address, __u32 i)
{
	__u64 hash;

	if (!(lists & SHAKEOFF_LISTS_FINE(ipv6, i)))
		return 0;
	hash = shakeoff_list_fine_hash(ipv6, address, i);
	return list_bits_are_set(filter, hash, 0, lists) && list_bits_are_set(filter, hash, 1, lists);
}

/* May the address be in a trie? */
static __always_inline _Bool list_may_hold(void *filter, __u32 lists, _Bool ipv6, const __be32 *address)
{
	__u32 slot = shakeoff_list_coarse_slot(ipv6, address);
	__u32 marks = list_filter_word(filter, 0, SHAKEOFF_LIST_COARSE_WORD(slot)) >> SHAKEOFF_LIST_COARSE_SHIFT(slot) &
		      SHAKEOFF_LIST_MARKS;

	if (marks != SHAKEOFF_LIST_MARK_FINE)
		return marks;
	return list_fine_holds(filter, lists, ipv6, address, 0) || list_fine_holds(filter, lists, ipv6, address, 1) ||
	       (ipv6 && list_fine_holds(filter, lists, ipv6, address, 2));
}

#endif
