/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Iterates over a hash map, many elements at a time. */
#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "datapath/datapath_internal.h"

/* Elements of a system call. A bucket of the map has to fit: there are as many buckets as the map may have elements. */
#define BATCH 256

int map_each(int fd, size_t key_size, size_t value_size, map_each_fn callback, void *context)
{
	cleanup_free char *keys = malloc(BATCH * key_size), *values = malloc(BATCH * value_size);
	uint32_t position, *from = NULL;
	int result = 0;

	if (!keys || !values)
		return -ENOMEM;
	while (!result) {
		uint32_t count = BATCH;

		result = bpf_map_lookup_batch(fd, from, &position, keys, values, &count, NULL) ? -errno : 0;
		if (result && result != -ENOENT)
			return result;
		for (uint32_t i = 0; i < count; i++)
			if (callback(context, keys + i * key_size, values + i * value_size))
				bpf_map_delete_elem(fd, keys + i * key_size);
		from = &position;
	}
	return 0; /* -ENOENT: that was the last batch */
}
