/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "shakeoffd/discovery/endpoints.h"

static bool listen_means(const struct config_listen *listen, const struct in6_addr *address, uint16_t port)
{
	return listen->port == port && (listen->family == AF_UNSPEC || IN6_ARE_ADDR_EQUAL(&listen->address, address));
}

bool endpoints_configured(const struct config *config, uint16_t port)
{
	for (size_t s = 0; s < config->service_count; s++)
		for (size_t l = 0; l < config->services[s].listen_count; l++)
			if (config->services[s].listen[l].port == port)
				return true;
	return false;
}

/* Looks up the configured service at an address and port; there is at most one. */
static size_t configured_at(const struct config *config, const struct in6_addr *address, uint16_t port)
{
	for (size_t s = 0; s < config->service_count; s++)
		for (size_t l = 0; l < config->services[s].listen_count; l++)
			if (listen_means(&config->services[s].listen[l], address, port))
				return s;
	return ENDPOINT_DISCOVERED;
}

static bool is_excluded(const struct config *config, const struct in6_addr *address, uint16_t port)
{
	for (size_t e = 0; e < config->exclude_count; e++)
		if (listen_means(&config->excludes[e], address, port))
			return true;
	return false;
}

static int append(struct endpoints *endpoints, const struct served_endpoint *endpoint)
{
	return array_append(endpoints->list, endpoints->count, *endpoint);
}

static int consider(const struct endpoints_world *world, const struct in6_addr *address, uint16_t port, bool named,
		    struct endpoints *endpoints)
{
	struct served_endpoint endpoint = {
		.address = *address,
		.configured = named ? configured_at(world->config, address, port) : ENDPOINT_DISCOVERED,
		.listener = listeners_at(world->listeners, address, port),
	};

	if (endpoint.configured == ENDPOINT_DISCOVERED &&
	    (!endpoint.listener || !world->config->discover || is_excluded(world->config, address, port)))
		return 0;
	return append(endpoints, &endpoint);
}

static int compare(const void *a, const void *b)
{
	const struct served_endpoint *first = a, *second = b;

	return memcmp(&first->address, &second->address, sizeof(first->address));
}

/* Finds the endpoints of a port whose sockets are all bound to an address, without trying every address of the host. */
static int find_exact(const struct endpoints_world *world, uint16_t port, struct endpoints *endpoints)
{
	int error = 0;

	for (const struct listener *listener = world->listeners->ports[port]; listener && !error;
	     listener = listener->next_at_port)
		if (listener->facts.sockets && own_addresses_have(world->own, &listener->address))
			error = consider(world, &listener->address, port, false, endpoints);
	if (endpoints->count)
		qsort(endpoints->list, endpoints->count, sizeof(*endpoints->list), compare);
	return error;
}

int endpoints_find(const struct endpoints_world *world, uint16_t port, struct endpoints *endpoints)
{
	bool named = endpoints_configured(world->config, port);
	int error = 0;

	endpoints->count = 0;
	if (!named && !listeners_any(world->listeners, port))
		return find_exact(world, port, endpoints);
	for (size_t i = 0; i < world->own->count && !error; i++)
		error = consider(world, &world->own->list[i], port, named, endpoints);
	return error;
}

void endpoints_free(struct endpoints *endpoints)
{
	free(endpoints->list);
	*endpoints = (struct endpoints){ 0 };
}
