/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
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

static void withdraw_waiting(struct delivery *delivery, enum shakeoff_refusal reason)
{
	struct connection *connection;

	while ((connection = delivery->queue.waiting.first)) {
		connection_list_remove(&delivery->queue.waiting, connection);
		withdraw(delivery, connection, reason);
	}
}

/* ---------------------------------------------------------------------------------------------------- handing out */

/* The server with the fewest on their way; of equals the one that had its turn longest ago: the list is turned. */
static struct server *choose(struct delivery *delivery)
{
	struct server *best = NULL;

	for (struct server *server = delivery->servers; server; server = server->next) {
		if (!server->registered || server->paused_ns || server->unacknowledged.length >= DELIVERY_WINDOW)
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
static bool collect_acknowledgments(struct delivery *delivery, struct finished *finished)
{
	struct server *server, *next;

	for (server = delivery->servers; server; server = next) {
		next = server->next;
		if (server->registered && server->unacknowledged.length >= DELIVERY_WINDOW)
			server_receive(server, finished);
	}
	return choose(delivery) != NULL;
}

void delivery_dispatch(struct delivery *delivery, struct finished *finished)
{
	struct connection *connection;
	struct server *server;
	int error;

	while ((connection = delivery->queue.waiting.first)) {
		server = choose(delivery);
		if (!server && collect_acknowledgments(delivery, finished))
			continue;
		if (!server)
			return;
		connection_list_remove(&delivery->queue.waiting, connection);
		error = server_send(server, connection);
		if (!error) {
			move_to_end(delivery, server);
			continue;
		}
		connection_list_insert(&delivery->queue.waiting, connection);
		if (error != -EAGAIN)
			server_end(server, finished);
	}
}

void delivery_append(struct delivery *delivery, struct connection *connection)
{
	connection_step(connection, CONNECTION_EVENT_ENQUEUED);
	connection->since_ns = clock_ns();
	connection_list_append(&delivery->queue.waiting, connection);
}

void delivery_requeue(struct delivery *delivery, struct connection *connection)
{
	connection_list_insert(&delivery->queue.waiting, connection);
	/* It stands where accept_queue_watch_waiting() does not look. */
	accept_queue_watch(&delivery->queue, connection);
}

void delivery_enqueue(struct delivery *delivery, struct connection *connection)
{
	struct finished finished = {0};

	pthread_mutex_lock(&delivery->service->lock);
	delivery_append(delivery, connection);
	delivery_dispatch(delivery, &finished);
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
	connection_list_remove(&delivery->queue.waiting, connection);
	finish(delivery, connection, finished);
}

static void watched_ready(struct event_source *source, uint32_t events)
{
	struct delivery *delivery = (struct delivery *)((char *)source - offsetof(struct delivery, watching));
	struct finished finished = {0};
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
		if (!server->registered && now_ns - server->connected_ns > REGISTRATION_NS)
			server_end(server, finished);
		else if (server->unacknowledged.first &&
			 now_ns - server->unacknowledged.first->since_ns >= ACCEPT_QUEUE_UNWATCHED_NS)
			for (struct connection *c = server->unacknowledged.first; c; c = c->next)
				if (c->state == CONNECTION_DELIVERING)
					accept_queue_watch(&delivery->queue, c);
	}
}

/* Its server may come back for a while; then nobody is kept waiting any longer. */
static void give_up(struct delivery *delivery, uint64_t now_ns)
{
	struct service *service = delivery->service;

	if (!service->unserved_ns || now_ns - service->unserved_ns < SERVICE_GRACE_NS)
		return;
	log_warn("service %s has had no server for %llu s: %zu waiting connections are reset, and the kernel gets its packets",
		 service->config->name, SERVICE_GRACE_NS / NS_PER_S, delivery->queue.waiting.length);
	service_disarm(service);
	withdraw_waiting(delivery, SHAKEOFF_REFUSED_UNSERVED);
}

void delivery_tick(struct delivery *delivery, uint64_t now_ns, uint64_t drained_ns)
{
	bool new_second = now_ns - delivery->settled_ns >= SETTLE_PERIOD_NS;
	struct finished finished = {0};

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

int delivery_open(struct delivery *delivery, struct service *service, int listen_fd, gid_t group, struct event_loop *loop,
		  struct event_loop *const *loops, size_t loop_count)
{
	int error;

	*delivery = (struct delivery){
		.service = service,
		.group = group,
		.loops = loops,
		.loop_count = loop_count,
		.next_loop = service->index,
		.incoming.fd = -1,
	};
	error = accept_queue_open(&delivery->queue);
	if (error)
		return error;
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
	struct finished finished = {0};

	pthread_mutex_lock(&delivery->service->lock);
	service_disarm(delivery->service);
	for (struct server *server = delivery->servers; server; server = server->next) {
		struct connection *connection;

		while ((connection = server->unacknowledged.first)) {
			connection_list_remove(&server->unacknowledged, connection);
			withdraw(delivery, connection, SHAKEOFF_REFUSED_SHUTDOWN);
		}
	}
	while (delivery->servers)
		server_end(delivery->servers, &finished);
	withdraw_waiting(delivery, SHAKEOFF_REFUSED_SHUTDOWN);
	/* Server_end() has told the service about fewer servers; it stays disarmed. */
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
