/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Comparison of bytes. For some sizes clang for BPF would call memcmp(), which does not exist there. */
#ifndef SHAKEOFF_BPF_LIB_BYTES_H
#define SHAKEOFF_BPF_LIB_BYTES_H

#include "lib/compiler.h"

/* Compares an even, constant number of bytes at even addresses. */
static __always_inline bool same_bytes(const void *a, const void *b, __u32 len)
{
	const __u16 *first = a, *second = b;
	__u16 difference = 0;

	UNROLL
	for (__u32 i = 0; i < len / 2; i++)
		difference |= first[i] ^ second[i];
	return !difference;
}

#endif
