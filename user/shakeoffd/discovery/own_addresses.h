/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The host's own unicast addresses: those of its interfaces, and those that local routes give it (`ip route add
 * local`). Those of loopback and link-local ones are bypassed, and are not among them.
 */
#ifndef SHAKEOFFD_DISCOVERY_OWN_ADDRESSES_H
#define SHAKEOFFD_DISCOVERY_OWN_ADDRESSES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/prefix.h"

/* Of the routing table `local`, but for 127.0.0.0/8: packets from there do not come in by a wire. */
struct own_route {
	struct prefix prefix;
	bool local; /* packets to it are for this host; false: of broadcast and anycast addresses */
};

struct own_addresses {
	struct in6_addr *list; /* IPv4 mapped, sorted, each once; of a prefix of several addresses the first one */
	size_t count;
	struct own_route *routes; /* sorted, each once */
	size_t route_count;
};

/* Reads them anew. On failure what was there stays. */
int own_addresses_read(struct own_addresses *own);
void own_addresses_free(struct own_addresses *own);

/* Whether it is of a kind that can be among them. */
bool own_addresses_may_have(const struct in6_addr *address);

/* The prefix of a local route that holds the address and more than it, or NULL. */
const struct prefix *own_addresses_prefix(const struct own_addresses *own, const struct in6_addr *address);

bool own_addresses_equal(const struct own_addresses *a, const struct own_addresses *b);
int own_route_compare(const void *a, const void *b); /* for qsort() and bsearch() */

/* Whether it is one of them, or of a prefix that is the host's own. */
bool own_addresses_have(const struct own_addresses *own, const struct in6_addr *address);

#endif
