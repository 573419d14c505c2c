/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <linux/ip.h>
#include <linux/ipv6.h>

#include "common/array.h"
#include "shakeoffd/hook/devices.h"
#include "shakeoffd/sys/rtnetlink.h"

#define IPV6_MIN_MTU 1280
#define DUMP_TRIES 5

/* Reads IFLA_INET6_CONF: an array of 32-bit numbers, indexed by DEVCONF_*. */
static void take_ipv6(struct device *device, const struct nlattr *families)
{
	const struct nlattr *family, *attribute;
	int32_t numbers[DEVCONF_MTU6 + 1];

	mnl_attr_for_each_nested(family, families) {
		if (mnl_attr_get_type(family) != AF_INET6)
			continue;
		mnl_attr_for_each_nested(attribute, family) {
			if (mnl_attr_get_type(attribute) != IFLA_INET6_CONF ||
			    mnl_attr_get_payload_len(attribute) < sizeof(numbers))
				continue;
			memcpy(numbers, mnl_attr_get_payload(attribute), sizeof(numbers));
			device->mtu6 = (uint32_t)numbers[DEVCONF_MTU6];
			device->hop_limit = (uint32_t)numbers[DEVCONF_HOPLIMIT];
		}
	}
}

/* Reads IFLA_INET_CONF: the same for IPv4, indexed by IPV4_DEVCONF_*, which begin at 1. */
static void take_ipv4(struct device *device, const struct nlattr *families)
{
	const struct nlattr *family, *attribute;
	uint32_t numbers[IPV4_DEVCONF_RP_FILTER];

	mnl_attr_for_each_nested(family, families) {
		if (mnl_attr_get_type(family) != AF_INET)
			continue;
		mnl_attr_for_each_nested(attribute, family) {
			if (mnl_attr_get_type(attribute) != IFLA_INET_CONF ||
			    mnl_attr_get_payload_len(attribute) < sizeof(numbers))
				continue;
			memcpy(numbers, mnl_attr_get_payload(attribute), sizeof(numbers));
			device->rp_filter = numbers[IPV4_DEVCONF_RP_FILTER - 1];
		}
	}
}

static int link_message(const struct nlmsghdr *header, void *context)
{
	const struct ifinfomsg *message = mnl_nlmsg_get_payload(header);
	struct device device = { .mtu6 = IPV6_MIN_MTU, .hop_limit = 64 };
	struct devices *devices = context;
	const struct nlattr *attribute;

	if (header->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	device.ifindex = (unsigned int)message->ifi_index;
	mnl_attr_for_each(attribute, header, sizeof(*message)) {
		if (mnl_attr_get_type(attribute) == IFLA_MTU && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0) {
			device.mtu = mnl_attr_get_u32(attribute);
		} else if (mnl_attr_get_type(attribute) == IFLA_AF_SPEC) {
			take_ipv4(&device, attribute);
			take_ipv6(&device, attribute);
		}
	}
	return array_append(devices->list, devices->count, device) ? MNL_CB_ERROR : MNL_CB_OK;
}

static int compare(const void *a, const void *b)
{
	const struct device *first = a, *second = b;

	return first->ifindex < second->ifindex ? -1 : first->ifindex > second->ifindex;
}

static int dump(struct devices *devices)
{
	struct mnl_socket *socket;
	int error;

	devices->count = 0;
	error = rtnetlink_open(&socket);
	if (error)
		return error;
	error = rtnetlink_dump(socket, RTM_GETLINK, sizeof(struct ifinfomsg), link_message, devices);
	mnl_socket_close(socket);
	return error;
}

int devices_read(struct devices *devices, bool *changed)
{
	struct devices fresh = { 0 };
	int error = -EINTR;

	for (int i = 0; i < DUMP_TRIES && error == -EINTR; i++)
		error = dump(&fresh);
	if (error) {
		devices_free(&fresh);
		return error;
	}
	if (fresh.count)
		qsort(fresh.list, fresh.count, sizeof(*fresh.list), compare);
	*changed = fresh.count != devices->count ||
		   (fresh.count && memcmp(fresh.list, devices->list, fresh.count * sizeof(*fresh.list)));
	devices_free(devices);
	*devices = fresh;
	return 0;
}

void devices_free(struct devices *devices)
{
	free(devices->list);
	*devices = (struct devices){ 0 };
}

const struct device *devices_find(const struct devices *devices, unsigned int ifindex)
{
	const struct device key = { .ifindex = ifindex };

	return devices->count ? bsearch(&key, devices->list, devices->count, sizeof(key), compare) : NULL;
}
