/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds who gets connections at each of the host's addresses for a port: the service of the configuration that names
 * the address, else the listening socket that the kernel would choose.
 */
#ifndef SHAKEOFFD_DISCOVERY_ENDPOINTS_H
#define SHAKEOFFD_DISCOVERY_ENDPOINTS_H

#include "config/config.h"
#include "shakeoffd/discovery/listeners.h"
#include "shakeoffd/discovery/own_addresses.h"

/* Used instead of the index of a configured service. */
#define ENDPOINT_DISCOVERED SIZE_MAX

struct served_endpoint {
	struct in6_addr address;
	size_t configured;         /* index of the service that names the address, or ENDPOINT_DISCOVERED */
	struct listener *listener; /* gets its connections; NULL: none, then the service is a configured one */
};

struct endpoints {
	struct served_endpoint *list; /* sorted by address */
	size_t count;
};

/* The inputs of endpoints_find(). */
struct endpoints_world {
	const struct config *config;
	const struct listeners *listeners;
	const struct own_addresses *own;
};

/* Fills `endpoints` with the endpoints at this port, using its memory again from call to call. 0 or -ENOMEM. */
int endpoints_find(const struct endpoints_world *world, uint16_t port, struct endpoints *endpoints);
void endpoints_free(struct endpoints *endpoints);

/* Returns whether a service of the configuration names this port. */
bool endpoints_configured(const struct config *config, uint16_t port);

#endif
