/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/netlink_dump.h"
#include "shakeoffd/sys/rtnetlink.h"
#include "common/tuple.h"

#define DUMP_TRIES 5

int rtnetlink_open(struct mnl_socket **socket)
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

int rtnetlink_dump(struct mnl_socket *socket, uint16_t type, size_t header_size, mnl_cb_t callback, void *context)
{
	return rtnetlink_dump_family(socket, AF_UNSPEC, type, header_size, callback, context);
}

/* Requests a dump. The message begins with the address family. Zeros after it request no filter. */
int rtnetlink_dump_family(struct mnl_socket *socket, uint8_t family, uint16_t type, size_t header_size,
			  mnl_cb_t callback, void *context)
{
	_Alignas(struct nlmsghdr) char buffer[256];
	struct nlmsghdr *request = netlink_dump_request(buffer, type);

	*(uint8_t *)mnl_nlmsg_put_extra_header(request, header_size) = family;
	return netlink_dump(socket, request, callback, context);
}

int rtnetlink_list(uint16_t type, size_t header_size, mnl_cb_t callback, void *context, size_t *count)
{
	int error = -EINTR;

	for (int i = 0; i < DUMP_TRIES && error == -EINTR; i++) {
		struct mnl_socket *socket;

		*count = 0;
		error = rtnetlink_open(&socket);
		if (error)
			return error;
		error = rtnetlink_dump(socket, type, header_size, callback, context);
		mnl_socket_close(socket);
	}
	return error;
}

int rtnetlink_addresses(mnl_cb_t callback, void *context, size_t *count)
{
	return rtnetlink_list(RTM_GETADDR, sizeof(struct rtgenmsg), callback, context, count);
}

static int dump_local(struct mnl_socket *socket, uint8_t family, mnl_cb_t callback, void *context)
{
	_Alignas(struct nlmsghdr) char buffer[MNL_NLMSG_HDRLEN + sizeof(struct rtmsg)];
	struct nlmsghdr *request = netlink_dump_request(buffer, RTM_GETROUTE);
	struct rtmsg *message = mnl_nlmsg_put_extra_header(request, sizeof(*message));
	int on = 1;

	/*
	 * The kernel heeds the fields of the request only with this option: net/ipv4/fib_frontend.c,
	 * ip_valid_fib_dump_req().
	 */
	mnl_socket_setsockopt(socket, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	message->rtm_family = family;
	message->rtm_table = RT_TABLE_LOCAL;
	return netlink_dump(socket, request, callback, context);
}

int rtnetlink_local_routes(mnl_cb_t callback, void *context)
{
	const uint8_t families[] = { AF_INET, AF_INET6 };
	int error = 0;

	for (size_t f = 0; f < 2 && !error; f++) {
		error = -EINTR;
		for (int i = 0; i < DUMP_TRIES && error == -EINTR; i++) {
			struct mnl_socket *socket;

			error = rtnetlink_open(&socket);
			if (error)
				return error;
			error = dump_local(socket, families[f], callback, context);
			mnl_socket_close(socket);
		}
		if (error == -ENOENT) /* the table does not exist, so there is no address yet */
			error = 0;
	}
	return error;
}

/*
 * Reads an address. IFA_LOCAL is the host's end of a point-to-point link, IFA_ADDRESS the peer's. IPv6 mostly has only
 * IFA_ADDRESS, which is the host's then.
 */
bool rtnetlink_address_read(const struct nlmsghdr *header, struct rtnetlink_address *address)
{
	const struct nlattr *attribute, *local = NULL, *remote = NULL, *flags = NULL;
	const struct ifaddrmsg *message = mnl_nlmsg_get_payload(header);
	size_t size = message->ifa_family == AF_INET ? 4 : sizeof(struct in6_addr);

	if (header->nlmsg_type != RTM_NEWADDR || (message->ifa_family != AF_INET && message->ifa_family != AF_INET6))
		return false;
	mnl_attr_for_each(attribute, header, sizeof(*message)) {
		switch (mnl_attr_get_type(attribute)) {
		case IFA_LOCAL: local = attribute; break;
		case IFA_ADDRESS: remote = attribute; break;
		case IFA_FLAGS: flags = attribute; break;
		}
	}
	local = local ? local : remote;
	remote = remote ? remote : local;
	if (!local || mnl_attr_get_payload_len(local) != size || mnl_attr_get_payload_len(remote) != size)
		return false;
	address->family = message->ifa_family;
	address->ifindex = message->ifa_index;
	address->prefix_len = message->ifa_prefixlen;
	address->flags = flags ? mnl_attr_get_u32(flags) : message->ifa_flags;
	address_map(message->ifa_family, mnl_attr_get_payload(local), &address->local);
	address_map(message->ifa_family, mnl_attr_get_payload(remote), &address->remote);
	return true;
}

int rtnetlink_subscribe(uint32_t groups)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int error;

	if (fd < 0 || !bind(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd < 0 ? -errno : fd;
	error = -errno;
	close(fd);
	return error;
}
