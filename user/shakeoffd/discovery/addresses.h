/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where services are reached, as the datapaths' maps have it. What stands there is remembered, so that only what really
 * changes touches a map.
 */
#ifndef SHAKEOFFD_DISCOVERY_ADDRESSES_H
#define SHAKEOFFD_DISCOVERY_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>

#include "datapath/datapath.h"
#include "shakeoffd/hook/service.h"
#include "shakeoffd/discovery/user_quota.h"
#include "shakeoffd/hook/socket_filter.h"

/* An address that is to lead to a service. */
struct address {
	struct in6_addr address; /* IPv4 mapped */
	struct service *service;
	bool bypassed;  /* to the kernel: SHAKEOFF_ADDRESS_BYPASSED */
	bool tagged;    /* SHAKEOFF_ADDRESS_TAGGED */
	bool untested;  /* SHAKEOFF_ADDRESS_UNTESTED */
	bool keep_only; /* stays if it leads there already, but is not added */
	bool first;   /* it has room before others: root's, the configuration's, or at a port that only root may have */
	uint32_t uid; /* of the user whose share it counts for, if it is not one of those */
};

struct published_port;

struct addresses {
	struct datapath *const *datapaths;
	size_t count;
	struct published_port *ports; /* [datapath * 65536 + port] */
	struct socket_filter *filter;
	bool noted;                      /* the sockets, since addresses_begin() */
	bool changed;                    /* a map, since addresses_end() */
	bool full;                       /* it was said that a map is full */
	bool turned_away;                /* for want of room, since addresses_look_again() */
	size_t *top;                     /* of each datapath: no port above has an address */
	size_t quarter;                  /* so many of a family may be any other user's */
	struct user_quotas (*quotas)[2]; /* of each datapath: IPv4, IPv6; of those that are not first */
};

/*
 * Reads what an earlier daemon left. Before the hook is given an address that it did not have, all sockets get into
 * `filter`.
 */
int addresses_open(struct addresses *addresses, struct datapath *const *datapaths, size_t count,
		   struct socket_filter *filter);
void addresses_close(struct addresses *addresses);

/*
 * Begins a publication: the ports that have changed follow one by one. Their new addresses have the sockets noted once.
 */
void addresses_begin(struct addresses *addresses);

/*
 * Makes what the datapaths have at this port agree with `list`, which is in the order of the addresses. Where a map is
 * full, the address with the highest port makes room. An address that comes first takes room from the user who has
 * most. No user has more than a quarter. Addresses without room stay the kernel's, and are counted
 * (shakeoff_service.no_room).
 */
int addresses_publish(struct addresses *addresses, uint16_t port, const struct address *list, size_t count);

/*
 * Ends a publication: publishes each address that has a service by itself, too (SHAKEOFF_ADDRESS_ITSELF), as far as
 * there is room, and tells what has found none.
 */
int addresses_end(struct addresses *addresses);

/* Returns whether an address leads anywhere now. */
bool addresses_have(const struct addresses *addresses, const struct in6_addr *address, uint16_t port);

/* Returns whether something was turned away, which may find room now. Forgets it. */
bool addresses_look_again(struct addresses *addresses);

/* Removes all addresses: packets are the kernel's again. */
int addresses_withdraw(struct datapath *const *datapaths, size_t count);

#endif
