/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* accept() on a listening descriptor: from the daemon while it is there, otherwise from the kernel. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/time.h>

#include "libshakeoff/preload.h"

/* How often a thread that waits in accept() checks whether another thread has replaced the descriptor. */
#define LOOK_AGAIN_MS 1000

/* Sets errno from a negative errno as system calls return it. Returns -1. */
static int fail(int error)
{
	errno = -error;
	return -1;
}

/* Returns when an accept() that begins now gives up: the listening socket's SO_RCVTIMEO; -1: never. */
static int64_t deadline(const struct preload_listener *listener)
{
	struct timeval timeout = { 0 };
	socklen_t size = sizeof(timeout);

	preload_real()->getsockopt(listener->template_fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, &size);
	if (!timeout.tv_sec && !timeout.tv_usec)
		return -1;
	return queue_now_ms() + (int64_t)timeout.tv_sec * 1000 + timeout.tv_usec / 1000;
}

/* Waits in a blocking accept() without a daemon. 0: try again. */
static int wait_away(const struct preload_listener *listener, int fd, int64_t *end)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	int64_t remaining = LOOK_AGAIN_MS;

	if (!*end)
		*end = deadline(listener);
	if (*end > 0)
		remaining = *end - queue_now_ms();
	if (remaining <= 0)
		return -EAGAIN;
	return poll(&readable, 1, remaining < LOOK_AGAIN_MS ? (int)remaining : LOOK_AGAIN_MS) < 0 ? -errno : 0;
}

/* Accepts a connection from the kernel. -EAGAIN: there is none, and the server does not want to wait; 0: try again. */
static int accept_away(struct preload_listener *listener, int fd, struct sockaddr *address, socklen_t *length,
		       int flags, int64_t *end)
{
	int connection = preload_real()->accept4(listener->template_fd, address, length, flags);

	if (connection >= 0)
		return connection;
	if (errno != EAGAIN || preload_real()->fcntl(fd, F_GETFL) & O_NONBLOCK)
		return -errno;
	return wait_away(listener, fd, end);
}

/* Accepts a connection from the daemon. */
static int accept_attached(struct preload_listener *listener, int fd, struct sockaddr *address, socklen_t *length,
			   int flags)
{
	struct delivery_message message;
	int connection;

	connection = queue_take(fd, flags, 0, &message);
	if (connection < 0)
		return connection;
	preload_options_apply(connection, atomic_load(&listener->options));
	if (address)
		queue_copy_peer(&message, listener->family, address, length);
	return connection;
}

/*
 * Works as accept4(2), but returns a negative errno. 0: the listener has changed, try again. (0 is never the descriptor
 * of a connection.)
 */
static int accept_once(struct preload_listener *listener, int fd, struct sockaddr *address, socklen_t *length,
		       int flags, int64_t *end)
{
	unsigned int generation = atomic_load(&listener->generation);
	int result;

	switch (atomic_load(&listener->state)) {
	case PRELOAD_ATTACHED:
		result = accept_attached(listener, fd, address, length, flags);
		return result == -EPIPE ? preload_recover(listener, fd, generation) : result;
	case PRELOAD_AWAY:
		preload_look_for_daemon(listener, fd);
		if (atomic_load(&listener->state) != PRELOAD_AWAY)
			return 0;
		return accept_away(listener, fd, address, length, flags, end);
	case PRELOAD_SHUT: return -EINVAL;
	default: return -EBADF;
	}
}

int preload_accept(struct preload_listener *listener, int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	int64_t end = 0;
	int result;

	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return fail(-EINVAL);
	if (address && !length)
		return fail(-EFAULT);
	do
		result = accept_once(listener, fd, address, length, flags, &end);
	while (result == 0);
	return result < 0 ? fail(result) : result;
}
