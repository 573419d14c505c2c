/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <shakeoffd/probe_source.h>

#define DUMP_TRIES 5

#define MAPPED_BITS 96 /* ::ffff:0:0/96 (RFC 4291, section 2.5.5.2) */

/* Random neighbours that are tried until one is neither the host itself nor a broadcast address. */
#define NEIGHBOUR_TRIES 4

/* Set aside for documentation: RFC 5737 and RFC 3849. */
static const struct documentation {
	int family;
	const char *network;
	uint8_t prefix_len; /* so that no host bit is that of a network or broadcast address */
} documentation[] = {
	{ AF_INET, "192.0.2.64", 26 },
	{ AF_INET, "198.51.100.64", 26 },
	{ AF_INET, "203.0.113.64", 26 },
	{ AF_INET6, "2001:db8:5ac0:ff02::", 64 },
};

static int open_netlink(struct mnl_socket **socket)
{
	struct mnl_socket *opened = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int error;

	if (!opened)
		return -errno;
	if (mnl_socket_bind(opened, 0, MNL_SOCKET_AUTOPID) < 0) {
		error = -errno;
		mnl_socket_close(opened);
		return error;
	}
	*socket = opened;
	return 0;
}

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

static void map_address(int family, const void *bytes, struct in6_addr *address)
{
	memset(address, 0, sizeof(*address));
	if (family == AF_INET6) {
		memcpy(address, bytes, sizeof(*address));
		return;
	}
	address->s6_addr[10] = address->s6_addr[11] = 0xff;
	memcpy(&address->s6_addr[12], bytes, 4);
}

/*
 * ------------------------------------------------------------------------------------------------- the host's
 * addresses
 */

static int compare(const void *a, const void *b)
{
	return memcmp(&((const struct probe_host *)a)->address, &((const struct probe_host *)b)->address,
		      sizeof(struct in6_addr));
}

static int remember(struct probe_hosts *hosts, const struct probe_host *host)
{
	if (hosts->count == hosts->room) {
		size_t room = hosts->room ? 2 * hosts->room : 64;
		struct probe_host *larger = reallocarray(hosts->list, room, sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		hosts->list = larger;
		hosts->room = room;
	}
	hosts->list[hosts->count++] = *host;
	return 0;
}

static int address_message(const struct nlmsghdr *header, void *context)
{
	const struct ifaddrmsg *message = mnl_nlmsg_get_payload(header);
	const struct nlattr *attribute, *local = NULL, *address = NULL;
	size_t size = message->ifa_family == AF_INET ? 4 : sizeof(struct in6_addr);
	struct probe_host host = { .ifindex = message->ifa_index };

	if (header->nlmsg_type != RTM_NEWADDR || (message->ifa_family != AF_INET && message->ifa_family != AF_INET6))
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, header, sizeof(*message)) {
		switch (mnl_attr_get_type(attribute)) {
		case IFA_LOCAL: local = attribute; break;
		case IFA_ADDRESS: address = attribute; break;
		}
	}
	/* IFA_ADDRESS is the peer's on a point-to-point link; IPv6 mostly has only that one, then it is the host's. */
	address = address ? address : local;
	local = local ? local : address;
	if (!local || mnl_attr_get_payload_len(local) != size || mnl_attr_get_payload_len(address) != size)
		return MNL_CB_OK;
	map_address(message->ifa_family, mnl_attr_get_payload(local), &host.address);
	map_address(message->ifa_family, mnl_attr_get_payload(address), &host.network);
	host.prefix_len = (uint8_t)(message->ifa_prefixlen + (message->ifa_family == AF_INET ? MAPPED_BITS : 0));
	return remember(context, &host) ? MNL_CB_ERROR : MNL_CB_OK;
}

static int dump_addresses(struct mnl_socket *socket, struct probe_hosts *hosts)
{
	_Alignas(struct nlmsghdr) char buffer[32 * 1024];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct rtgenmsg *request;
	int result;

	header->nlmsg_type = RTM_GETADDR;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = 1;
	request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	request->rtgen_family = AF_UNSPEC;
	if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0)
		return -errno;
	do {
		ssize_t size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		if (size < 0)
			return -errno;
		result = mnl_cb_run(buffer, (size_t)size, 1, mnl_socket_get_portid(socket), address_message, hosts);
	} while (result > MNL_CB_STOP);
	return result < 0 ? -errno : 0;
}

int probe_hosts_read(struct probe_hosts *hosts)
{
	struct probe_hosts fresh = { 0 };
	struct mnl_socket *socket;
	int error;

	error = open_netlink(&socket);
	if (error)
		return error;
	error = -EINTR; /* also what the kernel says when the addresses changed during the dump */
	for (int i = 0; i < DUMP_TRIES && error == -EINTR; i++) {
		fresh.count = 0;
		error = dump_addresses(socket, &fresh);
	}
	mnl_socket_close(socket);
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
	error = open_netlink(&socket);
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

/*
 * --------------------------------------------------------------------------------------------------------- candidates
 */

/* A random address of the prefix. */
static void random_address(const struct in6_addr *network, uint8_t prefix_len, struct in6_addr *address)
{
	uint8_t random[sizeof(*address)] = { 0 };

	if (getrandom(random, sizeof(random), GRND_NONBLOCK) < 0)
		random[sizeof(random) - 1] = 1; /* early at boot: any will do */
	for (size_t i = 0; i < sizeof(random); i++) {
		size_t bits = prefix_len > 8 * i ? prefix_len - 8 * i : 0;
		uint8_t mask = bits >= 8 ? 0 : (uint8_t)(0xff >> bits);

		address->s6_addr[i] = (uint8_t)((network->s6_addr[i] & ~mask) | (random[i] & mask));
	}
}

/* Takes one of the prefix that is routed over the interface. */
static bool take(struct mnl_socket *socket, unsigned int ifindex, const struct in6_addr *network, uint8_t prefix_len,
		 struct probe_sources *sources)
{
	struct in6_addr candidate;

	random_address(network, prefix_len, &candidate);
	if (route_interface(socket, &candidate) != ifindex)
		return false;
	sources->list[sources->count++] = candidate;
	return true;
}

static void take_documentation(struct mnl_socket *socket, unsigned int ifindex, int family,
			       struct probe_sources *sources)
{
	for (size_t i = 0; i < sizeof(documentation) / sizeof(documentation[0]); i++) {
		uint8_t extra = family == AF_INET ? MAPPED_BITS : 0, bytes[sizeof(struct in6_addr)];
		struct in6_addr network;

		if (documentation[i].family != family)
			continue;
		inet_pton(family, documentation[i].network, bytes);
		map_address(family, bytes, &network);
		if (take(socket, ifindex, &network, (uint8_t)(documentation[i].prefix_len + extra), sources))
			return;
	}
}

static void take_neighbour(struct mnl_socket *socket, const struct probe_hosts *hosts, unsigned int ifindex, int family,
			   struct probe_sources *sources)
{
	for (size_t i = 0; i < hosts->count; i++) {
		const struct probe_host *host = &hosts->list[i];

		if (host->ifindex != ifindex || IN6_IS_ADDR_LINKLOCAL(&host->address) ||
		    !!IN6_IS_ADDR_V4MAPPED(&host->address) != (family == AF_INET))
			continue;
		for (int tries = 0; tries < NEIGHBOUR_TRIES; tries++)
			if (take(socket, ifindex, &host->network, host->prefix_len, sources))
				return;
	}
}

int probe_sources_choose(const struct probe_port *port, const struct probe_hosts *hosts, int family,
			 struct probe_sources *sources)
{
	struct mnl_socket *socket;
	int error;

	error = open_netlink(&socket);
	if (error)
		return error;
	sources->count = 0;
	take_documentation(socket, port->upper, family, sources);
	take_neighbour(socket, hosts, port->upper, family, sources);
	mnl_socket_close(socket);
	return 0;
}
