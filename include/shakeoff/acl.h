/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ACL of sources: which prefixes are blocked or allowed, for all services or for one.
 *
 * An entry is a prefix, a scope (all services, or one of them) and an action. Of the live entries that contain a
 * source, the one with the longest prefix decides; between equal prefixes, the entry of the service decides.
 *
 *	shakeoff_control.acl    0: nothing is listed; a packet costs nothing more
 *	acl_filters[which]      whether a source can be listed at all; nearly free, errs only to the safe side
 *	acl4/acl6[which]        the tries: the entry of a source
 *
 * A list that is loaded is built in the element that is not in use. It takes effect for all three maps at once when
 * shakeoff_control.acl is written. Entries that are added go to the element in use: first to the trie, then to the
 * filter, then to shakeoff_control.acl. The bits of a removed entry stay in the filter, where they cost a fruitless
 * look-up, until the filter is built anew.
 *
 * A process that changes anything here holds the lock (user/acl/lock.h).
 */
#ifndef SHAKEOFF_ACL_H
#define SHAKEOFF_ACL_H

#include <shakeoff/abi.h>
#include <shakeoff/byteorder.h>

#define SHAKEOFF_MAX_ACL_ENTRIES (1u << 22) /* of one family; 140 bytes of kernel memory each, IPv6 280 */
#define SHAKEOFF_MAX_ACL_NAMES 681

/*
 * shakeoff_control.acl. FINE: the filter's fine stage has an entry of granularity i. SHRINK: only 1/2^SHRINK of the
 * fine stage is in use, so that a short list needs little cache.
 */
#define SHAKEOFF_ACL_WHICH 0x1u  /* the element in use */
#define SHAKEOFF_ACL_IPV4 0x2u   /* IPv4 prefixes are listed */
#define SHAKEOFF_ACL_IPV6 0x4u   /* IPv6 prefixes */
#define SHAKEOFF_ACL_SCOPED 0x8u /* some for a single service: a second look-up is needed */
#define SHAKEOFF_ACL_FINE(ipv6, i) (((ipv6) ? 0x100u : 0x10u) << (i))
#define SHAKEOFF_ACL_SHRINK_SHIFT 16
#define SHAKEOFF_ACL_SHRINK(acl) ((acl) >> SHAKEOFF_ACL_SHRINK_SHIFT & 0xf)
#define SHAKEOFF_ACL_FAMILY(ipv6) ((ipv6) ? SHAKEOFF_ACL_IPV6 : SHAKEOFF_ACL_IPV4)

enum shakeoff_acl_action {
	SHAKEOFF_ACL_BLOCK, /* everything from the source to a service is dropped */
	SHAKEOFF_ACL_ALLOW, /* the source is exempt from limits, but not from the cookie */
};

/* Part of a key's prefix_len: the scope always counts. */
#define SHAKEOFF_ACL_SCOPE_BITS 32

/* prefix_len: SHAKEOFF_ACL_SCOPE_BITS and the bits of the address. scope: 0: all services. */
struct shakeoff_acl_key4 {
	__u32 prefix_len;
	__u32 scope;
	__be32 address;
};

struct shakeoff_acl_key6 {
	__u32 prefix_len;
	__u32 scope;
	__be32 address[4];
};
_Static_assert(sizeof(struct shakeoff_acl_key4) == 12 && sizeof(struct shakeoff_acl_key6) == 24,
	       "trie keys: no hidden padding");

/* shakeoff_acl_entry.flags */
#define SHAKEOFF_ACL_LOADED 0x1u /* from a file: removed when the next file is loaded */

struct shakeoff_acl_entry {
	__u64 expires_ns; /* 0: never */
	__u8 prefix_len;  /* of the address: 0..32, 0..128; a look-up in a trie does not return it */
	__u8 action;      /* enum shakeoff_acl_action */
	__u8 flags;       /* SHAKEOFF_ACL_* */
	__u8 pad[5];
};
_Static_assert(sizeof(struct shakeoff_acl_entry) == 16, "no hidden padding");

/*
 * Returns the scope of a service: FNV-1a of its name (draft-eastlake-fnv). Services come and go, and their ids change;
 * an entry applies to the service that has the name.
 */
static inline __u32 shakeoff_acl_scope(const char *name)
{
	__u32 hash = 0x811c9dc5u;

	for (; *name; name++)
		hash = (hash ^ (__u8)*name) * 0x01000193u;
	return hash ? hash : 1;
}

/*
 * The filter, in blocks of 32 KiB:
 *
 *	block 0         coarse: two bits for each /16 of IPv4, by address, and two for /32s of IPv6, by hash
 *	                        0: nothing is listed there. MARK_FINE: check the fine stage.
 *	                        MARK_SHORT: listed prefixes are too short for the fine stage: look in the trie
 *	blocks 1..32    fine:   a Bloom filter of prefixes, cut to the next granularity: /24 and /32 of IPv4, /48, /64
 *	                        and /128 of IPv6. All bits of a prefix are in one word
 *	blocks 33..64           a second Bloom filter, for what the first lets through
 *	block 65        notes for processes that change the ACL; the hook does not read it
 *
 * The coarse stage fits into the nearest cache, and with few prefixes it decides nearly every case; each fine filter
 * fits into the next cache. When the list has as many prefixes as the filter is made for, the first fine filter lets
 * one unlisted source in 25 through, and both together let one in 500 through.
 */
#define SHAKEOFF_ACL_BLOCK_WORDS 4096u
#define SHAKEOFF_ACL_FINE_BLOCKS 32u /* of each of the two filters */
#define SHAKEOFF_ACL_NOTES_BLOCK (1 + 2 * SHAKEOFF_ACL_FINE_BLOCKS)
#define SHAKEOFF_ACL_BLOCKS (SHAKEOFF_ACL_NOTES_BLOCK + 1)
#define SHAKEOFF_ACL_FINE_BITS 17u /* log2 of the words of each filter */
#define SHAKEOFF_ACL_SHRINK_MAX 8u
/* Number of prefixes that the filter is made for: eight a word. */
#define SHAKEOFF_ACL_CAPACITY(shrink) (8u << (SHAKEOFF_ACL_FINE_BITS - (shrink)))
#define SHAKEOFF_ACL_COARSE_SLOTS 65536u /* of each family */

struct shakeoff_acl_block {
	__u64 words[SHAKEOFF_ACL_BLOCK_WORDS];
};
/* The last block. names: of the services that have entries of their own, in no order; "" ends the list. */
struct shakeoff_acl_notes {
	__u32 entries; /* approximate number of entries; a changed entry counts again */
	__u32 own;     /* upper bound of entries that were added by hand and not loaded */
	__u32 removed; /* since the filter was made: their bits are still in it */
	/* Of an ACL that is kept for the next program: SHAKEOFF_ABI, and the values of the control map. */
	__u32 kept_abi;
	__u32 kept_acl;
	__u32 kept_expire_s;
	__u32 pad[10];
	char names[SHAKEOFF_MAX_ACL_NAMES][SHAKEOFF_NAME_LEN];
	__u8 pad2[16];
};
_Static_assert(sizeof(struct shakeoff_acl_notes) == sizeof(struct shakeoff_acl_block), "it lies in one");
_Static_assert(2 * 2 * SHAKEOFF_ACL_COARSE_SLOTS == 8 * sizeof(struct shakeoff_acl_block),
	       "both families in one block");

#define SHAKEOFF_ACL_MARK_FINE 0x1u
#define SHAKEOFF_ACL_MARK_SHORT 0x2u
#define SHAKEOFF_ACL_MARKS 0x3u

/* Number of granularities of the fine stage. */
#define SHAKEOFF_ACL_FINES(ipv6) ((ipv6) ? 3u : 2u)

/* Returns the length of granularity i, from 0. */
static inline __attribute__((always_inline)) __u32 shakeoff_acl_fine_len(bool ipv6, __u32 i)
{
	if (ipv6)
		return i == 0 ? 48 : i == 1 ? 64 : 128;
	return i == 0 ? 24 : 32;
}

/* Returns the slot of an address in the coarse stage. address: one word for IPv4, four for IPv6. */
static inline __attribute__((always_inline)) __u32 shakeoff_acl_coarse_slot(bool ipv6, const __be32 *address)
{
	__u32 first = bpf_ntohl(address[0]);

	return ipv6 ? SHAKEOFF_ACL_COARSE_SLOTS + (first * 0x9e3779b1u >> 16) : first >> 16;
}

/* Position of a slot's two bits: the word of block 0, and the shift in it. */
#define SHAKEOFF_ACL_COARSE_WORD(slot) ((slot) >> 5)
#define SHAKEOFF_ACL_COARSE_SHIFT(slot) (((slot)&31) * 2)

/* Constants of xxHash64, which mix well. */
#define SHAKEOFF_ACL_MIX1 0x9e3779b185ebca87ull
#define SHAKEOFF_ACL_MIX2 0xc2b2ae3d27d4eb4full

/* Returns the hash of the address, cut to granularity i. */
static inline __attribute__((always_inline)) __u64 shakeoff_acl_fine_hash(bool ipv6, const __be32 *address, __u32 i)
{
	__u64 hash = bpf_ntohl(address[0]);

	if (ipv6) {
		hash = hash << 32 | bpf_ntohl(address[1]);
		if (i == 0)
			hash &= ~0xffffull;
		if (i == 2)
			hash ^= ((__u64)bpf_ntohl(address[2]) << 32 | bpf_ntohl(address[3])) * SHAKEOFF_ACL_MIX2;
	} else if (i == 0) {
		hash &= ~0xffull;
	}
	hash = (hash ^ (__u64)(i + 1) << 56) * SHAKEOFF_ACL_MIX1;
	hash ^= hash >> 32;
	return hash * SHAKEOFF_ACL_MIX2;
}

struct shakeoff_acl_bits {
	__u32 block, word;
	__u64 mask;
};

/*
 * Returns the position of a hash's bits in one of the two fine filters. It uses the upper bits of a product, which are
 * mixed best.
 */
static inline __attribute__((always_inline)) struct shakeoff_acl_bits shakeoff_acl_fine_bits(__u64 hash, __u32 which,
											     __u32 acl)
{
	struct shakeoff_acl_bits bits;
	__u32 index;

	if (which) {
		hash ^= hash >> 32;
		hash *= SHAKEOFF_ACL_MIX1;
	}
	index = hash >> (64 - SHAKEOFF_ACL_FINE_BITS) >> SHAKEOFF_ACL_SHRINK(acl);
	bits.block = 1 + which * SHAKEOFF_ACL_FINE_BLOCKS + index / SHAKEOFF_ACL_BLOCK_WORDS;
	bits.word = index % SHAKEOFF_ACL_BLOCK_WORDS;
	bits.mask = 1ull << (hash >> 41 & 63) | 1ull << (hash >> 35 & 63) | 1ull << (hash >> 29 & 63);
	return bits;
}

#endif
