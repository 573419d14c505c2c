/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The API of shakeoff/shakeoff.h.
 *
 * The server's descriptor is an epoll instance. It contains the socket to the daemon, or, while there is no daemon, a
 * watch for its return (struct queue_watch). So the server's descriptor stays the same when the daemon goes and comes,
 * and stays in any poll set or epoll instance of the server. A child gets its own epoll instance at fork, because two
 * processes that register again must not share one.
 *
 * One lock protects everything; the code under it does not wait for connections.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "libshakeoff/queue_client.h"
#include <shakeoff/shakeoff.h>

#define EXPORTED __attribute__((visibility("default")))

/* The server registers again inside its accept(), so a daemon that hangs is tried again later. */
#define RECONNECT_TIMEOUT_MS 250

struct queue {
	struct queue *next;
	int fd;     /* the server's descriptor */
	int socket; /* the socket to the daemon; -1: there is none */
	struct queue_watch watch;
	int backlog;
	char name[SHAKEOFF_NAME_LEN];
	char run_dir[];
};

static pthread_mutex_t queues_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_handlers = PTHREAD_ONCE_INIT;
static struct queue *queues;

static int fail(int error)
{
	errno = error < 0 ? -error : error;
	return -1;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int epoll_add(int epoll_fd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void free_queue(struct queue *queue)
{
	close_fd(&queue->socket);
	close_fd(&queue->watch.inotify_fd);
	close_fd(&queue->watch.timer_fd);
	close_fd(&queue->fd);
	free(queue);
}

static struct queue **find_queue(int fd)
{
	struct queue **queue = &queues;

	while (*queue && (*queue)->fd != fd)
		queue = &(*queue)->next;
	return queue;
}

/* Gives the child its own epoll instance, at the number that the server knows. */
static void separate_from_parent(struct queue *queue)
{
	int present[] = { queue->socket, queue->watch.inotify_fd, queue->watch.timer_fd };
	int status = fcntl(queue->fd, F_GETFL), flags = fcntl(queue->fd, F_GETFD);
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	size_t i;

	if (epoll_fd < 0 || status < 0 || flags < 0) {
		close_fd(&epoll_fd);
		return;
	}
	for (i = 0; i < sizeof(present) / sizeof(present[0]); i++)
		if (present[i] >= 0)
			epoll_add(epoll_fd, present[i]);
	fcntl(epoll_fd, F_SETFL, status);
	dup3(epoll_fd, queue->fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
	close(epoll_fd);
}

static void before_fork(void)
{
	pthread_mutex_lock(&queues_lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&queues_lock);
}

static void after_fork_in_child(void)
{
	struct queue *queue;

	for (queue = queues; queue; queue = queue->next)
		separate_from_parent(queue);
	pthread_mutex_unlock(&queues_lock);
}

static void add_fork_handlers(void)
{
	pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

/* Returns a connected and registered socket, or a negative errno. */
static int open_socket(const struct queue *queue, int timeout_ms)
{
	int fd, result;

	fd = queue_connect(queue->run_dir, queue->name);
	if (fd < 0)
		return fd;
	result = queue_register(fd, queue->backlog, 0, -1, timeout_ms);
	if (result) {
		close(fd);
		return result;
	}
	return fd;
}

static void attach_socket(struct queue *queue, int fd)
{
	if (epoll_add(queue->fd, fd)) {
		close(fd);
		return;
	}
	queue->socket = fd;
	close_fd(&queue->watch.inotify_fd);
	close_fd(&queue->watch.timer_fd);
}

/* Handles the end of the daemon: registers with its successor, or waits for one. */
static int detach_socket(struct queue *queue)
{
	struct queue_watch watch;
	int result;

	result = queue_watch_open(&watch, queue->run_dir);
	if (result)
		return result;
	epoll_ctl(queue->fd, EPOLL_CTL_DEL, queue->socket, NULL);
	close_fd(&queue->socket);
	queue->watch = watch;
	epoll_add(queue->fd, watch.inotify_fd);
	epoll_add(queue->fd, watch.timer_fd);
	return 0;
}

static void try_again(struct queue *queue)
{
	int fd = open_socket(queue, RECONNECT_TIMEOUT_MS);

	if (fd >= 0)
		attach_socket(queue, fd);
}

/* Takes a connection without waiting. */
static int take(struct queue *queue, int flags, struct delivery_message *message)
{
	int result;

	if (queue->socket < 0 && queue_watch_fired(&queue->watch, queue->run_dir))
		try_again(queue);
	for (;;) {
		if (queue->socket < 0)
			return -EAGAIN;
		result = queue_take(queue->socket, flags, MSG_DONTWAIT, message);
		if (result != -EPIPE)
			return result;
		result = detach_socket(queue);
		if (result)
			return result;
		try_again(queue);
	}
}

static struct queue *new_queue(const char *name, int backlog, const char *run_dir)
{
	size_t size = strlen(run_dir) + 1;
	struct queue *queue = malloc(sizeof(*queue) + size);

	if (!queue)
		return NULL;
	*queue = (struct queue){ .fd = -1, .socket = -1, .watch = { -1, -1 }, .backlog = backlog };
	memcpy(queue->name, name, strlen(name) + 1);
	memcpy(queue->run_dir, run_dir, size);
	return queue;
}

/*
 * Adds a queue. If a server closed its descriptor with close(), an old entry with the same number still exists, and is
 * removed.
 */
static void insert_queue(struct queue *queue)
{
	struct queue **link, *stale;

	pthread_mutex_lock(&queues_lock);
	link = find_queue(queue->fd);
	stale = *link;
	if (stale) {
		*link = stale->next;
		stale->fd = -1;
		free_queue(stale);
	}
	queue->next = queues;
	queues = queue;
	pthread_mutex_unlock(&queues_lock);
}

EXPORTED int shakeoff_listen(const char *name, int backlog, const char *run_dir)
{
	struct queue *queue;
	int result;

	if (!run_dir)
		run_dir = queue_run_dir();
	if (!name || !*name || strchr(name, '/') || strlen(name) >= SHAKEOFF_NAME_LEN)
		return fail(EINVAL);
	pthread_once(&fork_handlers, add_fork_handlers);
	queue = new_queue(name, backlog, run_dir);
	if (!queue)
		return fail(ENOMEM);
	queue->fd = epoll_create1(EPOLL_CLOEXEC);
	result = queue->fd < 0 ? -errno : open_socket(queue, QUEUE_REGISTER_TIMEOUT_MS);
	if (result >= 0) {
		queue->socket = result;
		result = epoll_add(queue->fd, queue->socket);
	}
	if (result < 0) {
		free_queue(queue);
		/* Without a socket of this name, find out whether there is a daemon at all. */
		return fail(result == -ENOENT && !queue_any_service(run_dir) ? -ECONNREFUSED : result);
	}
	insert_queue(queue);
	return queue->fd;
}

EXPORTED int shakeoff_accept(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	struct delivery_message message;
	struct queue *queue;
	int connection;

	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return fail(EINVAL);
	if (address && !length)
		return fail(EFAULT);
	for (;;) {
		pthread_mutex_lock(&queues_lock);
		queue = *find_queue(fd);
		connection = queue ? take(queue, flags, &message) : -EBADF;
		pthread_mutex_unlock(&queues_lock);
		if (connection != -EAGAIN || fcntl(fd, F_GETFL) & O_NONBLOCK)
			break;
		if (poll(&readable, 1, -1) < 0)
			return -1;
	}
	if (connection < 0)
		return fail(connection);
	if (address)
		queue_copy_peer(&message, message.peer.sa.sa_family, address, length);
	return connection;
}

EXPORTED int shakeoff_close(int fd)
{
	struct queue **link, *queue;

	pthread_mutex_lock(&queues_lock);
	link = find_queue(fd);
	queue = *link;
	if (queue) {
		*link = queue->next;
		free_queue(queue);
	}
	pthread_mutex_unlock(&queues_lock);
	return queue ? 0 : fail(EBADF);
}
