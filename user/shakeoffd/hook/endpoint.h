/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The address and port of a service, for the self-test and the reader of the firewall's rules. */
#ifndef SHAKEOFFD_HOOK_ENDPOINT_H
#define SHAKEOFFD_HOOK_ENDPOINT_H

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

struct endpoint {
	struct in6_addr address; /* IPv4 mapped */
	uint16_t port;           /* host byte order */
};

/* Compares endpoints: for qsort() and bsearch(), also of structures that begin with an endpoint. */
static inline int endpoint_compare(const void *a, const void *b)
{
	const struct endpoint *first = a, *second = b;
	int order = memcmp(&first->address, &second->address, sizeof(first->address));

	return order ? order : (int)first->port - (int)second->port;
}

#endif
