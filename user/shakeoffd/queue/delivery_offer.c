/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The combined requests of a service's servers: capacity, owner, and the window that SYN-ACKs offer. */
#include "shakeoffd/hook/synack_profile.h"
#include "shakeoffd/queue/delivery_internal.h"

bool server_is_of_the_service(const struct server *server)
{
	if (!server->listener)
		return true;
	return peer_is_trusted_user(server->listener->found.owner, server->delivery->service->config);
}

/*
 * Returns a server of those that decide what SYN-ACKs offer: the service's own, else those of the user that was there
 * first. NULL: there is no server.
 */
static const struct server *find_decider(const struct delivery *delivery)
{
	const struct server *first = NULL;

	for (const struct server *server = delivery->servers; server; server = server->next) {
		if (server->binding && server_is_of_the_service(server))
			return server;
		if (server->binding)
			first = server; /* the newest is first */
	}
	return first;
}

void delivery_notify_service(struct delivery *delivery)
{
	const struct server *decider;
	uint32_t capacity = 0;

	for (const struct server *server = delivery->servers; server; server = server->next)
		if (server->binding && server->backlog >= capacity)
			capacity = server->backlog + 1;
	decider = find_decider(delivery);
	if (decider)
		service_set_owner(delivery->service, !server_is_of_the_service(decider),
				  decider->listener ? decider->listener->found.owner : decider->peer.uid);
	service_set_servers(delivery->service, (uint32_t)delivery->registered, capacity);
}

static void publish_window(struct delivery *delivery)
{
	delivery->offer.rcv_space = profile_full_space(delivery->receive_buffer);
	service_set_offer(delivery->service, &delivery->offer);
}

void delivery_publish_window(struct delivery *delivery)
{
	pthread_mutex_lock(&delivery->service->lock);
	publish_window(delivery);
	pthread_mutex_unlock(&delivery->service->lock);
}

void delivery_set_window(struct delivery *delivery, const struct listening_socket *found)
{
	delivery->receive_buffer = (uint32_t)found->buffer;
	delivery->offer = found->offer;
	publish_window(delivery);
}

bool delivery_decides(const struct delivery *delivery, const struct listening_socket *found)
{
	const struct server *decider = find_decider(delivery);

	if (!found || !decider || peer_is_trusted_user(found->owner, delivery->service->config))
		return true;
	return !server_is_of_the_service(decider) && decider->listener->found.owner == found->owner;
}

void delivery_choose_window(struct delivery *delivery)
{
	const struct server *decider = find_decider(delivery);

	if (decider && decider->listener)
		delivery_set_window(delivery, &decider->listener->found);
}
