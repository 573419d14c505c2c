/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "shakeoffd/discovery/own_addresses.h"
#include "shakeoffd/sys/rtnetlink.h"
#include "common/tuple.h"

bool own_addresses_may_have(const struct in6_addr *address)
{
	if (IN6_IS_ADDR_V4MAPPED(address)) {
		const uint8_t *byte = &address->s6_addr[12];

		return byte[0] != 127 && !(byte[0] == 169 && byte[1] == 254) && byte[0] != 0 && byte[0] < 224;
	}
	return !IN6_IS_ADDR_LOOPBACK(address) && !IN6_IS_ADDR_LINKLOCAL(address) && !IN6_IS_ADDR_MULTICAST(address) &&
	       !IN6_IS_ADDR_UNSPECIFIED(address);
}

static int remember(struct own_addresses *own, const struct in6_addr *address)
{
	if (!own_addresses_may_have(address))
		return 0;
	return array_append(own->list, own->count, *address);
}

static int address_message(const struct nlmsghdr *header, void *context)
{
	struct rtnetlink_address address;

	/*
	 * Duplicate address detection (RFC 4862, section 5.4) is not finished or failed, so it is not the host's
	 * address.
	 */
	if (!rtnetlink_address_read(header, &address) ||
	    (address.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) && !(address.flags & IFA_F_OPTIMISTIC)))
		return MNL_CB_OK;
	return remember(context, &address.local) ? MNL_CB_ERROR : MNL_CB_OK;
}

/* ----------------------------------------------------------------------------------------------------- local routes */

static int remember_route(struct own_addresses *own, const struct own_route *route)
{
	struct in6_addr first;

	if (array_append(own->routes, own->route_count, *route))
		return -ENOMEM;
	address_map(route->prefix.ipv6 ? AF_INET6 : AF_INET, route->prefix.address, &first);
	return route->local ? remember(own, &first) : 0;
}

/*
 * Returns whether a route counts. A local route for all addresses belongs to a transparent proxy (ip-route(8), type
 * local): these addresses stay possible sources.
 */
static bool is_wanted(const struct own_route *route)
{
	const uint8_t *byte = (const uint8_t *)route->prefix.address;

	return route->prefix.len && (route->prefix.ipv6 || byte[0] != 127);
}

static int route_message(const struct nlmsghdr *header, void *context)
{
	const struct rtmsg *message = mnl_nlmsg_get_payload(header);
	bool ipv6 = message->rtm_family == AF_INET6;
	const struct nlattr *attribute;
	struct own_route route = { .prefix = { .len = message->rtm_dst_len, .ipv6 = ipv6 } };

	if (header->nlmsg_type != RTM_NEWROUTE || message->rtm_table != RT_TABLE_LOCAL ||
	    (message->rtm_type != RTN_LOCAL && message->rtm_type != RTN_BROADCAST &&
	     message->rtm_type != RTN_ANYCAST) ||
	    message->rtm_flags & RTM_F_CLONED || message->rtm_dst_len > PREFIX_LEN_MAX(ipv6))
		return MNL_CB_OK;
	route.local = message->rtm_type == RTN_LOCAL;
	mnl_attr_for_each(attribute, header, sizeof(*message))
		if (mnl_attr_get_type(attribute) == RTA_DST &&
		    mnl_attr_get_payload_len(attribute) == (ipv6 ? sizeof(struct in6_addr) : sizeof(struct in_addr)))
			memcpy(route.prefix.address, mnl_attr_get_payload(attribute),
			       mnl_attr_get_payload_len(attribute));
	return is_wanted(&route) && remember_route(context, &route) ? MNL_CB_ERROR : MNL_CB_OK;
}

int own_route_compare(const void *a, const void *b)
{
	const struct own_route *first = a, *second = b;
	int order = (int)first->prefix.ipv6 - (int)second->prefix.ipv6;

	if (!order)
		order = memcmp(first->prefix.address, second->prefix.address, sizeof(first->prefix.address));
	return order ? order : (int)first->prefix.len - (int)second->prefix.len;
}

/* Sorts the routes and removes duplicates: two devices may have the same route. */
static void sort_routes(struct own_addresses *own)
{
	size_t distinct = 0;

	if (own->route_count)
		qsort(own->routes, own->route_count, sizeof(*own->routes), own_route_compare);
	for (size_t i = 0; i < own->route_count; i++) {
		if (distinct && !own_route_compare(&own->routes[distinct - 1], &own->routes[i]))
			own->routes[distinct - 1].local |= own->routes[i].local;
		else
			own->routes[distinct++] = own->routes[i];
	}
	own->route_count = distinct;
}

static bool holds(const struct prefix *prefix, const __be32 *address)
{
	const uint8_t *a = (const uint8_t *)prefix->address, *b = (const uint8_t *)address;
	size_t bytes = prefix->len / 8, bits = prefix->len % 8;

	return !memcmp(a, b, bytes) && (!bits || !((a[bytes] ^ b[bytes]) >> (8 - bits)));
}

/* Returns the prefix of a local route that holds this and other addresses, or NULL. */
static const struct prefix *local_prefix(const struct own_addresses *own, const struct in6_addr *address)
{
	bool ipv6 = !IN6_IS_ADDR_V4MAPPED(address);
	const __be32 *words = (const __be32 *)&address->s6_addr[ipv6 ? 0 : 12];

	for (size_t i = 0; i < own->route_count; i++) {
		const struct own_route *route = &own->routes[i];

		if (route->local && route->prefix.ipv6 == ipv6 && route->prefix.len < PREFIX_LEN_MAX(ipv6) &&
		    holds(&route->prefix, words))
			return &route->prefix;
	}
	return NULL;
}

/* ------------------------------------------------------------------------------------------------------------- both */

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct in6_addr));
}

/* Sorts the addresses and removes duplicates: two interfaces may have the same address. */
static void sort(struct own_addresses *own)
{
	size_t distinct = 0;

	if (own->count)
		qsort(own->list, own->count, sizeof(*own->list), compare);
	for (size_t i = 0; i < own->count; i++)
		if (!distinct || compare(&own->list[distinct - 1], &own->list[i]))
			own->list[distinct++] = own->list[i];
	own->count = distinct;
}

int own_addresses_read(struct own_addresses *own)
{
	struct own_addresses fresh = { 0 };
	int error = rtnetlink_addresses(address_message, &fresh, &fresh.count);

	if (!error)
		error = rtnetlink_local_routes(route_message, &fresh);
	if (error) {
		own_addresses_free(&fresh);
		return error;
	}
	sort(&fresh);
	sort_routes(&fresh);
	own_addresses_free(own);
	*own = fresh;
	return 0;
}

void own_addresses_free(struct own_addresses *own)
{
	free(own->list);
	free(own->routes);
	*own = (struct own_addresses){ 0 };
}

bool own_addresses_have(const struct own_addresses *own, const struct in6_addr *address)
{
	return (own->count && bsearch(address, own->list, own->count, sizeof(*address), compare)) ||
	       (own->route_count && own_addresses_may_have(address) && local_prefix(own, address));
}

bool own_addresses_equal(const struct own_addresses *a, const struct own_addresses *b)
{
	if (a->count != b->count || a->route_count != b->route_count)
		return false;
	for (size_t i = 0; i < a->route_count; i++)
		if (own_route_compare(&a->routes[i], &b->routes[i]) || a->routes[i].local != b->routes[i].local)
			return false;
	return !a->count || !memcmp(a->list, b->list, a->count * sizeof(*a->list));
}
