/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Maps a network prefix (/24 of IPv4, /48 of IPv6) to its counter in a table that all prefixes share. There are such
 * tables for the replies of the hook, and for the SYN-ACKs that the daemon sends again.
 */
#ifndef SHAKEOFF_PREFIX_HASH_H
#define SHAKEOFF_PREFIX_HASH_H

#include <shakeoff/byteorder.h>
#include <shakeoff/types.h>

/* Returns the prefix of an address (as in the packet) as a number. Prefixes of a family have different numbers. */
static inline __attribute__((always_inline)) __u64 shakeoff_prefix_number(bool ipv6, const __be32 *address)
{
	if (ipv6)
		return address[0] | (__u64)(address[1] & bpf_htonl(0xffff0000)) << 32;
	return address[0] & bpf_htonl(0xffffff00);
}

/*
 * Returns the index of a number's counter in a table of 2^bits. It is multiply-shift hashing with a random odd factor,
 * so that an attacker does not know which prefixes share a counter: Dietzfelbinger, Hagerup, Katajainen and Penttonen,
 * "A reliable randomized algorithm for the closest-pair problem", Journal of Algorithms 25 (1997).
 */
static inline __attribute__((always_inline)) __u32 shakeoff_hash_index(__u64 number, __u64 factor, __u32 bits)
{
	return number * factor >> (64 - bits);
}

#endif
