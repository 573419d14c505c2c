/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>

#include "acl/filter.h"

/*
 * Prefixes below the first length are too short for the fine stage. The second is the length of the coarse stage's
 * slots.
 */
#define SHORT_BELOW(ipv6) ((ipv6) ? 48 : 24)
#define COARSE_LEN(ipv6) ((ipv6) ? 32 : 16)

/* A shorter IPv6 prefix has more /32s than the coarse stage has slots, so it fills all of them. */
#define IPV6_SPREAD_LEN 16

static void set(struct shakeoff_acl_block *block, uint32_t word, uint64_t bits)
{
	__atomic_fetch_or(&block->words[word], bits, __ATOMIC_RELAXED);
}

static void mark_coarse(struct shakeoff_acl_block *blocks, uint32_t slot, uint64_t marks)
{
	set(blocks, SHAKEOFF_ACL_COARSE_WORD(slot), marks << SHAKEOFF_ACL_COARSE_SHIFT(slot));
}

/* Marks all slots of a prefix that is as long as a slot, or shorter. */
static void mark_short(struct shakeoff_acl_block *blocks, const struct prefix *prefix)
{
	uint32_t first = ntohl(prefix->address[0]);
	uint32_t unit = 1u << (32 - COARSE_LEN(prefix->ipv6));

	if (prefix->ipv6 && prefix->len < IPV6_SPREAD_LEN) {
		for (uint32_t slot = 0; slot < SHAKEOFF_ACL_COARSE_SLOTS; slot++)
			mark_coarse(blocks, SHAKEOFF_ACL_COARSE_SLOTS + slot, SHAKEOFF_ACL_MARK_SHORT);
		return;
	}
	for (uint32_t i = 0; i < 1u << (COARSE_LEN(prefix->ipv6) - prefix->len); i++) {
		__be32 address = htonl(first + i * unit);

		mark_coarse(blocks, shakeoff_acl_coarse_slot(prefix->ipv6, &address), SHAKEOFF_ACL_MARK_SHORT);
	}
}

/* Marks a prefix, cut to the longest granularity that is not longer. Returns the granularity's flag. */
static uint32_t mark_fine(struct shakeoff_acl_block *blocks, const struct prefix *prefix, uint32_t acl)
{
	uint32_t i = SHAKEOFF_ACL_FINES(prefix->ipv6) - 1;
	uint64_t hash;

	while (i && shakeoff_acl_fine_len(prefix->ipv6, i) > prefix->len)
		i--;
	hash = shakeoff_acl_fine_hash(prefix->ipv6, prefix->address, i);
	for (uint32_t which = 0; which < 2; which++) {
		struct shakeoff_acl_bits bits = shakeoff_acl_fine_bits(hash, which, acl);

		set(&blocks[bits.block], bits.word, bits.mask);
	}
	return SHAKEOFF_ACL_FINE(prefix->ipv6, i);
}

uint32_t acl_filter_shrink(size_t prefixes)
{
	uint32_t shrink = SHAKEOFF_ACL_SHRINK_MAX;

	while (shrink && SHAKEOFF_ACL_CAPACITY(shrink) < 2 * prefixes)
		shrink--;
	return shrink << SHAKEOFF_ACL_SHRINK_SHIFT;
}

uint32_t acl_filter_add(struct shakeoff_acl_block *blocks, const struct prefix *prefix, uint32_t acl)
{
	uint32_t slot = shakeoff_acl_coarse_slot(prefix->ipv6, prefix->address);

	acl |= SHAKEOFF_ACL_FAMILY(prefix->ipv6);
	if (prefix->len <= COARSE_LEN(prefix->ipv6)) {
		mark_short(blocks, prefix);
	} else if (prefix->len < SHORT_BELOW(prefix->ipv6)) {
		mark_coarse(blocks, slot, SHAKEOFF_ACL_MARK_SHORT);
	} else {
		acl |= mark_fine(blocks, prefix, acl);
		mark_coarse(blocks, slot, SHAKEOFF_ACL_MARK_FINE);
	}
	return acl;
}
