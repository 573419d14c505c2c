/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arrays that grow by one element at a time. */
#ifndef SHAKEOFF_ARRAY_H
#define SHAKEOFF_ARRAY_H

#include <stdlib.h>

/*
 * Makes room for an element more than the `count` elements of `size` bytes in the array; NULL is an empty array. The
 * capacity is the next power of two, so only the count has to be kept. Returns the array, which may have moved, or NULL
 * without memory: then the old array is unchanged.
 */
static inline void *array_grow(void *array, size_t count, size_t size)
{
	if (count & (count - 1))
		return array;
	return reallocarray(array, count ? count * 2 : 1, size);
}

#endif
