/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The addresses of devices above the interfaces that packets reach in another way than the interfaces' own: those of
 * VLAN devices with a tag, which the hook does not see if it stands beside the frame; those of bridges through a
 * bridge.
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

/* Reads them anew; *changed: whether they are others than before. On failure what was there stays. */
int upper_addresses_read(struct upper_addresses *upper, const struct interfaces *interfaces, bool *changed);
void upper_addresses_free(struct upper_addresses *upper);

bool upper_addresses_are_tagged(const struct upper_addresses *upper, const struct in6_addr *address);
bool upper_addresses_are_bridged(const struct upper_addresses *upper, const struct in6_addr *address);

#endif
