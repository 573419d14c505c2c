/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Properties of a server's socket, and the service that has its address. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/time.h>

#include "libshakeoff/preload.h"

bool preload_int_option(int fd, int level, int name, int *value)
{
	socklen_t size = sizeof(*value);

	return preload_real()->getsockopt(fd, level, name, value, &size) == 0;
}

bool preload_is_tcp(int fd, int *family)
{
	int protocol;

	return preload_int_option(fd, SOL_SOCKET, SO_DOMAIN, family) && (*family == AF_INET || *family == AF_INET6) &&
	       preload_int_option(fd, SOL_SOCKET, SO_PROTOCOL, &protocol) && protocol == IPPROTO_TCP;
}

static bool is_v6only(int fd, int family)
{
	int v6only = 0;

	if (family == AF_INET6)
		preload_int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only);
	return v6only != 0;
}

uint32_t preload_listen_flags(int fd, int family)
{
	int v6only = 1;

	if (family == AF_INET6)
		preload_int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only);
	return v6only ? 0 : DELIVERY_FLAG_DUALSTACK;
}

int preload_find_service(int fd, char name[SHAKEOFF_NAME_LEN])
{
	struct sockaddr_storage bound;
	socklen_t size = sizeof(bound);

	if (preload_real()->getsockname(fd, (struct sockaddr *)&bound, &size) < 0)
		return -errno;
	return queue_find_service(preload_run_dir(), (const struct sockaddr *)&bound, is_v6only(fd, bound.ss_family),
				  name);
}

bool preload_is_served(int fd, const struct sockaddr *address)
{
	char name[SHAKEOFF_NAME_LEN];
	int family;

	return preload_is_tcp(fd, &family) &&
	       queue_find_service(preload_run_dir(), address, is_v6only(fd, family), name) == 0;
}

void preload_copy_timeout(int template_fd, int fd)
{
	struct timeval timeout;
	socklen_t size = sizeof(timeout);

	if (preload_real()->getsockopt(template_fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, &size) == 0)
		preload_real()->setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, size);
}
