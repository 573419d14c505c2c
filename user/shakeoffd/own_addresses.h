/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The host's own unicast addresses. Those of loopback and link-local ones are left to the kernel, and are not among them. */
#ifndef SHAKEOFF_OWN_ADDRESSES_H
#define SHAKEOFF_OWN_ADDRESSES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

struct own_addresses {
	struct in6_addr *list; /* IPv4 mapped, sorted, each once */
	size_t count;
};

/* Reads them anew. On failure what was there stays. */
int own_addresses_read(struct own_addresses *own);
void own_addresses_free(struct own_addresses *own);

/* Whether it is of a kind that can be among them. */
bool own_addresses_may_have(const struct in6_addr *address);

bool own_addresses_have(const struct own_addresses *own, const struct in6_addr *address);

#endif
