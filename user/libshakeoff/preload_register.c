/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Registers a listening socket with the daemon; then a socket to the daemon replaces the server's descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "libshakeoff/preload.h"

int preload_open_queue(int listening_fd, int backlog, uint32_t flags, int timeout_ms, bool *refused)
{
	char name[SHAKEOFF_NAME_LEN];
	int fd, result;

	*refused = false;
	result = preload_find_service(listening_fd, name);
	if (result)
		return result;
	fd = queue_connect(preload_run_dir(), name);
	if (fd < 0)
		return fd;
	result = queue_register(fd, backlog, flags, listening_fd, timeout_ms);
	if (result) {
		*refused = true;
		preload_real()->close(fd);
		return result;
	}
	preload_copy_timeout(listening_fd, fd);
	return fd;
}

static const char *reason(int error)
{
	switch (error) {
	case -EPROTO: return "it has another version of the protocol";
	case -ETIMEDOUT: return "it did not answer";
	case -EPERM: return "it is not root's";
	default: return strerror(-error);
	}
}

void preload_report_failure(int fd, int error, bool refused)
{
	const char *run_dir = preload_run_dir();

	if (error == -ENOTUNIQ)
		preload_report("descriptor %d listens on any address, and several services of %s have its port: "
			       "the kernel serves it; bind it to one address, or configure one service for the port",
			       fd, run_dir);
	else if (refused)
		preload_report(
			"shakeoffd (%s) does not take descriptor %d as a listening socket: %s; the kernel serves it",
			run_dir, fd, reason(error));
	else
		preload_report("cannot reach shakeoffd in %s: %s; the kernel serves descriptor %d", run_dir,
			       reason(error), fd);
}

bool preload_is_silent(int error)
{
	/* The address is not of a service, or there is no daemon, perhaps remains of an earlier one. */
	return error == -ENOENT || error == -ENOTDIR || error == -ECONNREFUSED;
}

/* Puts the daemon's queue at the descriptor; from here on the server's socket is a hidden template. */
static int attach_listener(struct preload_listener *listener, int fd, int queue, int status)
{
	const struct preload_real *real = preload_real();
	int template_fd = preload_hide(fd);

	if (template_fd < 0)
		return template_fd;
	listener->template_fd = template_fd;
	listener->fd_count = 1;
	listener->reported = false;
	listener->refused_since_ms = 0;
	preload_options_refresh(listener);
	preload_epoll_find(fd);
	preload_set_fd(fd, preload_listener_id(listener));
	preload_follow_cloexec(listener);
	preload_replace(listener, queue, PRELOAD_ATTACHED, status);
	real->fcntl(template_fd, F_SETFL, status | O_NONBLOCK);
	return 0;
}

void preload_adopt(int fd, int backlog)
{
	struct preload_listener *listener;
	int family, queue, result, status;
	struct preload_guard guard;
	bool refused;

	if ((unsigned int)fd >= PRELOAD_MAX_FD || !preload_is_tcp(fd, &family))
		return;
	preload_lock(&guard);
	listener = preload_unused_listener();
	if (!listener)
		goto out;
	/* The daemon shares the open file, and may make it non-blocking before it refuses. */
	status = preload_real()->fcntl(fd, F_GETFL);
	listener->family = family;
	listener->flags = preload_listen_flags(fd, family);
	listener->backlog = backlog;
	listener->watch = (struct queue_watch){ -1, -1 };
	queue = preload_open_queue(fd, backlog, listener->flags, QUEUE_REGISTER_TIMEOUT_MS, &refused);
	result = queue < 0 ? queue : attach_listener(listener, fd, queue, status);
	if (result < 0) {
		if (queue >= 0)
			preload_real()->close(queue);
		preload_real()->fcntl(fd, F_SETFL, status);
		if (refused || !preload_is_silent(result))
			preload_report_failure(fd, result, refused);
	}
out:
	preload_unlock(&guard);
}
