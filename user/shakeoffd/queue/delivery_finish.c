/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counts, closes and frees connections that leave the accept queue. Under the service's lock, except
 * delivery_finish_all().
 */
#include <sys/socket.h>
#include <unistd.h>

#include "shakeoffd/queue/delivery_internal.h"
#include "shakeoffd/queue/descriptor.h"

void delivery_finish(struct delivery *delivery, struct connection *connection, struct finished *finished)
{
	accept_queue_unwatch(&delivery->queue, connection);
	connection_list_append(&finished->list, connection);
}

void delivery_finish_all(struct finished *finished)
{
	struct connection *connection;

	while ((connection = finished->list.first)) {
		connection_list_remove(&finished->list, connection);
		if (connection->shared)
			descriptor_close(connection->fd, connection->holder);
		else
			close(connection->fd);
		connection_free(connection);
	}
}

void delivery_count(struct delivery *delivery, const struct connection *connection,
		    const struct connection_transition *transition, enum shakeoff_refusal reason)
{
	if (!transition->leaves)
		return;
	if (transition->next == CONNECTION_ACCEPTED)
		service_accepted(delivery->service, connection->datapath);
	else
		service_refused(delivery->service, connection->datapath, reason);
}

static void reset(const struct connection *connection)
{
	const struct linger abort = { .l_onoff = 1 };

	if (connection->shared) {
		descriptor_reset(connection->fd, connection->holder);
		return;
	}
	setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
	close(connection->fd);
}

void delivery_withdraw(struct delivery *delivery, struct connection *connection, enum shakeoff_refusal reason)
{
	const struct connection_transition *step = connection_step(connection, CONNECTION_EVENT_WITHDRAWN);

	delivery_count(delivery, connection, step, reason);
	accept_queue_unwatch(&delivery->queue, connection);
	if (step->action == CONNECTION_DO_RESET)
		reset(connection);
	else
		descriptor_close(connection->fd, connection->holder); /* DELIVERING: a server has it */
	connection_free(connection);
}

void delivery_withdraw_all(struct delivery *delivery, struct connection_list *list, enum shakeoff_refusal reason)
{
	struct connection *connection;

	while ((connection = list->first)) {
		connection_list_remove(list, connection);
		delivery_withdraw(delivery, connection, reason);
	}
}
