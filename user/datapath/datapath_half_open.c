/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Iterates over the map of half-open connections. */
#include "datapath/datapath_internal.h"

struct iter {
	datapath_half_open_fn callback;
	void *context;
};

static bool visit(void *context, const void *key, const void *value)
{
	const struct iter *iter = context;

	return iter->callback(iter->context, key, value);
}

int datapath_half_open_each(struct datapath *datapath, datapath_half_open_fn callback, void *context)
{
	struct iter iter = { callback, context };

	return map_each(datapath->maps[MAP_HALF_OPEN], sizeof(struct shakeoff_tuple), sizeof(struct shakeoff_half_open),
			visit, &iter);
}

bool datapath_half_open_is_empty(struct datapath *datapath)
{
	struct shakeoff_tuple first;

	return bpf_map_get_next_key(datapath->maps[MAP_HALF_OPEN], NULL, &first) != 0;
}
