/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libshakeoff-preload.so: an unmodified server takes its connections from shakeoffd.
 *
 *	LD_PRELOAD=/usr/local/lib/libshakeoff-preload.so nginx
 *
 * When the server listens on an address that shakeoffd serves (RUN_DIR/listen/ADDRESS:PORT; RUN_DIR is SHAKEOFF_RUN_DIR
 * of the environment, default /run/shakeoff), the descriptor becomes one for the daemon's accept queue:
 * preload_listener.c. For every other descriptor a call costs one look-up in an array. Without a daemon, or on another
 * address, nothing changes.
 *
 * This file and preload_descriptor.c wrap functions of the C library. On one of the shim's descriptors, a call has the
 * effect that it would have on a listening socket. Every other call is passed on.
 *
 * The shim does not work for: programs that are linked statically or make system calls themselves (Go); a descriptor
 * that was passed to another process over a UNIX socket (there it is a socket to the daemon); a server that has changed
 * its root directory so that it no longer sees RUN_DIR (the server does not find a restarted daemon, and serves what
 * the kernel accepts).
 */
#include <errno.h>
#include <time.h>

#include "libshakeoff/preload.h"

__attribute__((constructor)) static void start(void)
{
	preload_process_start();
	preload_inherit();
}

/* ------------------------------------------------------------------------------------------------ listen and accept */

PRELOAD_EXPORTED int listen(int fd, int backlog)
{
	struct preload_listener *listener = preload_listener(fd);
	int saved = errno;

	if (listener)
		return preload_listen_again(listener, fd, backlog);
	if (preload_real()->listen(fd, backlog) < 0)
		return -1;
	preload_adopt(fd, backlog);
	errno = saved;
	return 0;
}

PRELOAD_EXPORTED int accept(int fd, struct sockaddr *address, socklen_t *length)
{
	struct preload_listener *listener = preload_listener(fd);

	if (listener)
		return preload_accept(listener, fd, address, length, 0);
	return preload_real()->accept(fd, address, length);
}

PRELOAD_EXPORTED int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	struct preload_listener *listener = preload_listener(fd);

	if (listener)
		return preload_accept(listener, fd, address, length, flags);
	return preload_real()->accept4(fd, address, length, flags);
}

/*
 * The daemon learns of a server's end a moment after it, and until then has a duplicate of the server's listening
 * socket. So a restarted server that finds its address in use tries again for a moment.
 */
PRELOAD_EXPORTED int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	int attempts = 40, result;
	bool served;

	result = preload_real()->bind(fd, address, length);
	if (result == 0 || errno != EADDRINUSE)
		return result;
	served = preload_is_served(fd, address);
	errno = EADDRINUSE;
	while (served && result < 0 && errno == EADDRINUSE && attempts--) {
		nanosleep(&pause, NULL);
		result = preload_real()->bind(fd, address, length);
	}
	return result;
}

PRELOAD_EXPORTED int shutdown(int fd, int how)
{
	struct preload_listener *listener = preload_listener(fd);

	return listener ? preload_shutdown(listener, fd, how) : preload_real()->shutdown(fd, how);
}

PRELOAD_EXPORTED int epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event)
{
	struct preload_listener *listener = preload_listener(fd);
	struct preload_guard guard;
	int result;

	if (!listener)
		return preload_real()->epoll_ctl(epoll_fd, op, fd, event);
	preload_lock(&guard);
	result = preload_epoll_ctl(listener, epoll_fd, op, fd, event);
	preload_unlock(&guard);
	return result;
}

/* -------------------------------------------------------------------------- names and options of a listening socket */

/* Returns the socket on which such calls are made for a descriptor. */
static int socket_of(int fd)
{
	const struct preload_listener *listener = preload_listener(fd);

	return listener ? listener->template_fd : fd;
}

PRELOAD_EXPORTED int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
	return preload_real()->getsockname(socket_of(fd), address, length);
}

PRELOAD_EXPORTED int getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	return preload_real()->getpeername(socket_of(fd), address, length);
}

PRELOAD_EXPORTED int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	return preload_real()->getsockopt(socket_of(fd), level, name, value, size);
}

PRELOAD_EXPORTED int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	struct preload_listener *listener = preload_listener(fd);

	if (listener)
		return preload_setsockopt(listener, fd, level, name, value, size);
	return preload_real()->setsockopt(fd, level, name, value, size);
}
