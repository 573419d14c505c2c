/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <netinet/in.h> /* before linux/in6.h, which linux/xfrm.h brings along */

#include <errno.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/array.h"
#include "common/netlink_dump.h"
#include "common/tuple.h"
#include "shakeoffd/firewall/xfrm.h"

static bool template_is_required(const struct nlattr *attribute)
{
	const struct xfrm_user_tmpl *list = mnl_attr_get_payload(attribute);
	size_t count = mnl_attr_get_payload_len(attribute) / sizeof(*list);

	for (size_t i = 0; i < count; i++)
		if (!list[i].optional)
			return true;
	return false;
}

/*
 * Returns whether the kernel drops a plain TCP segment that a policy applies to: xfrm_policy_check(),
 * net/xfrm/xfrm_policy.c.
 */
static bool refuses_plain(const struct xfrm_userpolicy_info *policy, const struct nlmsghdr *header)
{
	bool required = policy->action == XFRM_POLICY_BLOCK;
	const struct nlattr *attribute;

	if (policy->dir != XFRM_POLICY_IN || (policy->sel.proto && policy->sel.proto != IPPROTO_TCP))
		return false;
	mnl_attr_for_each(attribute, header, sizeof(*policy)) {
		switch (mnl_attr_get_type(attribute)) {
		case XFRMA_TMPL: required |= template_is_required(attribute); break;
		case XFRMA_IF_ID:
			if (mnl_attr_get_u32(attribute)) /* for packets of an xfrm interface, which came through ESP */
				return false;
		}
	}
	return required;
}

static void endpoints_of(const struct xfrm_selector *selector, struct xfrm_endpoints *endpoints)
{
	bool ipv4 = selector->family == AF_INET;

	*endpoints = (struct xfrm_endpoints){ .port = ntohs(selector->dport),
					      .port_mask = ntohs(selector->dport_mask) };
	address_map(ipv4 ? AF_INET : AF_INET6, &selector->daddr, &endpoints->prefix);
	endpoints->prefix_len = (uint16_t)((ipv4 ? 96 : 0) + selector->prefixlen_d);
}

int xfrm_add(struct xfrm_policies *policies, const struct nlmsghdr *header)
{
	const struct xfrm_userpolicy_info *policy = mnl_nlmsg_get_payload(header);
	struct xfrm_endpoints endpoints;

	if (header->nlmsg_type != XFRM_MSG_NEWPOLICY || mnl_nlmsg_get_payload_len(header) < sizeof(*policy) ||
	    !refuses_plain(policy, header))
		return 0;
	endpoints_of(&policy->sel, &endpoints);
	return array_append(policies->list, policies->count, endpoints);
}

/* Returns whether the families agree: a selector without an address still applies to its own family only. */
static bool is_of_family(const struct xfrm_endpoints *endpoints, const struct in6_addr *address)
{
	return IN6_IS_ADDR_V4MAPPED(&endpoints->prefix) == IN6_IS_ADDR_V4MAPPED(address);
}

static bool is_in_prefix(const struct xfrm_endpoints *endpoints, const struct in6_addr *address)
{
	return endpoints->prefix_len <= 128 && address_in_prefix(address, &endpoints->prefix, endpoints->prefix_len);
}

bool xfrm_requires(const struct xfrm_policies *policies, const struct in6_addr *address, uint16_t port)
{
	for (size_t i = 0; i < policies->count; i++) {
		const struct xfrm_endpoints *endpoints = &policies->list[i];

		if (is_of_family(endpoints, address) && is_in_prefix(endpoints, address) &&
		    !((endpoints->port ^ port) & endpoints->port_mask))
			return true;
	}
	return false;
}

/* ---------------------------------------------------------------------------------------------------------- reading */

static int take(const struct nlmsghdr *header, void *context)
{
	int error = xfrm_add(context, header);

	errno = -error;
	return error ? MNL_CB_ERROR : MNL_CB_OK;
}

static int dump(struct mnl_socket *socket, struct xfrm_policies *fresh)
{
	_Alignas(struct nlmsghdr) char buffer[MNL_NLMSG_HDRLEN];

	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	return netlink_dump(socket, netlink_dump_request(buffer, XFRM_MSG_GETPOLICY), take, fresh);
}

/* Reads the policies. Returns 1 if they have changed. */
static int read_all(struct xfrm_policies *policies)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_XFRM, SOCK_CLOEXEC);
	struct xfrm_policies fresh = { 0 };
	int result;

	if (!socket)
		return -errno;
	result = dump(socket, &fresh);
	mnl_socket_close(socket);
	if (!result && (fresh.count != policies->count ||
			(fresh.count && memcmp(fresh.list, policies->list, fresh.count * sizeof(*fresh.list)))))
		result = 1;
	if (result <= 0) {
		free(fresh.list);
		return result;
	}
	free(policies->list);
	policies->list = fresh.list;
	policies->count = fresh.count;
	return result;
}

int xfrm_open(struct xfrm_policies *policies)
{
	struct sockaddr_nl groups = { .nl_family = AF_NETLINK, .nl_groups = 1u << (XFRMNLGRP_POLICY - 1) };
	int result;

	*policies = (struct xfrm_policies){ .notices = -1 };
	policies->notices = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_XFRM);
	if (policies->notices < 0)
		return errno == EPROTONOSUPPORT ? 0 : -errno;
	if (bind(policies->notices, (struct sockaddr *)&groups, sizeof(groups)))
		result = -errno;
	else
		result = read_all(policies);
	if (result < 0)
		xfrm_close(policies);
	return result < 0 ? result : 0;
}

void xfrm_close(struct xfrm_policies *policies)
{
	if (policies->notices >= 0)
		close(policies->notices);
	free(policies->list);
	*policies = (struct xfrm_policies){ .notices = -1 };
}

/* Returns whether a message came, or was lost for lack of room. */
static bool is_noticed(int fd)
{
	bool noticed = false;
	char byte;

	while (recv(fd, &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC) >= 0 || errno == ENOBUFS)
		noticed = true;
	return noticed;
}

bool xfrm_follow(struct xfrm_policies *policies)
{
	return policies->notices >= 0 && is_noticed(policies->notices) && read_all(policies) == 1;
}
