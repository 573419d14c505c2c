/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <common/log.h>
#include <shakeoffd/clock.h>
#include <shakeoffd/delivery_internal.h>
#include <shakeoffd/descriptor.h>
#include <shakeoffd/listening_socket.h>

/* Of one service; those that have not registered yet have to within a few seconds. */
#define MAX_SERVERS 4096
#define MAX_STRANGERS 64
#define REGISTRATION_NS (5 * NS_PER_S)

#define SETTLE_PERIOD_NS NS_PER_S

/* ------------------------------------------------------------------------------------------------ leaving the queue */

void finish(struct delivery *delivery, struct connection *connection, struct finished *finished)
{
	accept_queue_unwatch(&delivery->queue, connection);
	connection_list_append(&finished->list, connection);
}

/* Outside the lock: closing the last descriptor of a connection is work. */
void finish_all(struct finished *finished)
{
	struct connection *connection;

	while ((connection = finished->list.first)) {
		connection_list_remove(&finished->list, connection);
		descriptor_close(connection->fd);
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

/* The service or the daemon ends: what waits and what is on its way is reset. */
static void withdraw(struct delivery *delivery, struct connection *connection, enum shakeoff_refusal reason)
{
	const struct connection_transition *step = connection_step(connection, CONNECTION_EVENT_WITHDRAWN);

	delivery_count(delivery, connection, step, reason);
	accept_queue_unwatch(&delivery->queue, connection);
	if (step->action == CONNECTION_DO_RESET)
		descriptor_reset(connection->fd);
	else
		descriptor_close(connection->fd);
	connection_free(connection);
}

static void withdraw_all(struct delivery *delivery, struct connection_list *list, enum shakeoff_refusal reason)
{
	struct connection *connection;

	while ((connection = list->first)) {
		connection_list_remove(list, connection);
		withdraw(delivery, connection, reason);
	}
}

/* ---------------------------------------------------------------------------------------------------- handing out */

/* The server with the fewest on their way; of equals the one that had its turn longest ago: the list is turned. */
static struct server *choose(struct delivery *delivery, const struct binding *binding)
{
	struct server *best = NULL;

	for (struct server *server = delivery->servers; server; server = server->next) {
		if (server->binding != binding || !server->announced || server->paused_ns ||
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

/* Every server has all that it may have: perhaps they have acknowledged meanwhile. */
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

static void dispatch(struct delivery *delivery, struct binding *binding, struct finished *finished)
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
	for (struct binding *binding = delivery->queue.bindings; binding; binding = binding->next)
		dispatch(delivery, binding, finished);
}

void delivery_append(struct binding *binding, struct connection *connection)
{
	connection_step(connection, CONNECTION_EVENT_ENQUEUED);
	connection->since_ns = clock_ns();
	accept_queue_append(binding, connection);
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
		delivery_append(binding, connection);
		dispatch(delivery, binding, &finished);
	} else {
		withdraw(delivery, connection, SHAKEOFF_REFUSED_UNSERVED);
	}
	pthread_mutex_unlock(&delivery->service->lock);
	finish_all(&finished);
}

/* ----------------------------------------------------------------------------------------------- resets by clients */

static void client_has_reset(struct delivery *delivery, struct connection *connection, struct finished *finished)
{
	const struct connection_transition *step = connection_step(connection, CONNECTION_EVENT_CLIENT_RESET);

	delivery_count(delivery, connection, step, SHAKEOFF_REFUSED_CLIENT_RESET);
	if (step->action != CONNECTION_DO_CLOSE)
		return;
	accept_queue_remove(connection);
	finish(delivery, connection, finished);
}

static void watched_ready(struct event_source *source, uint32_t events)
{
	struct delivery *delivery = (struct delivery *)((char *)source - offsetof(struct delivery, watching));
	struct finished finished = { 0 };
	struct connection *connection;

	(void)events;
	pthread_mutex_lock(&delivery->service->lock);
	/*
	 * What looks like a reset may be the end of a connection that a server has taken: it said so before. Its TAKEN is read
	 * first, and takes the connection out of the watch.
	 */
	for (struct server *server = delivery->servers, *next; server; server = next) {
		next = server->next;
		server_receive(server, &finished);
	}
	while ((connection = accept_queue_next_reset(&delivery->queue)))
		client_has_reset(delivery, connection, &finished);
	delivery_dispatch(delivery, &finished);
	pthread_mutex_unlock(&delivery->service->lock);
	finish_all(&finished);
}

/* ---------------------------------------------------------------------------------------------------------- servers */

/* Processes that may not serve at all must not take the places of those that may. */
static bool has_room_for_server(const struct delivery *delivery, int fd)
{
	if (delivery->connected >= MAX_SERVERS)
		return false;
	return delivery->connected - delivery->registered < MAX_STRANGERS || peer_is_trusted(fd, delivery->group);
}

static void incoming_ready(struct event_source *source, uint32_t events)
{
	struct delivery *delivery = (struct delivery *)((char *)source - offsetof(struct delivery, incoming));
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int error = -EUSERS;

	(void)events;
	if (fd < 0) {
		/* At the descriptor limit it stays readable: delivery_tick() looks again. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			delivery->incoming_paused = true;
			event_loop_change(source, EPOLLET);
		}
		return;
	}
	pthread_mutex_lock(&delivery->service->lock);
	if (has_room_for_server(delivery, fd))
		error = server_start(delivery, fd, delivery->loops[delivery->next_loop++ % delivery->loop_count]);
	pthread_mutex_unlock(&delivery->service->lock);
	if (error) {
		log_warn_limited("service %s: a server could not be connected: %s", delivery->service->config->name,
				 strerror(-error));
		close(fd);
	}
}

static void tick_servers(struct delivery *delivery, uint64_t now_ns, bool new_second, struct finished *finished)
{
	for (struct server *server = delivery->servers, *next; server; server = next) {
		next = server->next;
		if (new_second)
			server->listens = 0;
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

/* Servers may come back for a while; then nobody is kept waiting any longer. */
static void give_up(struct delivery *delivery, uint64_t now_ns)
{
	struct connection_list orphans = { 0 };
	struct service *service = delivery->service;

	if (!accept_queue_expire(&delivery->queue, now_ns, &orphans))
		return;
	log_warn(
		"service %s: no server has listened for %llu s where one did before: %zu waiting connections are reset, and what "
		"comes is the kernel's",
		service->config->name, ACCEPT_QUEUE_GRACE_NS / NS_PER_S, orphans.length);
	delivery->changed = true;
	if (!delivery->queue.bindings)
		service_disarm(service);
	withdraw_all(delivery, &orphans, SHAKEOFF_REFUSED_UNSERVED);
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
	finish_all(&finished);
}

void delivery_tick(struct delivery *delivery, uint64_t now_ns, uint64_t drained_ns)
{
	bool new_second = now_ns >= delivery->settled_ns + SETTLE_PERIOD_NS;
	struct finished finished = { 0 };

	pthread_mutex_lock(&delivery->service->lock);
	accept_queue_watch_waiting(&delivery->queue, now_ns);
	tick_servers(delivery, now_ns, new_second, &finished);
	for (struct kernel_listener *listener = delivery->listeners; listener; listener = listener->next)
		kernel_listener_resume(listener);
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
	finish_all(&finished);
}

/* ----------------------------------------------------------------------------------------------- beginning and end */

int delivery_open(struct delivery *delivery, struct service *service, int listen_fd, gid_t group,
		  struct event_loop *loop, struct event_loop *const *loops, size_t loop_count)
{
	int error;

	*delivery = (struct delivery){
		.service = service,
		.group = group,
		.loop = loop,
		.loops = loops,
		.loop_count = loop_count,
		.next_loop = service->index,
		.incoming.fd = -1,
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

void delivery_stop(struct delivery *delivery)
{
	struct finished finished = { 0 };

	pthread_mutex_lock(&delivery->service->lock);
	service_disarm(delivery->service);
	for (struct server *server = delivery->servers, *next; server; server = next) {
		struct connection *connection;

		next = server->next;
		server_receive(server, &finished);
		while ((connection = server->unacknowledged.first)) {
			connection_list_remove(&server->unacknowledged, connection);
			withdraw(delivery, connection, SHAKEOFF_REFUSED_SHUTDOWN);
		}
	}
	while (delivery->servers)
		server_end(delivery->servers, &finished);
	for (struct binding *binding = delivery->queue.bindings; binding; binding = binding->next)
		withdraw_all(delivery, &binding->waiting, SHAKEOFF_REFUSED_SHUTDOWN);
	/* Withdrawing has published the capacity once more. */
	service_disarm(delivery->service);
	pthread_mutex_unlock(&delivery->service->lock);
	finish_all(&finished);
}

void delivery_close(struct delivery *delivery)
{
	if (delivery->incoming.fd >= 0)
		close(delivery->incoming.fd);
	delivery->incoming.fd = -1;
	accept_queue_close(&delivery->queue);
}
