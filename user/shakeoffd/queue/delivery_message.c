/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads and handles a server's messages. */
#include <errno.h>
#include <sys/epoll.h>

#include "common/log.h"
#include "shakeoffd/queue/delivery_internal.h"
#include "shakeoffd/queue/descriptor.h"
#include "shakeoffd/queue/server_socket.h"

static int handle(struct server *server, const struct server_message *received, struct finished *finished)
{
	if (received->message.type == DELIVERY_LISTEN)
		return server_register(server, received, finished);
	if (received->passed_fd >= 0)
		descriptor_close_passed(received->passed_fd, server->peer.uid);
	switch (received->message.type) {
	case DELIVERY_TAKEN: return server_acknowledge(server, received->message.id, CONNECTION_EVENT_TAKEN, finished);
	case DELIVERY_RETURNED:
		return server_acknowledge(server, received->message.id, CONNECTION_EVENT_RETURNED, finished);
	default: return -EPROTO;
	}
}

void server_receive(struct server *server, struct finished *finished)
{
	struct server_message messages[SERVER_SOCKET_BATCH];
	int count, error = 0;

	if (server->ended)
		return;
	count = server_read(server, messages);
	if (count == -EUSERS) {
		if (!server->unread)
			event_loop_change(&server->source, EPOLLET); /* until server_read_on() */
		server->unread = true;
		return;
	}
	for (int i = 0; i < count; i++) {
		if (!error)
			error = handle(server, &messages[i], finished);
		else if (messages[i].passed_fd >= 0)
			descriptor_close_passed(messages[i].passed_fd, server->peer.uid);
	}
	if (error == -EPROTO)
		log_warn_limited("service %s: a server of the user %u broke the protocol and was cut off",
				 server->delivery->service->config->name, server->peer.uid);
	if (error || !count || (count < 0 && count != -EAGAIN))
		server_end(server, finished);
}
