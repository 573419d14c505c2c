/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "shakeoffd/queue/listening_socket.h"

/* from linux/socket.h, which conflicts with sys/socket.h */
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#define SOCK_RCVBUF_LOCK 2

static int socket_int(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) ? -1 : value;
}

static bool is_in_our_netns(int fd)
{
	struct stat theirs, ours;
	cleanup_fd int netns = ioctl(fd, SIOCGSKNS);

	if (netns < 0 || fstat(netns, &theirs) || stat("/proc/self/ns/net", &ours))
		return false;
	return theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

static bool is_loopback(const struct in6_addr *address)
{
	return IN6_IS_ADDR_LOOPBACK(address) || (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127);
}

/*
 * Returns whether it listens for the service: a socket on an address proves nothing for another address, and a socket
 * on loopback nothing for `*`.
 */
static bool listens_for(const struct config_service *service, const struct binding_key *key)
{
	for (size_t i = 0; i < service->listen_count; i++) {
		const struct config_listen *listen = &service->listen[i];

		if (listen->port != key->port)
			continue;
		if (key->any || (listen->family == AF_UNSPEC ? !is_loopback(&key->address) :
							       IN6_ARE_ADDR_EQUAL(&listen->address, &key->address)))
			return true;
	}
	return false;
}

static int default_receive_buffer(void)
{
	cleanup_file FILE *file = fopen("/proc/sys/net/ipv4/tcp_rmem", "re");
	int least, usual;

	return file && fscanf(file, "%d %d", &least, &usual) == 2 ? usual : 0;
}

/* Returns whether the buffer was set explicitly. Kernels before 5.14 do not report it. */
static bool is_buffer_set(int fd, int buffer)
{
	int locks = socket_int(fd, SO_BUF_LOCK);

	return locks < 0 ? buffer != default_receive_buffer() : locks & SOCK_RCVBUF_LOCK;
}

static int option_of(int fd, int level, int name)
{
	socklen_t size = sizeof(int);
	int value;

	return getsockopt(fd, level, name, &value, &size) ? -1 : value;
}

/* Returns an option of the socket; `unset` if it is the same as in a new socket. */
static int option_if_set(int fd, int fresh, int level, int name, int unset)
{
	int value = option_of(fd, level, name);

	return value < 0 || value == option_of(fresh, level, name) ? unset : value;
}

static void read_offer(int fd, struct shakeoff_socket_offer *offer)
{
	cleanup_fd int fresh = socket(option_of(fd, SOL_SOCKET, SO_DOMAIN), SOCK_STREAM | SOCK_CLOEXEC, 0);

	*offer = (struct shakeoff_socket_offer){ .hop_limit = { -1, -1 } };
	if (fresh < 0)
		return;
	offer->user_mss = (__u16)option_if_set(fd, fresh, IPPROTO_TCP, TCP_MAXSEG, 0);
	offer->window_clamp = (__u32)option_if_set(fd, fresh, IPPROTO_TCP, TCP_WINDOW_CLAMP, 0);
	offer->hop_limit[0] = (__s16)option_if_set(fd, fresh, IPPROTO_IP, IP_TTL, -1);
	offer->hop_limit[1] = (__s16)option_if_set(fd, fresh, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1);
	offer->tos[0] = (__u8)option_if_set(fd, fresh, IPPROTO_IP, IP_TOS, 0);
	offer->tos[1] = (__u8)option_if_set(fd, fresh, IPPROTO_IPV6, IPV6_TCLASS, 0);
	offer->min_ttl[0] = (__u8)option_if_set(fd, fresh, IPPROTO_IP, IP_MINTTL, 0);
	offer->min_ttl[1] = (__u8)option_if_set(fd, fresh, IPPROTO_IPV6, IPV6_MINHOPCOUNT, 0);
}

bool listening_socket_listens(int fd)
{
	return socket_int(fd, SO_PROTOCOL) == IPPROTO_TCP && socket_int(fd, SO_ACCEPTCONN) == 1;
}

/* Reads owner and inode. Only for sockets: for another file this might wait for a file system. */
static int read_owner(int fd, struct listening_socket *found)
{
	struct stat status;

	if (fstat(fd, &status))
		return -errno;
	found->owner = status.st_uid;
	found->inode = (uint32_t)status.st_ino;
	return 0;
}

/* Returns the bound device; 0: none. */
static uint32_t device_of(int fd)
{
	int device = socket_int(fd, SO_BINDTOIFINDEX);

	return device > 0 ? (uint32_t)device : 0;
}

int listening_socket_check(int fd, const struct config_service *service, uint32_t device,
			   struct listening_socket *socket)
{
	struct listening_socket found = { .buffer = socket_int(fd, SO_RCVBUF) };
	socklen_t size = sizeof(found.cookie);
	int error;

	if (!listening_socket_listens(fd) || !is_in_our_netns(fd) || binding_of_socket(fd, &found.key) ||
	    !listens_for(service, &found.key))
		return -EINVAL;
	found.device = device_of(fd);
	if (found.device && found.device != device)
		return -ENODEV;
	error = read_owner(fd, &found);
	if (error)
		return error;
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &found.cookie, &size))
		return -errno;
	read_offer(fd, &found.offer);
	if (is_buffer_set(fd, found.buffer))
		found.receive_buffer = found.buffer;
	found.offer.rcv_locked = found.receive_buffer != 0;
	*socket = found;
	return 0;
}

bool listening_socket_holds(int fd, const struct listening_socket *socket)
{
	struct binding_key key;

	return listening_socket_listens(fd) && !binding_of_socket(fd, &key) && binding_equal(&key, &socket->key) &&
	       device_of(fd) == socket->device && listening_socket_listens(fd);
}
