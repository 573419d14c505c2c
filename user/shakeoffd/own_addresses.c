/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include <common/array.h>
#include <shakeoffd/own_addresses.h>

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
	struct in6_addr *larger;

	if (!own_addresses_may_have(address))
		return 0;
	larger = array_grow(own->list, own->count, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	own->list = larger;
	own->list[own->count++] = *address;
	return 0;
}

/* IFA_LOCAL is the host's end of a point-to-point link; IFA_ADDRESS would be the peer. IPv6 mostly has only the latter. */
static int address_message(const struct nlmsghdr *header, void *context)
{
	const struct ifaddrmsg *message = mnl_nlmsg_get_payload(header);
	const struct nlattr *attribute, *local = NULL, *address = NULL, *flags = NULL;
	struct in6_addr found = { 0 };
	uint32_t bits;

	if (header->nlmsg_type != RTM_NEWADDR)
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, header, sizeof(*message)) {
		switch (mnl_attr_get_type(attribute)) {
		case IFA_LOCAL: local = attribute; break;
		case IFA_ADDRESS: address = attribute; break;
		case IFA_FLAGS: flags = attribute; break;
		}
	}
	if (local)
		address = local;
	bits = flags ? mnl_attr_get_u32(flags) : message->ifa_flags;
	/* Not ours yet, or never: duplicate address detection (RFC 4862, section 5.4). */
	if (!address || (bits & (IFA_F_TENTATIVE | IFA_F_DADFAILED) && !(bits & IFA_F_OPTIMISTIC)))
		return MNL_CB_OK;
	if (message->ifa_family == AF_INET && mnl_attr_get_payload_len(address) == 4) {
		found.s6_addr[10] = found.s6_addr[11] = 0xff;
		memcpy(&found.s6_addr[12], mnl_attr_get_payload(address), 4);
	} else if (message->ifa_family == AF_INET6 && mnl_attr_get_payload_len(address) == sizeof(found)) {
		memcpy(&found, mnl_attr_get_payload(address), sizeof(found));
	} else {
		return MNL_CB_OK;
	}
	return remember(context, &found) ? MNL_CB_ERROR : MNL_CB_OK;
}

static int dump_addresses(struct mnl_socket *socket, struct own_addresses *own)
{
	char buffer[32 * 1024];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct rtgenmsg *request;
	ssize_t size;
	int result;

	header->nlmsg_type = RTM_GETADDR;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = 1;
	request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	request->rtgen_family = AF_UNSPEC;
	if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0)
		return -errno;
	do {
		size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		if (size < 0)
			return -errno;
		result = mnl_cb_run(buffer, (size_t)size, 1, mnl_socket_get_portid(socket), address_message, own);
	} while (result > MNL_CB_STOP);
	return result < 0 ? -errno : 0;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct in6_addr));
}

/* An address may be on two interfaces. */
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
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	struct own_addresses fresh = { 0 };
	int error;

	if (!socket)
		return -errno;
	error = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
	/* EINTR: the addresses changed during the dump. */
	do {
		fresh.count = 0;
		if (!error || error == -EINTR)
			error = dump_addresses(socket, &fresh);
	} while (error == -EINTR);
	mnl_socket_close(socket);
	if (error) {
		free(fresh.list);
		return error;
	}
	sort(&fresh);
	free(own->list);
	*own = fresh;
	return 0;
}

void own_addresses_free(struct own_addresses *own)
{
	free(own->list);
	*own = (struct own_addresses){ 0 };
}

bool own_addresses_have(const struct own_addresses *own, const struct in6_addr *address)
{
	return own->count && bsearch(address, own->list, own->count, sizeof(*address), compare);
}
