/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Turns the endpoints of a port into addresses: finds the service of each, and publishes them. */
#include <errno.h>
#include <stdlib.h>

#include "shakeoffd/discovery/discovery_internal.h"

/* Makes room for every endpoint of the port. 0 or -ENOMEM. */
static int reserve(struct discovery *discovery, struct tested **tested)
{
	size_t count = discovery->endpoints.count;

	*tested = NULL;
	if (count > discovery->room) {
		void *larger = reallocarray(discovery->list, 2 * count, sizeof(*discovery->list));

		if (!larger)
			return -ENOMEM;
		discovery->list = larger;
		discovery->room = 2 * count;
	}
	if (!count)
		return 0;
	*tested = calloc(count, sizeof(**tested));
	return *tested ? 0 : -ENOMEM;
}

/* Returns whether a server of the daemon listens there; fills in the address that leads to it. */
static bool is_covered(const struct discovery *discovery, const struct served_endpoint *endpoint, uint16_t port,
		       struct address *address)
{
	const struct discovery_servers *servers = &discovery->servers;
	bool keep_only = false;
	bool covered = servers->cover(servers->context, endpoint->configured, &endpoint->address, port, &keep_only);

	*address = (struct address){
		.address = endpoint->address,
		.first = true,
		.service = discovery->configured[endpoint->configured].service,
		.keep_only = keep_only,
	};
	/* Bypassed packets go to the servers' own listening sockets. */
	return covered && !discovery_is_secured(discovery, &endpoint->address, port);
}

/* Returns the service of an endpoint with the listener handoff. NULL: there is none. */
static struct listening_service *owner_of(struct discovery *discovery, const struct served_endpoint *endpoint,
					  uint64_t now_ns)
{
	struct auto_service *discovered;

	if (endpoint->configured != ENDPOINT_DISCOVERED)
		return endpoint->listener ? &discovery->configured[endpoint->configured] : NULL;
	if (endpoint->listener->counted == discovery->round && !endpoint->listener->discovered)
		return NULL; /* another address of this listener was just turned away */
	endpoint->listener->counted = discovery->round;
	discovered = auto_service_use(&discovery->discovered, endpoint->listener, now_ns);
	return discovered ? &discovered->listening : NULL;
}

/* Marks the discovered services of this port idle that have no endpoint any more. */
static void idle_the_rest(struct discovery *discovery, uint16_t port, uint64_t now_ns)
{
	for (struct listener *l = discovery->listeners.ports[port]; l; l = l->next_at_port) {
		if (l->counted != discovery->round && l->lacks_room) {
			l->lacks_room = false;
			discovery->discovered.changed = true;
		}
		if (l->discovered && (l->counted != discovery->round || l->discovered->evicted))
			auto_service_idle(&discovery->discovered, l->discovered, now_ns);
	}
}

static bool same_endpoints(const struct discovery_port *at_port, const struct tested *tested, size_t count)
{
	bool same = count == at_port->count;

	for (size_t i = 0; i < count && same; i++)
		same = IN6_ARE_ADDR_EQUAL(&tested[i].address, &at_port->list[i].address) &&
		       tested[i].owner == at_port->list[i].owner && tested[i].by_socket == at_port->list[i].by_socket &&
		       tested[i].covered == at_port->list[i].covered;
	return same;
}

static void replace_tested(struct discovery *discovery, struct discovery_port *at_port, struct tested *tested,
			   size_t count)
{
	if (!same_endpoints(at_port, tested, count))
		discovery->tests_changed = true;
	free(at_port->list);
	at_port->list = tested;
	at_port->count = count;
}

/* Returns since when an endpoint is bypassed; 0: since before discovery knew it. */
static uint64_t bypassed_since(const struct discovery_port *at_port, const struct tested *tested, uint64_t now_ns)
{
	for (size_t i = 0; i < at_port->count; i++) {
		const struct tested *before = &at_port->list[i];

		if (before->covered && before->owner == tested->owner &&
		    IN6_ARE_ADDR_EQUAL(&before->address, &tested->address))
			return before->bypassed ? before->bypassed_ns : now_ns;
	}
	return 0;
}

/*
 * Returns whether clients may still send cookies back to a bypassed endpoint with the queue handoff. If so, the hook
 * takes these cookies, and passes everything else to the kernel. It does not where connections bypass the firewall's
 * rules, because the rules may refuse these clients.
 */
static bool has_cookies_out(struct discovery *discovery, const struct tested *tested, uint64_t now_ns)
{
	uint64_t end_ns = tested->bypassed_ns + SHAKEOFF_COOKIE_LIFETIME_NS;

	if (!tested->bypassed_ns || now_ns >= end_ns || discovery->host.queue_unruled)
		return false;
	if (!discovery->withdraw_ns || end_ns < discovery->withdraw_ns)
		discovery->withdraw_ns = end_ns;
	return true;
}

/* The endpoints of a port, while they become addresses. */
struct resolving {
	struct discovery *discovery;
	uint16_t port;
	uint64_t now_ns;
	struct tested *tested;
	size_t tested_count;
	size_t address_count; /* of discovery->list */
	bool pending;
};

/* Adds an endpoint with the queue handoff, if a server listens there. */
static void add_covered(struct resolving *resolving, const struct served_endpoint *endpoint)
{
	struct discovery *discovery = resolving->discovery;
	struct address *address = &discovery->list[resolving->address_count];
	struct tested *tested = &resolving->tested[resolving->tested_count];
	bool awaits_rules;

	if (!is_covered(discovery, endpoint, resolving->port, address))
		return;
	*tested = (struct tested){
		.address = endpoint->address,
		.owner = &discovery->configured[endpoint->configured],
		.covered = true,
	};
	tested->bypassed = tested_is_bypassed(discovery, tested, resolving->port);
	awaits_rules = tested_awaits_rules(discovery, tested, resolving->port);
	resolving->pending |= awaits_rules;
	address->keep_only |= awaits_rules;
	resolving->tested_count++;
	/* The server's own socket takes the connections. */
	if (tested->bypassed) {
		tested->bypassed_ns = bypassed_since(&discovery->ports[resolving->port], tested, resolving->now_ns);
		address->bypassed = true;
		address->keep_only = false; /* otherwise the hook would go on answering there */
		if (!has_cookies_out(discovery, tested, resolving->now_ns))
			return;
	}
	resolving->address_count++;
}

/* Adds an endpoint with the listener handoff, if there is a service for it. */
static void add_listening(struct resolving *resolving, const struct served_endpoint *endpoint)
{
	struct discovery *discovery = resolving->discovery;
	struct address *address = &discovery->list[resolving->address_count];
	struct tested *tested = &resolving->tested[resolving->tested_count];
	struct listening_service *owner = owner_of(discovery, endpoint, resolving->now_ns);

	if (!owner)
		return;
	*tested = (struct tested){
		.address = endpoint->address,
		.owner = owner,
		.by_socket = bypass_by_socket(&endpoint->listener->facts) && !bypass_by_socket(&owner->facts),
	};
	tested->bypassed = tested_is_bypassed(discovery, tested, resolving->port);
	tested->untested = tested_stays_untested(discovery, tested, resolving->port);
	*address = (struct address){
		.address = endpoint->address,
		.service = owner->service,
		.first = endpoint->configured != ENDPOINT_DISCOVERED || !endpoint->listener->discovered->quota,
		.uid = endpoint->listener->facts.uid,
		.bypassed = tested->bypassed,
		.untested = tested->untested,
		.tagged = upper_addresses_are_tagged(&discovery->upper, &endpoint->address),
		.keep_only = tested_is_pending(discovery, tested, resolving->port, resolving->now_ns),
	};
	resolving->pending |= address->keep_only;
	resolving->tested_count++;
	resolving->address_count++;
}

static bool has_queue_handoff(const struct discovery *discovery, const struct served_endpoint *endpoint)
{
	return endpoint->configured != ENDPOINT_DISCOVERED &&
	       service_wants(discovery->configured[endpoint->configured].service) == SHAKEOFF_HANDOFF_QUEUE;
}

int discovery_resolve(struct discovery *discovery, uint16_t port, uint64_t now_ns)
{
	const struct endpoints_world world = { .config = discovery->config,
					       .listeners = &discovery->listeners,
					       .own = &discovery->own };
	struct resolving resolving = { .discovery = discovery, .port = port, .now_ns = now_ns };
	struct discovery_port *at_port = &discovery->ports[port];
	int error = endpoints_find(&world, port, &discovery->endpoints);

	if (!error)
		error = reserve(discovery, &resolving.tested);
	if (error)
		return error;
	discovery->round++;
	for (size_t i = 0; i < discovery->endpoints.count; i++) {
		const struct served_endpoint *endpoint = &discovery->endpoints.list[i];

		if (has_queue_handoff(discovery, endpoint))
			add_covered(&resolving, endpoint);
		else
			add_listening(&resolving, endpoint);
	}
	replace_tested(discovery, at_port, resolving.tested, resolving.tested_count);
	at_port->dirty = resolving.pending;
	discovery->pending |= resolving.pending;
	error = addresses_publish(discovery->addresses, port, discovery->list, resolving.address_count);
	idle_the_rest(discovery, port, now_ns);
	return error;
}
