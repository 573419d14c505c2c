/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One server's socket: registration, connections on their way to it, acknowledgments. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <common/log.h>
#include "shakeoffd/hook/cgroup.h"
#include "shakeoffd/sys/clock.h"
#include "shakeoffd/queue/delivery_internal.h"
#include "shakeoffd/queue/descriptor.h"
#include "shakeoffd/hook/synack_profile.h"
#include "shakeoffd/queue/server_socket.h"

/* Nothing is sent for so long to a server that had no descriptor, or whose socket had no room. */
#define PAUSE_NS (100 * NS_PER_MS)

/* More LISTEN messages a second than this are no server's. */
#define MAX_LISTENS 64

/* A service's own servers, whether they have brought a socket or not. */
static bool is_of_the_service(const struct server *server)
{
	if (!server->listener)
		return true;
	return peer_is_trusted_user(server->listener->found.owner, server->delivery->service->config);
}

/* Whose servers decide what SYN-ACKs offer: the service's own, else the user's who was there first. NULL: nobody is. */
static const struct server *find_decider(const struct delivery *delivery)
{
	const struct server *first = NULL;

	for (const struct server *server = delivery->servers; server; server = server->next) {
		if (server->binding && is_of_the_service(server))
			return server;
		if (server->binding)
			first = server; /* the newest stands first */
	}
	return first;
}

static void choose_window(struct delivery *delivery);

static void release(struct event_source *source)
{
	struct server *server = (struct server *)source;

	descriptor_close_socket(server->source.fd, server->peer.uid);
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
	const struct server *decider;
	uint32_t places = 0;

	for (const struct server *server = delivery->servers; server; server = server->next)
		if (server->binding && server->backlog >= places)
			places = server->backlog + 1;
	decider = find_decider(delivery);
	if (decider)
		service_set_owner(delivery->service, !is_of_the_service(decider),
				  decider->listener ? decider->listener->found.owner : decider->peer.uid);
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
 * As server_socket_receive(), as many messages at once as there is room for: each may bring as many descriptors as can come.
 * -EAGAIN: none, in a moment. -EUSERS: not before descriptors of this user are closed.
 */
static int receive(struct server *server, struct server_message *messages)
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
 * What a server has taken must not go to another one: what it said until now counts. Nothing can follow, so this ends even if the
 * server is still there and talks without a pause. What is left unread is closed with the socket.
 */
static void hear_last_words(struct server *server, struct finished *finished)
{
	struct server_message messages[SERVER_SOCKET_BATCH];
	int count;

	shutdown(server->source.fd, SHUT_RDWR);
	while (server->unacknowledged.first && (count = receive(server, messages)) > 0) {
		for (int i = 0; i < count; i++) {
			if (messages[i].message.type == DELIVERY_TAKEN)
				acknowledge(server, messages[i].message.id, CONNECTION_EVENT_TAKEN, finished);
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
			finish(delivery, connection, finished);
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
		tell_service(delivery);
		choose_window(delivery);
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

static void set_window(struct delivery *delivery, const struct listening_socket *found)
{
	delivery->receive_buffer = (uint32_t)found->buffer;
	delivery->offer = found->offer;
	publish_window(delivery);
}

/* Whether the next server, with this listening socket (or NULL), does. Of the servers of whom decides, the one that registered last does. */
static bool decides(const struct delivery *delivery, const struct listening_socket *found)
{
	const struct server *decider = find_decider(delivery);

	if (!found || !decider || peer_is_trusted_user(found->owner, delivery->service->config))
		return true;
	return !is_of_the_service(decider) && decider->listener->found.owner == found->owner;
}

/* A server has gone: if another user decides now, it is by what his sockets are. */
static void choose_window(struct delivery *delivery)
{
	const struct server *decider = find_decider(delivery);

	if (decider && decider->listener)
		set_window(delivery, &decider->listener->found);
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

/* ------------------------------------------------------------------------------------------------- whose place it is */

/* Where the service names a group, it has none but its own. */
static bool is_strangers(const struct listening_socket *found, const struct config_service *config)
{
	return !config->has_group && !peer_is_trusted_user(found->owner, config);
}

/*
 * Whether a server may not have its place beside one that comes with `found`, or (NULL) without a socket. The kernel lets
 * several sockets listen at one place if one user has made them (SO_REUSEPORT, inet_csk_bind_conflict()). A server without a
 * socket is trusted; of the others at its places only those that the service trusts may stay. A service has one accept queue
 * for all of its places, so strangers have none beside the service's own servers: they would fill it.
 */
static bool conflicts(const struct server *server, const struct listening_socket *found)
{
	const struct config_service *config = server->delivery->service->config;

	if (!found)
		return !is_of_the_service(server);
	if (!server->listener)
		return !peer_is_trusted_user(found->owner, config);
	return server->listener->found.owner != found->owner &&
	       (binding_overlap(&server->listener->found.key, &found->key) ||
		is_strangers(&server->listener->found, config) != is_strangers(found, config));
}

void server_cut_off(struct server *server, const char *why, struct finished *finished)
{
	log_warn_limited("service %s: a server of the user %u was cut off: %s", server->delivery->service->config->name,
			 server->peer.uid, why);
	server_end(server, finished);
}

/*
 * Makes room for one that listens now. Of sockets of two users at one place only one can listen, so the one that came before
 * does not listen there any more, whatever it was when it came. If it is the service's own and listens still, the stranger's is
 * at another place, or has gone there since it was looked at: the stranger's clients are the kernel's.
 */
static int displace_others(const struct server *server, const struct listening_socket *found)
{
	bool stranger = found && is_strangers(found, server->delivery->service->config);

	for (struct server *other = server->delivery->servers; other; other = other->next) {
		if (other == server || !other->binding || !conflicts(other, found))
			continue;
		if (!other->listener ||
		    (stranger && !is_strangers(&other->listener->found, server->delivery->service->config) &&
		     server_holds(other)))
			return -EADDRINUSE;
		other->displaced = true;
	}
	return 0;
}

void server_end_displaced(struct delivery *delivery, struct finished *finished)
{
	struct server *next;

	for (struct server *server = delivery->servers; server; server = next) {
		next = server->next;
		if (server->displaced)
			server_cut_off(server, "another user's server listens at its place now", finished);
	}
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

/* ------------------------------------------------------------------------------------------------------ registration */

/* Listens where its listening socket does, or, without one, for all that the service has. */
static int join_binding(struct server *server, struct kernel_listener *listener)
{
	static const struct listening_socket without = { .offer.hop_limit = { -1, -1 } };
	const struct listening_socket *found = listener ? &listener->found : &without;
	struct delivery *delivery = server->delivery;
	struct binding *binding;
	int error;

	error = displace_others(server, listener ? found : NULL);
	if (error)
		return error;
	binding = accept_queue_bind(&delivery->queue, listener ? &found->key : &binding_everything);
	if (!binding)
		return -ENOMEM;
	binding->receive_buffer = found->receive_buffer;
	binding->offer = found->offer;
	binding->untrusted = listener && !peer_is_trusted_user(found->owner, delivery->service->config);
	if (decides(delivery, listener ? found : NULL))
		set_window(delivery, found);
	if (listener)
		listener = kernel_listener_use(listener, binding);
	if (!server->binding)
		delivery->registered++;
	leave_binding(server);
	server->listener = listener;
	server->binding = binding;
	return 0;
}

static int32_t backlog_of(const struct delivery_message *message)
{
	/* As listen(2): a negative one is as many as can be. */
	return message->value < 0 ? INT32_MAX : message->value;
}

/* Whether it may send this LISTEN, as far as can be told without looking at the socket closely. */
static int check_listen(struct server *server, int listening_fd)
{
	const struct config_service *config = server->delivery->service->config;

	if (++server->listens > MAX_LISTENS || server->candidate)
		return -EPROTO;
	if (config->handoff == SHAKEOFF_HANDOFF_LISTENER)
		return -EOPNOTSUPP;
	if (cgroup_filters(server->peer.pid))
		return -EPERM;
	if (listening_fd >= 0 && !server->peer.trusted && acceptor_count_stuck(server->peer.uid) >= DELIVERY_MAX_STUCK)
		return -EUSERS;
	if (listening_fd < 0)
		return server->binding || server->peer.trusted ? 0 : -EACCES;
	if (!peer_may_pass_socket(&server->peer, config))
		return -EACCES;
	return listening_socket_listens(listening_fd) ? 0 : -EINVAL;
}

static const char *why_refused(const struct server *server, int error)
{
	const struct config_service *config = server->delivery->service->config;

	switch (error) {
	case -EOPNOTSUPP: return "the service has handoff = listener, it needs no preload";
	case -EPERM:
		return "its control group filters what comes in (IPAddressDeny= of its unit, say), which would not see the "
		       "daemon's sockets: its own listening socket gets the connections";
	case -EACCES:
		return config->has_user || config->has_group ?
			       "neither it nor its socket is root's, or of the service's user or group" :
			       "it is not root's, and passed no listening socket";
	case -EINVAL: return "the socket that it passed does not listen at an address of the service";
	case -ENODEV: return "its socket is bound to a device that is not the only one with the program";
	case -EADDRINUSE:
		return "the service has a server that it trusts: the socket's clients are the kernel's (set user=)";
	default: return strerror(-error);
	}
}

static int refuse(const struct server *server, int error)
{
	say(server, DELIVERY_REFUSED, -error);
	log_warn_limited("service %s: a server of the user %u was refused: %s", server->delivery->service->config->name,
			 server->peer.uid, why_refused(server, error));
	return error;
}

/* The first server at a place is told that it listens when the hook knows of the place: delivery_announce(). */
static void joined(struct server *server, struct finished *finished)
{
	struct delivery *delivery = server->delivery;

	server->binding->dualstack = server->dualstack;
	tell_service(delivery);
	log_debug("service %s: a server listens, backlog %u, capacity %u", delivery->service->config->name,
		  server->backlog, service_capacity(delivery->service));
	if (server->binding->servers > 1) {
		server_announce(server, finished);
		return;
	}
	server->announced = false;
	delivery->changed = true;
	event_loop_wake(delivery->loop);
}

/* Whose socket it is, if the service says who may serve. */
static int check_owner(const struct server *server, const struct listening_socket *found)
{
	const struct config_service *config = server->delivery->service->config;

	return !config->has_user || peer_is_trusted_user(found->owner, config) ? 0 : -EACCES;
}

void server_examined(struct server *server, struct kernel_listener *listener, int error, struct finished *finished)
{
	if (!error)
		error = check_owner(server, &listener->found);
	if (!error)
		error = join_binding(server, listener);
	if (error) {
		refuse(server, error);
		server_end(server, finished);
		return;
	}
	server->candidate = NULL;
	joined(server, finished);
}

static int listen_message(struct server *server, const struct server_message *received, struct finished *finished)
{
	int fd = received->passed_fd, error = check_listen(server, fd);

	if (!error && fd >= 0)
		error = kernel_listener_examine(server, fd);
	else if (!error && !server->binding)
		error = join_binding(server, NULL);
	if (error) {
		if (fd >= 0)
			descriptor_close_passed(fd, server->peer.uid);
		return refuse(server, error);
	}
	server->backlog = (uint32_t)backlog_of(&received->message);
	server->dualstack = received->message.flags & DELIVERY_FLAG_DUALSTACK;
	if (fd < 0)
		joined(server, finished);
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
		descriptor_close_passed(received->passed_fd, server->peer.uid);
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
	count = receive(server, messages);
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
		log_warn_limited(
			"service %s: a server of the user %u sent what the protocol does not have and was cut off",
			server->delivery->service->config->name, server->peer.uid);
	if (error || !count || (count < 0 && count != -EAGAIN))
		server_end(server, finished);
}

void server_read_on(struct server *server)
{
	if (!server->unread)
		return;
	server->unread = false;
	event_loop_change(&server->source, EPOLLIN);
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

int server_start(struct delivery *delivery, int fd, const struct peer *peer, struct event_loop *loop)
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
