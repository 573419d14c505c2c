/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which of the host's addresses belong to what at a port: to the service of the configuration that names them, and
 * otherwise to the listening socket that the kernel would choose.
 */
#ifndef SHAKEOFFD_DISCOVERY_ENDPOINTS_H
#define SHAKEOFFD_DISCOVERY_ENDPOINTS_H

#include "config/config.h"
#include "shakeoffd/discovery/listeners.h"
#include "shakeoffd/discovery/own_addresses.h"

/* In place of the index of a configured service. */
#define ENDPOINT_DISCOVERED SIZE_MAX

struct served_endpoint {
	struct in6_addr address;
	size_t configured;         /* index of the service that names it, or ENDPOINT_DISCOVERED */
	struct listener *listener; /* that gets its connections; NULL: none (then the service is a configured one) */
};

struct endpoints {
	struct served_endpoint *list; /* in the order of the addresses */
	size_t count;
};

/* What endpoints depend on. */
struct endpoints_world {
	const struct config *config;
	const struct listeners *listeners;
	const struct own_addresses *own;
};

/* Fills `endpoints`, whose memory is used again from call to call, with those at this port. 0 or -ENOMEM. */
int endpoints_find(const struct endpoints_world *world, uint16_t port, struct endpoints *endpoints);
void endpoints_free(struct endpoints *endpoints);

/* Whether a service of the configuration names this port. */
bool endpoints_configured(const struct config *config, uint16_t port);

#endif
