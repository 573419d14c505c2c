/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Addresses of devices above the interfaces, where packets arrive differently: those of VLAN devices have a tag, which
 * the hook does not see if the tag is beside the frame; those of bridges come through a bridge.
 */
#ifndef SHAKEOFFD_DISCOVERY_UPPER_ADDRESSES_H
#define SHAKEOFFD_DISCOVERY_UPPER_ADDRESSES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "shakeoffd/hook/interfaces.h"

struct upper_address {
	struct in6_addr address; /* IPv4 mapped */
	bool tagged;
	bool bridged;
};

struct upper_addresses {
	struct upper_address *list; /* sorted */
	size_t count;
};

/* Reads them again; *changed: whether they differ from before. On failure the old ones stay. */
int upper_addresses_read(struct upper_addresses *upper, const struct interfaces *interfaces, bool *changed);
void upper_addresses_free(struct upper_addresses *upper);

bool upper_addresses_are_tagged(const struct upper_addresses *upper, const struct in6_addr *address);
bool upper_addresses_are_bridged(const struct upper_addresses *upper, const struct in6_addr *address);

#endif
