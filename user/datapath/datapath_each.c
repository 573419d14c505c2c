/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Iterates over hash maps, many elements at a time: half-open connections, sources. */
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

struct half_open_iter {
	datapath_half_open_fn callback;
	void *context;
};

static bool visit_half_open(void *context, const void *key, const void *value)
{
	const struct half_open_iter *iter = context;

	return iter->callback(iter->context, key, value);
}

int datapath_half_open_each(struct datapath *datapath, datapath_half_open_fn callback, void *context)
{
	struct half_open_iter iter = { callback, context };

	return map_each(datapath->maps[MAP_HALF_OPEN], sizeof(struct shakeoff_tuple), sizeof(struct shakeoff_half_open),
			visit_half_open, &iter);
}

bool datapath_half_open_is_empty(struct datapath *datapath)
{
	struct shakeoff_tuple first;

	return bpf_map_get_next_key(datapath->maps[MAP_HALF_OPEN], NULL, &first) != 0;
}

struct source_iter {
	datapath_source_fn callback;
	void *context;
};

static bool visit_source(void *context, const void *key, const void *value)
{
	const struct source_iter *iter = context;

	iter->callback(iter->context, key, value);
	return false;
}

int datapath_source_each(struct datapath *datapath, datapath_source_fn callback, void *context)
{
	struct source_iter iter = { callback, context };

	return map_each(datapath->maps[MAP_SOURCES], sizeof(struct shakeoff_source_key), sizeof(struct shakeoff_source),
			visit_source, &iter);
}
