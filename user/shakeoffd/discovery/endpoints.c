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

bool places_configured(const struct config *config, uint16_t port)
{
	for (size_t s = 0; s < config->service_count; s++)
		for (size_t l = 0; l < config->services[s].listen_count; l++)
			if (config->services[s].listen[l].port == port)
				return true;
	return false;
}

/* No two services of a configuration have the same address and port. */
static size_t configured_at(const struct config *config, const struct in6_addr *address, uint16_t port)
{
	for (size_t s = 0; s < config->service_count; s++)
		for (size_t l = 0; l < config->services[s].listen_count; l++)
			if (listen_means(&config->services[s].listen[l], address, port))
				return s;
	return PLACE_DISCOVERED;
}

static bool is_excluded(const struct config *config, const struct in6_addr *address, uint16_t port)
{
	for (size_t e = 0; e < config->exclude_count; e++)
		if (listen_means(&config->excludes[e], address, port))
			return true;
	return false;
}

static int append(struct places *places, const struct place *place)
{
	struct place *larger = array_grow(places->list, places->count, sizeof(*larger));

	if (!larger)
		return -ENOMEM;
	places->list = larger;
	places->list[places->count++] = *place;
	return 0;
}

static int consider(const struct places_world *world, const struct in6_addr *address, uint16_t port, bool named,
		    struct places *places)
{
	struct place place = {
		.address = *address,
		.configured = named ? configured_at(world->config, address, port) : PLACE_DISCOVERED,
		.listener = listeners_at(world->listeners, address, port),
	};

	if (place.configured == PLACE_DISCOVERED &&
	    (!place.listener || !world->config->discover || is_excluded(world->config, address, port)))
		return 0;
	return append(places, &place);
}

static int compare(const void *a, const void *b)
{
	const struct place *first = a, *second = b;

	return memcmp(&first->address, &second->address, sizeof(first->address));
}

/* A port whose sockets all have an address of their own: not every address of the host need be looked at. */
static int find_exact(const struct places_world *world, uint16_t port, struct places *places)
{
	int error = 0;

	for (const struct listener *listener = world->listeners->ports[port]; listener && !error;
	     listener = listener->next_at_port)
		if (listener->facts.sockets && own_addresses_have(world->own, &listener->address))
			error = consider(world, &listener->address, port, false, places);
	if (places->count)
		qsort(places->list, places->count, sizeof(*places->list), compare);
	return error;
}

int places_find(const struct places_world *world, uint16_t port, struct places *places)
{
	bool named = places_configured(world->config, port);
	int error = 0;

	places->count = 0;
	if (!named && !listeners_any(world->listeners, port))
		return find_exact(world, port, places);
	for (size_t i = 0; i < world->own->count && !error; i++)
		error = consider(world, &world->own->list[i], port, named, places);
	return error;
}

void places_free(struct places *places)
{
	free(places->list);
	*places = (struct places){ 0 };
}
