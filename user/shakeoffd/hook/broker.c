/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "datapath/datapath.h"
#include "common/log.h"
#include "shakeoffd/hook/broker.h"
#include "common/clock.h"
#include "shakeoffd/sys/privilege.h"
#include "shakeoffd/sys/syscall_filter.h"

/*
 * A call by id takes microseconds. If no reply comes in this time, the broker is stopped, or the machine stands still.
 */
#define ANSWER_SECONDS 2
/* How long to wait before the next request then: each request without a reply holds up the event loop. */
#define SILENCE_NS (10 * NS_PER_S)
#define STOP_MS 1000

struct request {
	uint32_t sequence; /* the reply repeats it: a late reply belongs to an earlier request */
	uint32_t object;   /* enum datapath_object */
	uint32_t id;
};

struct reply {
	uint32_t sequence;
	int32_t result; /* the next id, 0 with a descriptor, or a negative errno */
};

static struct {
	pid_t pid;
	int fd; /* -1: not running */
	uint32_t sequence;
	uint64_t silent_until_ns;
	pthread_mutex_t lock; /* one request at a time */
	struct event_source source;
	void (*ended)(void *context);
	void *context;
} broker = { .fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

/* ------------------------------------------------------------------------------------------------------ the process */

static bool reply(int fd, const struct reply *reply, int descriptor)
{
	union control control = { 0 };
	struct iovec data = { .iov_base = (void *)reply, .iov_len = sizeof(*reply) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };
	ssize_t sent;

	if (descriptor >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.space);
		control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
						   .cmsg_level = SOL_SOCKET,
						   .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(descriptor));
	}
	do
		sent = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == sizeof(*reply);
}

static bool serve_one(int fd)
{
	struct request request;
	struct iovec data = { .iov_base = &request, .iov_len = sizeof(request) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };
	struct reply result = { 0 };
	int descriptor = -1;
	ssize_t length;
	bool sent;

	length = recvmsg(fd, &message, 0);
	if (length < 0 && errno == EINTR)
		return true;
	if (length != sizeof(request))
		return false; /* the daemon has ended */
	result.sequence = request.sequence;
	result.result = datapath_find((enum datapath_object)request.object, request.id);
	if (result.result >= 0 && request.object != DATAPATH_NEXT_LINK) {
		descriptor = result.result;
		result.result = 0;
	}
	sent = reply(fd, &result, descriptor);
	if (descriptor >= 0)
		close(descriptor);
	return sent;
}

/* Closes everything that the daemon has open, above all its lock file. Returns the socket's new number. */
static int keep_only(int fd)
{
	int null = open("/dev/null", O_RDWR), above = fcntl(fd, F_DUPFD, 4);

	if (null < 0 || above < 0)
		return -errno;
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		if (dup2(null, i) < 0)
			return -errno;
	if (dup2(above, 3) < 0 || close_range(4, ~0u, 0))
		return -errno;
	return 3;
}

/* Signals that end the daemon reach the whole group or cgroup, and the daemon needs the broker until its end. */
static void ignore_signals(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE };

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

static int prepare(int *fd, pid_t daemon)
{
	static const unsigned int kept[] = { CAP_SYS_ADMIN };
	int error;

	prctl(PR_SET_NAME, "shakeoff-broker", 0, 0, 0);
	ignore_signals();
	error = privilege_confine(kept, 1);
	if (error)
		return error;
	*fd = keep_only(*fd);
	if (*fd < 0)
		return *fd;
	/* Changing credentials may undo this (commit_creds() in kernel/cred.c), so it comes afterwards. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		return -errno;
	if (getppid() != daemon)
		return -ESRCH;
	return syscall_filter_broker();
}

static void run(int fd, pid_t daemon)
{
	struct reply ready = { 0 };
	int socket = fd;

	ready.result = prepare(&socket, daemon);
	if (reply(socket < 0 ? fd : socket, &ready, -1) && !ready.result)
		while (serve_one(socket))
			;
	_exit(ready.result ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* ------------------------------------------------------------------------------------------------ the daemon's side */

/* Receives a reply. 0 or a negative errno. */
static int receive(struct reply *reply, int *descriptor)
{
	union control control = { 0 };
	struct iovec data = { .iov_base = reply, .iov_len = sizeof(*reply) };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)
	};
	ssize_t length;

	*descriptor = -1;
	do
		length = recvmsg(broker.fd, &message, MSG_CMSG_CLOEXEC);
	while (length < 0 && errno == EINTR);
	if (length < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (message.msg_controllen >= CMSG_LEN(sizeof(int)) && control.header.cmsg_type == SCM_RIGHTS)
		memcpy(descriptor, CMSG_DATA(&control.header), sizeof(*descriptor));
	return length == sizeof(*reply) ? 0 : -EPIPE;
}

static int ask(const struct request *request)
{
	struct reply reply;
	int descriptor, error;

	/* Requests to a broker that stands still pile up, and the next one must not wait for room. */
	if (send(broker.fd, request, sizeof(*request), MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(*request))
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	for (;;) {
		error = receive(&reply, &descriptor);
		if (error)
			return error;
		if (reply.sequence == request->sequence)
			break;
		if (descriptor >= 0)
			close(descriptor);
	}
	if (reply.result < 0 || request->object == DATAPATH_NEXT_LINK)
		return reply.result;
	return descriptor >= 0 ? descriptor : -EMFILE; /* the kernel drops a descriptor that has no room here */
}

/*
 * Finds an object through the broker: a datapath_find_fn. Returns -EPERM without a broker, as the kernel does to a
 * process without CAP_SYS_ADMIN.
 */
static int find(enum datapath_object object, uint32_t id)
{
	struct request request = { .object = object, .id = id };
	int result;

	pthread_mutex_lock(&broker.lock);
	request.sequence = ++broker.sequence;
	if (broker.fd < 0)
		result = -EPERM;
	else if (clock_ns() < broker.silent_until_ns)
		result = -ETIMEDOUT;
	else
		result = ask(&request);
	if (result == -ETIMEDOUT && clock_ns() >= broker.silent_until_ns)
		broker.silent_until_ns = clock_ns() + SILENCE_NS;
	pthread_mutex_unlock(&broker.lock);
	return result == -EPIPE || result == -ECONNRESET ? -EPERM : result;
}

static int start(void)
{
	struct timeval limit = { .tv_sec = ANSWER_SECONDS };
	pid_t daemon = getpid();
	struct reply ready;
	int pair[2], nothing;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	broker.pid = fork();
	if (!broker.pid)
		run(pair[1], daemon);
	close(pair[1]);
	broker.fd = pair[0];
	if (broker.pid < 0)
		return -errno;
	if (receive(&ready, &nothing))
		return -ECHILD;
	if (ready.result)
		return ready.result;
	return setsockopt(broker.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ? -errno : 0;
}

int broker_start(void)
{
	int error = start();

	if (error) {
		log_error("the process that finds BPF programs and maps could not be started: %s", strerror(-error));
		broker_stop();
		return error;
	}
	datapath_find_by(find);
	return 0;
}

static void ready(struct event_source *source, uint32_t events)
{
	(void)source;
	if (events & (EPOLLHUP | EPOLLERR))
		broker.ended(broker.context);
}

int broker_watch(struct event_loop *loop, void (*ended)(void *context), void *context)
{
	broker.ended = ended;
	broker.context = context;
	/* No event is needed: the loop always reports the end of the peer. */
	return event_loop_add(loop, &broker.source, broker.fd, 0, ready);
}

void broker_stop(void)
{
	datapath_find_by(NULL);
	if (broker.fd >= 0) {
		shutdown(broker.fd, SHUT_RDWR); /* also ends it for other processes that have inherited it */
		close(broker.fd);
	}
	broker.fd = -1;
	/* A broker that stands still does not notice: it dies with the daemon (PR_SET_PDEATHSIG). */
	for (int i = 0; broker.pid > 0 && i < STOP_MS && !waitpid(broker.pid, NULL, WNOHANG); i++)
		nanosleep(&(struct timespec){ .tv_nsec = NS_PER_MS }, NULL);
	broker.pid = 0;
}
