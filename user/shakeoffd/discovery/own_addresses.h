/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The host's own unicast addresses: those of its interfaces, and those of local routes (`ip route add local`). Loopback
 * and link-local addresses are bypassed, so they are left out.
 */
#ifndef SHAKEOFFD_DISCOVERY_OWN_ADDRESSES_H
#define SHAKEOFFD_DISCOVERY_OWN_ADDRESSES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/prefix.h"

/* A route of the routing table `local`, without 127.0.0.0/8, whose packets never arrive by wire. */
struct own_route {
	struct prefix prefix;
	bool local; /* packets to it are for this host; false: a broadcast or anycast address */
};

struct own_addresses {
	struct in6_addr *list; /* IPv4 mapped, sorted, unique; only the first address of a prefix */
	size_t count;
	struct own_route *routes; /* sorted, unique */
	size_t route_count;
};

/* Reads them again. On failure the old ones stay. */
int own_addresses_read(struct own_addresses *own);
void own_addresses_free(struct own_addresses *own);

/* Returns whether an address is of a kind that can be among them. */
bool own_addresses_may_have(const struct in6_addr *address);

bool own_addresses_equal(const struct own_addresses *a, const struct own_addresses *b);
int own_route_compare(const void *a, const void *b); /* for qsort() and bsearch() */

/* Returns whether it is one of them, or in a prefix that is the host's own. */
bool own_addresses_have(const struct own_addresses *own, const struct in6_addr *address);

#endif
