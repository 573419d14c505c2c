/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tables of the server's listening descriptors, and of descriptors that the shim hides from it. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "libshakeoff/preload.h"

struct preload_listener preload_listeners[PRELOAD_MAX_LISTENERS + 1];

/* Listeners beyond this number are untouched, and take no memory. */
static unsigned int listeners_used;

/*
 * Hidden descriptors are out of the way of servers that expect low numbers, and of those that close unknown
 * descriptors.
 */
#define HIDE_BELOW 4096

int preload_hide(int fd)
{
	struct rlimit limit = { .rlim_cur = HIDE_BELOW };
	int from, hidden;

	getrlimit(RLIMIT_NOFILE, &limit);
	from = (int)(limit.rlim_cur < HIDE_BELOW ? limit.rlim_cur : HIDE_BELOW) / 4 * 3;
	hidden = preload_real()->fcntl(fd, F_DUPFD_CLOEXEC, from);
	if (hidden < 0)
		hidden = preload_real()->fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (hidden < 0)
		return -errno;
	if (hidden >= PRELOAD_MAX_FD) {
		preload_real()->close(hidden);
		return -EMFILE;
	}
	preload_set_fd(hidden, PRELOAD_FD_HIDDEN);
	return hidden;
}

void preload_close_hidden(int *fd)
{
	if (*fd < 0)
		return;
	preload_set_fd(*fd, PRELOAD_FD_OTHER);
	preload_real()->close(*fd);
	*fd = -1;
}

static void release(struct preload_listener *listener)
{
	preload_close_hidden(&listener->template_fd);
	preload_close_hidden(&listener->watch.inotify_fd);
	preload_close_hidden(&listener->watch.timer_fd);
	listener->fd_count = 0;
	atomic_store(&listener->state, PRELOAD_FREE);
}

/* Returns the field in which a listener keeps this hidden descriptor. */
static int *hidden_field(struct preload_listener *listener, int fd)
{
	if (listener->template_fd == fd)
		return &listener->template_fd;
	if (listener->watch.inotify_fd == fd)
		return &listener->watch.inotify_fd;
	return listener->watch.timer_fd == fd ? &listener->watch.timer_fd : NULL;
}

/* Moves a hidden descriptor whose number the server is about to use for another file. */
static void move_hidden(int fd)
{
	int moved = preload_hide(fd), *field;
	unsigned int id;

	preload_set_fd(fd, PRELOAD_FD_OTHER);
	for (id = 1; id <= listeners_used; id++) {
		if (atomic_load(&preload_listeners[id].state) == PRELOAD_FREE)
			continue;
		field = hidden_field(&preload_listeners[id], fd);
		if (field)
			*field = moved;
	}
}

bool preload_is_of(int fd, const struct preload_listener *listener)
{
	return preload_fd(fd) == preload_listener_id(listener);
}

struct preload_listener *preload_unused_listener(void)
{
	unsigned int id;

	for (id = 1; id <= listeners_used; id++)
		if (atomic_load(&preload_listeners[id].state) == PRELOAD_FREE)
			return &preload_listeners[id];
	return listeners_used < PRELOAD_MAX_LISTENERS ? &preload_listeners[++listeners_used] : NULL;
}

struct preload_listener *preload_listener_of_template(int template_fd)
{
	unsigned int id;

	for (id = 1; id <= listeners_used; id++)
		if (preload_listeners[id].template_fd == template_fd &&
		    atomic_load(&preload_listeners[id].state) != PRELOAD_FREE)
			return &preload_listeners[id];
	return NULL;
}

void preload_forget(int fd)
{
	struct preload_listener *listener = preload_listener(fd);

	if (listener) {
		preload_epoll_forget_fd(fd);
		preload_set_fd(fd, PRELOAD_FD_OTHER);
		if (--listener->fd_count == 0)
			release(listener);
		else
			preload_follow_cloexec(listener);
	} else if (preload_fd(fd) == PRELOAD_FD_HIDDEN) {
		move_hidden(fd);
	} else if (preload_fd(fd) == PRELOAD_FD_EPOLL) {
		preload_epoll_forget_instance(fd);
		preload_set_fd(fd, PRELOAD_FD_OTHER);
	}
}

void preload_duplicated(struct preload_listener *listener, int fd)
{
	preload_set_fd(fd, preload_listener_id(listener));
	listener->fd_count++;
	preload_follow_cloexec(listener);
}

static bool is_inheritable(int fd)
{
	int flags = preload_real()->fcntl(fd, F_GETFD);

	return flags >= 0 && !(flags & FD_CLOEXEC);
}

void preload_duplicated_in_vfork_child(const struct preload_listener *listener, int fd)
{
	if (is_inheritable(fd))
		preload_real()->fcntl(listener->template_fd, F_SETFD, 0);
}

void preload_follow_cloexec(const struct preload_listener *listener)
{
	unsigned int remaining = listener->fd_count;
	int fd, flags = FD_CLOEXEC, saved = errno;

	for (fd = 0; fd < PRELOAD_MAX_FD && remaining; fd++) {
		if (!preload_is_of(fd, listener))
			continue;
		remaining--;
		if (is_inheritable(fd))
			flags = 0;
	}
	preload_real()->fcntl(listener->template_fd, F_SETFD, flags);
	errno = saved;
}

/*
 * Looks at the descriptors themselves, because a vfork child's are not in the tables. Hidden ones are above the
 * server's.
 */
bool preload_is_needed_by_exec(int hidden_fd)
{
	int fd, type, template_fd;

	for (fd = 0; fd < hidden_fd; fd++)
		if (preload_int_option(fd, SOL_SOCKET, SO_RCVLOWAT, &template_fd) && template_fd == hidden_fd &&
		    preload_int_option(fd, SOL_SOCKET, SO_TYPE, &type) && type == SOCK_SEQPACKET && is_inheritable(fd))
			return true;
	return false;
}

/*
 * Notes the number of a template in its socket to the daemon, because only descriptors survive exec: as SO_RCVLOWAT,
 * which has no effect on a socket that delivers packets.
 */
static void note_template(int queue, int template_fd)
{
	preload_real()->setsockopt(queue, SOL_SOCKET, SO_RCVLOWAT, &template_fd, sizeof(template_fd));
}

void preload_replace(struct preload_listener *listener, int file, enum preload_state state, int status)
{
	const struct preload_real *real = preload_real();
	unsigned int remaining = listener->fd_count;
	bool nested = state == PRELOAD_AWAY;
	int fd, flags;

	real->fcntl(file, F_SETFL, status & O_NONBLOCK);
	if (state == PRELOAD_ATTACHED)
		note_template(file, listener->template_fd);
	for (fd = 0; fd < PRELOAD_MAX_FD && remaining; fd++) {
		if (!preload_is_of(fd, listener))
			continue;
		flags = real->fcntl(fd, F_GETFD);
		preload_epoll_take_out(fd);
		real->dup3(file, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
		preload_epoll_put_back(fd, nested);
		remaining--;
	}
	real->close(file);
	atomic_store(&listener->state, state);
	atomic_fetch_add(&listener->generation, 1);
}
