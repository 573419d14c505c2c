/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Helpers for a connection's four-tuple. */
#ifndef SHAKEOFF_COMMON_TUPLE_H
#define SHAKEOFF_COMMON_TUPLE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include <shakeoff/abi.h>

/* Returns whether an address, in the form of the ABI, is IPv4 mapped. */
static inline bool address_is_mapped(const __be32 address[4])
{
	return !address[0] && !address[1] && address[2] == htonl(0xffff);
}

static inline bool tuple_is_ipv4(const struct shakeoff_tuple *tuple)
{
	return address_is_mapped(tuple->local);
}

static inline bool tuple_equal(const struct shakeoff_tuple *a, const struct shakeoff_tuple *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* Converts the bytes of an address in the kernel's messages: IPv4 mapped (RFC 4291, section 2.5.5.2). */
static inline void address_map(int family, const void *bytes, struct in6_addr *address)
{
	memset(address, 0, sizeof(*address));
	if (family == AF_INET6) {
		memcpy(address, bytes, sizeof(*address));
		return;
	}
	address->s6_addr[10] = address->s6_addr[11] = 0xff;
	memcpy(&address->s6_addr[12], bytes, 4);
}

/* Returns whether an address is in a prefix of this length; both IPv4 mapped, which counts for 96 bits. */
static inline bool address_in_prefix(const struct in6_addr *address, const struct in6_addr *prefix, unsigned int len)
{
	unsigned int whole = len / 8, bits = len % 8;

	return !memcmp(address, prefix, whole) &&
	       (!bits || !((address->s6_addr[whole] ^ prefix->s6_addr[whole]) >> (8 - bits)));
}

union socket_address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* Fills in a socket address. Returns its size. `mapped`: an IPv4 address becomes an IPv6 address. */
static inline socklen_t socket_address_set(union socket_address *to, const __be32 address[4], __be16 port, bool mapped)
{
	memset(to, 0, sizeof(*to));
	if (address_is_mapped(address) && !mapped) {
		to->in.sin_family = AF_INET;
		to->in.sin_port = port;
		to->in.sin_addr.s_addr = address[3];
		return sizeof(to->in);
	}
	to->in6.sin6_family = AF_INET6;
	to->in6.sin6_port = port;
	memcpy(&to->in6.sin6_addr, address, sizeof(to->in6.sin6_addr));
	return sizeof(to->in6);
}

/* Reads a socket address. `port` in host byte order. */
static inline void socket_address_get(const union socket_address *from, struct in6_addr *address, uint16_t *port)
{
	if (from->sa.sa_family == AF_INET6) {
		*address = from->in6.sin6_addr;
		*port = ntohs(from->in6.sin6_port);
		return;
	}
	address_map(AF_INET, &from->in.sin_addr, address);
	*port = ntohs(from->in.sin_port);
}

#endif
