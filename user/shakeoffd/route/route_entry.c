/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <linux/icmpv6.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "shakeoffd/route/route_entry.h"
#include "common/tuple.h"

/* TCP_CONG_NEEDS_ECN: on routes with such a congestion control the kernel accepts ECN whatever the sysctl is. */
#define ECN_CONGESTION_CONTROL "dctcp"

static uint32_t number(const struct nlattr *attribute)
{
	return mnl_attr_validate(attribute, MNL_TYPE_U32) < 0 ? 0 : mnl_attr_get_u32(attribute);
}

/* ---------------------------------------------------------------------------------------------------------- metrics */

static bool needs_ecn(const struct nlattr *name)
{
	const size_t size = sizeof(ECN_CONGESTION_CONTROL);

	return mnl_attr_get_payload_len(name) == size &&
	       !memcmp(mnl_attr_get_payload(name), ECN_CONGESTION_CONTROL, size);
}

static void take_metrics(struct route_metrics *metrics, const struct nlattr *list)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, list) {
		switch (mnl_attr_get_type(attribute)) {
		case RTAX_LOCK: metrics->mtu_locked = number(attribute) & 1u << RTAX_MTU; break;
		case RTAX_MTU: metrics->mtu = number(attribute); break;
		case RTAX_ADVMSS: metrics->advmss = number(attribute); break;
		case RTAX_WINDOW: metrics->window = number(attribute); break;
		case RTAX_INITRWND: metrics->initrwnd = number(attribute); break;
		case RTAX_HOPLIMIT: metrics->hop_limit = number(attribute); break;
		case RTAX_FEATURES: metrics->ecn |= number(attribute) & RTAX_FEATURE_ECN; break;
		case RTAX_CC_ALGO: metrics->ecn |= needs_ecn(attribute); break;
		}
	}
}

/* -------------------------------------------------------------------------------------------------------- next hops */

void route_entry_add_hop(struct route_entry *route, const struct route_hop *hop)
{
	for (size_t i = 0; i < route->hop_count; i++)
		if (route->hops[i].ifindex == hop->ifindex && route->hops[i].gateway == hop->gateway) {
			route->hops[i].several |= !IN6_ARE_ADDR_EQUAL(&route->hops[i].via, &hop->via);
			return;
		}
	if (route->hop_count == ROUTE_HOPS_MAX)
		route->hops_unknown = true;
	else
		route->hops[route->hop_count++] = *hop;
}

/* Takes the gateway. RTA_GATEWAY is of the route's family, RTA_VIA of another. */
static void take_gateway(struct route_hop *hop, const struct nlattr *attribute)
{
	const struct rtvia *via = mnl_attr_get_payload(attribute);
	size_t size = mnl_attr_get_payload_len(attribute);

	hop->gateway = true;
	if (mnl_attr_get_type(attribute) == RTA_GATEWAY && (size == 4 || size == sizeof(hop->via)))
		address_map(size == 4 ? AF_INET : AF_INET6, mnl_attr_get_payload(attribute), &hop->via);
	else if (mnl_attr_get_type(attribute) == RTA_VIA && via->rtvia_family == AF_INET6 &&
		 size == sizeof(*via) + sizeof(hop->via))
		address_map(AF_INET6, via->rtvia_addr, &hop->via);
}

static int note_gateway(const struct nlattr *attribute, void *context)
{
	if (mnl_attr_get_type(attribute) == RTA_GATEWAY || mnl_attr_get_type(attribute) == RTA_VIA)
		take_gateway(context, attribute);
	return MNL_CB_OK;
}

static void take_hops(struct route_entry *route, const struct nlattr *multipath)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(multipath);
	int remaining = mnl_attr_get_payload_len(multipath);

	for (; RTNH_OK(hop, remaining); remaining -= (int)RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		struct route_hop found = { .ifindex = (unsigned int)hop->rtnh_ifindex };

		/*
		 * The kernel also sets it if the link is down and net.ipv4.conf.IFACE.ignore_routes_with_linkdown is
		 * set.
		 */
		if (hop->rtnh_flags & RTNH_F_DEAD)
			continue;
		if (hop->rtnh_len > sizeof(*hop))
			mnl_attr_parse_payload(RTNH_DATA(hop), hop->rtnh_len - sizeof(*hop), note_gateway, &found);
		route_entry_add_hop(route, &found);
	}
}

/* --------------------------------------------------------------------------------------------------------- the rest */

static bool has_expired(const struct nlattr *cacheinfo)
{
	struct rta_cacheinfo info;

	if (mnl_attr_get_payload_len(cacheinfo) < sizeof(info))
		return false;
	memcpy(&info, mnl_attr_get_payload(cacheinfo), sizeof(info));
	return info.rta_expires < 0;
}

static uint8_t preference(uint8_t wire)
{
	switch (wire) {
	case ICMPV6_ROUTER_PREF_HIGH: return 2;
	case ICMPV6_ROUTER_PREF_LOW: return 0;
	default: return 1;
	}
}

/* Services have no such addresses, and clients with such addresses have routes on every device. */
static bool is_link_local_or_multicast(const struct prefix *prefix)
{
	const uint8_t *byte = (const uint8_t *)prefix->address;

	if (!prefix->ipv6)
		return prefix->len >= 4 && byte[0] >= 224;
	return (prefix->len >= 8 && byte[0] == 0xff) ||
	       (prefix->len >= 10 && byte[0] == 0xfe && (byte[1] & 0xc0) == 0x80);
}

static bool rejects(uint8_t type)
{
	return type == RTN_BLACKHOLE || type == RTN_UNREACHABLE || type == RTN_PROHIBIT;
}

static bool begin(const struct rtmsg *message, struct route_entry *route)
{
	bool ipv6 = message->rtm_family == AF_INET6;

	if ((!ipv6 && message->rtm_family != AF_INET) ||
	    (message->rtm_type != RTN_UNICAST && message->rtm_type != RTN_THROW && !rejects(message->rtm_type)) ||
	    message->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD) || message->rtm_dst_len > PREFIX_LEN_MAX(ipv6))
		return false;
	*route = (struct route_entry){
		.prefix = { .len = message->rtm_dst_len, .ipv6 = ipv6 },
		.table = message->rtm_table,
		.preference = 1,
		.partial = message->rtm_tos != 0 || message->rtm_src_len != 0,
		.throws = message->rtm_type == RTN_THROW,
		.rejects = rejects(message->rtm_type),
	};
	return true;
}

bool route_entry_parse(const struct nlmsghdr *header, struct route_entry *route)
{
	const struct rtmsg *message = mnl_nlmsg_get_payload(header);
	const struct nlattr *attribute;
	struct route_hop hop = { 0 };

	if (mnl_nlmsg_get_payload_len(header) < sizeof(*message) || !begin(message, route))
		return false;
	mnl_attr_for_each(attribute, header, sizeof(*message)) {
		switch (mnl_attr_get_type(attribute)) {
		case RTA_DST:
			if (mnl_attr_get_payload_len(attribute) > sizeof(route->prefix.address))
				return false;
			memcpy(route->prefix.address, mnl_attr_get_payload(attribute),
			       mnl_attr_get_payload_len(attribute));
			break;
		case RTA_TABLE: route->table = number(attribute); break;
		case RTA_PRIORITY: route->priority = number(attribute); break;
		case RTA_OIF: hop.ifindex = number(attribute); break;
		case RTA_GATEWAY:
		case RTA_VIA: take_gateway(&hop, attribute); break;
		case RTA_MULTIPATH: take_hops(route, attribute); break;
		case RTA_METRICS: take_metrics(&route->metrics, attribute); break;
		case RTA_PREF:
			if (mnl_attr_validate(attribute, MNL_TYPE_U8) >= 0)
				route->preference = preference(mnl_attr_get_u8(attribute));
			break;
		case RTA_CACHEINFO:
			if (has_expired(attribute))
				return false;
			break;
		case RTA_NH_ID: route->nexthop = number(attribute); break;
		}
	}
	if (hop.ifindex)
		route_entry_add_hop(route, &hop);
	if (route->hop_count)
		route->nexthop = 0;
	if (route->rejects || route->throws) { /* IPv6 names lo */
		route->hop_count = 0;
		route->nexthop = 0;
	}
	return (route->hop_count || route->nexthop || route->rejects || route->throws) &&
	       !is_link_local_or_multicast(&route->prefix);
}
