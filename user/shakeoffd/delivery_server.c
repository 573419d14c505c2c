/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One server's socket: registration, connections on their way to it, acknowledgments. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <common/log.h>
#include <shakeoffd/clock.h>
#include <shakeoffd/delivery_internal.h>
#include <shakeoffd/listening_socket.h>
#include <shakeoffd/profile.h>
#include <shakeoffd/server_socket.h>

/* Nothing is sent for so long to a server that had no descriptor, or whose socket had no room. */
#define PAUSE_NS (100 * NS_PER_MS)

/* More LISTEN messages a second than this are no server's. */
#define MAX_LISTENS 64

static void release(struct event_source *source)
{
	struct server *server = (struct server *)source;

	close(server->source.fd);
	free(server);
}

static int say(const struct server *server, enum delivery_type type, int32_t value)
{
	struct delivery_message message = { .version = DELIVERY_VERSION, .type = (uint16_t)type, .value = value };

	return server_socket_send(server->source.fd, &message, -1);
}

/* What the servers ask for together: the greatest backlog. */
static void tell_service(struct delivery *delivery)
{
	uint32_t places = 0;

	for (const struct server *server = delivery->servers; server; server = server->next)
		if (server->binding && server->backlog >= places)
			places = server->backlog + 1;
	service_set_servers(delivery->service, (uint32_t)delivery->registered, places);
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
	memcpy(&message.peer, &connection->peer, sizeof(message.peer));
	error = server_socket_send(server->source.fd, &message, connection->fd);
	switch (-error) {
	case 0:
		connection_step(connection, CONNECTION_EVENT_SENT);
		connection->server = server;
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

/* TAKEN and RETURNED. A server that speaks of a connection that it was not given is not to be trusted. */
static int acknowledge(struct server *server, uint64_t id, enum connection_event event, struct finished *finished)
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
		finish(delivery, connection, finished);
	if (event == CONNECTION_EVENT_RETURNED)
		server->paused_ns = clock_ns() + PAUSE_NS;
	return 0;
}

/*
 * What a server has taken must not go to another one: what it said until now counts. Nothing can follow, so this ends even if the
 * server is still there and talks without a pause.
 */
static void hear_last_words(struct server *server, struct finished *finished)
{
	struct server_message messages[SERVER_SOCKET_BATCH];
	int count;

	shutdown(server->source.fd, SHUT_RDWR);
	while ((count = server_socket_receive(server->source.fd, messages)) > 0) {
		for (int i = 0; i < count; i++) {
			if (messages[i].message.type == DELIVERY_TAKEN)
				acknowledge(server, messages[i].message.id, CONNECTION_EVENT_TAKEN, finished);
			if (messages[i].passed_fd >= 0)
				close(messages[i].passed_fd);
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
			finish(delivery, connection, finished);
	}
	if (server->listener)
		kernel_listener_drop(server->listener);
	if (server->binding) {
		accept_queue_unbind(server->binding, clock_ns());
		server->binding = NULL;
		delivery->registered--;
		tell_service(delivery);
		log_debug("service %s: a server has gone, %zu remain", delivery->service->config->name,
			  delivery->registered);
	}
	event_loop_retire(&server->source, release);
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

/* SYN-ACKs of a service are those of the server which registered last. */
static void set_window(struct delivery *delivery, const struct listening_socket *found)
{
	delivery->receive_buffer = (uint32_t)found->buffer;
	delivery->offer = found->offer;
	publish_window(delivery);
}

static void leave_binding(struct server *server)
{
	if (server->listener)
		kernel_listener_drop(server->listener);
	server->listener = NULL;
	if (server->binding)
		accept_queue_unbind(server->binding, clock_ns());
	server->binding = NULL;
}

/* Listens where its listening socket does, or, without one, for all that the service has. */
static int join_binding(struct server *server, int listening_fd)
{
	struct delivery *delivery = server->delivery;
	struct listening_socket found = { .key = binding_everything, .offer.hop_limit = { -1, -1 } };
	struct kernel_listener *listener = NULL;
	struct binding *binding;
	int error = 0;

	if (listening_fd >= 0)
		error = listening_socket_check(listening_fd, delivery->service->config, &found);
	if (error)
		return error;
	binding = accept_queue_bind(&delivery->queue, &found.key);
	if (!binding)
		return -ENOMEM;
	if (listening_fd >= 0)
		error = kernel_listener_use(delivery, listening_fd, found.cookie, binding, server->source.loop,
					    &listener);
	if (error) {
		accept_queue_unbind(binding, clock_ns());
		return error;
	}
	if (!server->binding)
		delivery->registered++;
	leave_binding(server);
	server->listener = listener;
	server->binding = binding;
	binding->receive_buffer = found.receive_buffer;
	binding->offer = found.offer;
	set_window(delivery, &found);
	return 0;
}

static int32_t backlog_of(const struct delivery_message *message)
{
	/* As listen(2): a negative one is as many as can be. */
	return message->value < 0 ? INT32_MAX : message->value;
}

/* Returns 0, or the negative errno that the server is refused with. Owns the descriptor that came along. */
static int join(struct server *server, int listening_fd)
{
	int error = 0;

	if (++server->listens > MAX_LISTENS)
		error = -EPROTO;
	else if (server->delivery->service->config->handoff == SHAKEOFF_HANDOFF_LISTENER)
		error = -EOPNOTSUPP;
	else if (listening_fd < 0 && !server->binding && !peer_is_trusted(server->source.fd, server->delivery->group))
		error = -EACCES;
	else if (listening_fd >= 0 || !server->binding)
		error = join_binding(server, listening_fd);
	if (error && listening_fd >= 0)
		close(listening_fd);
	return error;
}

/* The first server at a place is told that it listens when the hook knows of the place: delivery_announce(). */
static int listen_message(struct server *server, const struct server_message *received, struct finished *finished)
{
	struct delivery *delivery = server->delivery;
	int error = join(server, received->passed_fd);

	if (error) {
		say(server, DELIVERY_REFUSED, -error);
		log_warn_limited("service %s: a server was refused: %s", delivery->service->config->name,
				 error == -EOPNOTSUPP ? "the service has handoff = listener, it needs no preload" :
							strerror(-error));
		return error;
	}
	server->backlog = (uint32_t)backlog_of(&received->message);
	server->binding->dualstack = received->message.flags & DELIVERY_FLAG_DUALSTACK;
	tell_service(delivery);
	log_debug("service %s: a server listens, backlog %u, capacity %u", delivery->service->config->name,
		  server->backlog, service_capacity(delivery->service));
	if (server->binding->servers > 1) {
		server_announce(server, finished);
		return 0;
	}
	server->announced = false;
	delivery->changed = true;
	event_loop_wake(delivery->loop);
	return 0;
}

void server_announce(struct server *server, struct finished *finished)
{
	server->announced = true;
	if (say(server, DELIVERY_LISTENING, (int32_t)service_capacity(server->delivery->service)))
		server_end(server, finished);
}

static int handle(struct server *server, const struct server_message *received, struct finished *finished)
{
	if (received->message.type == DELIVERY_LISTEN)
		return listen_message(server, received, finished);
	if (received->passed_fd >= 0)
		close(received->passed_fd);
	switch (received->message.type) {
	case DELIVERY_TAKEN: return acknowledge(server, received->message.id, CONNECTION_EVENT_TAKEN, finished);
	case DELIVERY_RETURNED: return acknowledge(server, received->message.id, CONNECTION_EVENT_RETURNED, finished);
	default: return -EPROTO;
	}
}

/* One batch: a server that floods the daemon does not keep it from others. */
void server_receive(struct server *server, struct finished *finished)
{
	struct server_message messages[SERVER_SOCKET_BATCH];
	int count, error = 0;

	if (server->ended)
		return;
	count = server_socket_receive(server->source.fd, messages);
	for (int i = 0; i < count; i++) {
		if (!error)
			error = handle(server, &messages[i], finished);
		else if (messages[i].passed_fd >= 0)
			close(messages[i].passed_fd);
	}
	if (error == -EPROTO)
		log_warn_limited("service %s: a server sent what the protocol does not have and was cut off",
				 server->delivery->service->config->name);
	if (error || !count || (count < 0 && count != -EAGAIN))
		server_end(server, finished);
}

static void ready(struct event_source *source, uint32_t events)
{
	struct server *server = (struct server *)source;
	struct delivery *delivery = server->delivery;
	struct finished finished = { 0 };

	(void)events;
	pthread_mutex_lock(&delivery->service->lock);
	server_receive(server, &finished);
	delivery_dispatch(delivery, &finished);
	pthread_mutex_unlock(&delivery->service->lock);
	finish_all(&finished);
}

int server_start(struct delivery *delivery, int fd, struct event_loop *loop)
{
	struct server *server = calloc(1, sizeof(*server));
	int error;

	if (!server)
		return -ENOMEM;
	server->delivery = delivery;
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
