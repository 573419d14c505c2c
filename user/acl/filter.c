/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>

#include "acl/filter.h"

/* The length up to which a prefix is too short for the fine stage, and that of the coarse stage's slots. */
#define SHORT_BELOW(ipv6) ((ipv6) ? 48 : 24)
#define COARSE_LEN(ipv6) ((ipv6) ? 32 : 16)

/* An IPv6 prefix that is shorter has more /32s than the coarse stage has slots: it fills them all. */
#define IPV6_SPREAD_LEN 16

static void set(struct shakeoff_list_block *block, uint32_t word, uint64_t bits)
{
	__atomic_fetch_or(&block->words[word], bits, __ATOMIC_RELAXED);
}

static void mark_coarse(struct shakeoff_list_block *blocks, uint32_t slot, uint64_t marks)
{
	set(blocks, SHAKEOFF_LIST_COARSE_WORD(slot), marks << SHAKEOFF_LIST_COARSE_SHIFT(slot));
}

/* A prefix that is as long as a slot, or shorter: all slots that it lies in. */
static void mark_short(struct shakeoff_list_block *blocks, const struct prefix *prefix)
{
	uint32_t first = ntohl(prefix->address[0]);
	uint32_t unit = 1u << (32 - COARSE_LEN(prefix->ipv6));

	if (prefix->ipv6 && prefix->len < IPV6_SPREAD_LEN) {
		for (uint32_t slot = 0; slot < SHAKEOFF_LIST_COARSE_SLOTS; slot++)
			mark_coarse(blocks, SHAKEOFF_LIST_COARSE_SLOTS + slot, SHAKEOFF_LIST_MARK_SHORT);
		return;
	}
	for (uint32_t i = 0; i < 1u << (COARSE_LEN(prefix->ipv6) - prefix->len); i++) {
		__be32 address = htonl(first + i * unit);

		mark_coarse(blocks, shakeoff_list_coarse_slot(prefix->ipv6, &address), SHAKEOFF_LIST_MARK_SHORT);
	}
}

/* Cut to the granularity that is at most as long. */
static uint32_t mark_fine(struct shakeoff_list_block *blocks, const struct prefix *prefix, uint32_t lists)
{
	uint32_t i = SHAKEOFF_LIST_FINES(prefix->ipv6) - 1;
	uint64_t hash;

	while (i && shakeoff_list_fine_len(prefix->ipv6, i) > prefix->len)
		i--;
	hash = shakeoff_list_fine_hash(prefix->ipv6, prefix->address, i);
	for (uint32_t which = 0; which < 2; which++) {
		struct shakeoff_list_bits bits = shakeoff_list_fine_bits(hash, which, lists);

		set(&blocks[bits.block], bits.word, bits.mask);
	}
	return SHAKEOFF_LISTS_FINE(prefix->ipv6, i);
}

uint32_t list_filter_shrink(size_t prefixes)
{
	uint32_t shrink = SHAKEOFF_LIST_SHRINK_MAX;

	while (shrink && SHAKEOFF_LIST_CAPACITY(shrink) < 2 * prefixes)
		shrink--;
	return shrink << SHAKEOFF_LISTS_SHRINK_SHIFT;
}

uint32_t list_filter_add(struct shakeoff_list_block *blocks, const struct prefix *prefix, uint32_t lists)
{
	uint32_t slot = shakeoff_list_coarse_slot(prefix->ipv6, prefix->address);

	lists |= SHAKEOFF_LISTS_FAMILY(prefix->ipv6);
	if (prefix->len <= COARSE_LEN(prefix->ipv6)) {
		mark_short(blocks, prefix);
	} else if (prefix->len < SHORT_BELOW(prefix->ipv6)) {
		mark_coarse(blocks, slot, SHAKEOFF_LIST_MARK_SHORT);
	} else {
		lists |= mark_fine(blocks, prefix, lists);
		mark_coarse(blocks, slot, SHAKEOFF_LIST_MARK_FINE);
	}
	return lists;
}
