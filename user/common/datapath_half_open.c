/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The walk over the map of half-open connections. */
#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/datapath_internal.h"

/* Elements that one system call brings. A bucket of the map has to fit: there are as many buckets as it may have elements. */
#define BATCH 256

struct batch {
	struct shakeoff_tuple tuples[BATCH];
	struct shakeoff_half_open entries[BATCH];
};

int datapath_half_open_each(struct datapath *datapath, datapath_half_open_fn callback, void *context)
{
	cleanup_free struct batch *batch = malloc(sizeof(*batch));
	int fd = datapath->maps[MAP_HALF_OPEN], result = 0;
	uint32_t position, *from = NULL;

	if (!batch)
		return -ENOMEM;
	while (!result) {
		uint32_t count = BATCH;

		result = bpf_map_lookup_batch(fd, from, &position, batch->tuples, batch->entries, &count, NULL) ?
				 -errno :
				 0;
		if (result && result != -ENOENT)
			return result;
		for (uint32_t i = 0; i < count; i++)
			if (callback(context, &batch->tuples[i], &batch->entries[i]))
				bpf_map_delete_elem(fd, &batch->tuples[i]);
		from = &position;
	}
	return 0; /* -ENOENT: that was the last batch */
}

bool datapath_half_open_is_empty(struct datapath *datapath)
{
	struct shakeoff_tuple first;

	return bpf_map_get_next_key(datapath->maps[MAP_HALF_OPEN], NULL, &first) != 0;
}
