/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Both ends of the connections of preload_probe. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "preload_probe.h"

union address own, target;
int client_netns = -1, own_netns = -1;
const char *label = "probe";
int failures;

void report(bool good, const char *what)
{
	printf("%s - %s: %s\n", good ? "ok" : "not ok", label, what);
	fflush(stdout);
	failures += !good;
}

void give_up(const char *what)
{
	printf("not ok - %s: %s: %s\n", label, what, strerror(errno));
	exit(1);
}

socklen_t size_of(const union address *address)
{
	return address->sa.sa_family == AF_INET ? sizeof(address->in) : sizeof(address->in6);
}

bool parse(const char *text, uint16_t port, union address *address)
{
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, &address->in.sin_addr) == 1) {
		address->sa.sa_family = AF_INET;
		address->in.sin_port = htons(port);
		return true;
	}
	address->sa.sa_family = AF_INET6;
	address->in6.sin6_port = htons(port);
	return inet_pton(AF_INET6, text, &address->in6.sin6_addr) == 1;
}

int bound_socket(int type, bool reuseport)
{
	int fd = socket(own.sa.sa_family, SOCK_STREAM | type, 0), on = 1;

	if (fd < 0)
		give_up("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (reuseport)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, &own.sa, size_of(&own)) < 0)
		give_up("bind");
	return fd;
}

int listener(int type)
{
	int fd = bound_socket(type, false);

	if (listen(fd, 128) < 0)
		give_up("listen");
	return fd;
}

int client(void)
{
	int fd;

	if (client_netns >= 0 && setns(client_netns, CLONE_NEWNET) < 0)
		give_up("setns");
	fd = socket(target.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client_netns >= 0 && setns(own_netns, CLONE_NEWNET) < 0)
		give_up("setns");
	if (fd < 0 || connect(fd, &target.sa, size_of(&target)) < 0)
		give_up("connect");
	return fd;
}

bool readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1 && poll_fd.revents & POLLIN;
}

int accept_soon(int fd)
{
	return readable(fd, SOON_MS) ? accept(fd, NULL, NULL) : -1;
}

bool talk(int ours, int theirs)
{
	char there[6] = "", back[6] = "";
	bool good;

	good = ours >= 0 && send(theirs, "hello", 6, 0) == 6 && readable(ours, SOON_MS) &&
	       recv(ours, there, 6, 0) == 6 && send(ours, "world", 6, 0) == 6 && readable(theirs, SOON_MS) &&
	       recv(theirs, back, 6, 0) == 6 && !strcmp(there, "hello") && !strcmp(back, "world");
	if (ours >= 0)
		close(ours);
	close(theirs);
	return good;
}

bool serves(int fd)
{
	int theirs = client();

	return talk(accept_soon(fd), theirs);
}

int int_option(int fd, int level, int name)
{
	socklen_t size = sizeof(int);
	int value = -1;

	return getsockopt(fd, level, name, &value, &size) < 0 ? -1 : value;
}

bool same(const union address *one, const union address *other)
{
	if (one->sa.sa_family != other->sa.sa_family)
		return false;
	if (one->sa.sa_family == AF_INET)
		return one->in.sin_port == other->in.sin_port && one->in.sin_addr.s_addr == other->in.sin_addr.s_addr;
	return one->in6.sin6_port == other->in6.sin6_port &&
	       memcmp(&one->in6.sin6_addr, &other->in6.sin6_addr, sizeof(struct in6_addr)) == 0;
}

bool event_comes(int epoll_fd, uint64_t data, int timeout_ms)
{
	struct epoll_event event;

	return epoll_wait(epoll_fd, &event, 1, timeout_ms) == 1 && event.events & EPOLLIN && event.data.u64 == data;
}
