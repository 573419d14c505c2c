/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Registers a server that sends LISTEN: whether it may, and which endpoint it gets. */
#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "shakeoffd/hook/cgroup.h"
#include "shakeoffd/queue/delivery_internal.h"
#include "shakeoffd/queue/descriptor.h"
#include "shakeoffd/queue/server_socket.h"
#include "common/clock.h"

/* The maximum of LISTEN messages a second; real servers send fewer. */
#define MAX_LISTENS 64

/* ---------------------------------------------------------------------------------------------- owners of endpoints */

/* Returns whether the socket's owner is untrusted. A service that names a group accepts only its own servers. */
static bool is_strangers(const struct listening_socket *found, const struct config_service *config)
{
	return !config->has_group && !peer_is_trusted_user(found->owner, config);
}

/*
 * Returns whether a server may not stay at its endpoints beside a server that comes with `found`, or (NULL) without a
 * socket. The kernel lets several sockets listen at an endpoint if one user has made them (SO_REUSEPORT,
 * inet_csk_bind_conflict()). A server without a socket is trusted; beside it, only trusted servers may stay. A service
 * has one accept queue for all its endpoints, so untrusted servers may not stay beside the service's own servers: they
 * would fill it.
 */
static bool conflicts(const struct server *server, const struct listening_socket *found)
{
	const struct config_service *config = server->delivery->service->config;

	if (!found)
		return !server_is_of_the_service(server);
	if (!server->listener)
		return !peer_is_trusted_user(found->owner, config);
	return server->listener->found.owner != found->owner &&
	       (binding_overlap(&server->listener->found.key, &found->key) ||
		is_strangers(&server->listener->found, config) != is_strangers(found, config));
}

/*
 * Displaces other servers for a server that listens now. Of two users' sockets only one can listen at an endpoint, so
 * the earlier one no longer listens there. If the earlier one is the service's own and still listens, the untrusted
 * socket is at another endpoint, or has moved there since it was examined: then the kernel serves the untrusted
 * socket's clients.
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
			server_cut_off(server, "another user's server listens at its endpoint now", finished);
	}
}

/* ----------------------------------------------------------------------------------------------------- registration */

static void leave_binding(struct server *server)
{
	if (server->listener)
		kernel_listener_drop(server->listener);
	server->listener = NULL;
	if (server->binding)
		accept_queue_unbind(server->binding, clock_ns());
	server->binding = NULL;
}

/* Gives a server the endpoint of its listening socket, or without a socket all endpoints of the service. */
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
	if (delivery_decides(delivery, listener ? found : NULL))
		delivery_set_window(delivery, found);
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
	/* As in listen(2): a negative backlog means the maximum. */
	return message->value < 0 ? INT32_MAX : message->value;
}

/* Returns whether it may send this LISTEN, as far as is known before the socket is examined. */
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
		return "its control group filters incoming packets (IPAddressDeny= of its unit, say), and would "
		       "not see the daemon's sockets: its own listening socket gets the connections";
	case -EACCES:
		return config->has_user || config->has_group ?
			       "neither it nor its socket is root's, or of the service's user or group" :
			       "it is not root's, and passed no listening socket";
	case -EINVAL: return "the socket that it passed does not listen at an address of the service";
	case -ENODEV: return "its socket is bound to a device that is not the only one with the program";
	case -EADDRINUSE:
		return "the service has a server that it trusts: the kernel serves the socket's clients (set user=)";
	default: return strerror(-error);
	}
}

static int refuse(const struct server *server, int error)
{
	server_send_message(server, DELIVERY_REFUSED, -error);
	log_warn_limited("service %s: a server of the user %u was refused: %s", server->delivery->service->config->name,
			 server->peer.uid, why_refused(server, error));
	return error;
}

/*
 * Notes a registration. The first server at an endpoint gets its confirmation when the hook knows the endpoint:
 * delivery_announce().
 */
static void joined(struct server *server, struct finished *finished)
{
	struct delivery *delivery = server->delivery;

	server->binding->dualstack = server->dualstack;
	delivery_notify_service(delivery);
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

/* Checks the socket's owner, if the service says who may serve. */
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

int server_register(struct server *server, const struct server_message *received, struct finished *finished)
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
