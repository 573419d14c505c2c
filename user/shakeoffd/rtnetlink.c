/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <linux/rtnetlink.h>

#include <shakeoffd/rtnetlink.h>

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

/* The message begins with the address family; zeros behind it are nothing more that is asked for. */
int rtnetlink_dump_family(struct mnl_socket *socket, uint8_t family, uint16_t type, size_t header_size,
			  mnl_cb_t callback, void *context)
{
	_Alignas(struct nlmsghdr) char buffer[32 * 1024];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	int result;

	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = 1;
	*(uint8_t *)mnl_nlmsg_put_extra_header(header, header_size) = family;
	if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0)
		return -errno;
	do {
		ssize_t size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		if (size < 0)
			return -errno;
		result = mnl_cb_run(buffer, (size_t)size, 1, mnl_socket_get_portid(socket), callback, context);
	} while (result > MNL_CB_STOP);
	return result < 0 ? -errno : 0;
}

int rtnetlink_addresses(mnl_cb_t callback, void *context, size_t *count)
{
	int error = -EINTR;

	for (int i = 0; i < DUMP_TRIES && error == -EINTR; i++) {
		struct mnl_socket *socket;

		*count = 0;
		error = rtnetlink_open(&socket);
		if (error)
			return error;
		error = rtnetlink_dump(socket, RTM_GETADDR, sizeof(struct rtgenmsg), callback, context);
		mnl_socket_close(socket);
	}
	return error;
}
