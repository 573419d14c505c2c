/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: user/libshakeoff/queue_client.c user/libshakeoff/libshakeoff.c */
/*
 * The public API, against a daemon of a few lines: a thread that answers LISTEN, and the test, which sends connections.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/delivery_protocol.h"
#include <shakeoff/shakeoff.h>

#define SOON_MS 20000
#define A_WHILE_MS 100

struct daemon {
	char run_dir[64], path[96];
	int listening, server; /* server: the last that registered */
	pthread_t thread;
	sem_t registered;
	struct delivery_message listen;
};

static void *answer_listen(void *argument)
{
	const struct delivery_message answer = { .version = DELIVERY_VERSION, .type = DELIVERY_LISTENING, .value = 5 };
	struct daemon *daemon = argument;
	int fd;

	while ((fd = accept(daemon->listening, NULL, NULL)) >= 0) {
		if (recv(fd, &daemon->listen, sizeof(daemon->listen), 0) != sizeof(daemon->listen)) {
			close(fd);
			continue;
		}
		daemon->server = fd;
		/*
		 * Only then may the test send a connection: before LISTEN has its reply, a server treats a connection
		 * as a broken protocol.
		 */
		if (send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) == sizeof(answer))
			sem_post(&daemon->registered);
	}
	return NULL;
}

static void start_daemon(struct daemon *daemon)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	unlink(daemon->path);
	daemon->server = -1;
	sem_init(&daemon->registered, 0, 0);
	daemon->listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	memcpy(address.sun_path, daemon->path, strlen(daemon->path) + 1);
	assert_int_equal(bind(daemon->listening, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(daemon->listening, 5), 0);
	assert_int_equal(pthread_create(&daemon->thread, NULL, answer_listen, daemon), 0);
}

/* Ends it as a kill does: the path of its socket stays. */
static void kill_daemon(struct daemon *daemon)
{
	shutdown(daemon->listening, SHUT_RDWR);
	pthread_join(daemon->thread, NULL);
	close(daemon->listening);
	if (daemon->server >= 0)
		close(daemon->server);
	sem_destroy(&daemon->registered);
}

static void wait_registered(struct daemon *daemon)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += SOON_MS / 1000;
	assert_int_equal(sem_timedwait(&daemon->registered, &end), 0);
}

static int setup(void **state)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	char path[96];

	strcpy(daemon->run_dir, "/tmp/shakeoff-unit.XXXXXX");
	if (!mkdtemp(daemon->run_dir))
		return -1;
	snprintf(path, sizeof(path), "%s/" DELIVERY_LISTEN_DIR, daemon->run_dir);
	if (mkdir(path, 0755) < 0)
		return -1;
	snprintf(daemon->path, sizeof(daemon->path), "%s/web.sock", daemon->run_dir);
	start_daemon(daemon);
	*state = daemon;
	return 0;
}

static int teardown(void **state)
{
	struct daemon *daemon = *state;
	char command[128];

	kill_daemon(daemon);
	snprintf(command, sizeof(command), "rm -rf %s", daemon->run_dir);
	free(daemon);
	return system(command);
}

static void send_connection(const struct daemon *daemon, uint64_t id)
{
	struct delivery_message message = {
		.version = DELIVERY_VERSION,
		.type = DELIVERY_CONNECTION,
		.id = id,
		.peer.in = { .sin_family = AF_INET,
			     .sin_port = htons((uint16_t)id),
			     .sin_addr.s_addr = htonl(0x0a090002) },
	};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = &message, .iov_len = sizeof(message) };
	struct msghdr header = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.bytes)
	};
	int connection = socket(AF_INET, SOCK_STREAM, 0);

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &connection, sizeof(int));
	assert_int_equal(sendmsg(daemon->server, &header, 0), sizeof(message));
	close(connection);
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

/* Accepts, and returns the number of the connection, from the peer's port. */
static int accepted(int fd)
{
	struct sockaddr_in peer = { 0 };
	socklen_t length = sizeof(peer);
	int connection = shakeoff_accept(fd, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);

	if (connection < 0)
		return -errno;
	close(connection);
	return ntohs(peer.sin_port);
}

static int listening(struct daemon *daemon)
{
	int fd = shakeoff_listen("web", 511, daemon->run_dir);

	assert_true(fd >= 0);
	wait_registered(daemon);
	return fd;
}

static void listen_registers_with_the_backlog(void **state)
{
	struct daemon *daemon = *state;
	int fd = listening(daemon);

	assert_int_equal(daemon->listen.type, DELIVERY_LISTEN);
	assert_int_equal(daemon->listen.value, 511);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(shakeoff_close(fd), 0);
}

static void errors_are_reported_by_errno(void **state)
{
	struct daemon *daemon = *state;

	assert_int_equal(shakeoff_listen("none", 5, daemon->run_dir), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(shakeoff_listen("web", 5, "/nonexistent"), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_int_equal(shakeoff_listen("../web", 5, daemon->run_dir), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(shakeoff_listen("", 5, daemon->run_dir), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(shakeoff_accept(0, NULL, NULL, 0), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(shakeoff_close(0), -1);
	assert_int_equal(errno, EBADF);
}

static void connections_come_in_order_with_their_peer(void **state)
{
	struct daemon *daemon = *state;
	int fd = listening(daemon);

	assert_false(readable(fd, A_WHILE_MS));
	send_connection(daemon, 1);
	send_connection(daemon, 2);
	assert_true(readable(fd, SOON_MS));
	assert_int_equal(accepted(fd), 1);
	assert_int_equal(accepted(fd), 2);
	assert_false(readable(fd, A_WHILE_MS));
	shakeoff_close(fd);
}

static void non_blocking_is_eagain(void **state)
{
	struct daemon *daemon = *state;
	int fd = listening(daemon);

	fcntl(fd, F_SETFL, O_NONBLOCK);
	assert_int_equal(accepted(fd), -EAGAIN);
	send_connection(daemon, 3);
	assert_true(readable(fd, SOON_MS));
	assert_int_equal(accepted(fd), 3);
	shakeoff_close(fd);
}

static void *send_later(void *daemon)
{
	usleep(A_WHILE_MS * 1000);
	send_connection(daemon, 4);
	return NULL;
}

static void blocking_waits(void **state)
{
	struct daemon *daemon = *state;
	int fd = listening(daemon);
	pthread_t thread;

	pthread_create(&thread, NULL, send_later, daemon);
	assert_int_equal(accepted(fd), 4);
	pthread_join(thread, NULL);
	shakeoff_close(fd);
}

static void edge_triggered_epoll_reports_each_arrival(void **state)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	struct daemon *daemon = *state;
	int fd = listening(daemon), epoll_fd = epoll_create1(0);

	fcntl(fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
	assert_int_equal(epoll_wait(epoll_fd, &event, 1, A_WHILE_MS), 0);
	send_connection(daemon, 5);
	assert_int_equal(epoll_wait(epoll_fd, &event, 1, SOON_MS), 1);
	assert_int_equal(epoll_wait(epoll_fd, &event, 1, A_WHILE_MS), 0);
	assert_int_equal(accepted(fd), 5);
	assert_int_equal(accepted(fd), -EAGAIN);
	send_connection(daemon, 6);
	assert_int_equal(epoll_wait(epoll_fd, &event, 1, SOON_MS), 1);
	assert_int_equal(accepted(fd), 6);
	close(epoll_fd);
	shakeoff_close(fd);
}

/* Runs a poll loop, as a server does, until the daemon has it registered again. */
static void serve_until_registered(struct daemon *daemon, int fd)
{
	int i;

	for (i = 0; i < 300 && sem_trywait(&daemon->registered); i++)
		if (readable(fd, A_WHILE_MS))
			assert_int_equal(accepted(fd), -EAGAIN);
	assert_true(i < 300);
}

static void the_descriptor_outlives_the_daemon(void **state)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct daemon *daemon = *state;
	int fd = listening(daemon), epoll_fd = epoll_create1(0);

	fcntl(fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
	kill_daemon(daemon);
	assert_true(readable(fd, SOON_MS));
	assert_int_equal(accepted(fd), -EAGAIN);
	assert_false(readable(fd, A_WHILE_MS)); /* it does not spin */
	start_daemon(daemon);
	serve_until_registered(daemon, fd);
	assert_int_equal(daemon->listen.value, 511);
	send_connection(daemon, 7);
	assert_int_equal(epoll_wait(epoll_fd, &event, 1, SOON_MS), 1);
	assert_int_equal(accepted(fd), 7);
	close(epoll_fd);
	shakeoff_close(fd);
}

static void *restart_later(void *argument)
{
	struct daemon *daemon = argument;

	usleep(A_WHILE_MS * 1000);
	kill_daemon(daemon);
	usleep(A_WHILE_MS * 1000);
	start_daemon(daemon);
	wait_registered(daemon);
	send_connection(daemon, 8);
	return NULL;
}

static void a_blocking_accept_outlives_the_daemon(void **state)
{
	struct daemon *daemon = *state;
	int fd = listening(daemon);
	pthread_t thread;

	pthread_create(&thread, NULL, restart_later, daemon);
	assert_int_equal(accepted(fd), 8);
	pthread_join(thread, NULL);
	shakeoff_close(fd);
}

static void connections_sent_by_a_killed_daemon_are_not_lost(void **state)
{
	struct daemon *daemon = *state;
	int fd = listening(daemon);

	send_connection(daemon, 9);
	kill_daemon(daemon);
	start_daemon(daemon);
	assert_int_equal(accepted(fd), 9);
	shakeoff_close(fd);
}

static void a_child_serves_beside_its_parent(void **state)
{
	struct daemon *daemon = *state;
	int fd = listening(daemon), status;
	pid_t child;

	child = fork();
	if (child == 0)
		_exit(readable(fd, SOON_MS) && accepted(fd) == 10 ? 0 : 1);
	send_connection(daemon, 10);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	send_connection(daemon, 11);
	assert_true(readable(fd, SOON_MS));
	assert_int_equal(accepted(fd), 11);
	shakeoff_close(fd);
}

#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(listen_registers_with_the_backlog),
		test(errors_are_reported_by_errno),
		test(connections_come_in_order_with_their_peer),
		test(non_blocking_is_eagain),
		test(blocking_waits),
		test(edge_triggered_epoll_reports_each_arrival),
		test(the_descriptor_outlives_the_daemon),
		test(a_blocking_accept_outlives_the_daemon),
		test(connections_sent_by_a_killed_daemon_are_not_lost),
		test(a_child_serves_beside_its_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
