/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Listening sockets that the daemon serves: from the listen() that found a service to the last close().
 *
 *	listen()              the kernel's own listen() on the server's socket, which then moves to a high descriptor: the
 *	                      template. A socket to the daemon takes its place (dup3), with its flags and its epoll registrations.
 *	the daemon goes       an epoll instance takes that socket's place; in it are the template and a watch for the
 *	                      daemon's return. The server goes on to accept what the kernel accepts on the template.
 *	the daemon comes      a new socket, registered like the first one, takes the place of the epoll instance.
 *
 * Every process that shares a listening socket by fork does this for itself, when it next looks at its descriptor. A program
 * that inherits one over exec finds it again if it has the preload, too (an nginx that replaces its binary does), except while there
 * is no daemon.
 *
 * Who may register again: the daemon's socket decides. A worker that has given up root may be refused (EACCES); it says so
 * once and serves what the kernel accepts. The template is what proves the right to serve an address (only who could bind it,
 * or inherited it, has it), so a daemon that checks the descriptor in LISTEN can let everybody connect.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <libshakeoff/preload.h>

/* Registering again happens inside the server's accept(): a daemon that hangs is tried again later. */
#define RECONNECT_TIMEOUT_MS 250

#define COMPLAIN_AFTER_MS 3000

/* A thread that waits in accept() looks this often whether another one has replaced the descriptor. */
#define LOOK_AGAIN_MS 1000

struct preload_listener preload_listeners[PRELOAD_MAX_LISTENERS + 1];

/* The others have never been touched, and take no memory. */
static unsigned int listeners_used;

/* A negative errno as system calls return it. */
static int fail(int error)
{
	errno = -error;
	return -1;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		preload_real()->close(*fd);
	*fd = -1;
}

static bool int_option(int fd, int level, int name, int *value)
{
	socklen_t size = sizeof(*value);

	return preload_real()->getsockopt(fd, level, name, value, &size) == 0;
}

/* ----------------------------------------------------------------------------------------------------- descriptors */

/* Out of the way of servers that count on low numbers, and of those that close what they do not know. */
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

static void close_hidden(int *fd)
{
	if (*fd >= 0)
		preload_set_fd(*fd, PRELOAD_FD_OTHER);
	close_fd(fd);
}

static void release(struct preload_listener *listener)
{
	close_hidden(&listener->template_fd);
	close_hidden(&listener->watch.inotify_fd);
	close_hidden(&listener->watch.timer_fd);
	listener->fd_count = 0;
	atomic_store(&listener->state, PRELOAD_FREE);
}

/* Where a listener keeps this hidden descriptor. */
static int *hidden_place(struct preload_listener *listener, int fd)
{
	if (listener->template_fd == fd)
		return &listener->template_fd;
	if (listener->watch.inotify_fd == fd)
		return &listener->watch.inotify_fd;
	return listener->watch.timer_fd == fd ? &listener->watch.timer_fd : NULL;
}

/* The server is about to put another file at the number of a hidden descriptor. */
static void move_hidden(int fd)
{
	int moved = preload_hide(fd), *place;
	unsigned int id;

	preload_set_fd(fd, PRELOAD_FD_OTHER);
	for (id = 1; id <= listeners_used; id++) {
		if (atomic_load(&preload_listeners[id].state) == PRELOAD_FREE)
			continue;
		place = hidden_place(&preload_listeners[id], fd);
		if (place)
			*place = moved;
	}
}

/* Another thread may have closed the descriptor, and its number may be something else's by now. */
static bool is_of(int fd, const struct preload_listener *listener)
{
	return preload_fd(fd) == preload_listener_id(listener);
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
	unsigned int left = listener->fd_count;
	int fd, flags = FD_CLOEXEC, saved = errno;

	for (fd = 0; fd < PRELOAD_MAX_FD && left; fd++) {
		if (!is_of(fd, listener))
			continue;
		left--;
		if (is_inheritable(fd))
			flags = 0;
	}
	preload_real()->fcntl(listener->template_fd, F_SETFD, flags);
	errno = saved;
}

/* It looks at the descriptors, because a vfork child's are not in the tables. Hidden ones are above the server's. */
bool preload_is_needed_by_exec(int hidden_fd)
{
	int fd, type, template_fd;

	for (fd = 0; fd < hidden_fd; fd++)
		if (int_option(fd, SOL_SOCKET, SO_RCVLOWAT, &template_fd) && template_fd == hidden_fd &&
		    int_option(fd, SOL_SOCKET, SO_TYPE, &type) && type == SOCK_SEQPACKET && is_inheritable(fd))
			return true;
	return false;
}

/*
 * Over exec nothing is left but the descriptors, so the socket to the daemon carries the number of its template: as
 * SO_RCVLOWAT, which means nothing to a socket that delivers packets.
 */
static void note_template(int queue, int template_fd)
{
	preload_real()->setsockopt(queue, SOL_SOCKET, SO_RCVLOWAT, &template_fd, sizeof(template_fd));
}

/*
 * Puts `file` at every one of the server's descriptors of this listener, and closes it. O_NONBLOCK (in `status`) and
 * close-on-exec stay what the server made them.
 */
static void replace(struct preload_listener *listener, int file, enum preload_state state, int status)
{
	const struct preload_real *real = preload_real();
	unsigned int left = listener->fd_count;
	bool nested = state == PRELOAD_AWAY;
	int fd, flags;

	real->fcntl(file, F_SETFL, status & O_NONBLOCK);
	if (state == PRELOAD_ATTACHED)
		note_template(file, listener->template_fd);
	for (fd = 0; fd < PRELOAD_MAX_FD && left; fd++) {
		if (!is_of(fd, listener))
			continue;
		flags = real->fcntl(fd, F_GETFD);
		preload_epoll_take_out(fd);
		real->dup3(file, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
		preload_epoll_put_back(fd, nested);
		left--;
	}
	real->close(file);
	atomic_store(&listener->state, state);
	atomic_fetch_add(&listener->generation, 1);
}

/* ---------------------------------------------------------------------------------------------------- registration */

static int find_service(int fd, char name[SHAKEOFF_NAME_LEN])
{
	struct sockaddr_storage bound;
	socklen_t size = sizeof(bound);
	int v6only = 0;

	if (preload_real()->getsockname(fd, (struct sockaddr *)&bound, &size) < 0)
		return -errno;
	if (bound.ss_family == AF_INET6)
		int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only);
	return queue_find_service(preload_run_dir(), (const struct sockaddr *)&bound, v6only != 0, name);
}

/* Linux gives accept(2) the listening socket's receive time-out; the socket to the daemon stands in for it. */
static void copy_timeout(int template_fd, int fd)
{
	struct timeval timeout;
	socklen_t size = sizeof(timeout);

	if (preload_real()->getsockopt(template_fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, &size) == 0)
		preload_real()->setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, size);
}

/* A registered socket to the daemon for a listening TCP socket, or a negative errno; *refused: the daemon's own. */
static int open_queue(int listening_fd, int backlog, uint32_t flags, int timeout_ms, bool *refused)
{
	char name[SHAKEOFF_NAME_LEN];
	int fd, result;

	*refused = false;
	result = find_service(listening_fd, name);
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
	copy_timeout(listening_fd, fd);
	return fd;
}

static const char *reason(int error)
{
	switch (error) {
	case -EPROTO: return "it speaks another version of the protocol";
	case -ETIMEDOUT: return "it did not answer";
	case -EPERM: return "it is not root's";
	default: return strerror(-error);
	}
}

static void say_why_not(int fd, int error, bool refused)
{
	const char *run_dir = preload_run_dir();

	if (error == -ENOTUNIQ)
		preload_say("descriptor %d listens on any address, and several services of %s have its port: "
			    "the kernel serves it; bind it to one address, or configure one service for the port",
			    fd, run_dir);
	else if (refused)
		preload_say(
			"shakeoffd (%s) does not take descriptor %d as a listening socket: %s; the kernel serves it",
			run_dir, fd, reason(error));
	else
		preload_say("cannot reach shakeoffd in %s: %s; the kernel serves descriptor %d", run_dir, reason(error),
			    fd);
}

static bool is_silent(int error)
{
	/* Not an address of a service; or no daemon, and perhaps what a dead one left. */
	return error == -ENOENT || error == -ENOTDIR || error == -ECONNREFUSED;
}

/* A daemon that is just stopping or starting; the next look finds none, or one that answers. */
static bool is_passing(int error)
{
	return error == -ECONNRESET || error == -EPIPE || error == -ETIMEDOUT;
}

static bool is_tcp(int fd, int *family)
{
	int protocol;

	return int_option(fd, SOL_SOCKET, SO_DOMAIN, family) && (*family == AF_INET || *family == AF_INET6) &&
	       int_option(fd, SOL_SOCKET, SO_PROTOCOL, &protocol) && protocol == IPPROTO_TCP;
}

static struct preload_listener *free_listener(void)
{
	unsigned int id;

	for (id = 1; id <= listeners_used; id++)
		if (atomic_load(&preload_listeners[id].state) == PRELOAD_FREE)
			return &preload_listeners[id];
	return listeners_used < PRELOAD_MAX_LISTENERS ? &preload_listeners[++listeners_used] : NULL;
}

static void read_options(struct preload_listener *listener)
{
	struct preload_option_set *next;

	listener->option_set = (listener->option_set + 1) %
			       (sizeof(listener->option_sets) / sizeof(listener->option_sets[0]));
	next = &listener->option_sets[listener->option_set];
	preload_options_read(listener->template_fd, listener->family, next);
	atomic_store(&listener->options, next);
}

static uint32_t listen_flags(int fd, int family)
{
	int v6only = 1;

	if (family == AF_INET6)
		int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only);
	return v6only ? 0 : DELIVERY_FLAG_DUALSTACK;
}

/* From here on the descriptor is the daemon's queue, and the server's socket a hidden template. */
static int take_place(struct preload_listener *listener, int fd, int queue, int status)
{
	const struct preload_real *real = preload_real();
	int template_fd = preload_hide(fd);

	if (template_fd < 0)
		return template_fd;
	listener->template_fd = template_fd;
	listener->fd_count = 1;
	listener->told = false;
	listener->refused_since_ms = 0;
	read_options(listener);
	preload_epoll_find(fd);
	preload_set_fd(fd, preload_listener_id(listener));
	preload_follow_cloexec(listener);
	replace(listener, queue, PRELOAD_ATTACHED, status);
	real->fcntl(template_fd, F_SETFL, status | O_NONBLOCK);
	return 0;
}

void preload_adopt(int fd, int backlog)
{
	struct preload_listener *listener;
	int family, queue, result, status;
	struct preload_guard guard;
	bool refused;

	if ((unsigned int)fd >= PRELOAD_MAX_FD || !is_tcp(fd, &family))
		return;
	preload_lock(&guard);
	listener = free_listener();
	if (!listener)
		goto out;
	/* The daemon has the same open file, and may make it non-blocking before it refuses. */
	status = preload_real()->fcntl(fd, F_GETFL);
	listener->family = family;
	listener->flags = listen_flags(fd, family);
	listener->backlog = backlog;
	listener->watch = (struct queue_watch){ -1, -1 };
	queue = open_queue(fd, backlog, listener->flags, QUEUE_REGISTER_TIMEOUT_MS, &refused);
	result = queue < 0 ? queue : take_place(listener, fd, queue, status);
	if (result < 0) {
		if (queue >= 0)
			preload_real()->close(queue);
		preload_real()->fcntl(fd, F_SETFL, status);
		if (refused || !is_silent(result))
			say_why_not(fd, result, refused);
	}
out:
	preload_unlock(&guard);
}

/* ------------------------------------------------------------------------------------------- inherited over exec */

/* Whether it leads to the daemon's socket of this service; the directory is as the daemon, not we, wrote it. */
static bool leads_to(int fd, const char *service)
{
	struct sockaddr_un address = { 0 };
	socklen_t size = sizeof(address);
	char own[sizeof(address.sun_path)];

	return preload_real()->getpeername(fd, (struct sockaddr *)&address, &size) == 0 &&
	       queue_socket_path(preload_run_dir(), service, own, sizeof(own)) == 0 &&
	       strcmp(basename(own), basename(address.sun_path)) == 0;
}

/* The template of a socket to the daemon, or -1: that is something else. */
static int noted_template(int fd)
{
	int value, template_fd, family;
	char name[SHAKEOFF_NAME_LEN];

	if (!int_option(fd, SOL_SOCKET, SO_DOMAIN, &value) || value != AF_UNIX ||
	    !int_option(fd, SOL_SOCKET, SO_TYPE, &value) || value != SOCK_SEQPACKET ||
	    !int_option(fd, SOL_SOCKET, SO_RCVLOWAT, &template_fd) || !is_tcp(template_fd, &family) ||
	    !int_option(template_fd, SOL_SOCKET, SO_ACCEPTCONN, &value) || !value)
		return -1;
	return find_service(template_fd, name) == 0 && leads_to(fd, name) ? template_fd : -1;
}

static struct preload_listener *listener_of_template(int template_fd)
{
	unsigned int id;

	for (id = 1; id <= listeners_used; id++)
		if (preload_listeners[id].template_fd == template_fd &&
		    atomic_load(&preload_listeners[id].state) != PRELOAD_FREE)
			return &preload_listeners[id];
	return NULL;
}

static void inherit(int fd, int template_fd)
{
	struct preload_listener *listener = listener_of_template(template_fd);
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);

	if (!listener) {
		listener = free_listener();
		if (!listener || template_fd >= PRELOAD_MAX_FD || !is_tcp(template_fd, &listener->family))
			return;
		listener->flags = listen_flags(template_fd, listener->family);
		listener->template_fd = template_fd;
		listener->watch = (struct queue_watch){ -1, -1 };
		/* Of a listening socket this is the backlog. */
		preload_real()->getsockopt(template_fd, IPPROTO_TCP, TCP_INFO, &info, &size);
		listener->backlog = (int)info.tcpi_sacked;
		read_options(listener);
		preload_set_fd(template_fd, PRELOAD_FD_HIDDEN);
		atomic_store(&listener->state, PRELOAD_ATTACHED);
	}
	preload_duplicated(listener, fd);
}

void preload_inherit(void)
{
	const struct dirent *entry;
	int fd, template_fd;
	DIR *dir;

	if (!queue_any_service(preload_run_dir()))
		return;
	dir = opendir("/proc/self/fd");
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		fd = atoi(entry->d_name);
		template_fd = fd < PRELOAD_MAX_FD ? noted_template(fd) : -1;
		if (template_fd >= 0)
			inherit(fd, template_fd);
	}
	closedir(dir);
}

/* ------------------------------------------------------------------------------------- the daemon goes and comes */

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

/* Without a daemon: readable when the kernel has a connection, or the daemon may be back. */
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
		close_hidden(&listener->watch.inotify_fd);
		close_hidden(&listener->watch.timer_fd);
		preload_real()->close(instance);
		return -EMFILE;
	}
	replace(listener, instance, PRELOAD_AWAY, preload_real()->fcntl(fd, F_GETFL));
	return 0;
}

/*
 * Another thread may be waiting in poll() or select() on the epoll instance that is going to be replaced; something that is
 * ready in it wakes that one up, once, to look again.
 */
static void wake_waiters(int fd, int ready_fd)
{
	struct epoll_event event = { .events = EPOLLOUT | EPOLLONESHOT };

	preload_real()->epoll_ctl(fd, EPOLL_CTL_ADD, ready_fd, &event);
}

/* Once, and only of what lasts: a daemon that starts sets the permissions of its socket a moment after it appears. */
static void complain(struct preload_listener *listener, int fd, int error, bool refused)
{
	if (!listener->refused_since_ms)
		listener->refused_since_ms = now_ms();
	if (listener->told || now_ms() - listener->refused_since_ms < COMPLAIN_AFTER_MS)
		return;
	listener->told = true;
	say_why_not(fd, error, refused);
}

static bool come_back(struct preload_listener *listener, int fd)
{
	bool refused;
	int queue = open_queue(listener->template_fd, listener->backlog, listener->flags, RECONNECT_TIMEOUT_MS,
			       &refused);

	if (queue < 0) {
		if (!is_passing(queue) && (refused || !is_silent(queue)))
			complain(listener, fd, queue, refused);
		return false;
	}
	if (atomic_load(&listener->state) == PRELOAD_AWAY)
		wake_waiters(fd, queue);
	replace(listener, queue, PRELOAD_ATTACHED, preload_real()->fcntl(fd, F_GETFL));
	close_hidden(&listener->watch.inotify_fd);
	close_hidden(&listener->watch.timer_fd);
	listener->told = false;
	listener->refused_since_ms = 0;
	return true;
}

/* The socket to the daemon has ended. 0 or a negative errno; `generation`: of the socket that was seen to end. */
static int recover(struct preload_listener *listener, int fd, unsigned int generation)
{
	struct preload_guard guard;
	int listening, result = 0;

	preload_lock(&guard);
	if (!is_of(fd, listener)) {
		result = -EBADF;
	} else if (atomic_load(&listener->generation) == generation &&
		   atomic_load(&listener->state) == PRELOAD_ATTACHED) {
		if (int_option(listener->template_fd, SOL_SOCKET, SO_ACCEPTCONN, &listening) && !listening)
			atomic_store(&listener->state, PRELOAD_SHUT); /* by another process */
		else if (!come_back(listener, fd))
			result = go_away(listener, fd);
	}
	preload_unlock(&guard);
	return result;
}

static void look_for_daemon(struct preload_listener *listener, int fd)
{
	struct preload_guard guard;

	preload_lock(&guard);
	if (is_of(fd, listener) && atomic_load(&listener->state) == PRELOAD_AWAY &&
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
	/* SHUT_WR means nothing to a listening socket. */
	if (result == 0 && how != SHUT_WR) {
		if (atomic_exchange(&listener->state, PRELOAD_SHUT) == PRELOAD_ATTACHED)
			preload_real()->shutdown(fd, SHUT_RDWR);
	}
	preload_unlock(&guard);
	return result;
}

/* --------------------------------------------------------------------------------------------------------- accept */

/* When an accept() that begins now gives up: the listening socket's SO_RCVTIMEO; -1: never. */
static int64_t deadline(const struct preload_listener *listener)
{
	struct timeval timeout = { 0 };
	socklen_t size = sizeof(timeout);

	preload_real()->getsockopt(listener->template_fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, &size);
	if (!timeout.tv_sec && !timeout.tv_usec)
		return -1;
	return now_ms() + (int64_t)timeout.tv_sec * 1000 + timeout.tv_usec / 1000;
}

/* A blocking accept() without a daemon: 0: look again. */
static int wait_away(const struct preload_listener *listener, int fd, int64_t *end)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	int64_t left = LOOK_AGAIN_MS;

	if (!*end)
		*end = deadline(listener);
	if (*end > 0)
		left = *end - now_ms();
	if (left <= 0)
		return -EAGAIN;
	return poll(&readable, 1, left < LOOK_AGAIN_MS ? (int)left : LOOK_AGAIN_MS) < 0 ? -errno : 0;
}

/* One connection from the kernel. -EAGAIN: there is none, and the server does not want to wait; 0: look again. */
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

/* One from the daemon. */
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

/* As accept4(2), but a negative errno; 0: the listener has changed, look again. (0 is never the descriptor of a connection.) */
static int accept_once(struct preload_listener *listener, int fd, struct sockaddr *address, socklen_t *length,
		       int flags, int64_t *end)
{
	unsigned int generation = atomic_load(&listener->generation);
	int result;

	switch (atomic_load(&listener->state)) {
	case PRELOAD_ATTACHED:
		result = accept_attached(listener, fd, address, length, flags);
		return result == -EPIPE ? recover(listener, fd, generation) : result;
	case PRELOAD_AWAY:
		look_for_daemon(listener, fd);
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

/* --------------------------------------------------------------------------------------------------------- options */

int preload_setsockopt(struct preload_listener *listener, int fd, int level, int name, const void *value,
		       socklen_t size)
{
	struct preload_guard guard;
	int result;

	result = preload_real()->setsockopt(listener->template_fd, level, name, value, size);
	if (result < 0)
		return result;
	preload_lock(&guard);
	if (is_of(fd, listener)) {
		if (atomic_load(&listener->state) == PRELOAD_ATTACHED && level == SOL_SOCKET)
			copy_timeout(listener->template_fd, fd);
		read_options(listener);
	}
	preload_unlock(&guard);
	return result;
}

bool preload_is_served(int fd, const struct sockaddr *address)
{
	char name[SHAKEOFF_NAME_LEN];
	int family, v6only = 0;

	if (!is_tcp(fd, &family))
		return false;
	if (family == AF_INET6)
		int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only);
	return queue_find_service(preload_run_dir(), address, v6only != 0, name) == 0;
}
