/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <common/array.h>
#include "shakeoffd/selftest/probe_source.h"
#include "shakeoffd/sys/rtnetlink.h"
#include "common/tuple.h"

#define MAPPED_BITS 96 /* ::ffff:0:0/96 (RFC 4291, section 2.5.5.2) */

/* Random neighbours that are tried until one is nobody's. */
#define NEIGHBOUR_TRIES 8

#define NEIGHBOURS_AT_ONCE 4

/* In a smaller network every other address is somebody's. */
#define HOST_BITS_MIN 3
#define ADDRESS_BITS 128

/*
 * Set aside for documentation: RFC 5737 and RFC 3849. And the networks of AS112, which are announced to the whole internet, so that no list
 * of unused networks has them, and which have no clients: what is sent there is thrown away (RFC 7534, RFC 7535). No packet of
 * ours goes there, but a rule may answer a probe.
 */
static const struct outside {
	int family;
	bool documentation;
	const char *network;
	uint8_t prefix_len; /* so that no host bit is that of a network or broadcast address */
} outsides[] = {
	{ AF_INET, true, "192.0.2.64", 26 },
	{ AF_INET, true, "198.51.100.64", 26 },
	{ AF_INET, true, "203.0.113.64", 26 },
	{ AF_INET6, true, "2001:db8:5ac0:ff02::", 64 },
	{ AF_INET, false, "192.31.196.64", 26 },
	{ AF_INET, false, "192.175.48.64", 26 },
	{ AF_INET6, false, "2620:4f:8000:ff02::", 64 },
	{ AF_INET6, false, "2001:4:112:ff02::", 64 },
};

/* Sends a request for one thing and reads the answer, into the request's own buffer. */
static int ask(struct mnl_socket *socket, struct nlmsghdr *request, size_t room, mnl_cb_t callback, void *context)
{
	ssize_t size;

	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return -errno;
	size = mnl_socket_recvfrom(socket, request, room);
	if (size < 0 || mnl_cb_run(request, (size_t)size, 0, mnl_socket_get_portid(socket), callback, context) < 0)
		return -errno;
	return 0;
}

/* --------------------------------------------------------------------------------------------- the host's addresses */

static int compare(const void *a, const void *b)
{
	return memcmp(&((const struct probe_host *)a)->address, &((const struct probe_host *)b)->address,
		      sizeof(struct in6_addr));
}

static int remember(struct probe_hosts *hosts, const struct probe_host *host)
{
	struct probe_host *larger = array_grow(hosts->list, hosts->count, sizeof(*larger));

	if (!larger)
		return -ENOMEM;
	hosts->list = larger;
	hosts->list[hosts->count++] = *host;
	return 0;
}

static int address_message(const struct nlmsghdr *header, void *context)
{
	struct rtnetlink_address address;
	struct probe_host host = { 0 };

	if (!rtnetlink_address_read(header, &address))
		return MNL_CB_OK;
	host.ifindex = address.ifindex;
	host.address = address.local;
	host.network = address.remote;
	host.prefix_len = (uint8_t)(address.prefix_len + (address.family == AF_INET ? MAPPED_BITS : 0));
	return remember(context, &host) ? MNL_CB_ERROR : MNL_CB_OK;
}

int probe_hosts_read(struct probe_hosts *hosts)
{
	struct probe_hosts fresh = { 0 };
	int error = rtnetlink_addresses(address_message, &fresh, &fresh.count);

	if (error) {
		free(fresh.list);
		return error;
	}
	if (fresh.count)
		qsort(fresh.list, fresh.count, sizeof(*fresh.list), compare);
	free(hosts->list);
	*hosts = fresh;
	return 0;
}

void probe_hosts_free(struct probe_hosts *hosts)
{
	free(hosts->list);
	*hosts = (struct probe_hosts){ 0 };
}

/*
 * -------------------------------------------------------------------------------------------------------------- port
 */

static int link_message(const struct nlmsghdr *header, void *context)
{
	const struct ifinfomsg *message = mnl_nlmsg_get_payload(header);
	const struct nlattr *attribute;
	struct probe_port *port = context;

	if (header->nlmsg_type != RTM_NEWLINK || message->ifi_type != ARPHRD_ETHER)
		return MNL_CB_STOP;
	port->ifindex = port->upper = (unsigned int)message->ifi_index;
	mnl_attr_for_each(attribute, header, sizeof(*message)) {
		switch (mnl_attr_get_type(attribute)) {
		case IFLA_ADDRESS:
			if (mnl_attr_get_payload_len(attribute) == sizeof(port->mac))
				memcpy(port->mac, mnl_attr_get_payload(attribute), sizeof(port->mac));
			break;
		case IFLA_MASTER:
			if (mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
				port->upper = mnl_attr_get_u32(attribute);
			break;
		}
	}
	return MNL_CB_STOP;
}

int probe_port_read(unsigned int ifindex, struct probe_port *port)
{
	_Alignas(struct nlmsghdr) char
		buffer[64 * 1024]; /* an answer about a card with many virtual functions is long */
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct probe_port fresh = { 0 };
	struct mnl_socket *socket;
	struct ifinfomsg *request;
	int error;

	header->nlmsg_type = RTM_GETLINK;
	header->nlmsg_flags = NLM_F_REQUEST;
	request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	request->ifi_index = (int)ifindex;
	mnl_attr_put_u32(header, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	error = rtnetlink_open(&socket);
	if (error)
		return error;
	error = ask(socket, header, sizeof(buffer), link_message, &fresh);
	mnl_socket_close(socket);
	if (!error && !fresh.ifindex)
		error = -EPROTONOSUPPORT;
	if (!error)
		*port = fresh;
	return error;
}

bool probe_port_has(const struct probe_port *port, const struct probe_hosts *hosts, const struct in6_addr *address)
{
	struct probe_host key = { .address = *address };
	const struct probe_host *end = hosts->list + hosts->count, *host = NULL;

	if (hosts->count)
		host = bsearch(&key, hosts->list, hosts->count, sizeof(key), compare);
	/* One of those with this address: they lie side by side. */
	while (host && host > hosts->list && !compare(host - 1, &key))
		host--;
	for (; host && host < end && !compare(host, &key); host++)
		if (host->ifindex == port->upper)
			return true;
	return false;
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

/* Over which interface packets to another host's address leave: 0 if there is no route, or it is not another host's. */
static unsigned int route_interface(struct mnl_socket *socket, const struct in6_addr *address)
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
	return ask(socket, header, sizeof(buffer), route_message, &ifindex) ? 0 : ifindex;
}

/* A route or a next hop object has the address as gateway: the search is over. */
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
	int left = mnl_attr_get_payload_len(multipath);

	for (; RTNH_OK(hop, left); left -= (int)RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop))
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

/* Routes name theirs only by number if sysctl net.ipv4.nexthop_compat_mode is 0. */
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

/* Of any route, in any table. Where it cannot be found out, it is one. */
static bool is_gateway(struct mnl_socket *socket, const struct in6_addr *address)
{
	struct gateway_search search = { .address = *address };

	return rtnetlink_dump(socket, RTM_GETROUTE, sizeof(struct rtmsg), gateway_of_route, &search) ||
	       rtnetlink_dump(socket, RTM_GETNEXTHOP, sizeof(struct nhmsg), gateway_of_object, &search) || search.found;
}

/*
 * ------------------------------------------------------------------------------------------------------- neighbours
 */

#define NUD_ANY UINT16_MAX
#define NUD_SOMEBODY ((uint16_t) ~(NUD_INCOMPLETE | NUD_FAILED))

static int neighbour_message(const struct nlmsghdr *header, void *context)
{
	const struct ndmsg *message = mnl_nlmsg_get_payload(header);
	uint16_t *state = context;

	if (header->nlmsg_type == RTM_NEWNEIGH)
		*state = message->ndm_state;
	return MNL_CB_STOP;
}

/* Whether the neighbour table has the address, in one of the states. Where it cannot be found out, it has. */
static bool neighbour_known(struct mnl_socket *socket, unsigned int ifindex, const struct in6_addr *address,
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
	error = ask(socket, header, sizeof(buffer), neighbour_message, &state);
	return error != -ENOENT && (error || (state & states));
}

/*
 * --------------------------------------------------------------------------------------------------------- candidates
 */

/* The bits of byte i that are a host's. */
static uint8_t host_mask(uint8_t prefix_len, size_t i)
{
	size_t bits = prefix_len > 8 * i ? prefix_len - 8 * i : 0;

	return bits >= 8 ? 0 : (uint8_t)(0xff >> bits);
}

/* A random address of the prefix. */
static void random_address(const struct in6_addr *network, uint8_t prefix_len, struct in6_addr *address)
{
	uint8_t random[sizeof(*address)] = { 0 };

	if (getrandom(random, sizeof(random), GRND_NONBLOCK) < 0)
		random[sizeof(random) - 1] = 1; /* early at boot: any will do */
	for (size_t i = 0; i < sizeof(random); i++) {
		uint8_t mask = host_mask(prefix_len, i);

		address->s6_addr[i] = (uint8_t)((network->s6_addr[i] & ~mask) | (random[i] & mask));
	}
}

/* No host bit is set: IPv4's network address, IPv6's anycast address of the routers. */
static bool is_network(const struct in6_addr *address, uint8_t prefix_len)
{
	for (size_t i = 0; i < sizeof(*address); i++)
		if (address->s6_addr[i] & host_mask(prefix_len, i))
			return false;
	return true;
}

/* Whether an address is one of the networks that the host is in, on this interface or, 0, on any. */
static bool is_neighbour(const struct probe_hosts *hosts, unsigned int ifindex, const struct in6_addr *address)
{
	for (size_t i = 0; i < hosts->count; i++)
		if ((!ifindex || hosts->list[i].ifindex == ifindex) &&
		    address_in_prefix(address, &hosts->list[i].network, hosts->list[i].prefix_len))
			return true;
	return false;
}

/* One network of each kind. Where those for documentation are in use, they are neighbours like others. */
static void take_outside(struct mnl_socket *socket, const struct probe_hosts *hosts, unsigned int ifindex, int family,
			 bool documentation, struct probe_sources *sources)
{
	for (size_t i = 0; i < sizeof(outsides) / sizeof(outsides[0]); i++) {
		uint8_t extra = family == AF_INET ? MAPPED_BITS : 0, bytes[sizeof(struct in6_addr)];
		struct probe_network outside = { .prefix_len = (uint8_t)(outsides[i].prefix_len + extra) };
		struct in6_addr candidate;

		if (outsides[i].family != family || outsides[i].documentation != documentation)
			continue;
		inet_pton(family, outsides[i].network, bytes);
		address_map(family, bytes, &outside.network);
		random_address(&outside.network, outside.prefix_len, &candidate);
		if (is_neighbour(hosts, 0, &candidate) || route_interface(socket, &candidate) != ifindex)
			continue;
		sources->outside[sources->counts[PROBE_OUTSIDE]++] = outside;
		return;
	}
}

/*
 * Nobody's: not the host's own nor a broadcast address, no gateway, and nobody that the host knows. A probe in the name
 * of a neighbour that exists could do harm: connection tracking and firewalls keep account of its address, and it gets
 * what a firewall answers.
 */
static bool is_free(struct mnl_socket *socket, unsigned int ifindex, const struct in6_addr *address)
{
	return route_interface(socket, address) == ifindex && !neighbour_known(socket, ifindex, address, NUD_ANY) &&
	       !is_gateway(socket, address);
}

static bool choose_neighbour(struct mnl_socket *socket, const struct probe_hosts *hosts, unsigned int ifindex,
			     int family, struct in6_addr *address)
{
	for (size_t i = 0; i < hosts->count; i++) {
		const struct probe_host *host = &hosts->list[i];

		if (host->ifindex != ifindex || IN6_IS_ADDR_LINKLOCAL(&host->address) ||
		    !!IN6_IS_ADDR_V4MAPPED(&host->address) != (family == AF_INET) ||
		    host->prefix_len > ADDRESS_BITS - HOST_BITS_MIN)
			continue;
		for (int tries = 0; tries < NEIGHBOUR_TRIES; tries++) {
			random_address(&host->network, host->prefix_len, address);
			if (!is_network(address, host->prefix_len) && is_free(socket, ifindex, address))
				return true;
		}
	}
	return false;
}

/* The place of what was chosen for the interface, in the beginning nothing. */
static struct probe_neighbour *find_neighbour(struct probe_neighbours *neighbours, unsigned int ifindex, int family)
{
	struct probe_neighbour *larger;

	for (size_t i = 0; i < neighbours->count; i++)
		if (neighbours->list[i].ifindex == ifindex && neighbours->list[i].family == family)
			return &neighbours->list[i];
	larger = reallocarray(neighbours->list, neighbours->count + 1, sizeof(*larger));
	if (!larger)
		return NULL;
	neighbours->list = larger;
	larger += neighbours->count++;
	*larger = (struct probe_neighbour){ .ifindex = ifindex, .family = family };
	return larger;
}

/*
 * Whether what was chosen is still good: the networks may have changed, and somebody may have come. That the host has
 * asked for it in vain is our own probes' doing.
 */
static bool is_still_free(struct mnl_socket *socket, const struct probe_hosts *hosts, unsigned int ifindex,
			  const struct in6_addr *address)
{
	return is_neighbour(hosts, ifindex, address) && route_interface(socket, address) == ifindex &&
	       !neighbour_known(socket, ifindex, address, NUD_SOMEBODY);
}

static bool is_listed(const struct in6_addr *list, size_t count, const struct in6_addr *address)
{
	for (size_t i = 0; i < count; i++)
		if (IN6_ARE_ADDR_EQUAL(&list[i], address))
			return true;
	return false;
}

/* A few more at a time: looking for one takes a while. */
static void take_neighbours(struct mnl_socket *socket, const struct probe_hosts *hosts,
			    struct probe_neighbours *neighbours, unsigned int ifindex, int family,
			    struct probe_sources *sources)
{
	struct probe_neighbour *neighbour = find_neighbour(neighbours, ifindex, family);
	size_t good = 0;

	if (!neighbour)
		return;
	for (size_t i = 0; i < neighbour->count; i++)
		if (is_still_free(socket, hosts, ifindex, &neighbour->addresses[i]))
			neighbour->addresses[good++] = neighbour->addresses[i];
	neighbour->count = good;
	for (int more = 0; more < NEIGHBOURS_AT_ONCE && neighbour->count < PROBE_NEIGHBOURS; more++) {
		struct in6_addr *next = &neighbour->addresses[neighbour->count];

		if (!choose_neighbour(socket, hosts, ifindex, family, next))
			break;
		if (!is_listed(neighbour->addresses, neighbour->count, next))
			neighbour->count++;
	}
	memcpy(sources->neighbours, neighbour->addresses, sizeof(sources->neighbours));
	sources->counts[PROBE_NEIGHBOUR] = neighbour->count;
	sources->turn = good; /* a new one, if there is one */
}

int probe_sources_choose(const struct probe_port *port, const struct probe_hosts *hosts,
			 struct probe_neighbours *neighbours, int family, struct probe_sources *sources)
{
	size_t turn = sources->turn, before = sources->counts[PROBE_NEIGHBOUR];
	struct mnl_socket *socket;
	int error;

	error = rtnetlink_open(&socket);
	if (error)
		return error;
	*sources = (struct probe_sources){ 0 };
	take_outside(socket, hosts, port->upper, family, true, sources);
	take_outside(socket, hosts, port->upper, family, false, sources);
	take_neighbours(socket, hosts, neighbours, port->upper, family, sources);
	if (sources->counts[PROBE_NEIGHBOUR] == before)
		sources->turn = turn;
	mnl_socket_close(socket);
	return 0;
}

struct in6_addr probe_sources_pick(struct probe_sources *sources, enum probe_class class, unsigned int try)
{
	struct in6_addr address;

	if (class == PROBE_NEIGHBOUR)
		return sources->neighbours[sources->turn++ % sources->counts[PROBE_NEIGHBOUR]];
	random_address(&sources->outside[try % sources->counts[PROBE_OUTSIDE]].network,
		       sources->outside[try % sources->counts[PROBE_OUTSIDE]].prefix_len, &address);
	return address;
}

void probe_neighbours_free(struct probe_neighbours *neighbours)
{
	free(neighbours->list);
	*neighbours = (struct probe_neighbours){ 0 };
}
