/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libshakeoff-preload.so: an unmodified server takes its connections from shakeoffd.
 *
 *	LD_PRELOAD=/usr/local/lib/libshakeoff-preload.so nginx
 *
 * When the server listens on an address that shakeoffd serves (RUN_DIR/listen/ADDRESS:PORT; RUN_DIR is the environment's
 * SHAKEOFF_RUN_DIR, default /run/shakeoff), the descriptor becomes one of the daemon's accept queue: see preload_listener.c. Every
 * other descriptor pays one look into an array. Without a daemon, or on another address, nothing changes.
 *
 * This file is the C library's functions that the shim stands before: is the descriptor ours, then what it means, otherwise
 * pass it on.
 *
 * What it cannot reach: programs that are linked statically or make system calls themselves (Go); a descriptor that was
 * given to another process over a UNIX socket (there it is a socket to the daemon); a server that has changed its root
 * directory so that it no longer sees RUN_DIR (it does not find a restarted daemon, and serves what the kernel accepts).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <libshakeoff/preload.h>
#include <shakeoff/shakeoff.h>

#define EXPORTED __attribute__((visibility("default")))

_Atomic uint16_t preload_fds[PRELOAD_MAX_FD];

/* ---------------------------------------------------------------------------------------- the C library's functions */

static struct preload_real real;
static atomic_bool real_found;

static void find_real(void)
{
	real.accept = dlsym(RTLD_NEXT, "accept");
	real.accept4 = dlsym(RTLD_NEXT, "accept4");
	real.bind = dlsym(RTLD_NEXT, "bind");
	real.close = dlsym(RTLD_NEXT, "close");
	real.close_range = dlsym(RTLD_NEXT, "close_range");
	real.closefrom = dlsym(RTLD_NEXT, "closefrom");
	real.dup = dlsym(RTLD_NEXT, "dup");
	real.dup2 = dlsym(RTLD_NEXT, "dup2");
	real.dup3 = dlsym(RTLD_NEXT, "dup3");
	real.epoll_ctl = dlsym(RTLD_NEXT, "epoll_ctl");
	real.fcntl = dlsym(RTLD_NEXT, "fcntl64");
	if (!real.fcntl) /* glibc before 2.28 */
		real.fcntl = dlsym(RTLD_NEXT, "fcntl");
	real.getpeername = dlsym(RTLD_NEXT, "getpeername");
	real.getsockname = dlsym(RTLD_NEXT, "getsockname");
	real.getsockopt = dlsym(RTLD_NEXT, "getsockopt");
	real.ioctl = dlsym(RTLD_NEXT, "ioctl");
	real.listen = dlsym(RTLD_NEXT, "listen");
	real.setsockopt = dlsym(RTLD_NEXT, "setsockopt");
	real.shutdown = dlsym(RTLD_NEXT, "shutdown");
	atomic_store_explicit(&real_found, true, memory_order_release);
}

/* Other libraries' constructors may run before start(). */
const struct preload_real *preload_real(void)
{
	if (!atomic_load_explicit(&real_found, memory_order_acquire))
		find_real();
	return &real;
}

/* ------------------------------------------------------------------------------------------------------ lock, messages */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct preload_guard fork_guard;
static pid_t owner;

void preload_lock(struct preload_guard *guard)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &guard->signals);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &guard->cancel_state);
	pthread_mutex_lock(&lock);
}

void preload_unlock(const struct preload_guard *guard)
{
	int saved = errno;

	pthread_mutex_unlock(&lock);
	pthread_setcancelstate(guard->cancel_state, NULL);
	pthread_sigmask(SIG_SETMASK, &guard->signals, NULL);
	errno = saved;
}

/* A child must not inherit the lock from a thread that it does not have. */
static void before_fork(void)
{
	struct preload_guard guard;

	preload_lock(&guard);
	fork_guard = guard;
}

static void after_fork(void)
{
	struct preload_guard guard = fork_guard;

	preload_unlock(&guard);
}

static void after_fork_in_child(void)
{
	owner = getpid();
	after_fork();
}

static char run_dir[PATH_MAX] = SHAKEOFF_RUN_DIR_DEFAULT;

const char *preload_run_dir(void)
{
	return run_dir;
}

/* Servers clean their environment (nginx does), and may register again long after that. */
static void keep_run_dir(void)
{
	const char *wanted = queue_run_dir();

	if (strlen(wanted) < sizeof(run_dir))
		strcpy(run_dir, wanted);
}

__attribute__((constructor)) static void start(void)
{
	preload_real();
	keep_run_dir();
	owner = getpid();
	pthread_atfork(before_fork, after_fork, after_fork_in_child);
	preload_inherit();
}

bool preload_is_vfork_child(void)
{
	return owner && getpid() != owner;
}

void preload_say(const char *format, ...)
{
	char text[512] = "libshakeoff-preload: ";
	size_t prefix = strlen(text), length;
	int saved = errno;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + prefix, sizeof(text) - prefix - 1, format, arguments);
	va_end(arguments);
	length = strlen(text);
	text[length++] = '\n';
	if (write(STDERR_FILENO, text, length) < 0) {
		/* Nobody is there to be told. */
	}
	errno = saved;
}

/* ------------------------------------------------------------------------------------------------- listening, accepting */

EXPORTED int listen(int fd, int backlog)
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

EXPORTED int accept(int fd, struct sockaddr *address, socklen_t *length)
{
	struct preload_listener *listener = preload_listener(fd);

	if (listener)
		return preload_accept(listener, fd, address, length, 0);
	return preload_real()->accept(fd, address, length);
}

EXPORTED int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	struct preload_listener *listener = preload_listener(fd);

	if (listener)
		return preload_accept(listener, fd, address, length, flags);
	return preload_real()->accept4(fd, address, length, flags);
}

/*
 * The daemon learns of a server's end a moment after the server has ended, and holds a duplicate of its listening socket until
 * then: a restarted server that finds its address in use there tries for a moment longer.
 */
EXPORTED int bind(int fd, const struct sockaddr *address, socklen_t length)
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

EXPORTED int shutdown(int fd, int how)
{
	struct preload_listener *listener = preload_listener(fd);

	return listener ? preload_shutdown(listener, fd, how) : preload_real()->shutdown(fd, how);
}

EXPORTED int epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event)
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

/* ------------------------------------------------------------------- what the server asks of and tells a listening socket */

/* The socket that answers for a descriptor. */
static int socket_of(int fd)
{
	const struct preload_listener *listener = preload_listener(fd);

	return listener ? listener->template_fd : fd;
}

EXPORTED int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
	return preload_real()->getsockname(socket_of(fd), address, length);
}

EXPORTED int getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	return preload_real()->getpeername(socket_of(fd), address, length);
}

EXPORTED int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	return preload_real()->getsockopt(socket_of(fd), level, name, value, size);
}

EXPORTED int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	struct preload_listener *listener = preload_listener(fd);

	if (listener)
		return preload_setsockopt(listener, fd, level, name, value, size);
	return preload_real()->setsockopt(fd, level, name, value, size);
}

/* ------------------------------------------------------------------------------------------------------- closing */

/* In a vfork child a template stays open only for the program that will inherit its descriptor. */
static bool stays_open(int fd)
{
	return preload_fd(fd) == PRELOAD_FD_HIDDEN && (!preload_is_vfork_child() || preload_is_needed_by_exec(fd));
}

EXPORTED int close(int fd)
{
	struct preload_guard guard;
	int result;

	if (!preload_fd(fd))
		return preload_real()->close(fd);
	if (stays_open(fd)) {
		errno = EBADF;
		return -1;
	}
	if (preload_is_vfork_child())
		return preload_real()->close(fd);
	preload_lock(&guard);
	preload_forget(fd);
	result = preload_real()->close(fd);
	preload_unlock(&guard);
	return result;
}

static bool any_in_range(unsigned int first, unsigned int last)
{
	unsigned int fd;

	for (fd = first; fd <= last && fd < PRELOAD_MAX_FD; fd++)
		if (preload_fd((int)fd))
			return true;
	return false;
}

/* Closes what is the server's, and leaves out what is hidden. */
static int close_around(unsigned int first, unsigned int last, int flags)
{
	unsigned int fd, begin = first;
	int result = 0;

	for (fd = first; fd <= last && fd < PRELOAD_MAX_FD && result == 0; fd++) {
		if (preload_fd((int)fd) != PRELOAD_FD_HIDDEN)
			continue;
		if (begin < fd)
			result = preload_real()->close_range(begin, fd - 1, flags);
		begin = fd + 1;
	}
	return result == 0 && begin <= last ? preload_real()->close_range(begin, last, flags) : result;
}

static int close_ours(unsigned int first, unsigned int last, int flags)
{
	struct preload_guard guard;
	unsigned int fd;
	int result;

	preload_lock(&guard);
	for (fd = first; fd <= last && fd < PRELOAD_MAX_FD; fd++)
		if (preload_fd((int)fd) && preload_fd((int)fd) != PRELOAD_FD_HIDDEN)
			preload_forget((int)fd);
	result = close_around(first, last, flags);
	preload_unlock(&guard);
	return result;
}

/* What is hidden comes last: then it shows what the next program will inherit. */
static int close_in_vfork_child(unsigned int first, unsigned int last, int flags)
{
	int result = close_around(first, last, flags);
	unsigned int fd;

	for (fd = first; fd <= last && fd < PRELOAD_MAX_FD; fd++)
		if (preload_fd((int)fd) == PRELOAD_FD_HIDDEN && !stays_open((int)fd))
			preload_real()->close((int)fd);
	return result;
}

EXPORTED int close_range(unsigned int first, unsigned int last, int flags)
{
	if (first > last || flags & (int)CLOSE_RANGE_CLOEXEC || !any_in_range(first, last))
		return preload_real()->close_range(first, last, flags);
	return preload_is_vfork_child() ? close_in_vfork_child(first, last, flags) : close_ours(first, last, flags);
}

EXPORTED void closefrom(int first)
{
	unsigned int from = first < 0 ? 0 : (unsigned int)first;

	if (!any_in_range(from, ~0U))
		preload_real()->closefrom(first);
	else if (preload_is_vfork_child())
		close_in_vfork_child(from, ~0U, 0);
	else
		close_ours(from, ~0U, 0);
}

/* --------------------------------------------------------------------------------------------------- duplicating */

/* `fd` is a new duplicate of a listening descriptor. */
static int duplicated(struct preload_listener *listener, int fd)
{
	struct preload_guard guard;

	if (fd < 0)
		return fd;
	if (fd >= PRELOAD_MAX_FD) {
		preload_real()->close(fd);
		errno = EMFILE;
		return -1;
	}
	if (preload_is_vfork_child()) {
		preload_duplicated_in_vfork_child(listener, fd);
		return fd;
	}
	preload_lock(&guard);
	preload_duplicated(listener, fd);
	preload_unlock(&guard);
	return fd;
}

EXPORTED int dup(int fd)
{
	struct preload_listener *listener = preload_listener(fd);
	int result = preload_real()->dup(fd);

	return listener ? duplicated(listener, result) : result;
}

static int dup_onto(int from, int to, int flags)
{
	struct preload_listener *listener = preload_listener(from);
	struct preload_guard guard;
	int result;

	preload_lock(&guard);
	if (from != to && preload_real()->fcntl(from, F_GETFD) >= 0 && (!listener || (unsigned int)to < PRELOAD_MAX_FD))
		preload_forget(to);
	result = preload_real()->dup3(from, to, flags);
	if (result >= 0 && listener)
		preload_duplicated(listener, to);
	preload_unlock(&guard);
	return result;
}

static int dup_in_vfork_child(int from, int to, int flags)
{
	const struct preload_listener *listener = preload_listener(from);
	int result = preload_real()->dup3(from, to, flags);

	if (result >= 0 && listener)
		preload_duplicated_in_vfork_child(listener, to);
	return result;
}

static int dup_tracked(int from, int to, int flags)
{
	return preload_is_vfork_child() ? dup_in_vfork_child(from, to, flags) : dup_onto(from, to, flags);
}

EXPORTED int dup2(int from, int to)
{
	if (from == to || (!preload_fd(from) && !preload_fd(to)))
		return preload_real()->dup2(from, to);
	return dup_tracked(from, to, 0);
}

EXPORTED int dup3(int from, int to, int flags)
{
	if (from == to || (!preload_fd(from) && !preload_fd(to)))
		return preload_real()->dup3(from, to, flags);
	return dup_tracked(from, to, flags);
}

/* A vfork child's descriptors are its own, so this is for it, too. */
static int control(int fd, int command, void *argument)
{
	struct preload_listener *listener = preload_listener(fd);
	int result = preload_real()->fcntl(fd, command, argument);

	if (!listener || result < 0)
		return result;
	switch (command) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC: return duplicated(listener, result);
	case F_SETFD: preload_follow_cloexec(listener); break;
	}
	return result;
}

/* What follows the command is an int, a pointer or nothing; it is passed on as it came. */
EXPORTED int fcntl(int fd, int command, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	return control(fd, command, argument);
}

EXPORTED int fcntl64(int fd, int command, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	return control(fd, command, argument);
}

/* FIOCLEX and FIONCLEX are F_SETFD by another name. */
EXPORTED int ioctl(int fd, unsigned long request, ...)
{
	struct preload_listener *listener = preload_listener(fd);
	va_list arguments;
	void *argument;
	int result;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	result = preload_real()->ioctl(fd, request, argument);
	if (listener && result == 0 && (request == FIOCLEX || request == FIONCLEX))
		preload_follow_cloexec(listener);
	return result;
}
