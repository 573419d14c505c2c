/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rates of very many prefixes in very little memory: counters that prefixes share by a salted hash, so that a count is never too
 * low. A cell is of the window in which it was last counted up; of another window it is empty.
 *
 *	 15            8 7             0
 *	+---------------+---------------+
 *	| window        | count         |    window: its number's lowest bits
 *	+---------------+---------------+
 */
#ifndef SHAKEOFF_BPF_LIB_SKETCH_H
#define SHAKEOFF_BPF_LIB_SKETCH_H

#include "lib/compiler.h"

#define SKETCH_COUNT_MAX 255u

/* A cell of this window, with a count. */
static __always_inline __u16 sketch_cell(__u32 window, __u32 count)
{
	return window << 8 | count;
}

/* What the cell counts, with one more. */
static __always_inline __u32 sketch_next(__u16 cell, __u32 window)
{
	__u16 count = cell - sketch_cell(window, 0);

	return count <= SKETCH_COUNT_MAX ? count + 1u : 1u;
}

#endif
