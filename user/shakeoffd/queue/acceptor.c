/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shakeoffd/queue/acceptor.h"
#include "common/clock.h"

#define STACK_SIZE (128 * 1024)

/* How often it checks that the socket still is what it was. */
#define LOOK_MS 1000

/* How long it leaves a socket alone after accept() has failed. */
#define FAILED_MS 100

/* Maximum of errors in a row that count as errors of single connections: a security module's refusal may last. */
#define MAX_ERRORS 16

/* Ends a sleep in accept(). It is ignored by default (signal(7)), so it is harmless if it comes too late. */
#define WAKE_SIGNAL SIGURG

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct acceptor *ending;

static void ignore(int signal)
{
	(void)signal;
}

static void prepare_signal(void)
{
	/* Without SA_RESTART: accept() has to return EINTR. */
	const struct sigaction action = { .sa_handler = ignore };

	sigaction(WAKE_SIGNAL, &action, NULL);
}

/* Returns whether accept() failed only for one connection (accept(2), "Error handling"). */
static bool error_is_of_one_connection(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPERM:
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH: return true;
	default: return false;
	}
}

/*
 * Sets O_NONBLOCK. The server may clear it at once: then accept4() sleeps until a client comes, or acceptor_end() is
 * called.
 */
static void make_nonblocking(int fd)
{
	int status = fcntl(fd, F_GETFL);

	if (status >= 0 && !(status & O_NONBLOCK))
		fcntl(fd, F_SETFL, status | O_NONBLOCK);
}

/* Accepts all waiting connections. Returns how long to leave the socket alone then, in milliseconds. */
static int accept_all(struct acceptor *acceptor)
{
	union socket_address peer;
	int fd, errors = 0;
	socklen_t size;

	while (!atomic_load(&acceptor->stop)) {
		if (!acceptor->calls->has_room(acceptor))
			return 0;
		make_nonblocking(acceptor->fd);
		size = sizeof(peer);
		fd = accept4(acceptor->fd, &peer.sa, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			acceptor->calls->accepted(acceptor, fd, &peer);
			errors = 0;
			continue;
		}
		if (errno == EAGAIN)
			return 0;
		if (error_is_of_one_connection(errno) && ++errors < MAX_ERRORS)
			continue;
		acceptor->calls->failed(acceptor, errno);
		return FAILED_MS;
	}
	return 0;
}

static void serve(struct acceptor *acceptor)
{
	uint64_t looked = clock_ns(), wakes;
	int rest_ms = 0;

	while (!atomic_load(&acceptor->stop)) {
		bool resting = rest_ms || atomic_load(&acceptor->paused);
		struct pollfd fds[] = {
			{ .fd = acceptor->wake_fd, .events = POLLIN },
			{ .fd = resting ? -1 : acceptor->fd, .events = POLLIN },
		};
		bool doubtful;

		poll(fds, 2, rest_ms ? rest_ms : LOOK_MS);
		rest_ms = 0;
		if (fds[0].revents && read(acceptor->wake_fd, &wakes, sizeof(wakes)) < 0)
			continue;
		if (atomic_load(&acceptor->stop))
			break;
		doubtful = fds[1].revents & (POLLHUP | POLLERR | POLLNVAL);
		if (doubtful || clock_ns() - looked >= LOOK_MS * NS_PER_MS) {
			looked = clock_ns();
			if (!acceptor->calls->holds(acceptor)) {
				rest_ms = FAILED_MS;
				continue;
			}
		}
		if (fds[1].revents & POLLIN)
			rest_ms = accept_all(acceptor);
		else if (doubtful)
			rest_ms = FAILED_MS;
	}
}

/* Waits for acceptor_end(), which comes soon. */
static void await_end(struct acceptor *acceptor)
{
	struct pollfd wake = { .fd = acceptor->wake_fd, .events = POLLIN };
	uint64_t wakes;

	while (!atomic_load(&acceptor->stop))
		if (poll(&wake, 1, LOOK_MS) > 0 && read(acceptor->wake_fd, &wakes, sizeof(wakes)) < 0)
			continue;
}

static void *run(void *argument)
{
	struct acceptor *acceptor = argument;

	make_nonblocking(acceptor->fd);
	if (acceptor->calls->examine(acceptor))
		serve(acceptor);
	await_end(acceptor);
	/* This may sleep, too. */
	close(acceptor->fd);
	atomic_store(&acceptor->done, true);
	return NULL;
}

int acceptor_start(struct acceptor *acceptor, int fd, uid_t user, const struct acceptor_calls *calls)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_attr_t attributes;
	sigset_t blocked, before;
	int error;

	pthread_once(&once, prepare_signal);
	acceptor->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (acceptor->wake_fd < 0)
		return -errno;
	acceptor->fd = fd;
	acceptor->user = user;
	acceptor->calls = calls;
	sigfillset(&blocked);
	sigdelset(&blocked, WAKE_SIGNAL);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &blocked, &before);
	error = pthread_create(&acceptor->thread, &attributes, run, acceptor);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (error)
		close(acceptor->wake_fd);
	return -error;
}

static void wake(struct acceptor *acceptor)
{
	uint64_t one = 1;

	/* EAGAIN means that it is readable already. */
	if (write(acceptor->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void acceptor_pause(struct acceptor *acceptor)
{
	atomic_store(&acceptor->paused, true);
}

void acceptor_resume(struct acceptor *acceptor)
{
	if (atomic_exchange(&acceptor->paused, false))
		wake(acceptor);
}

void acceptor_end(struct acceptor *acceptor)
{
	pthread_mutex_lock(&mutex);
	acceptor->next = ending;
	ending = acceptor;
	atomic_store(&acceptor->stop, true);
	wake(acceptor);
	if (!pthread_equal(acceptor->thread, pthread_self()))
		pthread_kill(acceptor->thread, WAKE_SIGNAL);
	pthread_mutex_unlock(&mutex);
}

/*
 * Takes out an acceptor that has ended, and wakes the others again: the signal may have come just before they fell
 * asleep.
 */
static struct acceptor *take_ended(void)
{
	struct acceptor **link, *ended = NULL;

	pthread_mutex_lock(&mutex);
	for (link = &ending; *link && !ended;) {
		struct acceptor *acceptor = *link;

		if (atomic_load(&acceptor->done)) {
			ended = acceptor;
			*link = acceptor->next;
		} else {
			pthread_kill(acceptor->thread, WAKE_SIGNAL);
			link = &acceptor->next;
		}
	}
	pthread_mutex_unlock(&mutex);
	return ended;
}

void acceptor_tick(void)
{
	struct acceptor *acceptor;

	while ((acceptor = take_ended())) {
		pthread_join(acceptor->thread, NULL); /* the thread has no more work */
		close(acceptor->wake_fd);
		acceptor->calls->release(acceptor);
	}
}

size_t acceptor_count_stuck(uid_t user)
{
	size_t count = 0;

	pthread_mutex_lock(&mutex);
	for (const struct acceptor *acceptor = ending; acceptor; acceptor = acceptor->next)
		count += acceptor->user == user && !atomic_load(&acceptor->done);
	pthread_mutex_unlock(&mutex);
	return count;
}

static bool none_remains(void)
{
	bool none;

	pthread_mutex_lock(&mutex);
	none = !ending;
	pthread_mutex_unlock(&mutex);
	return none;
}

bool acceptor_end_all(uint64_t timeout_ns)
{
	const struct timespec pause = { .tv_nsec = NS_PER_MS };
	uint64_t begin = clock_ns();

	for (;;) {
		acceptor_tick();
		if (none_remains())
			return true;
		if (clock_ns() - begin >= timeout_ns)
			return false;
		nanosleep(&pause, NULL);
	}
}
