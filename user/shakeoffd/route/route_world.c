/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The world in which routes are read: devices, profiles of the interfaces, and sysctls. */
#include <stdlib.h>

#include "shakeoffd/hook/advmss.h"
#include "shakeoffd/route/routes_internal.h"

/* Returns whether the hook answers there by the routes that are read; a VRF has others. */
static bool is_answered(const struct interface *interface)
{
	return interface->ifindex && !interface->in_vrf && !interface->unserved;
}

/* Returns the values in which all interfaces agree. */
static struct route_usual usual_of(const struct interfaces *interfaces, bool ipv6)
{
	struct route_usual usual = { 0 };
	bool first = true;

	for (size_t i = 0; i < interfaces->count; i++) {
		const struct interface *interface = &interfaces->list[i];
		const struct shakeoff_interface *profile = &interface->profile;

		if (!is_answered(interface))
			continue;
		if (first)
			usual = (struct route_usual){ profile->mss[ipv6], profile->hop_limit[ipv6] };
		if (usual.mss != profile->mss[ipv6])
			usual.mss = 0;
		if (usual.hop_limit != profile->hop_limit[ipv6])
			usual.hop_limit = 0;
		first = false;
	}
	return usual;
}

bool route_world_has_interface(const struct interfaces *interfaces)
{
	for (size_t i = 0; i < interfaces->count; i++)
		if (is_answered(&interfaces->list[i]))
			return true;
	return false;
}

/*
 * Returns whether rp_filter is strict as in IN_DEV_RPFILTER() (include/linux/inetdevice.h). If several devices may take
 * the packets in, the strictest counts.
 */
static bool is_strict(const struct routes *routes, const struct interface *interface)
{
	const struct topology *topology = &routes->interfaces->topology;
	const struct link_entry *below = topology_find(topology, interface->ifindex);
	int all = sysctls_get(routes->sysctls, SYSCTL_RP_FILTER, 0, 0);

	for (size_t i = 0; i < topology->count && below; i++) {
		const struct device *device = devices_find(routes->world.devices, topology->list[i].ifindex);
		int own = device ? (int)device->rp_filter : 0;

		if ((own > all ? own : all) == 1 && device_is_above(topology, &topology->list[i], below))
			return true;
	}
	return false;
}

/* Finds the devices by which packets of a strict interface are answered: the interface itself and those above it. */
static void find_ways(struct routes *routes)
{
	const struct interfaces *interfaces = routes->interfaces;
	const struct topology *topology = &interfaces->topology;
	struct route_world *world = &routes->world;

	world->strict = 0;
	world->way_count = 0;
	free(routes->ways);
	routes->ways = calloc(topology->count + 1, sizeof(*routes->ways));
	world->ways = routes->ways;
	for (size_t i = 0; i < topology->count && routes->ways; i++)
		routes->ways[world->way_count++].ifindex = topology->list[i].ifindex;
	for (size_t i = 0; i < interfaces->count; i++) {
		const struct interface *interface = &interfaces->list[i];
		const struct link_entry *below = topology_find(topology, interface->ifindex);
		uint32_t bit = interfaces_route_bit(interfaces, interface);

		if (!is_answered(interface) || (!routes->by_route && !is_strict(routes, interface)))
			continue;
		world->strict |= bit;
		for (size_t w = 0; w < world->way_count; w++)
			if (!below || !device_is_above(topology, &topology->list[w], below))
				routes->ways[w].refused |= bit;
	}
	if (world->way_count)
		qsort(routes->ways, world->way_count, sizeof(*routes->ways), route_way_compare);
}

void route_world_look(struct routes *routes)
{
	struct route_world *world = &routes->world;

	find_ways(routes);
	for (int ipv6 = 0; ipv6 < 2; ipv6++)
		world->usual[ipv6] = usual_of(routes->interfaces, ipv6);
	world->min_adv_mss[0] = (uint32_t)sysctls_get(routes->sysctls, SYSCTL_MIN_ADV_MSS4, 0, ADVMSS_MIN4_DEFAULT);
	world->min_adv_mss[1] = (uint32_t)sysctls_get(routes->sysctls, SYSCTL_MIN_ADV_MSS6, 0, ADVMSS_MIN6_DEFAULT);
}
