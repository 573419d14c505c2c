/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/array.h"
#include "common/cleanup.h"
#include "common/link.h"

#include <linux/if_bonding.h> /* after net/if.h, which has only half of it */

#define DUMP_TRIES 5

struct links {
	struct link_entry *entries;
	size_t count;
};

static void cleanup_socket_function(struct mnl_socket **socket)
{
	int saved = errno;

	if (*socket)
		mnl_socket_close(*socket);
	errno = saved;
}
#define cleanup_socket __attribute__((cleanup(cleanup_socket_function)))

static uint32_t nested_u32(const struct nlattr *attr)
{
	return mnl_attr_validate(attr, MNL_TYPE_U32) < 0 ? 0 : mnl_attr_get_u32(attr);
}

/*
 * Reads the program of each mode from the mode's own attribute, which exists since kernel 4.19. IFLA_XDP_ATTACHED names
 * only one mode, or that there are several (MULTI).
 */
static void read_xdp(const struct nlattr *nest, struct link_entry *entry)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest) {
		switch (mnl_attr_get_type(attr)) {
		case IFLA_XDP_DRV_PROG_ID: entry->prog_id[LINK_XDP_DRIVER] = nested_u32(attr); break;
		case IFLA_XDP_SKB_PROG_ID: entry->prog_id[LINK_XDP_GENERIC] = nested_u32(attr); break;
		case IFLA_XDP_HW_PROG_ID: entry->prog_id[LINK_XDP_OFFLOAD] = nested_u32(attr); break;
		}
	}
}

/* Reads the attributes of a bond's member: linux, drivers/net/bonding/bond_netlink.c: bond_fill_slave_info(). */
static void read_member(const struct nlattr *nest, struct link_entry *entry)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
		if (mnl_attr_get_type(attr) == IFLA_BOND_SLAVE_STATE && mnl_attr_validate(attr, MNL_TYPE_U8) >= 0)
			entry->inactive = mnl_attr_get_u8(attr) == BOND_STATE_BACKUP;
}

/* Reads the data of a VLAN device. Other kinds of devices use the same numbers for other things. */
static void read_vlan(const struct nlattr *nest, struct link_entry *entry)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest) {
		if (mnl_attr_validate(attr, MNL_TYPE_U16) < 0)
			continue;
		if (mnl_attr_get_type(attr) == IFLA_VLAN_ID)
			entry->vlan_id = mnl_attr_get_u16(attr);
		else if (mnl_attr_get_type(attr) == IFLA_VLAN_PROTOCOL)
			entry->vlan_provider = mnl_attr_get_u16(attr) == htons(ETH_P_8021AD);
	}
}

/* Reads its own kind, and its master's. */
static void read_info(const struct nlattr *nest, struct link_entry *entry)
{
	const struct nlattr *attr, *member = NULL, *own = NULL;
	const char *master = "";

	mnl_attr_for_each_nested(attr, nest) {
		switch (mnl_attr_get_type(attr)) {
		case IFLA_INFO_KIND:
			if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
				strncpy(entry->kind, mnl_attr_get_str(attr), sizeof(entry->kind) - 1);
			break;
		case IFLA_INFO_SLAVE_KIND:
			if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
				master = mnl_attr_get_str(attr);
			break;
		case IFLA_INFO_SLAVE_DATA: member = attr; break;
		case IFLA_INFO_DATA: own = attr; break;
		}
	}
	entry->in_vrf = !strcmp(master, "vrf");
	if (own && !strcmp(entry->kind, "vlan"))
		read_vlan(own, entry);
	if (member && !strcmp(master, "bond"))
		read_member(member, entry);
}

static void read_mac(const struct nlattr *attr, struct link_entry *entry)
{
	entry->has_mac = mnl_attr_get_payload_len(attr) == sizeof(entry->mac);
	if (entry->has_mac)
		memcpy(entry->mac, mnl_attr_get_payload(attr), sizeof(entry->mac));
}

static bool is_up(const struct ifinfomsg *info)
{
	return (info->ifi_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
}

void link_parse(const struct nlmsghdr *header, struct link_entry *entry)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);
	const struct nlattr *attr;
	bool lower_is_elsewhere = false;

	*entry = (struct link_entry){ .ifindex = info->ifi_index, .type = info->ifi_type, .up = is_up(info) };
	mnl_attr_for_each(attr, header, sizeof(*info)) {
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME: strncpy(entry->name, mnl_attr_get_str(attr), sizeof(entry->name) - 1); break;
		case IFLA_MTU: entry->mtu = nested_u32(attr); break;
		case IFLA_MASTER: entry->master = nested_u32(attr); break;
		case IFLA_LINK: entry->lower = nested_u32(attr); break;
		case IFLA_LINK_NETNSID: lower_is_elsewhere = true; break;
		case IFLA_XDP: read_xdp(attr, entry); break;
		case IFLA_ADDRESS: read_mac(attr, entry); break;
		case IFLA_LINKINFO: read_info(attr, entry); break;
		}
	}
	if (lower_is_elsewhere || entry->lower == entry->ifindex)
		entry->lower = 0;
}

static int read_link(const struct nlmsghdr *header, void *context)
{
	struct links *links = context;
	struct link_entry entry;

	if (header->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	link_parse(header, &entry);
	return array_append(links->entries, links->count, entry) ? MNL_CB_ERROR : MNL_CB_OK;
}

/* Asks for one interface, by name or by number, or for all (NULL and 0). */
static int query(const char *name, unsigned int ifindex, struct links *links)
{
	cleanup_socket struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	/* The reply for an interface with many virtual functions can exceed libmnl's usual size. */
	size_t size = 64 * 1024;
	cleanup_free char *buffer = malloc(size);
	unsigned int port, sequence = time(NULL);
	struct nlmsghdr *request;
	struct ifinfomsg *info;
	int result;

	if (!socket || !buffer || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return errno ? -errno : -ENOMEM;
	port = mnl_socket_get_portid(socket);

	request = mnl_nlmsg_put_header(buffer);
	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_REQUEST | (name || ifindex ? NLM_F_ACK : NLM_F_DUMP);
	request->nlmsg_seq = sequence;
	info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	info->ifi_index = (int)ifindex;
	if (name)
		mnl_attr_put_strz(request, IFLA_IFNAME, name);
	mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return -errno;

	do {
		ssize_t got = mnl_socket_recvfrom(socket, buffer, size);

		if (got < 0)
			return -errno;
		result = mnl_cb_run(buffer, got, sequence, port, read_link, links);
	} while (result > MNL_CB_STOP);
	return result < 0 ? -errno : 0;
}

static int get(const char *name, unsigned int ifindex, struct link_entry *entry)
{
	struct links links = { 0 };
	int result = query(name, ifindex, &links);

	if (!result && links.count != 1)
		result = -ENODEV;
	if (!result)
		*entry = links.entries[0];
	free(links.entries);
	return result;
}

int link_get(const char *name, struct link_entry *entry)
{
	return !*name || strlen(name) >= IFNAMSIZ ? -ENODEV : get(name, 0, entry);
}

int link_get_index(unsigned int ifindex, struct link_entry *entry)
{
	return ifindex ? get(NULL, ifindex, entry) : -ENODEV;
}

int link_list(struct link_entry **list, size_t *count)
{
	struct links links = { 0 };
	int result = -EINTR;

	/* The kernel returns it when interfaces came or went during the dump. */
	for (int i = 0; i < DUMP_TRIES && result == -EINTR; i++) {
		links.count = 0;
		result = query(NULL, 0, &links);
	}
	if (result) {
		free(links.entries);
		return result;
	}
	*list = links.entries;
	*count = links.count;
	return 0;
}
