/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The parts that every file of the shim needs: the C library's functions, a lock, the environment, messages, the roles
 * of descriptors.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libshakeoff/preload.h"
#include <shakeoff/shakeoff.h>

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

/* Constructors of other libraries may run before start(). */
const struct preload_real *preload_real(void)
{
	if (!atomic_load_explicit(&real_found, memory_order_acquire))
		find_real();
	return &real;
}

/* --------------------------------------------------------------------------------------------------- lock, messages */

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

/* Takes the lock before a fork: a child must not inherit a lock whose thread it does not have. */
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

/* Servers clear their environment (nginx does), and may register again long after that. */
static void keep_run_dir(void)
{
	const char *wanted = queue_run_dir();

	if (strlen(wanted) < sizeof(run_dir))
		strcpy(run_dir, wanted);
}

void preload_process_start(void)
{
	preload_real();
	keep_run_dir();
	owner = getpid();
	pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

bool preload_is_vfork_child(void)
{
	return owner && getpid() != owner;
}

void preload_report(const char *format, ...)
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
		/* There is no other place to report an error. */
	}
	errno = saved;
}
