/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/tuple.h"
#include "shakeoffd/selftest/probe_netlink.h"
#include "shakeoffd/selftest/probe_source.h"
#include "shakeoffd/sys/rtnetlink.h"

/* The maximum of random addresses to try until one belongs to no host. */
#define NEIGHBOUR_TRIES 8

#define NEIGHBOURS_AT_ONCE 4

/* In a smaller network too many addresses belong to hosts. */
#define HOST_BITS_MIN 3
#define ADDRESS_BITS 128

/*
 * The networks for documentation (RFC 5737, RFC 3849) and those of AS112 (RFC 7534, RFC 7535). The latter are announced
 * to the whole internet, so no list of unused networks has them. They have no clients, and packets to them are dropped.
 * The self-test sends no packet there, but a firewall rule may reply to a probe.
 */
static const struct outside {
	int family;
	bool documentation;
	const char *network;
	uint8_t prefix_len; /* long enough that no host bits are those of a network or broadcast address */
} outsides[] = {
	{ AF_INET, true, "192.0.2.64", 26 },
	{ AF_INET, true, "198.51.100.64", 26 },
	{ AF_INET, true, "203.0.113.64", 26 },
	{ AF_INET6, true, "2001:db8:5ac0:ff02::", 64 },
	{ AF_INET, false, "192.31.196.64", 26 },
	{ AF_INET, false, "192.175.48.64", 26 },
	{ AF_INET6, false, "2620:4f:8000:ff02::", 64 },
	{ AF_INET6, false, "2001:4:112:ff02::", 64 },
};

#define NUD_ANY UINT16_MAX
#define NUD_SOMEBODY ((uint16_t) ~(NUD_INCOMPLETE | NUD_FAILED))

/* Returns the host bits in byte i. */
static uint8_t host_mask(uint8_t prefix_len, size_t i)
{
	size_t bits = prefix_len > 8 * i ? prefix_len - 8 * i : 0;

	return bits >= 8 ? 0 : (uint8_t)(0xff >> bits);
}

/* Chooses a random address of the prefix. */
static void random_address(const struct in6_addr *network, uint8_t prefix_len, struct in6_addr *address)
{
	uint8_t random[sizeof(*address)] = { 0 };

	if (getrandom(random, sizeof(random), GRND_NONBLOCK) < 0)
		random[sizeof(random) - 1] = 1; /* early at boot any numbers will do */
	for (size_t i = 0; i < sizeof(random); i++) {
		uint8_t mask = host_mask(prefix_len, i);

		address->s6_addr[i] = (uint8_t)((network->s6_addr[i] & ~mask) | (random[i] & mask));
	}
}

/* Returns whether no host bit is set: IPv4's network address, IPv6's anycast address of the routers. */
static bool is_network(const struct in6_addr *address, uint8_t prefix_len)
{
	for (size_t i = 0; i < sizeof(*address); i++)
		if (address->s6_addr[i] & host_mask(prefix_len, i))
			return false;
	return true;
}

/* Returns whether an address is in one of the host's networks, on this interface or (0) on any. */
static bool is_neighbour(const struct probe_hosts *hosts, unsigned int ifindex, const struct in6_addr *address)
{
	for (size_t i = 0; i < hosts->count; i++)
		if ((!ifindex || hosts->list[i].ifindex == ifindex) &&
		    address_in_prefix(address, &hosts->list[i].network, hosts->list[i].prefix_len))
			return true;
	return false;
}

/* Takes one network of each kind. A documentation network that is in use counts as a neighbour's. */
static void take_outside(struct mnl_socket *socket, const struct probe_hosts *hosts, unsigned int ifindex, int family,
			 bool documentation, struct probe_sources *sources)
{
	for (size_t i = 0; i < sizeof(outsides) / sizeof(outsides[0]); i++) {
		uint8_t extra = family == AF_INET ? PROBE_MAPPED_BITS : 0, bytes[sizeof(struct in6_addr)];
		struct probe_network outside = { .prefix_len = (uint8_t)(outsides[i].prefix_len + extra) };
		struct in6_addr candidate;

		if (outsides[i].family != family || outsides[i].documentation != documentation)
			continue;
		inet_pton(family, outsides[i].network, bytes);
		address_map(family, bytes, &outside.network);
		random_address(&outside.network, outside.prefix_len, &candidate);
		if (is_neighbour(hosts, 0, &candidate) || probe_route_interface(socket, &candidate) != ifindex)
			continue;
		sources->outside[sources->counts[PROBE_OUTSIDE]++] = outside;
		return;
	}
}

/*
 * Returns whether an address belongs to no host: it is not an address of this host, no broadcast address, no gateway,
 * and not in the neighbour table. Probes with an existing neighbour's address could harm it: connection tracking and
 * firewalls would keep state for it, and it would get a firewall's replies.
 */
static bool is_free(struct mnl_socket *socket, unsigned int ifindex, const struct in6_addr *address)
{
	return probe_route_interface(socket, address) == ifindex &&
	       !probe_neighbour_known(socket, ifindex, address, NUD_ANY) && !probe_is_gateway(socket, address);
}

static bool choose_neighbour(struct mnl_socket *socket, const struct probe_hosts *hosts, unsigned int ifindex,
			     int family, struct in6_addr *address)
{
	for (size_t i = 0; i < hosts->count; i++) {
		const struct probe_host *host = &hosts->list[i];

		if (host->ifindex != ifindex || IN6_IS_ADDR_LINKLOCAL(&host->address) ||
		    !!IN6_IS_ADDR_V4MAPPED(&host->address) != (family == AF_INET) ||
		    host->prefix_len > ADDRESS_BITS - HOST_BITS_MIN)
			continue;
		for (int tries = 0; tries < NEIGHBOUR_TRIES; tries++) {
			random_address(&host->network, host->prefix_len, address);
			if (!is_network(address, host->prefix_len) && is_free(socket, ifindex, address))
				return true;
		}
	}
	return false;
}

/* Returns the entry with the chosen addresses of the interface. A new entry is empty. */
static struct probe_neighbour *find_neighbour(struct probe_neighbours *neighbours, unsigned int ifindex, int family)
{
	struct probe_neighbour *larger;

	for (size_t i = 0; i < neighbours->count; i++)
		if (neighbours->list[i].ifindex == ifindex && neighbours->list[i].family == family)
			return &neighbours->list[i];
	larger = reallocarray(neighbours->list, neighbours->count + 1, sizeof(*larger));
	if (!larger)
		return NULL;
	neighbours->list = larger;
	larger += neighbours->count++;
	*larger = (struct probe_neighbour){ .ifindex = ifindex, .family = family };
	return larger;
}

/*
 * Returns whether a chosen address can still be used: the networks may have changed, and a host with the address may
 * have come. A failed entry in the neighbour table does not count, because the probes themselves cause it.
 */
static bool is_still_free(struct mnl_socket *socket, const struct probe_hosts *hosts, unsigned int ifindex,
			  const struct in6_addr *address)
{
	return is_neighbour(hosts, ifindex, address) && probe_route_interface(socket, address) == ifindex &&
	       !probe_neighbour_known(socket, ifindex, address, NUD_SOMEBODY);
}

static bool is_listed(const struct in6_addr *list, size_t count, const struct in6_addr *address)
{
	for (size_t i = 0; i < count; i++)
		if (IN6_ARE_ADDR_EQUAL(&list[i], address))
			return true;
	return false;
}

/* Adds only a few addresses per call, because finding one takes a while. */
static void take_neighbours(struct mnl_socket *socket, const struct probe_hosts *hosts,
			    struct probe_neighbours *neighbours, unsigned int ifindex, int family,
			    struct probe_sources *sources)
{
	struct probe_neighbour *neighbour = find_neighbour(neighbours, ifindex, family);
	size_t good = 0;

	if (!neighbour)
		return;
	for (size_t i = 0; i < neighbour->count; i++)
		if (is_still_free(socket, hosts, ifindex, &neighbour->addresses[i]))
			neighbour->addresses[good++] = neighbour->addresses[i];
	neighbour->count = good;
	for (int more = 0; more < NEIGHBOURS_AT_ONCE && neighbour->count < PROBE_NEIGHBOURS; more++) {
		struct in6_addr *next = &neighbour->addresses[neighbour->count];

		if (!choose_neighbour(socket, hosts, ifindex, family, next))
			break;
		if (!is_listed(neighbour->addresses, neighbour->count, next))
			neighbour->count++;
	}
	memcpy(sources->neighbours, neighbour->addresses, sizeof(sources->neighbours));
	sources->counts[PROBE_NEIGHBOUR] = neighbour->count;
	sources->turn = good; /* a new one, if there is one */
}

int probe_sources_choose(const struct probe_port *port, const struct probe_hosts *hosts,
			 struct probe_neighbours *neighbours, int family, struct probe_sources *sources)
{
	size_t turn = sources->turn, before = sources->counts[PROBE_NEIGHBOUR];
	struct mnl_socket *socket;
	int error;

	error = rtnetlink_open(&socket);
	if (error)
		return error;
	*sources = (struct probe_sources){ 0 };
	take_outside(socket, hosts, port->upper, family, true, sources);
	take_outside(socket, hosts, port->upper, family, false, sources);
	take_neighbours(socket, hosts, neighbours, port->upper, family, sources);
	if (sources->counts[PROBE_NEIGHBOUR] == before)
		sources->turn = turn;
	mnl_socket_close(socket);
	return 0;
}

struct in6_addr probe_sources_pick(struct probe_sources *sources, enum probe_class class, unsigned int try)
{
	struct in6_addr address;

	if (class == PROBE_NEIGHBOUR)
		return sources->neighbours[sources->turn++ % sources->counts[PROBE_NEIGHBOUR]];
	random_address(&sources->outside[try % sources->counts[PROBE_OUTSIDE]].network,
		       sources->outside[try % sources->counts[PROBE_OUTSIDE]].prefix_len, &address);
	return address;
}

void probe_neighbours_free(struct probe_neighbours *neighbours)
{
	free(neighbours->list);
	*neighbours = (struct probe_neighbours){ 0 };
}
