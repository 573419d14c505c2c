/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/listener_match.h"
#include "common/tuple.h"

const struct binding_key binding_everything = { .any = true, .ipv4 = true, .ipv6 = true };

enum binding_match binding_match(const struct binding_key *key, const struct in6_addr *address, uint16_t port)
{
	bool ipv4 = IN6_IS_ADDR_V4MAPPED(address);

	if (!key->port)
		return BINDING_EVERYTHING;
	if (key->port != port)
		return BINDING_NO;
	if (!key->any)
		return IN6_ARE_ADDR_EQUAL(&key->address, address) ? BINDING_EXACT : BINDING_NO;
	if (ipv4 ? !key->ipv4 : !key->ipv6)
		return BINDING_NO;
	return ipv4 && key->ipv6 ? BINDING_DUALSTACK : BINDING_WILDCARD;
}

bool binding_equal(const struct binding_key *a, const struct binding_key *b)
{
	return IN6_ARE_ADDR_EQUAL(&a->address, &b->address) && a->port == b->port && a->any == b->any &&
	       a->ipv4 == b->ipv4 && a->ipv6 == b->ipv6;
}

bool binding_overlap(const struct binding_key *a, const struct binding_key *b)
{
	if (!a->port || !b->port)
		return true;
	if (a->port != b->port)
		return false;
	if (!a->any && !b->any)
		return IN6_ARE_ADDR_EQUAL(&a->address, &b->address);
	return (a->ipv4 && b->ipv4) || (a->ipv6 && b->ipv6);
}

int binding_of_socket(int fd, struct binding_key *key)
{
	struct binding_key found = { 0 };
	union socket_address bound;
	socklen_t size = sizeof(bound);
	int only = 0;

	if (getsockname(fd, &bound.sa, &size))
		return -errno;
	switch (bound.sa.sa_family) {
	case AF_INET:
		found.ipv4 = true;
		found.any = bound.in.sin_addr.s_addr == htonl(INADDR_ANY);
		break;
	case AF_INET6:
		size = sizeof(only);
		if (getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size))
			return -errno;
		found.any = IN6_IS_ADDR_UNSPECIFIED(&bound.in6.sin6_addr);
		found.ipv6 = !IN6_IS_ADDR_V4MAPPED(&bound.in6.sin6_addr);
		found.ipv4 = !found.ipv6 || (found.any && !only);
		break;
	default: return -EINVAL;
	}
	socket_address_get(&bound, &found.address, &found.port);
	if (found.any)
		found.address = in6addr_any;
	if (!found.port)
		return -EINVAL;
	*key = found;
	return 0;
}

struct binding_key binding_of_listener(const struct sock_diag_listener *listener)
{
	return (struct binding_key){
		.address = listener->address,
		.port = listener->port,
		.any = IN6_IS_ADDR_UNSPECIFIED(&listener->address),
		.ipv4 = listener->family == AF_INET || listener->dualstack,
		.ipv6 = listener->family == AF_INET6,
	};
}
