/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One server's socket: connections under way to it, acknowledgments, its end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/log.h"
#include "shakeoffd/queue/delivery_internal.h"
#include "shakeoffd/queue/descriptor.h"
#include "shakeoffd/queue/server_socket.h"
#include "common/clock.h"

/* How long nothing is sent to a server that had no descriptor free, or whose socket had no room. */
#define PAUSE_NS (100 * NS_PER_MS)

static void release(struct event_source *source)
{
	struct server *server = (struct server *)source;

	descriptor_close_socket(server->source.fd, server->peer.uid);
	free(server);
}

int server_send_message(const struct server *server, enum delivery_type type, int32_t value)
{
	struct delivery_message message = { .version = DELIVERY_VERSION, .type = (uint16_t)type, .value = value };

	return server_socket_send(server->source.fd, &message, -1);
}

static void unlink_server(struct server *server)
{
	struct server **link = &server->delivery->servers;

	while (*link != server)
		link = &(*link)->next;
	*link = server->next;
	server->delivery->connected--;
}

int server_send(struct server *server, struct connection *connection)
{
	struct delivery_message message = {
		.version = DELIVERY_VERSION,
		.type = DELIVERY_CONNECTION,
		.id = connection->id,
	};
	int error;

	_Static_assert(sizeof(message.peer) == sizeof(connection->peer), "the same union");
	if (!server->peer.trusted && descriptor_is_stuck(server->peer.uid)) {
		server->paused_ns = clock_ns() + PAUSE_NS;
		return -EAGAIN;
	}
	memcpy(&message.peer, &connection->peer, sizeof(message.peer));
	error = server_socket_send(server->source.fd, &message, connection->fd);
	switch (-error) {
	case 0:
		connection_step(connection, CONNECTION_EVENT_SENT);
		connection->server = server;
		connection->shared = true;
		connection->holder = server->peer.uid;
		connection_list_append(&server->unacknowledged, connection);
		return 0;
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM:
	case EINTR:
	case ETOOMANYREFS: /* too many descriptors of this user are in flight (unix(7)) */
		server->paused_ns = clock_ns() + PAUSE_NS;
		return -EAGAIN;
	default: return error;
	}
}

int server_acknowledge(struct server *server, uint64_t id, enum connection_event event, struct finished *finished)
{
	struct connection *connection = connection_list_find(&server->unacknowledged, id);
	struct delivery *delivery = server->delivery;
	const struct connection_transition *step;

	if (!connection)
		return -EPROTO;
	step = connection_step(connection, event);
	connection_list_remove(&server->unacknowledged, connection);
	connection->server = NULL;
	delivery_count(delivery, connection, step, SHAKEOFF_REFUSED_CLIENT_RESET);
	if (step->action == CONNECTION_DO_REQUEUE)
		accept_queue_requeue(&delivery->queue, server->binding, connection);
	else
		delivery_finish(delivery, connection, finished);
	if (event == CONNECTION_EVENT_RETURNED)
		server->paused_ns = clock_ns() + PAUSE_NS;
	return 0;
}

int server_read(struct server *server, struct server_message *messages)
{
	int most = server->peer.trusted && server->binding ? SERVER_SOCKET_BATCH : 1, count;

	most = descriptor_reserve(server->peer.uid, server->peer.trusted, most);
	if (most <= 0)
		return most ? most : -EAGAIN;
	count = server_socket_receive(server->source.fd, server->peer.uid, messages, most);
	descriptor_unreserve(most);
	return count;
}

/*
 * Reads the last acknowledgments, because a connection that a server has taken must not go to another server. The
 * socket is shut down first, so this ends even if the server keeps sending. Unread messages are closed with the socket.
 */
static void hear_last_words(struct server *server, struct finished *finished)
{
	struct server_message messages[SERVER_SOCKET_BATCH];
	int count;

	shutdown(server->source.fd, SHUT_RDWR);
	while (server->unacknowledged.first && (count = server_read(server, messages)) > 0) {
		for (int i = 0; i < count; i++) {
			if (messages[i].message.type == DELIVERY_TAKEN)
				server_acknowledge(server, messages[i].message.id, CONNECTION_EVENT_TAKEN, finished);
			if (messages[i].passed_fd >= 0)
				descriptor_close_passed(messages[i].passed_fd, server->peer.uid);
		}
	}
}

void server_end(struct server *server, struct finished *finished)
{
	struct delivery *delivery = server->delivery;
	struct connection *connection;

	if (server->ended)
		return;
	server->ended = true;
	hear_last_words(server, finished);
	unlink_server(server);
	while ((connection = server->unacknowledged.first)) {
		const struct connection_transition *step = connection_step(connection, CONNECTION_EVENT_SERVER_GONE);

		connection_list_remove(&server->unacknowledged, connection);
		connection->server = NULL;
		if (step->action == CONNECTION_DO_REQUEUE)
			accept_queue_requeue(&delivery->queue, server->binding, connection);
		else
			delivery_finish(delivery, connection, finished);
	}
	if (server->candidate)
		kernel_listener_abandon(server->candidate);
	server->candidate = NULL;
	if (server->listener)
		kernel_listener_drop(server->listener);
	server->listener = NULL;
	if (server->binding) {
		accept_queue_unbind(server->binding, clock_ns());
		if (!server->binding->servers)
			accept_queue_take_over(&delivery->queue);
		server->binding = NULL;
		delivery->registered--;
		delivery_notify_service(delivery);
		delivery_choose_window(delivery);
		log_debug("service %s: a server has gone, %zu remain", delivery->service->config->name,
			  delivery->registered);
	}
	event_loop_retire(&server->source, release);
}

void server_cut_off(struct server *server, const char *why, struct finished *finished)
{
	log_warn_limited("service %s: a server of the user %u was cut off: %s", server->delivery->service->config->name,
			 server->peer.uid, why);
	server_end(server, finished);
}

bool server_holds(const struct server *server)
{
	return !server->listener || kernel_listener_listens(server->listener);
}

void server_end_all_of(struct kernel_listener *listener, struct finished *finished)
{
	struct server *next;

	for (struct server *server = listener->delivery->servers; server; server = next) {
		next = server->next;
		if (server->listener == listener)
			server_cut_off(server, "its socket does not listen any more where it did", finished);
	}
}

void server_announce(struct server *server, struct finished *finished)
{
	server->announced = true;
	if (server_send_message(server, DELIVERY_LISTENING, (int32_t)service_capacity(server->delivery->service)))
		server_end(server, finished);
}

void server_read_on(struct server *server)
{
	if (!server->unread)
		return;
	server->unread = false;
	event_loop_change(&server->source, EPOLLIN);
}

int server_start(struct delivery *delivery, int fd, const struct peer *peer, struct event_loop *loop,
		 void (*ready)(struct event_source *source, uint32_t events))
{
	struct server *server = calloc(1, sizeof(*server));
	int error;

	if (!server)
		return -ENOMEM;
	server->delivery = delivery;
	server->peer = *peer;
	server->connected_ns = clock_ns();
	server->next = delivery->servers;
	delivery->servers = server;
	delivery->connected++;
	error = event_loop_add(loop, &server->source, fd, EPOLLIN, ready);
	if (error) {
		unlink_server(server);
		free(server);
	}
	return error;
}
