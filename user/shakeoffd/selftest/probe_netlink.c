/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "common/tuple.h"
#include "shakeoffd/selftest/probe_netlink.h"
#include "shakeoffd/sys/rtnetlink.h"

int probe_ask(struct mnl_socket *socket, struct nlmsghdr *request, size_t room, mnl_cb_t callback, void *context)
{
	ssize_t size;

	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return -errno;
	size = mnl_socket_recvfrom(socket, request, room);
	if (size < 0 || mnl_cb_run(request, (size_t)size, 0, mnl_socket_get_portid(socket), callback, context) < 0)
		return -errno;
	return 0;
}

/* ---------------------------------------------------------------------------------------------------------- routes */

static int route_message(const struct nlmsghdr *header, void *context)
{
	const struct rtmsg *message = mnl_nlmsg_get_payload(header);
	unsigned int *ifindex = context;
	const struct nlattr *attribute;

	if (header->nlmsg_type != RTM_NEWROUTE || message->rtm_type != RTN_UNICAST)
		return MNL_CB_STOP;
	mnl_attr_for_each(attribute, header, sizeof(*message))
		if (mnl_attr_get_type(attribute) == RTA_OIF && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
			*ifindex = mnl_attr_get_u32(attribute);
	return MNL_CB_STOP;
}

unsigned int probe_route_interface(struct mnl_socket *socket, const struct in6_addr *address)
{
	_Alignas(struct nlmsghdr) char buffer[8 * 1024];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	unsigned int ifindex = 0;
	struct rtmsg *request;

	header->nlmsg_type = RTM_GETROUTE;
	header->nlmsg_flags = NLM_F_REQUEST;
	request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	if (IN6_IS_ADDR_V4MAPPED(address)) {
		request->rtm_family = AF_INET;
		request->rtm_dst_len = 32;
		mnl_attr_put(header, RTA_DST, 4, &address->s6_addr[12]);
	} else {
		request->rtm_family = AF_INET6;
		request->rtm_dst_len = 128;
		mnl_attr_put(header, RTA_DST, sizeof(*address), address);
	}
	return probe_ask(socket, header, sizeof(buffer), route_message, &ifindex) ? 0 : ifindex;
}

/* The search for a route or next hop object that has the address as gateway. */
struct gateway_search {
	struct in6_addr address; /* IPv4 mapped */
	bool found;
};

static void compare_gateway(struct gateway_search *search, const void *bytes, size_t size)
{
	struct in6_addr gateway;

	if (size != 4 && size != sizeof(gateway))
		return;
	address_map(size == 4 ? AF_INET : AF_INET6, bytes, &gateway);
	search->found |= IN6_ARE_ADDR_EQUAL(&gateway, &search->address);
}

static int compare_attribute(const struct nlattr *attribute, void *context)
{
	const uint8_t *payload = mnl_attr_get_payload(attribute);
	size_t size = mnl_attr_get_payload_len(attribute);

	switch (mnl_attr_get_type(attribute)) {
	case RTA_GATEWAY: compare_gateway(context, payload, size); break;
	case RTA_VIA:
		if (size > sizeof(struct rtvia))
			compare_gateway(context, payload + sizeof(struct rtvia), size - sizeof(struct rtvia));
		break;
	}
	return MNL_CB_OK;
}

static void compare_hops(struct gateway_search *search, const struct nlattr *multipath)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(multipath);
	int remaining = mnl_attr_get_payload_len(multipath);

	for (; RTNH_OK(hop, remaining); remaining -= (int)RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop))
		if (hop->rtnh_len > sizeof(*hop))
			mnl_attr_parse_payload(RTNH_DATA(hop), hop->rtnh_len - sizeof(*hop), compare_attribute, search);
}

static int gateway_of_route(const struct nlmsghdr *header, void *context)
{
	const struct nlattr *attribute;

	if (header->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, header, sizeof(struct rtmsg)) {
		if (mnl_attr_get_type(attribute) == RTA_MULTIPATH)
			compare_hops(context, attribute);
		else
			compare_attribute(attribute, context);
	}
	return MNL_CB_OK;
}

/*
 * Finds the gateway of a next hop object. If sysctl net.ipv4.nexthop_compat_mode is 0, routes name these objects only
 * by number.
 */
static int gateway_of_object(const struct nlmsghdr *header, void *context)
{
	const struct nlattr *attribute;

	if (header->nlmsg_type != RTM_NEWNEXTHOP)
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, header, sizeof(struct nhmsg))
		if (mnl_attr_get_type(attribute) == NHA_GATEWAY)
			compare_gateway(context, mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));
	return MNL_CB_OK;
}

bool probe_is_gateway(struct mnl_socket *socket, const struct in6_addr *address)
{
	struct gateway_search search = { .address = *address };

	return rtnetlink_dump(socket, RTM_GETROUTE, sizeof(struct rtmsg), gateway_of_route, &search) ||
	       rtnetlink_dump(socket, RTM_GETNEXTHOP, sizeof(struct nhmsg), gateway_of_object, &search) || search.found;
}

/* ------------------------------------------------------------------------------------------------------ neighbours */

static int neighbour_message(const struct nlmsghdr *header, void *context)
{
	const struct ndmsg *message = mnl_nlmsg_get_payload(header);
	uint16_t *state = context;

	if (header->nlmsg_type == RTM_NEWNEIGH)
		*state = message->ndm_state;
	return MNL_CB_STOP;
}

bool probe_neighbour_known(struct mnl_socket *socket, unsigned int ifindex, const struct in6_addr *address,
			   uint16_t states)
{
	_Alignas(struct nlmsghdr) char buffer[8 * 1024];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	uint16_t state = UINT16_MAX;
	struct ndmsg *request;
	int error;

	header->nlmsg_type = RTM_GETNEIGH;
	header->nlmsg_flags = NLM_F_REQUEST;
	request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	request->ndm_ifindex = (int)ifindex;
	if (IN6_IS_ADDR_V4MAPPED(address)) {
		request->ndm_family = AF_INET;
		mnl_attr_put(header, NDA_DST, 4, &address->s6_addr[12]);
	} else {
		request->ndm_family = AF_INET6;
		mnl_attr_put(header, NDA_DST, sizeof(*address), address);
	}
	error = probe_ask(socket, header, sizeof(buffer), neighbour_message, &state);
	return error != -ENOENT && (error || (state & states));
}
