/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <common/log.h>
#include <shakeoffd/descriptor.h>

#define MAX_LINGERING 64
#define LINGERING_STACK (64 * 1024)

static _Atomic(unsigned int) lingering;

static void *close_slowly(void *argument)
{
	close((int)(intptr_t)argument);
	atomic_fetch_sub(&lingering, 1);
	return NULL;
}

static int start_closing(int fd)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	if (atomic_fetch_add(&lingering, 1) >= MAX_LINGERING) {
		atomic_fetch_sub(&lingering, 1);
		return -1;
	}
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, LINGERING_STACK);
	error = pthread_create(&thread, &attributes, close_slowly, (void *)(intptr_t)fd);
	pthread_attr_destroy(&attributes);
	if (error)
		atomic_fetch_sub(&lingering, 1);
	return error;
}

void descriptor_close(int fd)
{
	struct linger linger = { 0 };
	socklen_t size = sizeof(linger);

	getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size);
	if (linger.l_onoff && linger.l_linger) {
		if (!start_closing(fd))
			return;
		/* Too many at once: the kernel sends the rest in the background, as without the option. */
		linger.l_onoff = 0;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	}
	close(fd);
}

void descriptor_reset(int fd)
{
	struct linger abort = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
	close(fd);
}

void descriptor_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		log_debug("the limit of descriptors stays as it is: %m");
}
