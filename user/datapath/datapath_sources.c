/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Iterates over the map of sources. */
#include "datapath/datapath_internal.h"

struct iter {
	datapath_source_fn callback;
	void *context;
};

static bool visit(void *context, const void *key, const void *value)
{
	const struct iter *iter = context;

	iter->callback(iter->context, key, value);
	return false;
}

int datapath_source_each(struct datapath *datapath, datapath_source_fn callback, void *context)
{
	struct iter iter = { callback, context };

	return map_each(datapath->maps[MAP_SOURCES], sizeof(struct shakeoff_source_key), sizeof(struct shakeoff_source),
			visit, &iter);
}
