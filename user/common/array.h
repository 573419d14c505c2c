/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arrays that grow by one element at a time. */
#ifndef SHAKEOFF_COMMON_ARRAY_H
#define SHAKEOFF_COMMON_ARRAY_H

#include <errno.h>
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

/*
 * Appends an item to the array and counts it: array_append(list->entries, list->count, entry). Returns 0, or -ENOMEM
 * without a change. `array` and `count` are evaluated several times. The item may be an element of the array: it is
 * copied before the array moves.
 */
#define array_append(array, count, ...)                                                                                \
	({                                                                                                             \
		__typeof__(*(array)) item_ = __VA_ARGS__;                                                              \
		__typeof__(array) grown_ = array_grow((array), (count), sizeof(item_));                                \
                                                                                                                       \
		if (grown_) {                                                                                          \
			(array) = grown_;                                                                              \
			(array)[(count)++] = item_;                                                                    \
		}                                                                                                      \
		grown_ ? 0 : -ENOMEM;                                                                                  \
	})

#endif
