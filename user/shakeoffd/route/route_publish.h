/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Makes the datapaths' tries of routes agree with the routes to publish. */
#ifndef SHAKEOFFD_ROUTE_ROUTE_PUBLISH_H
#define SHAKEOFFD_ROUTE_ROUTE_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"
#include "shakeoffd/route/route_table.h"

struct route_list {
	struct route_published *list; /* sorted */
	size_t count;
};

/* Ids of offers. An offer in use keeps its id, and a free id is not used again soon. */
struct route_ids {
	struct shakeoff_route *list; /* offers with their ids */
	size_t count;
	uint16_t last;
};

struct route_publisher {
	struct datapath *const *datapaths;
	size_t count;
	struct route_list *lists; /* [datapath * 2 + ipv6]: contents of the maps */
	struct route_ids ids;
};

/* Reads what an earlier daemon left. */
int route_publisher_open(struct route_publisher *publisher, struct datapath *const *datapaths, size_t count);
void route_publisher_close(struct route_publisher *publisher);

/* Makes the tries of a family agree with a sorted list, and fills in its ids. On failure the tries are empty. */
int route_publish(struct route_publisher *publisher, bool ipv6, struct route_published *list, size_t count);

#endif
