/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/array.h"
#include "common/cleanup.h"
#include "common/netlink_dump.h"
#include "common/process.h"
#include "cli/acl_guard.h"

/* The shortest prefix for an attacker's own networks: the largest allocations of registries are /8 and /16. */
#define SHORTEST4 8
#define SHORTEST6 16

/* An environment larger than this is cut. */
#define ENVIRONMENT_MAX (1u << 20)

struct guarded {
	bool ipv6;
	uint8_t address[16];
	const char *what;
};

struct acl_guard {
	struct guarded *acl; /* sorted */
	size_t count;
};

static int add(struct acl_guard *guard, bool ipv6, const void *address, const char *what)
{
	struct guarded one = { .ipv6 = ipv6, .what = what };

	memcpy(one.address, address, ipv6 ? 16 : 4);
	return array_append(guard->acl, guard->count, one);
}

/* ----------------------------------------------------------------------------------------- the host's own addresses */

/*
 * Adds an address of this host. Loopback and link-local addresses are skipped: lists of bogus networks contain them,
 * and their packets come in at no interface, or not for services.
 */
static int add_interface_address(struct acl_guard *guard, const struct ifaddrs *interface)
{
	const struct sockaddr *address = interface->ifa_addr;

	if (!address || interface->ifa_flags & IFF_LOOPBACK)
		return 0;
	if (address->sa_family == AF_INET)
		return add(guard, false, &((const struct sockaddr_in *)address)->sin_addr, "an address of this host");
	if (address->sa_family != AF_INET6 || IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)address)->sin6_addr))
		return 0;
	return add(guard, true, &((const struct sockaddr_in6 *)address)->sin6_addr, "an address of this host");
}

static int add_own(struct acl_guard *guard)
{
	struct ifaddrs *interfaces;
	int error = 0;

	if (getifaddrs(&interfaces))
		return -errno;
	for (const struct ifaddrs *i = interfaces; i && !error; i = i->ifa_next)
		error = add_interface_address(guard, i);
	freeifaddrs(interfaces);
	return error;
}

/* --------------------------------------------------------------------------------------------------------- gateways */

struct gateways {
	struct acl_guard *guard;
	int error;
};

static void add_gateway(struct gateways *gateways, const struct nlattr *attr, bool ipv6)
{
	if (mnl_attr_get_payload_len(attr) == (ipv6 ? 16 : 4) && !gateways->error)
		gateways->error = add(gateways->guard, ipv6, mnl_attr_get_payload(attr), "a gateway of this host");
}

/* Adds a gateway of the other family: RTA_VIA (struct rtvia, linux/rtnetlink.h). */
static void add_via(struct gateways *gateways, const struct nlattr *attr)
{
	const struct rtvia *via = mnl_attr_get_payload(attr);
	bool ipv6;

	if (mnl_attr_get_payload_len(attr) < sizeof(*via))
		return;
	ipv6 = via->rtvia_family == AF_INET6;
	if (mnl_attr_get_payload_len(attr) == sizeof(*via) + (ipv6 ? 16 : 4) && !gateways->error)
		gateways->error = add(gateways->guard, ipv6, via->rtvia_addr, "a gateway of this host");
}

static void add_nexthops(struct gateways *gateways, const struct nlattr *nest, bool ipv6)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(nest);
	int length = mnl_attr_get_payload_len(nest);

	for (; RTNH_OK(hop, length); length -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		const struct nlattr *attr;

		mnl_attr_for_each_payload((const void *)RTNH_DATA(hop), hop->rtnh_len - sizeof(*hop)) {
			if (mnl_attr_get_type(attr) == RTA_GATEWAY)
				add_gateway(gateways, attr, ipv6);
			else if (mnl_attr_get_type(attr) == RTA_VIA)
				add_via(gateways, attr);
		}
	}
}

static int read_route(const struct nlmsghdr *header, void *context)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(header);
	struct gateways *gateways = context;
	bool ipv6 = route->rtm_family == AF_INET6;
	const struct nlattr *attr;

	mnl_attr_for_each(attr, header, sizeof(*route)) {
		switch (mnl_attr_get_type(attr)) {
		case RTA_GATEWAY: add_gateway(gateways, attr, ipv6); break;
		case RTA_VIA: add_via(gateways, attr); break;
		case RTA_MULTIPATH: add_nexthops(gateways, attr, ipv6); break;
		}
	}
	return gateways->error ? MNL_CB_ERROR : MNL_CB_OK;
}

static int dump_routes(struct mnl_socket *socket, struct gateways *gateways)
{
	_Alignas(struct nlmsghdr) char buffer[MNL_NLMSG_HDRLEN + sizeof(struct rtmsg)];
	struct nlmsghdr *request = netlink_dump_request(buffer, RTM_GETROUTE);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(request, sizeof(*route));
	int error;

	route->rtm_family = AF_UNSPEC;
	error = netlink_dump(socket, request, read_route, gateways);
	return error && gateways->error ? gateways->error : error;
}

static int add_gateways(struct acl_guard *guard)
{
	struct gateways gateways = { .guard = guard };
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int error;

	if (!socket)
		return -errno;
	error = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : dump_routes(socket, &gateways);
	mnl_socket_close(socket);
	return error;
}

/* ------------------------------------------------------------------------------------------------------ the session */

/* Adds the client's address, which comes first in SSH_CONNECTION and SSH_CLIENT (ssh(1)). */
static int add_peer(struct acl_guard *guard, const char *value)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t address[16];
	size_t length = strcspn(value, " %"); /* a link-local address is followed by its interface */

	if (!length || length >= sizeof(text))
		return 0;
	memcpy(text, value, length);
	text[length] = '\0';
	if (inet_pton(AF_INET, text, address) == 1)
		return add(guard, false, address, "the other end of your SSH session");
	if (inet_pton(AF_INET6, text, address) != 1)
		return 0;
	if (IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)address))
		return add(guard, false, address + 12, "the other end of your SSH session");
	return add(guard, true, address, "the other end of your SSH session");
}

static int add_peer_of(struct acl_guard *guard, pid_t pid, char *environment)
{
	char path[64];
	cleanup_file FILE *file = NULL;
	size_t length;
	int error = 0;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	length = fread(environment, 1, ENVIRONMENT_MAX, file);
	environment[length] = '\0';
	for (size_t at = 0; at < length && !error; at += strlen(environment + at) + 1)
		if (!strncmp(environment + at, "SSH_CONNECTION=", 15))
			error = add_peer(guard, environment + at + 15);
	return error;
}

/* Adds the other end of the SSH session. sudo removes the variable; the shell that called sudo still has it. */
static int add_session(struct acl_guard *guard)
{
	cleanup_free char *environment = malloc(ENVIRONMENT_MAX + 1);
	int error = 0;

	if (!environment)
		return -ENOMEM;
	for (pid_t pid = getpid(); pid > 0 && !error; pid = process_parent(pid))
		error = add_peer_of(guard, pid, environment);
	return error;
}

/* ------------------------------------------------------------------------------------------------------------ guard */

static int compare(const void *first, const void *second)
{
	const struct guarded *a = first, *b = second;

	return a->ipv6 != b->ipv6 ? a->ipv6 - b->ipv6 : memcmp(a->address, b->address, sizeof(a->address));
}

static void guard_close(struct acl_guard *guard)
{
	free(guard->acl);
	*guard = (struct acl_guard){ 0 };
}

static int guard_open(struct acl_guard *guard)
{
	int error;

	*guard = (struct acl_guard){ 0 };
	error = add_session(guard);
	if (!error)
		error = add_own(guard);
	if (!error)
		error = add_gateways(guard);
	if (error)
		guard_close(guard);
	else if (guard->count)
		qsort(guard->acl, guard->count, sizeof(*guard->acl), compare);
	return error;
}

static bool is_within(const struct guarded *one, const struct prefix *prefix)
{
	const uint8_t *network = (const uint8_t *)prefix->address;
	size_t whole = prefix->len / 8, rest = prefix->len % 8;

	return one->ipv6 == prefix->ipv6 && !memcmp(one->address, network, whole) &&
	       (!rest || !((one->address[whole] ^ network[whole]) & (0xff00 >> rest)));
}

/* Finds a guarded address in a prefix: the first address that is not below the prefix is in it, or none is. */
static const struct guarded *find(const struct acl_guard *guard, const struct prefix *prefix)
{
	struct guarded lowest = { .ipv6 = prefix->ipv6 };
	size_t low = 0, high = guard->count;

	memcpy(lowest.address, prefix->address, prefix->ipv6 ? 16 : 4);
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&guard->acl[middle], &lowest) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < guard->count && is_within(&guard->acl[low], prefix) ? &guard->acl[low] : NULL;
}

/*
 * Returns whether a prefix has only addresses that no client has: multicast and reserved addresses (IPv4: 224.0.0.0/3),
 * and IPv6 addresses that are not global (RFC 4291, 2.4: 2000::/3 is). Lists of bogus networks contain them as a whole.
 * If the host has such an address, the check of its own addresses finds it.
 */
static bool is_bogus(const struct prefix *prefix)
{
	uint8_t first = *(const uint8_t *)prefix->address >> 5;

	return prefix->len >= 3 && (prefix->ipv6 ? first != 1 : first == 7);
}

static bool guard_refuses(const struct acl_guard *guard, const struct acl_entry *entry, char *why, size_t size)
{
	unsigned int shortest = entry->prefix.ipv6 ? SHORTEST6 : SHORTEST4;
	char prefix[PREFIX_TEXT], address[INET6_ADDRSTRLEN];
	const struct guarded *held;

	prefix_write(&entry->prefix, prefix, sizeof(prefix));
	if (entry->prefix.len < shortest && (entry->action != SHAKEOFF_ACL_BLOCK || !is_bogus(&entry->prefix))) {
		snprintf(why, size,
			 "%s %s is shorter than /%u, which is nearly always a mistake: if you mean it, add --force",
			 acl_action_name(entry->action), prefix, shortest);
		return true;
	}
	held = entry->action == SHAKEOFF_ACL_BLOCK ? find(guard, &entry->prefix) : NULL;
	if (!held)
		return false;
	inet_ntop(held->ipv6 ? AF_INET6 : AF_INET, held->address, address, sizeof(address));
	snprintf(why, size, "block %s holds %s, %s: if you mean it, add --force", prefix, address, held->what);
	return true;
}

int acl_guard_check(const struct acl_entry *entries, size_t count, char *why, size_t size)
{
	struct acl_guard guard;
	int result = guard_open(&guard);

	if (result)
		return result;
	for (size_t i = 0; i < count && !result; i++)
		result = guard_refuses(&guard, &entries[i], why, size);
	guard_close(&guard);
	return result;
}
