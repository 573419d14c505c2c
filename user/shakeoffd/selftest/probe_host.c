/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "shakeoffd/selftest/probe_host.h"
#include "shakeoffd/selftest/probe_netlink.h"
#include "shakeoffd/sys/rtnetlink.h"

/* --------------------------------------------------------------------------------------------- the host's addresses */

static int compare(const void *a, const void *b)
{
	return memcmp(&((const struct probe_host *)a)->address, &((const struct probe_host *)b)->address,
		      sizeof(struct in6_addr));
}

static int remember(struct probe_hosts *hosts, const struct probe_host *host)
{
	return array_append(hosts->list, hosts->count, *host);
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
	host.prefix_len = (uint8_t)(address.prefix_len + (address.family == AF_INET ? PROBE_MAPPED_BITS : 0));
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

/* ------------------------------------------------------------------------------------------------------------ port */

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
	_Alignas(struct nlmsghdr) char buffer[64 * 1024]; /* the reply for a card with many virtual functions is long */
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
	error = probe_ask(socket, header, sizeof(buffer), link_message, &fresh);
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
	/* Go back to the first entry with this address: they are side by side. */
	while (host && host > hosts->list && !compare(host - 1, &key))
		host--;
	for (; host && host < end && !compare(host, &key); host++)
		if (host->ifindex == port->upper)
			return true;
	return false;
}
