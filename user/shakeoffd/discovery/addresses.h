/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The addresses of services in the datapaths' maps. Remembers what the maps have, so that only real changes touch a
 * map.
 */
#ifndef SHAKEOFFD_DISCOVERY_ADDRESSES_H
#define SHAKEOFFD_DISCOVERY_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>

#include "datapath/datapath.h"
#include "shakeoffd/hook/service.h"
#include "shakeoffd/discovery/user_quota.h"
#include "shakeoffd/hook/socket_filter.h"

/* An address that should lead to a service. */
struct address {
	struct in6_addr address; /* IPv4 mapped */
	struct service *service;
	bool bypassed;  /* goes to the kernel: SHAKEOFF_ADDRESS_BYPASSED */
	bool tagged;    /* SHAKEOFF_ADDRESS_TAGGED */
	bool untested;  /* SHAKEOFF_ADDRESS_UNTESTED */
	bool keep_only; /* stays if it leads there already, but is not added */
	bool first;     /* has priority: root's, the configuration's, or at a port that only root may have */
	uint32_t uid;   /* the user whose quota it counts for, if it has no priority */
};

struct published_port;

struct addresses {
	struct datapath *const *datapaths;
	size_t count;
	struct published_port *ports; /* [datapath * 65536 + port] */
	struct socket_filter *filter;
	bool noted;                      /* the sockets are noted, since addresses_begin() */
	bool changed;                    /* a map has changed, since addresses_end() */
	bool full;                       /* it is reported that a map is full */
	bool lacks_room;                 /* an address found no room, since addresses_look_again() */
	size_t *top;                     /* of each datapath: no higher port has an address */
	size_t quarter;                  /* maximum of addresses of a family for a user without priority */
	struct user_quotas (*quotas)[2]; /* of each datapath: IPv4, IPv6; without addresses that have priority */
};

/*
 * Reads what an earlier daemon left. Before the hook gets an address that it did not have, all sockets are put into
 * `filter`.
 */
int addresses_open(struct addresses *addresses, struct datapath *const *datapaths, size_t count,
		   struct socket_filter *filter);
void addresses_close(struct addresses *addresses);

/*
 * Begins a publication; the changed ports follow one by one. Their first new address has all sockets noted, once for
 * the whole publication.
 */
void addresses_begin(struct addresses *addresses);

/*
 * Makes the datapaths' maps agree with `list` at this port; `list` is in the order of the addresses. If a map is full,
 * the address with the highest port makes room. An address with priority takes room from the user who has most. No user
 * without priority has more than a quarter. Addresses without room go to the kernel, and are counted
 * (shakeoff_service.no_room).
 */
int addresses_publish(struct addresses *addresses, uint16_t port, const struct address *list, size_t count);

/*
 * Ends a publication: also publishes each protected address by itself (SHAKEOFF_ADDRESS_ITSELF) as far as there is
 * room, and reports the addresses that found no room.
 */
int addresses_end(struct addresses *addresses);

/* Returns whether an address is in a map at this port. */
bool addresses_have(const struct addresses *addresses, const struct in6_addr *address, uint16_t port);

/* Returns whether an address found no room since the last call, so that it is worth another try. */
bool addresses_look_again(struct addresses *addresses);

/* Removes all addresses, so that the kernel gets their packets. */
int addresses_withdraw(struct datapath *const *datapaths, size_t count);

#endif
