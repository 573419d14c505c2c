/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counts the sockets that listen for each configured service, and changes its handoff if they require it. */
#include "common/log.h"
#include "shakeoffd/discovery/discovery_internal.h"

/* The sockets of a configured service, while they are being counted. */
struct counting {
	struct listener_facts facts; /* of the owner's */
	const struct listener *owner;
	struct listener_facts bypassed; /* of the first socket that has to be bypassed */
	bool others;                    /* some sockets need no bypass */
};

/*
 * Counts the sockets at an address. Any user may listen at an address that the service's own server leaves free:
 * [::]:80 with IPV6_V6ONLY beside 0.0.0.0:80. The sockets of one user must not affect those of others. So each address
 * is bypassed for itself (by_socket), and the service only when all its addresses are.
 */
static void count_at(struct discovery *discovery, const struct in6_addr *address, uint16_t port,
		     struct counting *counting)
{
	struct listener *listener = listeners_at(&discovery->listeners, address, port);

	if (!listener || listener->counted == discovery->round)
		return;
	listener->counted = discovery->round;
	if (!bypass_by_socket(&listener->facts))
		counting->others = true;
	else if (!counting->bypassed.sockets)
		counting->bypassed = listener->facts;
	if (counting->owner && counting->owner->facts.uid != listener->facts.uid) {
		if (!listeners_comes_first(&discovery->listeners, listener, counting->owner))
			return;
		counting->facts = (struct listener_facts){ 0 };
	}
	if (!counting->owner || counting->owner->facts.uid != listener->facts.uid)
		counting->owner = listener;
	listener_facts_add(&counting->facts, &listener->facts);
	counting->facts.uid = listener->facts.uid;
}

static struct listener_facts facts_of(const struct counting *counting)
{
	struct listener_facts facts = counting->facts;
	bool bypassed = counting->bypassed.sockets && !counting->others;

	facts.mptcp = bypassed && counting->bypassed.mptcp;
	facts.tcp_auth = bypassed && counting->bypassed.tcp_auth;
	facts.elsewhere = bypassed && counting->bypassed.elsewhere;
	return facts;
}

static struct listener_facts count_sockets(struct discovery *discovery, const struct config_service *service)
{
	struct counting counting = { 0 };

	discovery->round++;
	for (size_t l = 0; l < service->listen_count; l++) {
		const struct config_listen *listen = &service->listen[l];

		if (listen->family != AF_UNSPEC) {
			if (own_addresses_have(&discovery->own, &listen->address))
				count_at(discovery, &listen->address, listen->port, &counting);
			continue;
		}
		for (size_t i = 0; i < discovery->own.count; i++)
			count_at(discovery, &discovery->own.list[i], listen->port, &counting);
	}
	return facts_of(&counting);
}

void discovery_recount(struct discovery *discovery, uint64_t now_ns)
{
	for (size_t i = 0; i < discovery->configured_count; i++) {
		struct listening_service *listening = &discovery->configured[i];
		struct service *service = listening->service;
		struct listener_facts facts = count_sockets(discovery, service->config);
		enum shakeoff_handoff wanted;

		if (!listener_facts_equal(&facts, &listening->facts)) {
			if (!facts.sockets != !listening->facts.sockets) {
				listening->since_ns = facts.sockets ? now_ns : 0;
				listening->bypass = (struct bypass_addresses){ 0 };
			}
			if (bypass_by_socket(&facts) != bypass_by_socket(&listening->facts))
				discovery_mark_service(discovery, service->config);
			listening->facts = facts;
			discovery->tests_changed = true;
			discovery_describe(discovery, listening);
		}
		wanted = service_wants(service);
		if (wanted == service->handoff)
			continue;
		log_info("service %s: handoff %s from now on", service->config->name,
			 wanted == SHAKEOFF_HANDOFF_QUEUE ? "queue" : "listener");
		discovery_mark_service(discovery, service->config);
		discovery->tests_changed = true;
		if (wanted == SHAKEOFF_HANDOFF_LISTENER) {
			listening->since_ns = now_ns;
			service_change_handoff(service, wanted);
		}
	}
}

void discovery_change_to_queue(struct discovery *discovery)
{
	for (size_t i = 0; i < discovery->configured_count; i++) {
		struct service *service = discovery->configured[i].service;

		if (service->handoff != SHAKEOFF_HANDOFF_QUEUE && service_wants(service) == SHAKEOFF_HANDOFF_QUEUE)
			service_change_handoff(service, SHAKEOFF_HANDOFF_QUEUE);
	}
}
