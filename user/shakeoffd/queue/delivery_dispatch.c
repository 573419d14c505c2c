/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sends connections that wait in the accept queue to servers with room. */
#include <errno.h>

#include "shakeoffd/queue/delivery_internal.h"

/*
 * Returns the server with the fewest unacknowledged connections; among equals the one whose last turn was longest ago,
 * because a chosen server moves to the end of the list.
 */
static struct server *choose(struct delivery *delivery, const struct binding *binding)
{
	struct server *best = NULL;

	for (struct server *server = delivery->servers; server; server = server->next) {
		if (server->binding != binding || !server->announced || server->displaced || server->paused_ns ||
		    server->unacknowledged.length >= DELIVERY_WINDOW)
			continue;
		if (!best || server->unacknowledged.length < best->unacknowledged.length)
			best = server;
	}
	return best;
}

static void move_to_end(struct delivery *delivery, struct server *server)
{
	struct server **link = &delivery->servers;

	if (!server->next)
		return;
	while (*link != server)
		link = &(*link)->next;
	*link = server->next;
	while (*link)
		link = &(*link)->next;
	*link = server;
	server->next = NULL;
}

/* Reads acknowledgments that may have come, as no server has room. Returns whether one has room now. */
static bool collect_acknowledgments(struct delivery *delivery, const struct binding *binding, struct finished *finished)
{
	struct server *server, *next;

	for (server = delivery->servers; server; server = next) {
		next = server->next;
		if (server->binding == binding && server->unacknowledged.length >= DELIVERY_WINDOW)
			server_receive(server, finished);
	}
	return choose(delivery, binding) != NULL;
}

void delivery_dispatch_binding(struct delivery *delivery, struct binding *binding, struct finished *finished)
{
	struct connection *connection;
	struct server *server;
	int error;

	while ((connection = binding->waiting.first) && binding->servers) {
		server = choose(delivery, binding);
		if (!server && collect_acknowledgments(delivery, binding, finished))
			continue;
		if (!server)
			return;
		if (!server_holds(server)) {
			server_cut_off(server, "its socket does not listen any more", finished);
			continue;
		}
		accept_queue_remove(connection);
		error = server_send(server, connection);
		if (!error) {
			move_to_end(delivery, server);
			continue;
		}
		accept_queue_requeue(&delivery->queue, binding, connection);
		if (error != -EAGAIN)
			server_end(server, finished);
	}
}

void delivery_dispatch(struct delivery *delivery, struct finished *finished)
{
	server_end_displaced(delivery, finished);
	for (struct binding *binding = delivery->queue.bindings; binding; binding = binding->next)
		delivery_dispatch_binding(delivery, binding, finished);
}
