/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The host's own addresses in the datapaths' maps: sources that cannot arrive by wire, and prefixes that belong to the
 * host.
 */
#ifndef SHAKEOFFD_DISCOVERY_OWN_PUBLISH_H
#define SHAKEOFFD_DISCOVERY_OWN_PUBLISH_H

#include <stddef.h>

#include "datapath/datapath.h"
#include "shakeoffd/discovery/own_addresses.h"

struct own_publisher {
	struct datapath *const *datapaths;
	size_t count;
	struct own_route *list; /* what the maps have, sorted */
	size_t list_count;
	bool cleared; /* entries of an earlier daemon are removed */
};

/* Makes the maps agree with the routes of `own`. On failure some may be missing; the next call tries again. */
int own_publish(struct own_publisher *publisher, const struct own_addresses *own);
void own_publisher_close(struct own_publisher *publisher);

#endif
