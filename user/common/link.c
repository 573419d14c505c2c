/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/array.h"
#include "common/cleanup.h"
#include "common/link.h"

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
 * IFLA_XDP_ATTACHED names one mode, or says that there are several (MULTI). Each mode's program has an attribute of its own
 * since kernel 4.19, so those alone are looked at.
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

/* The master's kind: linux, drivers/net/vrf.c. */
static void read_info(const struct nlattr *nest, struct link_entry *entry)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest) {
		if (mnl_attr_get_type(attr) == IFLA_INFO_SLAVE_KIND &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
			entry->in_vrf = !strcmp(mnl_attr_get_str(attr), "vrf");
	}
}

void link_parse(const struct nlmsghdr *header, struct link_entry *entry)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);
	const struct nlattr *attr;

	*entry = (struct link_entry){ .ifindex = info->ifi_index };
	mnl_attr_for_each(attr, header, sizeof(*info)) {
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME: strncpy(entry->name, mnl_attr_get_str(attr), sizeof(entry->name) - 1); break;
		case IFLA_MTU: entry->mtu = nested_u32(attr); break;
		case IFLA_XDP: read_xdp(attr, entry); break;
		case IFLA_LINKINFO: read_info(attr, entry); break;
		}
	}
}

static int read_link(const struct nlmsghdr *header, void *context)
{
	struct links *links = context;
	struct link_entry *entries;

	if (header->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	entries = array_grow(links->entries, links->count, sizeof(*entries));
	if (!entries)
		return MNL_CB_ERROR;
	links->entries = entries;
	link_parse(header, &links->entries[links->count++]);
	return MNL_CB_OK;
}

/* Asks for one interface (by name) or for all (NULL). */
static int query(const char *name, struct links *links)
{
	cleanup_socket struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	/* An answer about one interface with many virtual functions can exceed libmnl's usual size. */
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
	request->nlmsg_flags = NLM_F_REQUEST | (name ? NLM_F_ACK : NLM_F_DUMP);
	request->nlmsg_seq = sequence;
	info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
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

int link_get(const char *name, struct link_entry *entry)
{
	struct links links = { 0 };
	int result;

	if (!*name || strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	result = query(name, &links);
	if (!result && links.count != 1)
		result = -ENODEV;
	if (!result)
		*entry = links.entries[0];
	free(links.entries);
	return result;
}

int link_list(struct link_entry **list, size_t *count)
{
	struct links links = { 0 };
	int result = -EINTR;

	/* The kernel says so when interfaces came or went during the dump. */
	for (int i = 0; i < DUMP_TRIES && result == -EINTR; i++) {
		links.count = 0;
		result = query(NULL, &links);
	}
	if (result) {
		free(links.entries);
		return result;
	}
	*list = links.entries;
	*count = links.count;
	return 0;
}
