/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rates of very many prefixes in very little memory: counters that prefixes share by a salted hash, so that a count is
 * never too low. A cell belongs to the window in which it was last incremented; in another window it counts as empty.
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

/* Returns a cell of this window with a count. */
static __always_inline __u16 sketch_cell(__u32 window, __u32 count)
{
	return window << 8 | count;
}

/* Returns the cell's count in this window plus 1. */
static __always_inline __u32 sketch_next(__u16 cell, __u32 window)
{
	__u16 count = cell - sketch_cell(window, 0);

	return count <= SKETCH_COUNT_MAX ? count + 1u : 1u;
}

#endif
