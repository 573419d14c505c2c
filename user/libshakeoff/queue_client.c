/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "libshakeoff/queue_client.h"
#include <shakeoff/shakeoff.h>

#define SOCKET_SUFFIX ".sock"
#define SEND_TIMEOUT_MS 1000
#define WATCH_PERIOD_S 1

/*
 * Makes the system calls itself, because libshakeoff-preload.so, into which this file is linked, exports functions of
 * these names for the server, and the client's own descriptors do not belong to the server.
 */
static void client_close(int fd)
{
	syscall(SYS_close, fd);
}

static int client_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	return (int)syscall(SYS_getsockopt, fd, level, name, value, size);
}

static void client_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	syscall(SYS_setsockopt, fd, level, name, value, size);
}

static void client_ioctl(int fd, unsigned long request, const void *argument)
{
	syscall(SYS_ioctl, fd, request, argument);
}

const char *queue_run_dir(void)
{
	const char *run_dir = secure_getenv("SHAKEOFF_RUN_DIR");

	return run_dir && *run_dir ? run_dir : SHAKEOFF_RUN_DIR_DEFAULT;
}

/* Reads the name of a service from its link's target: ../NAME.sock */
static int read_link(const char *run_dir, const char *entry, char name[SHAKEOFF_NAME_LEN])
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *base;
	size_t length;
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/" DELIVERY_LISTEN_DIR "/%s", run_dir, entry) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	base = strrchr(target, '/');
	base = base ? base + 1 : target;
	length = strlen(base);
	if (length <= strlen(SOCKET_SUFFIX) || strcmp(base + length - strlen(SOCKET_SUFFIX), SOCKET_SUFFIX) != 0)
		return -ENOENT;
	length -= strlen(SOCKET_SUFFIX);
	if (length >= SHAKEOFF_NAME_LEN)
		return -ENOENT;
	memcpy(name, base, length);
	name[length] = '\0';
	return 0;
}

/* A bound address; mapped IPv4 is converted to IPv4. */
struct bound {
	int family;
	uint16_t port;
	bool any;
	bool narrow; /* loopback or link-local: `*` does not cover it */
	bool v6only;
	char text[INET6_ADDRSTRLEN];
};

static void read_bound4(struct bound *bound, struct in_addr address)
{
	uint32_t host = ntohl(address.s_addr);

	bound->family = AF_INET;
	bound->any = host == INADDR_ANY;
	bound->narrow = host >> 24 == 127 || host >> 16 == 0xa9fe;
	inet_ntop(AF_INET, &address, bound->text, sizeof(bound->text));
}

static int read_bound(struct bound *bound, const struct sockaddr *address, bool v6only)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
	struct in_addr mapped;

	*bound = (struct bound){ .v6only = v6only };
	switch (address->sa_family) {
	case AF_INET:
		bound->port = ntohs(in->sin_port);
		read_bound4(bound, in->sin_addr);
		break;
	case AF_INET6:
		bound->port = ntohs(in6->sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
			memcpy(&mapped, &in6->sin6_addr.s6_addr[12], sizeof(mapped));
			read_bound4(bound, mapped);
			break;
		}
		bound->family = AF_INET6;
		bound->any = IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
		bound->narrow = IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr);
		inet_ntop(AF_INET6, &in6->sin6_addr, bound->text, sizeof(bound->text));
		break;
	default: return -ENOENT;
	}
	return bound->port ? 0 : -ENOENT;
}

/* Returns whether a link's name, ADDRESS:PORT, is one that a wildcard socket takes connections for. */
static bool entry_matches(const struct bound *bound, const char *entry)
{
	const char *colon = strrchr(entry, ':');
	char port[16];

	if (!colon)
		return false;
	snprintf(port, sizeof(port), "%u", bound->port);
	if (strcmp(colon + 1, port) != 0)
		return false;
	if (bound->family == AF_INET)
		return entry[0] != '[';
	return entry[0] == '[' || !bound->v6only;
}

static int find_only_service(const char *run_dir, const struct bound *bound, char name[SHAKEOFF_NAME_LEN])
{
	char found[SHAKEOFF_NAME_LEN] = "", candidate[SHAKEOFF_NAME_LEN], path[PATH_MAX];
	const struct dirent *entry;
	int result = 0;
	DIR *dir;

	if (snprintf(path, sizeof(path), "%s/" DELIVERY_LISTEN_DIR, run_dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (result == 0 && (entry = readdir(dir))) {
		if (!entry_matches(bound, entry->d_name) || read_link(run_dir, entry->d_name, candidate))
			continue;
		if (*found && strcmp(found, candidate) != 0)
			result = -ENOTUNIQ;
		memcpy(found, candidate, sizeof(found));
	}
	closedir(dir);
	if (result)
		return result;
	if (!*found)
		return -ENOENT;
	memcpy(name, found, sizeof(found));
	return 0;
}

int queue_find_service(const char *run_dir, const struct sockaddr *bound_address, bool v6only,
		       char name[SHAKEOFF_NAME_LEN])
{
	char entry[INET6_ADDRSTRLEN + 16];
	struct bound bound;
	int result;

	result = read_bound(&bound, bound_address, v6only);
	if (result)
		return result;
	if (!bound.any) {
		snprintf(entry, sizeof(entry), bound.family == AF_INET6 ? "[%s]:%u" : "%s:%u", bound.text, bound.port);
		result = read_link(run_dir, entry, name);
		if (result != -ENOENT)
			return result;
	}
	if (bound.narrow)
		return -ENOENT;
	snprintf(entry, sizeof(entry), "*:%u", bound.port);
	result = read_link(run_dir, entry, name);
	if (result != -ENOENT || !bound.any)
		return result;
	return find_only_service(run_dir, &bound, name);
}

bool queue_any_service(const char *run_dir)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/" DELIVERY_LISTEN_DIR, run_dir) < (int)sizeof(path) &&
	       access(path, F_OK) == 0;
}

int queue_socket_path(const char *run_dir, const char *name, char *path, size_t size)
{
	return snprintf(path, size, "%s/%s" SOCKET_SUFFIX, run_dir, name) < (int)size ? 0 : -ENAMETOOLONG;
}

/*
 * Returns whether the peer is root or this process's user. The peer gets the server's listening socket and decides
 * which connections the server gets, so only root and the server's own user may be it.
 */
static bool is_root_or_own_user(int fd)
{
	struct ucred daemon;
	socklen_t size = sizeof(daemon);

	return client_getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &daemon, &size) == 0 &&
	       (daemon.uid == 0 || daemon.uid == geteuid());
}

int queue_connect(const char *run_dir, const char *name)
{
	/* A daemon that hangs must not hang the server; this also limits later sends. */
	const struct timeval timeout = { .tv_sec = SEND_TIMEOUT_MS / 1000 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, error;

	if (queue_socket_path(run_dir, name, address.sun_path, sizeof(address.sun_path)))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	client_setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		error = errno == EAGAIN ? ETIMEDOUT : errno;
		client_close(fd);
		return -error;
	}
	if (!is_root_or_own_user(fd)) {
		client_close(fd);
		return -EPERM;
	}
	return fd;
}

/* Room for one descriptor. */
union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static int send_message(int fd, const struct delivery_message *message, int passed_fd)
{
	struct iovec iov = { .iov_base = (void *)message, .iov_len = sizeof(*message) };
	struct pollfd writable = { .fd = fd, .events = POLLOUT };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control = { 0 };

	if (passed_fd >= 0) {
		header.msg_control = &control;
		header.msg_controllen = sizeof(control.bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &passed_fd, sizeof(int));
	}
	while (sendmsg(fd, &header, MSG_NOSIGNAL) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		if (poll(&writable, 1, SEND_TIMEOUT_MS) == 0)
			return -EAGAIN;
	}
	return 0;
}

static int send_id(int fd, enum delivery_type type, uint64_t id)
{
	const struct delivery_message message = { .version = DELIVERY_VERSION, .type = (uint16_t)type, .id = id };

	return send_message(fd, &message, -1);
}

static int send_listen(int fd, int backlog, uint32_t flags, int listening_fd)
{
	const struct delivery_message message = {
		.version = DELIVERY_VERSION,
		.type = DELIVERY_LISTEN,
		.flags = flags,
		.value = backlog,
	};

	return send_message(fd, &message, listening_fd);
}

static int received_fd(struct msghdr *header)
{
	const struct cmsghdr *control = CMSG_FIRSTHDR(header);
	int fd;

	if (!control || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS ||
	    control->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&fd, CMSG_DATA(control), sizeof(fd));
	return fd;
}

/*
 * Receives a message; *passed_fd is the descriptor that came with it, or -1. -EPIPE: the end.
 *
 * A daemon that was killed leaves ECONNRESET before the messages that it had already sent. Those connections exist
 * nowhere else, so the error is ignored and they are taken.
 */
static int receive_message(int fd, int recv_flags, struct delivery_message *message, int *passed_fd)
{
	struct iovec iov = { .iov_base = message, .iov_len = sizeof(*message) };
	union control control;
	struct msghdr header;
	ssize_t n;

	do {
		header = (struct msghdr){
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control.bytes),
		};
		n = recvmsg(fd, &header, recv_flags);
	} while (n < 0 && errno == ECONNRESET);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -EPIPE;
	*passed_fd = received_fd(&header);
	if (n == sizeof(*message) && message->version == DELIVERY_VERSION)
		return 0;
	if (*passed_fd >= 0)
		client_close(*passed_fd);
	return -EPROTO;
}

int64_t queue_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int wait_readable(int fd, int timeout_ms)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	int64_t end = queue_now_ms() + timeout_ms, remaining;
	int n;

	for (;;) {
		remaining = end - queue_now_ms();
		n = poll(&readable, 1, remaining > 0 ? (int)remaining : 0);
		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int queue_register(int fd, int backlog, uint32_t flags, int listening_fd, int timeout_ms)
{
	struct delivery_message answer;
	int passed_fd, result;

	result = send_listen(fd, backlog, flags, listening_fd);
	if (result == 0)
		result = wait_readable(fd, timeout_ms);
	if (result == 0)
		result = receive_message(fd, MSG_CMSG_CLOEXEC, &answer, &passed_fd);
	if (result)
		return result == -EPIPE ? -ECONNRESET : result;
	if (passed_fd >= 0)
		client_close(passed_fd);
	if (answer.type == DELIVERY_LISTENING)
		return 0;
	return answer.type == DELIVERY_REFUSED && answer.value > 0 ? -answer.value : -EPROTO;
}

int queue_set_backlog(int fd, int backlog, uint32_t flags)
{
	return send_listen(fd, backlog, flags, -1);
}

int queue_take(int fd, int flags, int recv_flags, struct delivery_message *message)
{
	int nonblocking = flags & SOCK_NONBLOCK ? 1 : 0;
	int result, connection = -1;

	if (flags & SOCK_CLOEXEC)
		recv_flags |= MSG_CMSG_CLOEXEC;
	for (;;) {
		result = receive_message(fd, recv_flags, message, &connection);
		if (result == -EPROTO)
			continue;
		if (result)
			return result;
		if (message->type == DELIVERY_CONNECTION)
			break;
		if (connection >= 0)
			client_close(connection);
		/* The daemon closes this socket, and takes back the other connections in it. */
		if (message->type == DELIVERY_REFUSED)
			return -EPIPE;
	}
	if (connection < 0) {
		send_id(fd, DELIVERY_RETURNED, message->id);
		return -EMFILE;
	}
	/*
	 * If the daemon has died meanwhile, no other process has this connection, so a failure to send this changes
	 * nothing.
	 */
	send_id(fd, DELIVERY_TAKEN, message->id);
	/* O_NONBLOCK belongs to the open file, so it is as the daemon left it. */
	client_ioctl(connection, FIONBIO, &nonblocking);
	return connection;
}

void queue_copy_peer(const struct delivery_message *message, int family, struct sockaddr *address, socklen_t *length)
{
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6, .sin6_port = message->peer.in.sin_port };
	const void *from = &message->peer;
	socklen_t size = sizeof(message->peer.in6);

	if (message->peer.sa.sa_family == AF_INET) {
		size = sizeof(message->peer.in);
		if (family == AF_INET6) {
			mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
			memcpy(&mapped.sin6_addr.s6_addr[12], &message->peer.in.sin_addr,
			       sizeof(message->peer.in.sin_addr));
			from = &mapped;
			size = sizeof(mapped);
		}
	}
	memcpy(address, from, *length < size ? *length : size);
	*length = size;
}

/* Adds the watches. Adding one again is harmless, and necessary if the directory was removed and made again. */
static void watch_directories(int inotify_fd, const char *run_dir)
{
	const uint32_t events = IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_ONLYDIR;
	char path[PATH_MAX];

	inotify_add_watch(inotify_fd, run_dir, events);
	if (snprintf(path, sizeof(path), "%s/" DELIVERY_LISTEN_DIR, run_dir) < (int)sizeof(path))
		inotify_add_watch(inotify_fd, path, events);
}

int queue_watch_open(struct queue_watch *watch, const char *run_dir)
{
	const struct itimerspec period = { .it_value.tv_sec = WATCH_PERIOD_S, .it_interval.tv_sec = WATCH_PERIOD_S };
	int inotify_fd, timer_fd, error;

	inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (inotify_fd < 0)
		return -errno;
	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (timer_fd < 0) {
		error = errno;
		client_close(inotify_fd);
		return -error;
	}
	timerfd_settime(timer_fd, 0, &period, NULL);
	watch_directories(inotify_fd, run_dir);
	*watch = (struct queue_watch){ .inotify_fd = inotify_fd, .timer_fd = timer_fd };
	return 0;
}

bool queue_watch_fired(const struct queue_watch *watch, const char *run_dir)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool fired = false;
	uint64_t expirations;

	while (read(watch->inotify_fd, events, sizeof(events)) > 0)
		fired = true;
	if (read(watch->timer_fd, &expirations, sizeof(expirations)) > 0) {
		fired = true;
		watch_directories(watch->inotify_fd, run_dir);
	}
	return fired;
}
