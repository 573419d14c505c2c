/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The addresses of VLAN devices above the interfaces: of those that clients reach with a VLAN tag. A tag that stands beside the frame is
 * not seen by the hook, and its answer would leave without it.
 */
#ifndef SHAKEOFF_TAGGED_ADDRESSES_H
#define SHAKEOFF_TAGGED_ADDRESSES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include <shakeoffd/interfaces.h>

struct tagged_addresses {
	struct in6_addr *list; /* IPv4 mapped, sorted */
	size_t count;
};

/* Reads them anew; *changed: whether they are others than before. On failure what was there stays. */
int tagged_addresses_read(struct tagged_addresses *tagged, const struct interfaces *interfaces, bool *changed);
void tagged_addresses_free(struct tagged_addresses *tagged);

bool tagged_addresses_have(const struct tagged_addresses *tagged, const struct in6_addr *address);

#endif
