/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Epoll registrations of listening descriptors. A registration belongs to the file behind a descriptor. So whenever the
 * shim puts another file there, it has to register it again as the server did.
 *
 * Registrations after listen() are seen in epoll_ctl(). Earlier ones are read from /proc/self/fdinfo at listen(), so
 * that epoll_ctl() on other sockets need not be recorded.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libshakeoff/preload.h"

struct registration {
	int epoll_fd, fd;
	bool out; /* removed, to be restored */
	struct epoll_event event;
};

static struct registration *registrations;
static size_t registration_count, registration_size;

static struct registration *find(int epoll_fd, int fd)
{
	size_t i;

	for (i = 0; i < registration_count; i++)
		if (registrations[i].epoll_fd == epoll_fd && registrations[i].fd == fd)
			return &registrations[i];
	return NULL;
}

static void forget(size_t index)
{
	int epoll_fd = registrations[index].epoll_fd;
	size_t i;

	registrations[index] = registrations[--registration_count];
	for (i = 0; i < registration_count; i++)
		if (registrations[i].epoll_fd == epoll_fd)
			return;
	if (preload_fd(epoll_fd) == PRELOAD_FD_EPOLL)
		preload_set_fd(epoll_fd, PRELOAD_FD_OTHER);
}

static void remember(int epoll_fd, int fd, const struct epoll_event *event)
{
	struct registration *known = find(epoll_fd, fd);
	size_t size;

	if (!known && registration_count == registration_size) {
		size = registration_size ? 2 * registration_size : 16;
		known = realloc(registrations, size * sizeof(*registrations));
		if (!known)
			return;
		registrations = known;
		registration_size = size;
		known = NULL;
	}
	if (!known)
		known = &registrations[registration_count++];
	*known = (struct registration){ .epoll_fd = epoll_fd, .fd = fd, .event = *event };
	if (preload_fd(epoll_fd) == PRELOAD_FD_OTHER)
		preload_set_fd(epoll_fd, PRELOAD_FD_EPOLL);
}

static struct epoll_event allowed(const struct epoll_event *event, bool nested)
{
	struct epoll_event result = *event;

	if (nested)
		result.events &= ~(uint32_t)EPOLLEXCLUSIVE;
	return result;
}

int preload_epoll_ctl(struct preload_listener *listener, int epoll_fd, int op, int fd, struct epoll_event *event)
{
	bool nested = atomic_load(&listener->state) == PRELOAD_AWAY;
	struct registration *known;
	struct epoll_event given;
	int result;

	if (op == EPOLL_CTL_DEL || !event) {
		result = preload_real()->epoll_ctl(epoll_fd, op, fd, event);
		known = find(epoll_fd, fd);
		if (result == 0 && known)
			forget((size_t)(known - registrations));
		return result;
	}
	given = allowed(event, nested);
	result = preload_real()->epoll_ctl(epoll_fd, op, fd, &given);
	if (result == 0)
		remember(epoll_fd, fd, event);
	return result;
}

/* Reads the lines of an epoll instance's fdinfo: "tfd:  7 events: 19 data: 7  pos:0 ino:1f sdev:9". */
static void find_in_instance(int epoll_fd, int fd, ino_t inode)
{
	unsigned long long data;
	struct epoll_event event;
	unsigned long ino;
	unsigned int events;
	char path[64], line[256];
	FILE *file;
	int tfd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", epoll_fd);
	file = fopen(path, "re");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "tfd: %d events: %x data: %llx pos:%*d ino:%lx", &tfd, &events, &data, &ino) != 4)
			continue;
		if (tfd != fd || ino != inode)
			continue;
		event = (struct epoll_event){ .events = events, .data.u64 = data };
		remember(epoll_fd, fd, &event);
	}
	fclose(file);
}

void preload_epoll_find(int fd)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	struct stat status;
	char target[32];
	ssize_t length;

	if (!dir || fstat(fd, &status) < 0)
		goto out;
	while ((entry = readdir(dir))) {
		length = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		if (length < 0)
			continue;
		target[length] = '\0';
		if (strcmp(target, "anon_inode:[eventpoll]") == 0)
			find_in_instance(atoi(entry->d_name), fd, status.st_ino);
	}
out:
	if (dir)
		closedir(dir);
}

void preload_epoll_forget_fd(int fd)
{
	size_t i;

	for (i = registration_count; i-- > 0;)
		if (registrations[i].fd == fd)
			forget(i);
}

void preload_epoll_forget_instance(int epoll_fd)
{
	size_t i;

	for (i = registration_count; i-- > 0;)
		if (registrations[i].epoll_fd == epoll_fd)
			forget(i);
}

void preload_epoll_take_out(int fd)
{
	struct registration *known;
	int result;

	for (known = registrations; known < registrations + registration_count; known++) {
		if (known->fd != fd)
			continue;
		result = preload_real()->epoll_ctl(known->epoll_fd, EPOLL_CTL_DEL, fd, &known->event);
		/* ENOENT: another process that has shared the instance since a fork was faster. */
		known->out = result == 0 || errno == ENOENT;
	}
}

/* Restores the registrations of `fd`. A registration that could not be removed has gone with its epoll instance. */
void preload_epoll_put_back(int fd, bool nested)
{
	struct epoll_event event;
	size_t i;

	for (i = registration_count; i-- > 0;) {
		if (registrations[i].fd != fd)
			continue;
		event = allowed(&registrations[i].event, nested);
		if (!registrations[i].out ||
		    preload_real()->epoll_ctl(registrations[i].epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
			forget(i);
		else
			registrations[i].out = false;
	}
}
