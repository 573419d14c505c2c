/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The walk over the map of sources. */
#include "datapath/datapath_internal.h"

struct walk {
	datapath_source_fn callback;
	void *context;
};

static bool visit(void *context, const void *key, const void *value)
{
	const struct walk *walk = context;

	walk->callback(walk->context, key, value);
	return false;
}

int datapath_source_each(struct datapath *datapath, datapath_source_fn callback, void *context)
{
	struct walk walk = { callback, context };

	return map_each(datapath->maps[MAP_SOURCES], sizeof(struct shakeoff_source_key), sizeof(struct shakeoff_source),
			visit, &walk);
}
