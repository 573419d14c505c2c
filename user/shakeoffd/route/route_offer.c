/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "shakeoffd/hook/advmss.h"
#include "shakeoffd/route/route_offer.h"

#define MTU_UNKNOWN 576 /* for a path with a locked MTU of unknown size */

/* Returns the MTU: ip_dst_mtu_maybe_forward(), include/net/ip.h */
static uint32_t mtu4(const struct route_metrics *metrics, const struct device *device, bool gateway)
{
	if (metrics->mtu)
		return metrics->mtu;
	return metrics->mtu_locked && gateway && device->mtu > MTU_UNKNOWN ? MTU_UNKNOWN : device->mtu;
}

/* Returns the MSS: dst_metric_advmss(), include/net/dst.h; ip6_dst_mtu_maybe_forward(), include/net/ip6_route.h */
static uint16_t mss_of(const struct route_world *world, const struct route_entry *route, const struct route_hop *hop,
		       const struct device *device)
{
	const struct route_metrics *metrics = &route->metrics;

	if (metrics->advmss)
		return metrics->advmss < UINT16_MAX ? (uint16_t)metrics->advmss : UINT16_MAX;
	if (!route->prefix.ipv6)
		return advmss4(mtu4(metrics, device, hop->gateway), world->min_adv_mss[0]);
	return advmss6(metrics->mtu ? metrics->mtu : device->mtu6, world->min_adv_mss[1]);
}

/*
 * Returns the hop limit, or 0 for the usual one: ip6_dst_hoplimit(), net/ipv6/output_core.c; for IPv4 the sysctl is the
 * same for all.
 */
static uint8_t hop_limit_of(const struct route_world *world, const struct route_entry *route,
			    const struct device *device)
{
	uint8_t limit = (uint8_t)route->metrics.hop_limit;

	if (!limit && route->prefix.ipv6)
		limit = (uint8_t)device->hop_limit;
	return limit == world->usual[route->prefix.ipv6].hop_limit ? 0 : limit;
}

/* Fills in the next hop. A gateway whose MAC address is not known is left out, so its packets pass to the kernel. */
static void fill_next_hop(const struct route_world *world, const struct route_hop *hop, struct shakeoff_route *offer)
{
	const struct neighbour *neighbour;

	if (!world->neighbours)
		return;
	offer->on_link = !hop->gateway;
	neighbour = hop->gateway && !hop->several ? neighbours_find(world->neighbours, hop->ifindex, &hop->via) : NULL;
	if (neighbour)
		memcpy(offer->mac, neighbour->mac, sizeof(offer->mac));
}

bool route_offer(const struct route_world *world, const struct route_entry *route, const struct route_hop *hop,
		 struct shakeoff_route *offer)
{
	const struct device *device = devices_find(world->devices, hop->ifindex);
	const struct route_metrics *metrics = &route->metrics;
	uint16_t mss;

	if (!device)
		return false;
	mss = mss_of(world, route, hop, device);
	*offer = (struct shakeoff_route){
		.window = metrics->window,
		.mss = mss == world->usual[route->prefix.ipv6].mss ? 0 : mss,
		.initrwnd = metrics->initrwnd < UINT16_MAX ? (uint16_t)metrics->initrwnd : UINT16_MAX,
		.hop_limit = hop_limit_of(world, route, device),
		.ecn = metrics->ecn,
	};
	fill_next_hop(world, hop, offer);
	return true;
}

int route_way_compare(const void *a, const void *b)
{
	const struct route_way *first = a, *second = b;

	return first->ifindex < second->ifindex ? -1 : first->ifindex > second->ifindex;
}

static uint32_t refused_by(const struct route_world *world, unsigned int ifindex)
{
	const struct route_way key = { .ifindex = ifindex }, *way = NULL;

	if (world->way_count)
		way = bsearch(&key, world->ways, world->way_count, sizeof(key), route_way_compare);
	return way ? way->refused : world->strict;
}

uint32_t route_refused(const struct route_world *world, const struct route_entry *route)
{
	uint32_t refused = world->strict;

	if (route->rejects || route->throws)
		return SHAKEOFF_ROUTE_REFUSED_ALL;
	if (route->prefix.ipv6 && !world->neighbours)
		return 0;
	for (size_t i = 0; i < route->hop_count; i++)
		refused &= refused_by(world, route->hops[i].ifindex);
	return refused;
}

bool route_offer_equal(const struct shakeoff_route *a, const struct shakeoff_route *b)
{
	return a->window == b->window && a->mss == b->mss && a->initrwnd == b->initrwnd &&
	       a->hop_limit == b->hop_limit && a->ecn == b->ecn && a->refused == b->refused &&
	       !memcmp(a->mac, b->mac, sizeof(a->mac)) && a->on_link == b->on_link;
}

bool route_offer_is_trivial(const struct shakeoff_route *offer)
{
	const struct shakeoff_route nothing = { 0 };

	return route_offer_equal(offer, &nothing);
}
