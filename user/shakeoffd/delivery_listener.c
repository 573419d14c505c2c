/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Accepts from the servers' own listening sockets what the kernel's handshake brought: loopback, other interfaces. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <common/log.h>
#include <shakeoffd/delivery_internal.h>

/* In one go, so that the other work of the thread has its turn. */
#define ACCEPT_BATCH 16

static void release(struct event_source *source)
{
	struct kernel_listener *listener = (struct kernel_listener *)source;

	close(listener->source.fd);
	free(listener);
}

static void end(struct kernel_listener *listener)
{
	struct kernel_listener **link = &listener->delivery->listeners;

	while (*link != listener)
		link = &(*link)->next;
	*link = listener->next;
	listener->ended = true;
	event_loop_retire(&listener->source, release);
}

void kernel_listener_drop(struct kernel_listener *listener)
{
	if (!--listener->servers)
		end(listener);
}

void kernel_listener_resume(struct kernel_listener *listener)
{
	if (!listener->paused || !service_has_room(listener->delivery->service))
		return;
	listener->paused = false;
	event_loop_change(&listener->source, EPOLLIN);
}

/* What does not go away by itself must not be reported over and over. */
static void pause_accepting(struct kernel_listener *listener)
{
	listener->paused = true;
	event_loop_change(&listener->source, EPOLLET);
}

/* Whether accept() failed only for the connection that it was about (accept(2), "Error handling"). */
static bool error_is_of_one_connection(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPERM:
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH: return true;
	default: return false;
	}
}

static void read_local(struct connection *connection)
{
	union socket_address local = { 0 };
	socklen_t size = sizeof(local);

	getsockname(connection->fd, &local.sa, &size);
	socket_address_get(&local, &connection->local, &connection->local_port);
}

/* Accepts one and queues it. Returns false when there is no more to do now. */
static bool accept_one(struct kernel_listener *listener)
{
	struct delivery *delivery = listener->delivery;
	struct connection *connection;
	socklen_t size = sizeof(connection->peer);

	if (!service_has_room(delivery->service)) {
		pause_accepting(listener);
		return false;
	}
	connection = connection_new(CONNECTION_FROM_KERNEL);
	if (!connection) {
		pause_accepting(listener);
		return false;
	}
	connection->fd = accept4(listener->source.fd, &connection->peer.sa, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (connection->fd < 0) {
		connection_free(connection);
		if (errno == EAGAIN)
			return false;
		if (error_is_of_one_connection(errno))
			return true;
		log_warn_limited(
			"service %s: no connection can be accepted from the server's own socket for the moment: %m",
			delivery->service->config->name);
		pause_accepting(listener);
		return false;
	}
	service_arrived(delivery->service, CONNECTION_FROM_KERNEL, 0);
	connection_step(connection, CONNECTION_EVENT_KERNEL_HANDSHAKE);
	read_local(connection);
	delivery_append(listener->binding, connection);
	return true;
}

/*
 * The open file is the server's, too, and accept4() on a blocking one would wait with the service's lock held. So it is
 * made non-blocking when it comes, and again before each use.
 */
static int make_nonblocking(int fd)
{
	int status = fcntl(fd, F_GETFL);

	if (status < 0)
		return -errno;
	return status & O_NONBLOCK || !fcntl(fd, F_SETFL, status | O_NONBLOCK) ? 0 : -errno;
}

static void ready(struct event_source *source, uint32_t events)
{
	struct kernel_listener *listener = (struct kernel_listener *)source;
	struct delivery *delivery = listener->delivery;
	struct finished finished = { 0 };

	pthread_mutex_lock(&delivery->service->lock);
	/* EPOLLHUP: a server has called shutdown() on it. It may listen again; until then there is nothing to accept. */
	if (!listener->ended && !listener->paused && events & (EPOLLHUP | EPOLLERR))
		pause_accepting(listener);
	if (make_nonblocking(source->fd))
		pause_accepting(listener);
	for (int i = 0; i < ACCEPT_BATCH && !listener->ended && !listener->paused; i++)
		if (!accept_one(listener))
			break;
	delivery_dispatch(delivery, &finished);
	pthread_mutex_unlock(&delivery->service->lock);
	finish_all(&finished);
}

/* As sock_diag names it; 0, which no socket has, if it cannot be asked. */
static uint32_t inode_of(int fd)
{
	struct stat status;

	return fstat(fd, &status) ? 0 : (uint32_t)status.st_ino;
}

int delivery_each_inode(struct delivery *delivery, int (*callback)(void *context, uint32_t inode), void *context)
{
	int result = 0;

	pthread_mutex_lock(&delivery->service->lock);
	for (const struct kernel_listener *l = delivery->listeners; l && !result; l = l->next)
		result = callback(context, l->inode);
	pthread_mutex_unlock(&delivery->service->lock);
	return result;
}

int kernel_listener_use(struct delivery *delivery, int fd, uint64_t cookie, struct binding *binding,
			struct event_loop *loop, struct kernel_listener **result)
{
	struct kernel_listener *listener = delivery->listeners;
	int error = make_nonblocking(fd);

	if (error)
		return error;
	/* A socket that is bound anew keeps its cookie, but it is another place. */
	while (listener && (listener->cookie != cookie || listener->binding != binding))
		listener = listener->next;
	if (listener) {
		close(fd);
		listener->servers++;
		*result = listener;
		return 0;
	}
	listener = calloc(1, sizeof(*listener));
	if (!listener)
		return -ENOMEM;
	listener->delivery = delivery;
	listener->binding = binding;
	listener->cookie = cookie;
	listener->inode = inode_of(fd);
	listener->servers = 1;
	error = event_loop_add(loop, &listener->source, fd, EPOLLIN, ready);
	if (error) {
		free(listener);
		return error;
	}
	listener->next = delivery->listeners;
	delivery->listeners = listener;
	*result = listener;
	return 0;
}
