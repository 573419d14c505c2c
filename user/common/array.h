/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arrays that grow by one element at a time. */
#ifndef SHAKEOFF_COMMON_ARRAY_H
#define SHAKEOFF_COMMON_ARRAY_H

#include <errno.h>
#include <stdlib.h>

/*
 * Makes room for one element more than the `count` of `size` bytes that the array holds; NULL is an empty one. Its room is the
 * next power of two, so only the count has to be kept. Returns the array, which may have moved, or NULL without memory: the
 * old one is as it was then.
 */
static inline void *array_grow(void *array, size_t count, size_t size)
{
	if (count & (count - 1))
		return array;
	return reallocarray(array, count ? count * 2 : 1, size);
}

/*
 * Appends an item to the array and counts it: array_append(list->entries, list->count, entry). 0, or -ENOMEM: then both are as they
 * were. `array` and `count` are named several times; the item is copied before the array moves, and may be an element of it.
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
