/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Publishes the MAC addresses of neighbours to the hook, for `answer = route`. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "shakeoffd/route/routes_internal.h"
#include "common/clock.h"

/* The neighbours of a busy network come and go all the time. */
#define NEIGHBOURS_PERIOD_NS (200 * NS_PER_MS)

static int append_neighbour(const struct interfaces *interfaces, const struct neighbour *neighbour,
			    struct shakeoff_neighbour *keys, struct shakeoff_next_hop *hops, size_t count)
{
	const struct topology *topology = &interfaces->topology;
	const struct link_entry *device = topology_find(topology, neighbour->ifindex);

	for (size_t i = 0; i < interfaces->count && device; i++) {
		const struct link_entry *below = topology_find(topology, interfaces->list[i].ifindex);

		if (!below || !device_is_above(topology, device, below))
			continue;
		memcpy(keys[count].address, &neighbour->address, sizeof(keys[count].address));
		keys[count].route_bit = interfaces_route_bit(interfaces, &interfaces->list[i]);
		memcpy(hops[count].mac, neighbour->mac, sizeof(hops[count].mac));
		return 1;
	}
	return 0;
}

static int publish_neighbours(const struct routes *routes)
{
	const struct interfaces *interfaces = routes->interfaces;
	size_t most = routes->neighbours.count, count = 0;
	struct shakeoff_neighbour *keys = calloc(most + 1, sizeof(*keys));
	struct shakeoff_next_hop *hops = calloc(most + 1, sizeof(*hops));
	int error = keys && hops ? 0 : -ENOMEM;

	for (size_t i = 0; i < most && !error; i++)
		count += (size_t)append_neighbour(interfaces, &routes->neighbours.list[i], keys, hops, count);
	for (size_t i = 0; i < interfaces->datapath_count && !error; i++)
		error = datapath_neighbours_set(interfaces->datapaths[i], keys, hops, count);
	free(keys);
	free(hops);
	return error;
}

/* Entries in the map are right except during an update; gateways are in the routes. */
bool route_neighbours_follow(struct routes *routes, uint64_t now_ns)
{
	bool changed = false;
	int error;

	if (!routes->by_route || !routes->neighbours_changed || now_ns - routes->neighbours_ns < NEIGHBOURS_PERIOD_NS)
		return false;
	routes->neighbours_ns = now_ns;
	routes->neighbours_changed = false;
	error = neighbours_read(&routes->neighbours, &changed);
	if (!error && changed)
		error = publish_neighbours(routes);
	if (error) {
		routes->neighbours_changed = true;
		log_warn_limited("the neighbours could not be listed, or published to the hook: %s", strerror(-error));
	}
	return changed;
}
