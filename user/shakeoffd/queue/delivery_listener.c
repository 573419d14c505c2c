/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The listening sockets that servers have passed. A thread for each socket (acceptor.h) examines it, follows it, and
 * accepts connections of the kernel's handshake: loopback, other interfaces.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "shakeoffd/queue/delivery_internal.h"
#include "shakeoffd/queue/descriptor.h"

static struct kernel_listener *listener_of(struct acceptor *acceptor)
{
	return (struct kernel_listener *)acceptor;
}

static void end(struct kernel_listener *listener)
{
	listener->ended = true;
	listener->candidate = NULL;
	listener->binding = NULL;
	acceptor_end(&listener->acceptor);
}

static void unlink_listener(struct kernel_listener *listener)
{
	struct kernel_listener **link = &listener->delivery->listeners;

	while (*link != listener)
		link = &(*link)->next;
	*link = listener->next;
}

void kernel_listener_drop(struct kernel_listener *listener)
{
	if (--listener->servers)
		return;
	unlink_listener(listener);
	end(listener);
}

void kernel_listener_abandon(struct kernel_listener *listener)
{
	end(listener);
}

void kernel_listener_resume(struct kernel_listener *listener)
{
	if (service_has_room(listener->delivery->service))
		acceptor_resume(&listener->acceptor);
}

bool kernel_listener_listens(const struct kernel_listener *listener)
{
	int listens = 0;
	socklen_t size = sizeof(listens);

	/* It is known to be a TCP socket; this is called for every connection. */
	return !getsockopt(listener->acceptor.fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) && listens;
}

/* ------------------------------------------------------------------------------------------------ in its own thread */

static bool examine(struct acceptor *acceptor)
{
	struct kernel_listener *listener = listener_of(acceptor);
	struct delivery *delivery = listener->delivery;
	struct finished finished = { 0 };
	struct listening_socket found;
	int error = listening_socket_check(acceptor->fd, delivery->service->config,
					   atomic_load_explicit(&delivery->device, memory_order_relaxed), &found);
	bool used;

	pthread_mutex_lock(&delivery->service->lock);
	/* Its owner may have freed the endpoint meanwhile, for the server that would be displaced now. */
	if (!error && !kernel_listener_listens(listener))
		error = -EINVAL;
	if (listener->candidate) {
		if (!error)
			listener->found = found;
		delivery->listener_calls->examined(listener, error, &finished);
	}
	used = !listener->ended;
	pthread_mutex_unlock(&delivery->service->lock);
	delivery_finish_all(&finished);
	return used;
}

/*
 * Returns whether the socket still listens. `found` does not change after the registration, so reading it needs no
 * lock.
 */
static bool holds(struct acceptor *acceptor)
{
	struct kernel_listener *listener = listener_of(acceptor);
	struct delivery *delivery = listener->delivery;
	struct finished finished = { 0 };

	if (listening_socket_holds(acceptor->fd, &listener->found))
		return true;
	pthread_mutex_lock(&delivery->service->lock);
	delivery->listener_calls->lost(listener, &finished);
	pthread_mutex_unlock(&delivery->service->lock);
	delivery_finish_all(&finished);
	return false;
}

static bool has_room(struct acceptor *acceptor)
{
	struct kernel_listener *listener = listener_of(acceptor);
	struct delivery *delivery = listener->delivery;
	bool room;

	pthread_mutex_lock(&delivery->service->lock);
	room = !listener->ended && service_has_room(delivery->service) &&
	       connection_count() < descriptor_limit_of_connections();
	if (!room)
		acceptor_pause(acceptor);
	pthread_mutex_unlock(&delivery->service->lock);
	return room;
}

static void read_local(struct connection *connection)
{
	union socket_address local = { 0 };
	socklen_t size = sizeof(local);

	getsockname(connection->fd, &local.sa, &size);
	socket_address_get(&local, &connection->local, &connection->local_port);
}

static void accepted(struct acceptor *acceptor, int fd, const union socket_address *peer)
{
	struct kernel_listener *listener = listener_of(acceptor);
	struct delivery *delivery = listener->delivery;
	struct connection *connection = connection_new(CONNECTION_FROM_KERNEL);
	struct finished finished = { 0 };

	if (!connection) {
		log_warn_limited("service %s: no memory for a connection, which is reset",
				 delivery->service->config->name);
		descriptor_reset(fd, geteuid());
		return;
	}
	connection->fd = fd;
	connection->peer = *peer;
	/* It has inherited SO_LINGER. */
	connection->shared = true;
	connection->holder = listener->found.owner;
	read_local(connection);
	pthread_mutex_lock(&delivery->service->lock);
	delivery->listener_calls->accepted(listener, connection, &finished);
	pthread_mutex_unlock(&delivery->service->lock);
	delivery_finish_all(&finished);
}

static void failed(struct acceptor *acceptor, int error)
{
	struct kernel_listener *listener = listener_of(acceptor);

	/* It does not listen any more; holds() reports that. */
	if (error == EINVAL)
		return;
	log_warn_limited("service %s: no connection can be accepted from the server's own socket now: %s",
			 listener->delivery->service->config->name, strerror(error));
}

static void release(struct acceptor *acceptor)
{
	free(listener_of(acceptor));
}

static const struct acceptor_calls calls = {
	.examine = examine,
	.holds = holds,
	.has_room = has_room,
	.accepted = accepted,
	.failed = failed,
	.release = release,
};

/* ----------------------------------------------------------------------------------------------------- registration */

int kernel_listener_examine(struct server *server, int fd)
{
	struct kernel_listener *listener = calloc(1, sizeof(*listener));
	int error;

	if (!listener)
		return -ENOMEM;
	listener->delivery = server->delivery;
	listener->candidate = server;
	error = acceptor_start(&listener->acceptor, fd, server->peer.uid, &calls);
	if (error) {
		free(listener);
		return error;
	}
	server->candidate = listener;
	return 0;
}

struct kernel_listener *kernel_listener_use(struct kernel_listener *fresh, struct binding *binding)
{
	struct kernel_listener *listener = fresh->delivery->listeners;

	/* A socket that is bound again keeps its cookie, but has another endpoint. */
	while (listener && (listener->found.cookie != fresh->found.cookie || listener->binding != binding))
		listener = listener->next;
	if (listener) {
		end(fresh);
		listener->servers++;
		return listener;
	}
	fresh->candidate = NULL;
	fresh->binding = binding;
	fresh->servers = 1;
	fresh->next = fresh->delivery->listeners;
	fresh->delivery->listeners = fresh;
	return fresh;
}

int delivery_each_inode(struct delivery *delivery, int (*callback)(void *context, uint32_t inode), void *context)
{
	int result = 0;

	pthread_mutex_lock(&delivery->service->lock);
	for (const struct kernel_listener *l = delivery->listeners; l && !result; l = l->next)
		result = callback(context, l->found.inode);
	pthread_mutex_unlock(&delivery->service->lock);
	return result;
}
