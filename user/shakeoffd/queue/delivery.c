/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/clock.h"
#include "shakeoffd/queue/delivery_internal.h"
#include "shakeoffd/queue/descriptor.h"

/* A server that has not sent LISTEN after this time is cut off. */
#define REGISTRATION_NS (5 * NS_PER_S)

#define SETTLE_PERIOD_NS NS_PER_S

/* ------------------------------------------------------------------------------------------------ into the queue */

/* Puts a connection at the tail of the queue. */
static void append(struct binding *binding, struct connection *connection)
{
	connection_step(connection, CONNECTION_EVENT_ENQUEUED);
	connection->since_ns = clock_ns();
	accept_queue_append(binding, connection);
}

/*
 * Takes a connection from the kernel's own handshake. binding: of the listening socket; NULL: it is not registered any
 * more.
 */
static void accept_connection(struct delivery *delivery, struct binding *binding, struct connection *connection)
{
	if (!binding)
		binding = accept_queue_find(&delivery->queue, &connection->local, connection->local_port);
	if (binding && !delivery->stopped)
		append(binding, connection);
	else
		delivery_withdraw(delivery, connection, SHAKEOFF_REFUSED_NO_SERVER);
}

bool delivery_socket_options(struct delivery *delivery, const struct shakeoff_tuple *tuple,
			     struct repair_options *options)
{
	const struct binding *binding;
	struct in6_addr address;

	memcpy(&address, tuple->local, sizeof(address));
	pthread_mutex_lock(&delivery->service->lock);
	binding = accept_queue_find(&delivery->queue, &address, ntohs(tuple->local_port));
	if (binding)
		*options = (struct repair_options){ .dualstack = binding->dualstack,
						    .receive_buffer = binding->receive_buffer,
						    .offer = binding->offer };
	pthread_mutex_unlock(&delivery->service->lock);
	return binding;
}

void delivery_enqueue(struct delivery *delivery, struct connection *connection)
{
	struct finished finished = { 0 };
	struct binding *binding;

	pthread_mutex_lock(&delivery->service->lock);
	binding = accept_queue_find(&delivery->queue, &connection->local, connection->local_port);
	if (binding) {
		append(binding, connection);
		delivery_dispatch_binding(delivery, binding, &finished);
	} else {
		delivery_withdraw(delivery, connection, SHAKEOFF_REFUSED_NO_SERVER);
	}
	pthread_mutex_unlock(&delivery->service->lock);
	delivery_finish_all(&finished);
}

/* ----------------------------------------------------------------------------------------------- resets by clients */

static void client_has_reset(struct delivery *delivery, struct connection *connection, struct finished *finished)
{
	const struct connection_transition *step = connection_step(connection, CONNECTION_EVENT_CLIENT_RESET);

	delivery_count(delivery, connection, step, SHAKEOFF_REFUSED_CLIENT_RESET);
	if (step->action != CONNECTION_DO_CLOSE)
		return;
	accept_queue_remove(connection);
	delivery_finish(delivery, connection, finished);
}

static void watched_ready(struct event_source *source, uint32_t events)
{
	struct delivery *delivery = (struct delivery *)((char *)source - offsetof(struct delivery, watching));
	struct finished finished = { 0 };
	struct connection *connection;

	(void)events;
	pthread_mutex_lock(&delivery->service->lock);
	/*
	 * A connection that a server has taken and closed looks like a reset. The server has sent TAKEN before, so its
	 * messages are read first: TAKEN stops the watch.
	 */
	for (struct server *server = delivery->servers, *next; server; server = next) {
		next = server->next;
		server_receive(server, &finished);
	}
	while ((connection = accept_queue_next_reset(&delivery->queue)))
		client_has_reset(delivery, connection, &finished);
	delivery_dispatch(delivery, &finished);
	pthread_mutex_unlock(&delivery->service->lock);
	delivery_finish_all(&finished);
}

/* ----------------------------------------------------------------------------- reports of servers and their sockets */

static void server_ready(struct event_source *source, uint32_t events)
{
	struct server *server = (struct server *)source;
	struct delivery *delivery = server->delivery;
	struct finished finished = { 0 };

	(void)events;
	pthread_mutex_lock(&delivery->service->lock);
	server_receive(server, &finished);
	delivery_dispatch(delivery, &finished);
	pthread_mutex_unlock(&delivery->service->lock);
	delivery_finish_all(&finished);
}

static void listener_examined(struct kernel_listener *listener, int error, struct finished *finished)
{
	struct delivery *delivery = listener->delivery;

	server_examined(listener->candidate, listener, error, finished);
	delivery_dispatch(delivery, finished);
}

static void listener_lost(struct kernel_listener *listener, struct finished *finished)
{
	if (!listener->ended)
		server_end_all_of(listener, finished);
	delivery_dispatch(listener->delivery, finished);
}

static void listener_accepted(struct kernel_listener *listener, struct connection *connection,
			      struct finished *finished)
{
	struct delivery *delivery = listener->delivery;

	service_arrived(delivery->service, CONNECTION_FROM_KERNEL, 0);
	connection_step(connection, CONNECTION_EVENT_KERNEL_HANDSHAKE);
	accept_connection(delivery, listener->binding, connection);
	delivery_dispatch(delivery, finished);
}

static const struct kernel_listener_calls listener_calls = {
	.examined = listener_examined,
	.lost = listener_lost,
	.accepted = listener_accepted,
};

/* ---------------------------------------------------------------------------------------------------------- servers */

static int connect_server(struct delivery *delivery, int fd, struct peer *peer, struct finished *finished)
{
	int error = peer_of(fd, delivery->service->config, peer);

	if (error)
		return error;
	if (!delivery_admits(delivery, peer, finished))
		return -EUSERS;
	return server_start(delivery, fd, peer, delivery->loops[delivery->next_loop++ % delivery->loop_count],
			    server_ready);
}

static void incoming_ready(struct event_source *source, uint32_t events)
{
	struct delivery *delivery = (struct delivery *)((char *)source - offsetof(struct delivery, incoming));
	bool may_refuse = descriptor_may_refuse();
	int fd = may_refuse ? accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
	struct finished finished = { 0 };
	struct peer peer = { 0 };
	int error;

	(void)events;
	if (fd < 0) {
		/* At the descriptor limit it stays readable, and delivery_tick() tries again. */
		if (!may_refuse || (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)) {
			delivery->incoming_paused = true;
			event_loop_change(source, EPOLLET);
		}
		return;
	}
	pthread_mutex_lock(&delivery->service->lock);
	error = connect_server(delivery, fd, &peer, &finished);
	pthread_mutex_unlock(&delivery->service->lock);
	delivery_finish_all(&finished);
	if (error) {
		log_warn_limited("service %s: a server of the user %u could not be connected: %s",
				 delivery->service->config->name, peer.uid, strerror(-error));
		/* It may have sent messages already. */
		descriptor_close_socket(fd, peer.uid);
	}
}

static void tick_servers(struct delivery *delivery, uint64_t now_ns, bool new_second, struct finished *finished)
{
	for (struct server *server = delivery->servers, *next; server; server = next) {
		next = server->next;
		if (new_second)
			server->listens = 0;
		server_read_on(server);
		if (server->paused_ns && now_ns >= server->paused_ns)
			server->paused_ns = 0;
		if (!server->binding && now_ns > server->connected_ns + REGISTRATION_NS)
			server_end(server, finished);
		else if (server->unacknowledged.first &&
			 now_ns >= server->unacknowledged.first->since_ns + ACCEPT_QUEUE_UNWATCHED_NS)
			for (struct connection *c = server->unacknowledged.first; c; c = c->next)
				if (c->state == CONNECTION_DELIVERING)
					accept_queue_watch(&delivery->queue, c);
	}
}

/* Checks the listening sockets: a registration is valid only while its socket is. */
static void tick_listeners(struct delivery *delivery, struct finished *finished)
{
	uint32_t device = atomic_load_explicit(&delivery->device, memory_order_relaxed);
	struct kernel_listener *next;

	for (struct kernel_listener *listener = delivery->listeners; listener; listener = next) {
		next = listener->next;
		if (!kernel_listener_listens(listener) || (listener->found.device && listener->found.device != device))
			server_end_all_of(listener, finished);
		else
			kernel_listener_resume(listener);
	}
}

/* Gives up servers that have not come back in time: their waiting clients are reset. */
static void give_up(struct delivery *delivery, uint64_t now_ns)
{
	struct connection_list orphans = { 0 };
	struct service *service = delivery->service;

	if (!accept_queue_expire(&delivery->queue, now_ns, &orphans))
		return;
	log_warn_limited(
		"service %s: no server listens any more where one did: %zu waiting connections are reset, and new "
		"ones are bypassed",
		service->config->name, orphans.length);
	delivery->changed = true;
	if (!delivery->queue.bindings)
		service_disarm(service);
	delivery_withdraw_all(delivery, &orphans, SHAKEOFF_REFUSED_NO_SERVER);
}

bool delivery_take_change(struct delivery *delivery)
{
	return atomic_exchange(&delivery->changed, false);
}

enum delivery_coverage delivery_covers(struct delivery *delivery, const struct in6_addr *address, uint16_t port)
{
	enum delivery_coverage coverage = DELIVERY_UNCOVERED;
	const struct binding *binding;

	pthread_mutex_lock(&delivery->service->lock);
	binding = accept_queue_find(&delivery->queue, address, port);
	if (binding)
		coverage = binding->adopted ? DELIVERY_KEPT : DELIVERY_COVERED;
	pthread_mutex_unlock(&delivery->service->lock);
	return coverage;
}

void delivery_announce(struct delivery *delivery)
{
	struct finished finished = { 0 };

	pthread_mutex_lock(&delivery->service->lock);
	for (struct server *server = delivery->servers, *next; server; server = next) {
		next = server->next;
		if (server->binding && !server->announced)
			server_announce(server, &finished);
	}
	delivery_dispatch(delivery, &finished);
	pthread_mutex_unlock(&delivery->service->lock);
	delivery_finish_all(&finished);
}

void delivery_tick(struct delivery *delivery, uint64_t now_ns, uint64_t drained_ns)
{
	bool new_second = now_ns >= delivery->settled_ns + SETTLE_PERIOD_NS;
	struct finished finished = { 0 };

	pthread_mutex_lock(&delivery->service->lock);
	accept_queue_watch_waiting(&delivery->queue, now_ns);
	tick_servers(delivery, now_ns, new_second, &finished);
	tick_listeners(delivery, &finished);
	if (delivery->incoming_paused) {
		delivery->incoming_paused = false;
		event_loop_change(&delivery->incoming, EPOLLIN);
	}
	give_up(delivery, now_ns);
	if (new_second) {
		delivery->settled_ns = now_ns;
		service_settle(delivery->service, now_ns, drained_ns);
	}
	delivery_dispatch(delivery, &finished);
	pthread_mutex_unlock(&delivery->service->lock);
	delivery_finish_all(&finished);
}

/* --------------------------------------------------------------------------------------------------- open and close */

int delivery_open(struct delivery *delivery, struct service *service, int listen_fd, struct event_loop *loop,
		  struct event_loop *const *loops, size_t loop_count)
{
	int error;

	*delivery = (struct delivery){
		.service = service,
		.loop = loop,
		.loops = loops,
		.loop_count = loop_count,
		.next_loop = service->index,
		.incoming.fd = -1,
		.listener_calls = &listener_calls,
	};
	error = accept_queue_open(&delivery->queue);
	if (error)
		return error;
	delivery_publish_window(delivery);
	if (service->served)
		error = accept_queue_adopt(&delivery->queue, clock_ns());
	if (!error)
		error = event_loop_add(loop, &delivery->watching, delivery->queue.watch_fd, EPOLLIN, watched_ready);
	if (!error)
		error = event_loop_add(loop, &delivery->incoming, listen_fd, EPOLLIN, incoming_ready);
	if (error) {
		delivery->incoming.fd = -1;
		accept_queue_close(&delivery->queue);
	}
	return error;
}

void delivery_set_device(struct delivery *delivery, uint32_t device)
{
	atomic_store_explicit(&delivery->device, device, memory_order_relaxed);
}

void delivery_stop(struct delivery *delivery)
{
	struct finished finished = { 0 };

	pthread_mutex_lock(&delivery->service->lock);
	delivery->stopped = true;
	service_disarm(delivery->service);
	for (struct server *server = delivery->servers, *next; server; server = next) {
		struct connection *connection;

		next = server->next;
		server_receive(server, &finished);
		while ((connection = server->unacknowledged.first)) {
			connection_list_remove(&server->unacknowledged, connection);
			delivery_withdraw(delivery, connection, SHAKEOFF_REFUSED_SHUTDOWN);
		}
	}
	while (delivery->servers)
		server_end(delivery->servers, &finished);
	for (struct binding *binding = delivery->queue.bindings; binding; binding = binding->next)
		delivery_withdraw_all(delivery, &binding->waiting, SHAKEOFF_REFUSED_SHUTDOWN);
	/* Withdrawing connections has published the capacity again. */
	service_disarm(delivery->service);
	pthread_mutex_unlock(&delivery->service->lock);
	delivery_finish_all(&finished);
}

void delivery_close(struct delivery *delivery)
{
	/* Servers that wait to be accepted are closed with it, and so are their messages. */
	if (delivery->incoming.fd >= 0)
		descriptor_close(delivery->incoming.fd, geteuid());
	delivery->incoming.fd = -1;
	accept_queue_close(&delivery->queue);
}
