/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdint.h>

#include "common/netlink_dump.h"

#define BUFFER_SIZE (32 * 1024) /* NLMSG_GOODSIZE of a dump, net/netlink/af_netlink.c */
#define SEQUENCE 1

struct nlmsghdr *netlink_dump_request(void *buffer, uint16_t type)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);

	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = SEQUENCE;
	return header;
}

int netlink_dump(struct mnl_socket *socket, const struct nlmsghdr *request, mnl_cb_t callback, void *context)
{
	_Alignas(struct nlmsghdr) char buffer[BUFFER_SIZE];
	int result;

	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return -errno;
	do {
		ssize_t size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		if (size < 0)
			return -errno;
		result = mnl_cb_run(buffer, (size_t)size, SEQUENCE, mnl_socket_get_portid(socket), callback, context);
	} while (result > MNL_CB_STOP);
	return result < 0 ? -errno : 0;
}
