/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's neighbour tables (ARP and IPv6 neighbour discovery), for `answer = route`. */
#ifndef SHAKEOFFD_ROUTE_NEIGHBOURS_H
#define SHAKEOFFD_ROUTE_NEIGHBOURS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct neighbour {
	unsigned int ifindex;
	struct in6_addr address; /* IPv4 mapped */
	uint8_t mac[6];
};

struct neighbours {
	struct neighbour *list; /* sorted */
	size_t count;
};

/*
 * Reads again the neighbours with a known MAC address; *changed: whether they differ from before. On failure the old
 * ones stay.
 */
int neighbours_read(struct neighbours *neighbours, bool *changed);
void neighbours_free(struct neighbours *neighbours);

/* Returns a neighbour. NULL: its MAC address is not known. */
const struct neighbour *neighbours_find(const struct neighbours *neighbours, unsigned int ifindex,
					const struct in6_addr *address);

#endif
