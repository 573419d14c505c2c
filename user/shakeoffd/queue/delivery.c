/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <common/log.h>
#include "shakeoffd/sys/clock.h"
#include "shakeoffd/queue/delivery_internal.h"
#include "shakeoffd/queue/descriptor.h"

/*
 * Connections of servers to one service. Those of root, of the daemon's user and of those that the service names always find
 * room. For all others: in all, of one user, and of those that have not said LISTEN yet. A server says it at once; so one that has
 * not for a while gives way to the next.
 */
#define MAX_SERVERS 4096
#define MAX_OF_USER 1024
#define MAX_WAITING 256
#define MAX_WAITING_OF_USER 32
#define GIVES_WAY_NS (100 * NS_PER_MS)
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
		if (connection->shared)
			descriptor_close(connection->fd, connection->holder);
		else
			close(connection->fd);
		connection_free(connection);
	}
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
		reset(connection);
	else
		descriptor_close(connection->fd, connection->holder); /* DELIVERING: a server has it */
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
		dispatch(delivery, binding, finished);
}

void delivery_append(struct binding *binding, struct connection *connection)
{
	connection_step(connection, CONNECTION_EVENT_ENQUEUED);
	connection->since_ns = clock_ns();
	accept_queue_append(binding, connection);
}

void delivery_accept(struct delivery *delivery, struct binding *binding, struct connection *connection)
{
	if (!binding)
		binding = accept_queue_find(&delivery->queue, &connection->local, connection->local_port);
	if (binding && !delivery->stopped)
		delivery_append(binding, connection);
	else
		withdraw(delivery, connection, SHAKEOFF_REFUSED_UNSERVED);
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

struct crowd {
	size_t of_user, waiting, waiting_of_user;
	struct server *oldest, *oldest_of_user; /* that wait */
};

static bool waits(const struct server *server)
{
	return !server->binding && !server->peer.trusted;
}

static struct crowd count_servers(const struct delivery *delivery, uid_t uid)
{
	struct crowd crowd = { 0 };

	for (struct server *server = delivery->servers; server; server = server->next) {
		bool of_user = server->peer.uid == uid;

		crowd.of_user += of_user;
		if (!waits(server))
			continue;
		crowd.waiting++;
		crowd.waiting_of_user += of_user;
		if (!crowd.oldest || server->connected_ns < crowd.oldest->connected_ns)
			crowd.oldest = server;
		if (of_user && (!crowd.oldest_of_user || server->connected_ns < crowd.oldest_of_user->connected_ns))
			crowd.oldest_of_user = server;
	}
	return crowd;
}

static bool give_way(struct server *server, struct finished *finished)
{
	if (clock_ns() - server->connected_ns < GIVES_WAY_NS)
		return false;
	server_end(server, finished);
	return true;
}

/* No user's processes take the places of another one's, and nobody's those of the service's own servers. */
static bool has_room_for_server(const struct delivery *delivery, const struct peer *peer, struct finished *finished)
{
	struct crowd crowd;

	if (peer->trusted)
		return true;
	if (delivery->connected >= MAX_SERVERS || descriptor_is_stuck(peer->uid) ||
	    acceptor_count_stuck(peer->uid) >= DELIVERY_MAX_STUCK)
		return false;
	crowd = count_servers(delivery, peer->uid);
	if (crowd.of_user >= MAX_OF_USER)
		return false;
	if (crowd.waiting_of_user >= MAX_WAITING_OF_USER)
		return give_way(crowd.oldest_of_user, finished);
	return crowd.waiting < MAX_WAITING || give_way(crowd.oldest, finished);
}

static int connect_server(struct delivery *delivery, int fd, struct peer *peer, struct finished *finished)
{
	int error = peer_of(fd, delivery->service->config, peer);

	if (error)
		return error;
	if (!has_room_for_server(delivery, peer, finished))
		return -EUSERS;
	return server_start(delivery, fd, peer, delivery->loops[delivery->next_loop++ % delivery->loop_count]);
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
		/* At the descriptor limit it stays readable: delivery_tick() looks again. */
		if (!may_refuse || (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)) {
			delivery->incoming_paused = true;
			event_loop_change(source, EPOLLET);
		}
		return;
	}
	pthread_mutex_lock(&delivery->service->lock);
	error = connect_server(delivery, fd, &peer, &finished);
	pthread_mutex_unlock(&delivery->service->lock);
	finish_all(&finished);
	if (error) {
		log_warn_limited("service %s: a server of the user %u could not be connected: %s",
				 delivery->service->config->name, peer.uid, strerror(-error));
		/* It may have sent something already. */
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

/* A registration is worth what its socket is worth now. */
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

/* Servers may come back for a while; then nobody is kept waiting any longer. */
static void give_up(struct delivery *delivery, uint64_t now_ns)
{
	struct connection_list orphans = { 0 };
	struct service *service = delivery->service;

	if (!accept_queue_expire(&delivery->queue, now_ns, &orphans))
		return;
	log_warn_limited(
		"service %s: no server listens any more where one did: %zu waiting connections are reset, and what "
		"comes is the kernel's",
		service->config->name, orphans.length);
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
	finish_all(&finished);
}

/* ----------------------------------------------------------------------------------------------- beginning and end */

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
	/* Those that nobody has accepted are closed with it, and what they sent. */
	if (delivery->incoming.fd >= 0)
		descriptor_close(delivery->incoming.fd, geteuid());
	delivery->incoming.fd = -1;
	accept_queue_close(&delivery->queue);
}
