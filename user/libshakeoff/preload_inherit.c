/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds the listening sockets that the program inherited over exec, when it starts. */
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "libshakeoff/preload.h"

/*
 * Returns whether it is connected to the daemon's socket of this service. Compares only the file names, because the
 * daemon may have written the directory in another way.
 */
static bool leads_to(int fd, const char *service)
{
	struct sockaddr_un address = { 0 };
	socklen_t size = sizeof(address);
	char own[sizeof(address.sun_path)];

	return preload_real()->getpeername(fd, (struct sockaddr *)&address, &size) == 0 &&
	       queue_socket_path(preload_run_dir(), service, own, sizeof(own)) == 0 &&
	       strcmp(basename(own), basename(address.sun_path)) == 0;
}

/* Returns the template of a socket to the daemon, or -1 if it is no such socket. */
static int noted_template(int fd)
{
	int value, template_fd, family;
	char name[SHAKEOFF_NAME_LEN];

	if (!preload_int_option(fd, SOL_SOCKET, SO_DOMAIN, &value) || value != AF_UNIX ||
	    !preload_int_option(fd, SOL_SOCKET, SO_TYPE, &value) || value != SOCK_SEQPACKET ||
	    !preload_int_option(fd, SOL_SOCKET, SO_RCVLOWAT, &template_fd) || !preload_is_tcp(template_fd, &family) ||
	    !preload_int_option(template_fd, SOL_SOCKET, SO_ACCEPTCONN, &value) || !value)
		return -1;
	return preload_find_service(template_fd, name) == 0 && leads_to(fd, name) ? template_fd : -1;
}

static void inherit(int fd, int template_fd)
{
	struct preload_listener *listener = preload_listener_of_template(template_fd);
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);

	if (!listener) {
		listener = preload_unused_listener();
		if (!listener || template_fd >= PRELOAD_MAX_FD || !preload_is_tcp(template_fd, &listener->family))
			return;
		listener->flags = preload_listen_flags(template_fd, listener->family);
		listener->template_fd = template_fd;
		listener->watch = (struct queue_watch){ -1, -1 };
		/* For a listening socket this returns the backlog. */
		preload_real()->getsockopt(template_fd, IPPROTO_TCP, TCP_INFO, &info, &size);
		listener->backlog = (int)info.tcpi_sacked;
		preload_options_refresh(listener);
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
