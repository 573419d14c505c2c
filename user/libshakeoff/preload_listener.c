/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Listening sockets that the daemon serves: from the listen() that found a service to the last close().
 *
 *	listen()          the kernel's own listen() on the server's socket, which then moves to a high descriptor: the
 *	                  template. A socket to the daemon replaces it (dup3), with its flags and its epoll
 *	                  registrations: preload_register.c
 *	the daemon goes   an epoll instance replaces that socket; it contains the template and a watch for the
 *	                  daemon's return. The server continues with what the kernel accepts on the template.
 *	the daemon comes  a new socket, registered like the first one, replaces the epoll instance.
 *
 * Every process that shares a listening socket by fork does this for itself, when it next uses its descriptor. A
 * program that inherits one over exec finds it again if it has the preload, too (an nginx that replaces its binary
 * does), except while there is no daemon: preload_inherit.c.
 *
 * Who may register again: the daemon's socket decides. A worker that has given up root may be refused (EACCES); it
 * reports that once and serves what the kernel accepts. The template proves the right to serve an address, because only
 * a process that could bind the address, or inherited it, has the template. So a daemon that checks the descriptor in
 * LISTEN can let every process connect.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "libshakeoff/preload.h"

/* The server registers again inside its accept(), so a daemon that hangs is tried again later. */
#define RECONNECT_TIMEOUT_MS 250

#define COMPLAIN_AFTER_MS 3000

static bool add_to(int epoll_fd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return preload_real()->epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Moves a descriptor to the hidden ones. */
static int hide_and_close(int fd)
{
	int hidden = preload_hide(fd);

	preload_real()->close(fd);
	return hidden;
}

/* Goes on without a daemon: the new file is readable when the kernel has a connection, or the daemon may be back. */
static int go_away(struct preload_listener *listener, int fd)
{
	struct queue_watch watch;
	int instance, result;

	instance = epoll_create1(EPOLL_CLOEXEC);
	if (instance < 0)
		return -errno;
	result = queue_watch_open(&watch, preload_run_dir());
	if (result) {
		preload_real()->close(instance);
		return result;
	}
	listener->watch.inotify_fd = hide_and_close(watch.inotify_fd);
	listener->watch.timer_fd = hide_and_close(watch.timer_fd);
	if (listener->watch.inotify_fd < 0 || listener->watch.timer_fd < 0 ||
	    !add_to(instance, listener->watch.inotify_fd) || !add_to(instance, listener->watch.timer_fd) ||
	    !add_to(instance, listener->template_fd)) {
		preload_close_hidden(&listener->watch.inotify_fd);
		preload_close_hidden(&listener->watch.timer_fd);
		preload_real()->close(instance);
		return -EMFILE;
	}
	preload_replace(listener, instance, PRELOAD_AWAY, preload_real()->fcntl(fd, F_GETFL));
	return 0;
}

/*
 * Wakes threads that may be waiting in poll() or select() on the epoll instance that is about to be replaced: a ready
 * descriptor in it wakes them once, so that they try again.
 */
static void wake_waiters(int fd, int ready_fd)
{
	struct epoll_event event = { .events = EPOLLOUT | EPOLLONESHOT };

	preload_real()->epoll_ctl(fd, EPOLL_CTL_ADD, ready_fd, &event);
}

/* Returns whether the daemon is just stopping or starting; the next try finds none, or one that answers. */
static bool is_passing(int error)
{
	return error == -ECONNRESET || error == -EPIPE || error == -ETIMEDOUT;
}

/*
 * Complains once, and only about a lasting error: a daemon that starts sets the permissions of its socket a moment
 * after the socket appears.
 */
static void complain(struct preload_listener *listener, int fd, int error, bool refused)
{
	if (!listener->refused_since_ms)
		listener->refused_since_ms = queue_now_ms();
	if (listener->reported || queue_now_ms() - listener->refused_since_ms < COMPLAIN_AFTER_MS)
		return;
	listener->reported = true;
	preload_report_failure(fd, error, refused);
}

static bool come_back(struct preload_listener *listener, int fd)
{
	bool refused;
	int queue = preload_open_queue(listener->template_fd, listener->backlog, listener->flags, RECONNECT_TIMEOUT_MS,
				       &refused);

	if (queue < 0) {
		if (!is_passing(queue) && (refused || !preload_is_silent(queue)))
			complain(listener, fd, queue, refused);
		return false;
	}
	if (atomic_load(&listener->state) == PRELOAD_AWAY)
		wake_waiters(fd, queue);
	preload_replace(listener, queue, PRELOAD_ATTACHED, preload_real()->fcntl(fd, F_GETFL));
	preload_close_hidden(&listener->watch.inotify_fd);
	preload_close_hidden(&listener->watch.timer_fd);
	listener->reported = false;
	listener->refused_since_ms = 0;
	return true;
}

/*
 * Handles the end of the socket to the daemon. 0 or a negative errno; `generation`: of the socket whose end was seen.
 */
int preload_recover(struct preload_listener *listener, int fd, unsigned int generation)
{
	struct preload_guard guard;
	int listening, result = 0;

	preload_lock(&guard);
	if (!preload_is_of(fd, listener)) {
		result = -EBADF;
	} else if (atomic_load(&listener->generation) == generation &&
		   atomic_load(&listener->state) == PRELOAD_ATTACHED) {
		if (preload_int_option(listener->template_fd, SOL_SOCKET, SO_ACCEPTCONN, &listening) && !listening)
			atomic_store(&listener->state, PRELOAD_SHUT); /* by another process */
		else if (!come_back(listener, fd))
			result = go_away(listener, fd);
	}
	preload_unlock(&guard);
	return result;
}

void preload_look_for_daemon(struct preload_listener *listener, int fd)
{
	struct preload_guard guard;

	preload_lock(&guard);
	if (preload_is_of(fd, listener) && atomic_load(&listener->state) == PRELOAD_AWAY &&
	    queue_watch_fired(&listener->watch, preload_run_dir()))
		come_back(listener, fd);
	preload_unlock(&guard);
}

int preload_listen_again(struct preload_listener *listener, int fd, int backlog)
{
	struct preload_guard guard;

	if (preload_real()->listen(listener->template_fd, backlog) < 0)
		return -1;
	preload_lock(&guard);
	listener->backlog = backlog;
	switch (atomic_load(&listener->state)) {
	case PRELOAD_ATTACHED: queue_set_backlog(fd, backlog, listener->flags); break;
	case PRELOAD_SHUT:
		if (!come_back(listener, fd))
			go_away(listener, fd);
		break;
	}
	preload_unlock(&guard);
	return 0;
}

int preload_shutdown(struct preload_listener *listener, int fd, int how)
{
	struct preload_guard guard;
	int result;

	preload_lock(&guard);
	result = preload_real()->shutdown(listener->template_fd, how);
	/* SHUT_WR has no effect on a listening socket. */
	if (result == 0 && how != SHUT_WR) {
		if (atomic_exchange(&listener->state, PRELOAD_SHUT) == PRELOAD_ATTACHED)
			preload_real()->shutdown(fd, SHUT_RDWR);
	}
	preload_unlock(&guard);
	return result;
}

int preload_setsockopt(struct preload_listener *listener, int fd, int level, int name, const void *value,
		       socklen_t size)
{
	struct preload_guard guard;
	int result;

	result = preload_real()->setsockopt(listener->template_fd, level, name, value, size);
	if (result < 0)
		return result;
	preload_lock(&guard);
	if (preload_is_of(fd, listener)) {
		if (atomic_load(&listener->state) == PRELOAD_ATTACHED && level == SOL_SOCKET)
			preload_copy_timeout(listener->template_fd, fd);
		preload_options_refresh(listener);
	}
	preload_unlock(&guard);
	return result;
}
