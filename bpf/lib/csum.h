/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The Internet checksum (RFC 1071), summed over 32-bit words as they lie in the packet. */
#ifndef SHAKEOFF_BPF_LIB_CSUM_H
#define SHAKEOFF_BPF_LIB_CSUM_H

#include "lib/compiler.h"

/* Adds `count` 32-bit words. The words of a packet cannot overflow a 64-bit sum. */
static __always_inline __u64 csum_words(__u64 sum, const __u32 *words, int count)
{
	UNROLL
	for (int i = 0; i < count; i++)
		sum += words[i];
	return sum;
}

/*
 * Folds and complements a sum. Returns the checksum field in network byte order. A sum of fewer than 65536 words is
 * below 2^48: the folds leave at most 2^32 + 2^16, then 2^17 - 2, then 2^16 - 1.
 */
static __always_inline __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

#endif
