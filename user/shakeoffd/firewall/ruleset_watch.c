/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/hash.h"
#include "shakeoffd/firewall/ruleset_watch.h"

/* -------------------------------------------------------------------------------------------------- iptables-legacy */

static const char *const table_names[2] = { "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names" };

bool ruleset_watch_has_legacy(bool ipv6)
{
	cleanup_file FILE *file = fopen(table_names[ipv6], "re");

	return file && fgetc(file) != EOF;
}

/* The two families' structures differ only in offsets. */
static const struct layout {
	size_t size, next_offset, comefrom, counters;
} layouts[2] = {
	{ sizeof(struct ipt_entry), offsetof(struct ipt_entry, next_offset), offsetof(struct ipt_entry, comefrom),
	  offsetof(struct ipt_entry, counters) },
	{ sizeof(struct ip6t_entry), offsetof(struct ip6t_entry, next_offset), offsetof(struct ip6t_entry, comefrom),
	  offsetof(struct ip6t_entry, counters) },
};

/* Adds the entries to a sum, without counters, which change with every packet. */
static uint64_t sum_entries(uint64_t total, const struct layout *layout, struct ipt_get_entries *entries)
{
	char *entry = (char *)entries->entrytable;
	uint16_t length; /* next_offset */

	for (size_t offset = 0; offset + layout->size <= entries->size; offset += length, entry += length) {
		memcpy(&length, entry + layout->next_offset, sizeof(length));
		if (length < layout->size || offset + length > entries->size)
			break;
		memset(entry + layout->counters, 0, sizeof(struct xt_counters));
		memset(entry + layout->comefrom, 0, sizeof(((struct ipt_entry *)0)->comefrom));
		total = hash_update(total, entry, length);
	}
	return total;
}

_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo), "one structure serves both");
_Static_assert(sizeof(struct ipt_get_entries) == sizeof(struct ip6t_get_entries), "one structure serves both");

static uint64_t sum_table(uint64_t total, int fd, bool ipv6, const char *name)
{
	int level = ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
	struct ipt_getinfo info = { 0 };
	cleanup_free struct ipt_get_entries *entries = NULL;
	socklen_t size = sizeof(info);

	snprintf(info.name, sizeof(info.name), "%s", name);
	if (getsockopt(fd, level, ipv6 ? IP6T_SO_GET_INFO : IPT_SO_GET_INFO, &info, &size))
		return total;
	size = (socklen_t)(sizeof(*entries) + info.size);
	entries = calloc(1, size);
	if (!entries)
		return total;
	snprintf(entries->name, sizeof(entries->name), "%s", name);
	entries->size = info.size;
	if (getsockopt(fd, level, ipv6 ? IP6T_SO_GET_ENTRIES : IPT_SO_GET_ENTRIES, entries, &size))
		return total + 1; /* it is being changed, so the next call has to notice a change */
	return sum_entries(total, &layouts[ipv6], entries);
}

static uint64_t sum_legacy(uint64_t total, bool ipv6)
{
	cleanup_file FILE *file = fopen(table_names[ipv6], "re");
	cleanup_fd int fd = -1;
	char name[XT_TABLE_MAXNAMELEN + 1];

	while (file && fgets(name, sizeof(name), file)) {
		name[strcspn(name, "\n")] = '\0';
		if (fd < 0)
			fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
		total = hash_update(total, name, strlen(name));
		if (fd >= 0)
			total = sum_table(total, fd, ipv6, name);
	}
	return total;
}

/* ------------------------------------------------------------------------------------------------- IPVS and sysctls */

/* Adds services and their servers to a sum, without the counters after the fourth word. */
static uint64_t sum_ipvs(uint64_t total)
{
	cleanup_file FILE *file = fopen("/proc/net/ip_vs", "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		char *rest = line, *word;

		for (int i = 0; i < 4 && (word = strtok_r(i ? NULL : line, " \t\n", &rest)); i++)
			total = hash_update(total, word, strlen(word) + 1);
	}
	return total;
}

/*
 * Adds sysctls to a sum that decide whether an ACK without a SYN begins a connection, and whether a bridge applies the
 * rules.
 */
static uint64_t sum_sysctls(uint64_t total)
{
	static const char *const sysctls[] = { "/proc/sys/net/netfilter/nf_conntrack_tcp_loose",
					       "/proc/sys/net/bridge/bridge-nf-call-iptables",
					       "/proc/sys/net/bridge/bridge-nf-call-ip6tables" };

	for (size_t i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
		cleanup_file FILE *file = fopen(sysctls[i], "re");
		int value = file ? fgetc(file) : EOF;

		total = hash_update(total, &value, sizeof(value));
	}
	return total;
}

unsigned int ruleset_watch_look(struct ruleset_watch *watch)
{
	uint64_t total = sum_sysctls(sum_ipvs(sum_legacy(sum_legacy(HASH_INIT, false), true)));
	bool changed = total != watch->seen;

	watch->seen = total;
	return changed ? RULESET_CHANGED_RULES : 0;
}

/* --------------------------------------------------------------------------------------------------------- nftables */

static int subscribe(struct mnl_socket *socket)
{
	int group = NFNLGRP_NFTABLES;

	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_setsockopt(socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		return -errno;
	return 0;
}

void ruleset_watch_open(struct ruleset_watch *watch)
{
	*watch = (struct ruleset_watch){ .netfilter = mnl_socket_open2(NETLINK_NETFILTER,
								       SOCK_CLOEXEC | SOCK_NONBLOCK) };
	if (watch->netfilter && subscribe(watch->netfilter)) {
		mnl_socket_close(watch->netfilter);
		watch->netfilter = NULL;
	}
	ruleset_watch_look(watch);
}

int ruleset_watch_fd(const struct ruleset_watch *watch)
{
	return watch->netfilter ? mnl_socket_get_fd(watch->netfilter) : -1;
}

static unsigned int change_of(const struct nlmsghdr *header)
{
	if (NFNL_SUBSYS_ID(header->nlmsg_type) != NFNL_SUBSYS_NFTABLES)
		return 0;
	switch (NFNL_MSG_TYPE(header->nlmsg_type)) {
	case NFT_MSG_NEWSETELEM:
	case NFT_MSG_DELSETELEM: return RULESET_CHANGED_ELEMENTS;
	case NFT_MSG_NEWGEN: /* comes after every change */
	case NFT_MSG_TRACE: return 0;
	default: return RULESET_CHANGED_RULES;
	}
}

unsigned int ruleset_watch_read(struct ruleset_watch *watch)
{
	_Alignas(struct nlmsghdr) char buffer[64 * 1024];
	unsigned int changes = 0;

	for (;;) {
		ssize_t size = recv(ruleset_watch_fd(watch), buffer, sizeof(buffer), MSG_DONTWAIT);
		int remaining = (int)size;

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == ENOBUFS) { /* messages were lost, so anything may have changed */
			changes |= RULESET_CHANGED_RULES;
			continue;
		}
		if (size <= 0)
			return changes;
		for (struct nlmsghdr *header = (struct nlmsghdr *)buffer; mnl_nlmsg_ok(header, remaining);
		     header = mnl_nlmsg_next(header, &remaining))
			changes |= change_of(header);
	}
}

/*
 * Asks the kernel. Without nftables it does not know this message: EINVAL of nfnetlink_rcv_msg(), or there is no
 * nfnetlink at all.
 */
bool ruleset_watch_has_nft(void)
{
	_Alignas(struct nlmsghdr) char buffer[8 * 1024];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	uint32_t sequence = (uint32_t)time(NULL);
	ssize_t size;
	bool found;

	if (!socket)
		return false;
	header->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN;
	header->nlmsg_flags = NLM_F_REQUEST;
	header->nlmsg_seq = sequence;
	message->version = NFNETLINK_V0;
	found = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) >= 0 &&
		mnl_socket_sendto(socket, header, header->nlmsg_len) >= 0;
	size = found ? mnl_socket_recvfrom(socket, buffer, sizeof(buffer)) : -1;
	found = size >= 0 && mnl_cb_run(buffer, (size_t)size, sequence, mnl_socket_get_portid(socket), NULL, NULL) >= 0;
	mnl_socket_close(socket);
	return found;
}
