/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The checks of preload_probe with duplicates of its listening socket, processes, threads and other programs. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preload_probe.h"

void examine_duplicates(void)
{
	int fd = listener(0), copy, other;

	copy = dup(fd);
	close(fd);
	report(serves(copy), "a duplicate serves on when the first descriptor is closed");
	fd = fcntl(copy, F_DUPFD_CLOEXEC, 50);
	report(fd >= 50 && fcntl(fd, F_GETFD) & FD_CLOEXEC && serves(fd), "F_DUPFD_CLOEXEC of it serves");
	close(copy);
	other = open("/dev/null", O_RDONLY | O_CLOEXEC);
	report(dup2(fd, other) == other && serves(other), "dup2 over an open descriptor serves");
	close(fd);
	copy = dup3(other, 60, O_CLOEXEC);
	close(other);
	report(copy == 60 && int_option(copy, SOL_SOCKET, SO_ACCEPTCONN) == 1 && serves(copy), "dup3 serves");
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	dup2(fd, copy);
	report(accept(copy, NULL, NULL) < 0 && errno == ENOTSOCK, "overwritten by dup2 it is what was put there");
	close(copy);
	close(fd);
}

#define FORK_WORKERS 3
#define FORK_CLIENTS 30

static void fork_worker(int fd)
{
	int connection;
	char byte;

	alarm(60);
	for (;;) {
		connection = accept(fd, NULL, NULL);
		if (connection >= 0 && recv(connection, &byte, 1, 0) == 1)
			send(connection, &byte, 1, 0);
		close(connection);
	}
}

static int answered(int count)
{
	int fds[FORK_CLIENTS], i, good = 0;
	char byte = 'x';

	for (i = 0; i < count; i++) {
		fds[i] = client();
		send(fds[i], &byte, 1, 0);
	}
	for (i = 0; i < count; i++) {
		good += readable(fds[i], SOON_MS) && recv(fds[i], &byte, 1, 0) == 1;
		close(fds[i]);
	}
	return good;
}

void examine_fork(void)
{
	pid_t workers[FORK_WORKERS];
	int fd = listener(0), i;

	for (i = 0; i < FORK_WORKERS; i++) {
		workers[i] = fork();
		if (workers[i] == 0)
			fork_worker(fd);
	}
	close(fd);
	report(answered(FORK_CLIENTS) == FORK_CLIENTS, "forked workers share the queue; the parent has closed it");
	kill(workers[0], SIGKILL);
	waitpid(workers[0], NULL, 0);
	report(answered(FORK_CLIENTS) == FORK_CLIENTS, "when one is killed the others serve on");
	for (i = 1; i < FORK_WORKERS; i++) {
		kill(workers[i], SIGKILL);
		waitpid(workers[i], NULL, 0);
	}
}

static void *thread_worker(void *argument)
{
	int connection;
	char byte;

	while ((connection = accept(*(const int *)argument, NULL, NULL)) >= 0) {
		if (recv(connection, &byte, 1, 0) == 1)
			send(connection, &byte, 1, 0);
		close(connection);
	}
	return (void *)(intptr_t)errno;
}

void examine_threads(void)
{
	pthread_t threads[4];
	int fd = listener(0), i, ended = 0;
	void *result;

	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, thread_worker, &fd);
	report(answered(FORK_CLIENTS) == FORK_CLIENTS, "threads share the queue");
	usleep(A_WHILE_MS * 1000);
	report(shutdown(fd, SHUT_RDWR) == 0, "shutdown of a listening socket");
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], &result);
		ended += (intptr_t)result == EINVAL;
	}
	report(ended == 4, "ends every accept that waits: EINVAL");
	report(accept(fd, NULL, NULL) < 0 && errno == EINVAL, "and each that comes later");
	report(int_option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 0, "SO_ACCEPTCONN is 0 then");
	report(listen(fd, 10) == 0 && serves(fd), "listen makes it serve again");
	close(fd);
}

void examine_descriptor_limit(void)
{
	int fd = listener(0), theirs = client(), filler[64], count = 0, connection;
	struct rlimit old, low;

	readable(fd, SOON_MS);
	getrlimit(RLIMIT_NOFILE, &old);
	low = (struct rlimit){ .rlim_cur = (rlim_t)theirs + 10, .rlim_max = old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &low);
	while (count < 64 && (filler[count] = dup(STDOUT_FILENO)) >= 0)
		count++;
	report(accept(fd, NULL, NULL) < 0 && errno == EMFILE, "at the descriptor limit accept fails: EMFILE");
	while (count)
		close(filler[--count]);
	report(readable(fd, SOON_MS), "the connection waits on");
	connection = accept(fd, NULL, NULL);
	report(talk(connection, theirs), "and is taken when there is room again");
	setrlimit(RLIMIT_NOFILE, &old);
	close(fd);
}

void examine_close_everything(void)
{
	int fd = listener(0), epoll_fd = epoll_create1(0), i;
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 5 };
	int theirs, status;
	pid_t child;

	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
	child = fork();
	if (child == 0) {
		alarm(60);
		for (i = 3; i < 20000; i++)
			if (i != fd && i != client_netns && i != own_netns)
				close(i);
		epoll_fd = epoll_create1(0);
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
		theirs = client();
		_exit(event_comes(epoll_fd, 5, SOON_MS) && talk(accept(fd, NULL, NULL), theirs) &&
				      int_option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1 ?
			      0 :
			      1);
	}
	waitpid(child, &status, 0);
	report(status == 0, "a child that closes every other descriptor, one by one, serves");
	child = fork();
	if (child == 0) {
		alarm(60);
		i = fd > own_netns ? fd : own_netns;
		if (i < client_netns)
			i = client_netns;
		close_range((unsigned int)i + 1, ~0U, 0);
		_exit(serves(fd) && int_option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1 ? 0 : 1);
	}
	waitpid(child, &status, 0);
	report(status == 0, "one that closes them with close_range, too");
	/* NOLINTBEGIN(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork): what is examined */
	child = vfork();
	if (child == 0) {
		close(fd);
		_exit(0);
	}
	/* NOLINTEND(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork) */
	waitpid(child, &status, 0);
	report(serves(fd), "what a child closes between vfork and exec stays open here");
	close(epoll_fd);
	close_range((unsigned int)fd, (unsigned int)fd, 0);
	report(accept(fd, NULL, NULL) < 0 && errno == EBADF, "close_range closes a listening socket");
}

int serve_inherited(int fd)
{
	union address address = { 0 };
	socklen_t size = sizeof(address);
	int theirs;

	alarm(60);
	if (getsockname(fd, &address.sa, &size) < 0 || !same(&address, &own) ||
	    int_option(fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)
		return 1;
	theirs = client();
	return talk(accept_soon(fd), theirs) ? 0 : 1;
}

void examine_exec(char **argv)
{
	int fd = listener(0), status, count = 0;
	char *arguments[32], number[16];
	pid_t child;

	while (argv[count] && count < 28) {
		arguments[count] = argv[count];
		count++;
	}
	snprintf(number, sizeof(number), "%d", fd);
	arguments[count++] = "--inherited";
	arguments[count++] = number;
	arguments[count] = NULL;
	child = fork();
	if (child == 0) {
		execv("/proc/self/exe", arguments);
		_exit(1);
	}
	waitpid(child, &status, 0);
	report(status == 0, "a program that inherits it over exec serves");
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	child = fork();
	if (child == 0) {
		execv("/proc/self/exe", arguments);
		_exit(1);
	}
	waitpid(child, &status, 0);
	report(status != 0, "close-on-exec set later: it is not inherited");
	ioctl(fd, FIONCLEX);
	child = fork();
	if (child == 0) {
		execv("/proc/self/exe", arguments);
		_exit(1);
	}
	waitpid(child, &status, 0);
	report(status == 0, "close-on-exec taken back with ioctl: it is inherited");
	ioctl(fd, FIOCLEX);
	snprintf(number, sizeof(number), "%d", fd + 100);
	child = fork();
	if (child == 0) {
		dup2(fd, fd + 100);
		execv("/proc/self/exe", arguments);
		_exit(1);
	}
	waitpid(child, &status, 0);
	report(status == 0, "a duplicate that has no close-on-exec is inherited");
	report(serves(fd), "and serves on here");
	close(fd);
	report(serves(fd = listener(0)), "no program has kept the address");
	close(fd);
}
