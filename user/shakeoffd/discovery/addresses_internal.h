/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by the parts of addresses.h: addresses.c (contents of the maps), addresses_room.c (who gets room in them). */
#ifndef SHAKEOFFD_DISCOVERY_ADDRESSES_INTERNAL_H
#define SHAKEOFFD_DISCOVERY_ADDRESSES_INTERNAL_H

#include "shakeoffd/discovery/addresses.h"

#define PORTS (1u << 16)

struct published {
	struct in6_addr address;
	uint32_t value; /* in the map: service id and SHAKEOFF_ADDRESS_FLAGS, or SHAKEOFF_ADDRESS_ITSELF */
	uint32_t uid;   /* as in struct address */
	bool first;
};

/* The user of addresses that an earlier daemon left, until they are published again. */
#define UID_UNKNOWN UINT32_MAX

struct published_list {
	struct published *list; /* in the order of the addresses */
	size_t count;
};

struct published_port {
	struct published_list in_map;
	struct published_list no_room;
};

/* Appends an address to a list. 0 or -ENOMEM. */
int published_append(struct published_list *to, const struct published *published);

/* Sorts a list by address. */
void published_sort(struct published_list *list);

/* Count for its user an address that comes into a datapath's map, or leaves it. */
void addresses_count_in(const struct addresses *addresses, size_t datapath, uint16_t port,
			const struct published *published);
void addresses_count_out(const struct addresses *addresses, size_t datapath, uint16_t port,
			 const struct published *published);

/*
 * Returns whether the user of `wanted` has the maximum already. Replacing an address of the same user does not count.
 */
bool addresses_is_too_much(const struct addresses *addresses, size_t datapath, uint16_t port,
			   const struct published *wanted, const struct published *old);

/*
 * Takes another address of the same family out of the map to make room for `wanted`: the address with the highest port
 * above `port`, or an address of the user who has most. Returns false if there is none.
 */
bool addresses_make_room(struct addresses *addresses, size_t datapath, uint16_t port, const struct published *wanted);

/* Counts the addresses without room again, for `shakeoff status`, and logs when there begin to be some. */
void addresses_report_no_room(struct addresses *addresses);

#endif
