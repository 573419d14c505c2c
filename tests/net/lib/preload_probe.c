/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/net/lib/preload_ends.c tests/net/lib/preload_processes.c */
/*
 * An unmodified server that examines its own listening sockets: checks what must hold for those of the kernel, and with
 * the preload also for those of the daemon. It knows nothing of shakeoff, except that --queue makes it check, with
 * direct system calls, that its listening sockets have really been replaced.
 *
 *	preload_probe ADDRESS PORT [--connect ADDRESS] [--netns PATH] [--queue] [--label TEXT]
 *
 * --connect: where its clients connect to (a wildcard ADDRESS needs it); --netns: the network namespace of its clients.
 * Prints "ok - ..." and "not ok - ...", with the label before the text.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preload_probe.h"

static bool queue;

/* Returns the domain that the kernel reports for a descriptor, with or without the preload. */
static int domain_behind(int fd)
{
	union address address = { 0 };
	socklen_t size = sizeof(address);

	return syscall(SYS_getsockname, fd, &address, &size) < 0 ? -1 : address.sa.sa_family;
}

static void examine_replacement(void)
{
	int fd = listener(0), other = socket(AF_INET, SOCK_STREAM, 0);
	union address elsewhere = { .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };

	report(domain_behind(fd) == (queue ? AF_UNIX : own.sa.sa_family),
	       queue ? "the listening socket is the daemon's queue" : "the listening socket is the kernel's");
	report(bind(other, &elsewhere.sa, sizeof(elsewhere.in)) == 0 && listen(other, 5) == 0 &&
		       domain_behind(other) == AF_INET,
	       "a listening socket on another port is the kernel's");
	close(other);
	close(fd);
}

static void examine_names(void)
{
	union address address = { 0 };
	socklen_t size = sizeof(address);
	int fd = listener(0);

	report(getsockname(fd, &address.sa, &size) == 0 && size == size_of(&own) && same(&address, &own),
	       "getsockname is the address that was bound");
	size = sizeof(address);
	report(getpeername(fd, &address.sa, &size) < 0 && errno == ENOTCONN, "getpeername: ENOTCONN");
	report(int_option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1, "SO_ACCEPTCONN is 1");
	report(int_option(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM, "SO_TYPE is SOCK_STREAM");
	report(int_option(fd, SOL_SOCKET, SO_DOMAIN) == own.sa.sa_family, "SO_DOMAIN is that of the address");
	report(int_option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP, "SO_PROTOCOL is TCP");
	report(int_option(fd, SOL_SOCKET, SO_REUSEADDR) == 1, "SO_REUSEADDR is what was set");
	close(fd);
}

static void examine_accept(void)
{
	union address ours = { 0 }, theirs = { 0 }, wanted;
	socklen_t size = sizeof(ours), their_size = sizeof(theirs);
	int fd = listener(0), client_fd = client(), connection;

	report(readable(fd, SOON_MS), "poll: readable when a connection waits");
	connection = accept(fd, &ours.sa, &size);
	getsockname(client_fd, &theirs.sa, &their_size);
	wanted = theirs;
	if (own.sa.sa_family == AF_INET6 && theirs.sa.sa_family == AF_INET) {
		wanted = (union address){ .in6 = { .sin6_family = AF_INET6, .sin6_port = theirs.in.sin_port } };
		memset(&wanted.in6.sin6_addr.s6_addr[10], 0xff, 2);
		memcpy(&wanted.in6.sin6_addr.s6_addr[12], &theirs.in.sin_addr, 4);
	}
	report(connection >= 0 && size == size_of(&wanted) && same(&ours, &wanted), "accept gives the client's name");
	size = sizeof(ours);
	report(getpeername(connection, &ours.sa, &size) == 0 && same(&ours, &wanted), "getpeername of it, too");
	size = sizeof(ours);
	report(getsockname(connection, &ours.sa, &size) == 0 && ours.sa.sa_family == own.sa.sa_family,
	       "getsockname of it is of the listener's family");
	report(talk(connection, client_fd), "both ends understand each other");
	report(!readable(fd, A_WHILE_MS), "not readable when none waits");

	client_fd = client();
	size = 4;
	memset(&ours, 0x55, sizeof(ours));
	readable(fd, SOON_MS);
	connection = accept(fd, &ours.sa, &size);
	report(size == size_of(&own) && ((unsigned char *)&ours)[3] != 0x55 && ((unsigned char *)&ours)[4] == 0x55,
	       "a name longer than its room is cut off, and its length told");
	talk(connection, client_fd);
	close(fd);
}

static void examine_flags(void)
{
	static const int accept_flags[] = { 0, SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC };
	static const char *const names[] = { "no flags", "SOCK_NONBLOCK", "SOCK_CLOEXEC", "both flags" };
	int fd = listener(0), client_fd, connection, status, flags, i;
	char what[100];

	for (i = 0; i < 4; i++) {
		client_fd = client();
		readable(fd, SOON_MS);
		connection = accept4(fd, NULL, NULL, accept_flags[i]);
		status = fcntl(connection, F_GETFL);
		flags = fcntl(connection, F_GETFD);
		snprintf(what, sizeof(what), "accept4 with %s gives a descriptor with just these", names[i]);
		report(connection >= 0 && !!(status & O_NONBLOCK) == !!(accept_flags[i] & SOCK_NONBLOCK) &&
			       !!(flags & FD_CLOEXEC) == !!(accept_flags[i] & SOCK_CLOEXEC),
		       what);
		close(connection);
		close(client_fd);
	}
	report(accept4(fd, NULL, NULL, 1 << 30) < 0 && errno == EINVAL, "accept4 with an unknown flag: EINVAL");
	close(fd);

	fd = listener(SOCK_NONBLOCK | SOCK_CLOEXEC);
	report(fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) & FD_CLOEXEC,
	       "a listening socket stays non-blocking and close-on-exec");
	report(accept(fd, NULL, NULL) < 0 && errno == EAGAIN, "non-blocking: EAGAIN when none waits");
	fcntl(fd, F_SETFL, 0);
	fcntl(fd, F_SETFD, 0);
	report(!(fcntl(fd, F_GETFL) & O_NONBLOCK) && !fcntl(fd, F_GETFD) && serves(fd),
	       "and becomes neither with fcntl");
	close(fd);

	fd = bound_socket(0, false);
	listen(fd, 5);
	report(!(fcntl(fd, F_GETFL) & O_NONBLOCK) && !fcntl(fd, F_GETFD), "a blocking, inheritable one stays so");
	close(fd);
}

static void on_signal(int number)
{
	(void)number;
}

static void examine_blocking(void)
{
	const struct itimerval soon = { .it_value.tv_usec = A_WHILE_MS * 1000 };
	struct timeval timeout = { .tv_usec = A_WHILE_MS * 1000 };
	struct sigaction action = { .sa_handler = on_signal };
	int fd = listener(0), connection, client_fd;
	pid_t child;

	child = fork();
	if (child == 0) {
		usleep(A_WHILE_MS * 1000);
		client_fd = client();
		_exit(readable(client_fd, SOON_MS) ? 0 : 1);
	}
	connection = accept(fd, NULL, NULL);
	report(connection >= 0, "a blocking accept waits for a connection");
	close(connection);
	waitpid(child, NULL, 0);

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	report(accept(fd, NULL, NULL) < 0 && errno == EINTR, "a signal interrupts it: EINTR");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	report(accept(fd, NULL, NULL) < 0 && errno == EAGAIN, "SO_RCVTIMEO of the listening socket ends it: EAGAIN");
	close(fd);
}

static bool select_readable(int fd, int timeout_ms)
{
	struct timeval timeout = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, &timeout) == 1 && FD_ISSET(fd, &set);
}

static void examine_epoll(const char *name, uint32_t events, bool before_listen)
{
	struct epoll_event event = { .events = EPOLLIN | events, .data.u64 = 0x1122334455667788 };
	int fd = bound_socket(SOCK_NONBLOCK, false), epoll_fd = epoll_create1(0), first, second, connection;
	bool again;
	char what[160];

	if (before_listen)
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
	listen(fd, 128);
	if (!before_listen)
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
	else
		event_comes(epoll_fd, 0, 0); /* a socket that does not listen yet reports EPOLLHUP */

	snprintf(what, sizeof(what), "epoll %s: no event without a connection", name);
	report(!event_comes(epoll_fd, event.data.u64, A_WHILE_MS), what);
	first = client();
	snprintf(what, sizeof(what), "epoll %s: an event with the data given", name);
	report(event_comes(epoll_fd, event.data.u64, SOON_MS), what);
	again = event_comes(epoll_fd, event.data.u64, A_WHILE_MS);
	snprintf(what, sizeof(what), "epoll %s: %s", name,
		 events & (EPOLLET | EPOLLONESHOT) ? "not told again" : "told again until it is taken");
	report(again == !(events & (EPOLLET | EPOLLONESHOT)), what);
	connection = accept(fd, NULL, NULL);
	talk(connection, first);
	if (events & EPOLLONESHOT)
		epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event);
	report(accept(fd, NULL, NULL) < 0 && errno == EAGAIN, "accept until EAGAIN");
	second = client();
	snprintf(what, sizeof(what), "epoll %s: an event for the next connection", name);
	report(event_comes(epoll_fd, event.data.u64, SOON_MS) && talk(accept(fd, NULL, NULL), second), what);

	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	second = client();
	snprintf(what, sizeof(what), "epoll %s: none after EPOLL_CTL_DEL", name);
	report(!event_comes(epoll_fd, event.data.u64, A_WHILE_MS), what);
	talk(accept_soon(fd), second);
	close(epoll_fd);
	close(fd);
}

static void examine_readiness(void)
{
	int fd = listener(0), theirs;

	report(!select_readable(fd, A_WHILE_MS), "select: not readable when none waits");
	theirs = client();
	report(select_readable(fd, SOON_MS) && talk(accept(fd, NULL, NULL), theirs), "select: readable when one waits");
	close(fd);
	examine_epoll("level-triggered", 0, false);
	examine_epoll("edge-triggered", EPOLLET, false);
	examine_epoll("EPOLLEXCLUSIVE", EPOLLEXCLUSIVE, false);
	examine_epoll("one-shot", EPOLLONESHOT, false);
	examine_epoll("level-triggered, before listen", 0, true);
	examine_epoll("edge-triggered, before listen", EPOLLET, true);
	examine_epoll("EPOLLEXCLUSIVE, before listen", EPOLLEXCLUSIVE, true);
}

struct option_value {
	const char *text;
	int level, name, value;
};

static const struct option_value set_before[] = {
	{ "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1 },
	{ "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 33 },
	{ "TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 7 },
	{ "SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 50000 },
	{ "SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 60000 },
	{ "SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 3 },
	{ "IP_TOS", IPPROTO_IP, IP_TOS, 0x10 },
	{ "SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, 1 },
};

static const struct option_value set_after[] = {
	{ "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1 },
	{ "TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 4 },
	{ "TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 12345 },
	{ "TCP_NOTSENT_LOWAT", IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384 },
	{ "SO_MARK", SOL_SOCKET, SO_MARK, 5 },
	{ "SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, 1 },
	{ "IP_TTL", IPPROTO_IP, IP_TTL, 33 },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void set_options(int fd, const struct option_value *options, size_t count)
{
	for (; count; count--, options++)
		setsockopt(fd, options->level, options->name, &options->value, sizeof(options->value));
}

static void compare_options(int fd, int connection, const struct option_value *options, size_t count, const char *when)
{
	char what[128];
	int listening, accepted;

	for (; count; count--, options++) {
		listening = int_option(fd, options->level, options->name);
		accepted = int_option(connection, options->level, options->name);
		snprintf(what, sizeof(what), "%s, set %s listen, is on the accepted socket (%d, %d)", options->text,
			 when, listening, accepted);
		report(listening >= options->value && listening == accepted, what);
	}
}

static void examine_options(void)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 7 };
	const struct timeval timeout = { .tv_sec = 9 };
	int fd = bound_socket(0, false), theirs, connection;
	struct linger linger_got = { 0 };
	struct timeval timeout_got = { 0 };
	char congestion[16] = "";
	socklen_t size;

	set_options(fd, set_before, COUNT(set_before));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
	listen(fd, 128);
	set_options(fd, set_after, COUNT(set_after));
	theirs = client();
	connection = accept_soon(fd);
	compare_options(fd, connection, set_before, COUNT(set_before), "before");
	compare_options(fd, connection, set_after, COUNT(set_after), "after");
	size = sizeof(linger_got);
	getsockopt(connection, SOL_SOCKET, SO_LINGER, &linger_got, &size);
	report(linger_got.l_onoff && linger_got.l_linger == 7, "SO_LINGER is on the accepted socket");
	size = sizeof(timeout_got);
	getsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &timeout_got, &size);
	report(timeout_got.tv_sec == 9, "SO_SNDTIMEO is on the accepted socket");
	size = sizeof(congestion);
	getsockopt(connection, IPPROTO_TCP, TCP_CONGESTION, congestion, &size);
	report(!strcmp(congestion, "reno"), "TCP_CONGESTION is on the accepted socket");
	close(connection);
	close(theirs);
	close(fd);

	fd = listener(0);
	theirs = client();
	connection = accept_soon(fd);
	report(int_option(connection, SOL_SOCKET, SO_KEEPALIVE) == 0 &&
		       int_option(connection, IPPROTO_TCP, TCP_NODELAY) == 0 &&
		       int_option(connection, IPPROTO_TCP, TCP_KEEPIDLE) != 33,
	       "what was not set is not on the accepted socket");
	close(connection);
	close(theirs);
	close(fd);
}

static void examine_listen_again(void)
{
	int fd = listener(0);

	report(listen(fd, 7) == 0 && listen(fd, 300) == 0, "a second listen is good");
	report(serves(fd), "and it serves on");
	close(fd);
}

static void examine_restart(void)
{
	int fd, i, good = 0;

	for (i = 0; i < 20; i++) {
		fd = listener(0);
		good += serves(fd);
		close(fd);
	}
	report(good == 20, "closed and opened again at once, 20 times");
}

static void examine_reuseport(void)
{
	int one = bound_socket(SOCK_NONBLOCK, true), two = bound_socket(SOCK_NONBLOCK, true);
	struct pollfd fds[2] = { { .fd = one, .events = POLLIN }, { .fd = two, .events = POLLIN } };
	int theirs, i, good = 0;

	report(listen(one, 64) == 0 && listen(two, 64) == 0, "SO_REUSEPORT: two sockets listen on one address");
	report(int_option(two, SOL_SOCKET, SO_REUSEPORT) == 1, "SO_REUSEPORT is what was set");
	for (i = 0; i < 20; i++) {
		theirs = client();
		if (poll(fds, 2, SOON_MS) < 1) {
			close(theirs);
			continue;
		}
		good += talk(accept(fds[0].revents ? one : two, NULL, NULL), theirs);
	}
	report(good == 20, "each connection comes to one of them");
	close(one);
	theirs = client();
	report(talk(accept_soon(two), theirs), "when one is closed the other serves on");
	close(two);
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "connect", required_argument, NULL, 'c' },   { "netns", required_argument, NULL, 'n' },
		{ "inherited", required_argument, NULL, 'i' }, { "label", required_argument, NULL, 'l' },
		{ "queue", no_argument, NULL, 'q' },           { 0 },
	};
	const char *connect_to = NULL, *netns = NULL;
	int option, inherited = -1;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 'c')
			connect_to = optarg;
		else if (option == 'n')
			netns = optarg;
		else if (option == 'i')
			inherited = atoi(optarg);
		else if (option == 'l')
			label = optarg;
		else if (option == 'q')
			queue = true;
		else
			return 2;
	}
	if (argc - optind != 2 || !parse(argv[optind], (uint16_t)atoi(argv[optind + 1]), &own) ||
	    !parse(connect_to ? connect_to : argv[optind], (uint16_t)atoi(argv[optind + 1]), &target)) {
		fprintf(stderr, "usage: preload_probe ADDRESS PORT [--connect ADDRESS] [--netns PATH] [--queue] "
				"[--label TEXT]\n");
		return 2;
	}
	if (netns) {
		own_netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
		client_netns = open(netns, O_RDONLY | O_CLOEXEC);
		if (own_netns < 0 || client_netns < 0)
			give_up(netns);
	}
	signal(SIGPIPE, SIG_IGN);
	if (inherited >= 0)
		return serve_inherited(inherited);
	examine_replacement();
	examine_names();
	examine_accept();
	examine_flags();
	examine_blocking();
	examine_readiness();
	examine_options();
	examine_duplicates();
	examine_listen_again();
	examine_fork();
	examine_threads();
	examine_descriptor_limit();
	examine_close_everything();
	examine_restart();
	examine_exec(argv);
	examine_reuseport();
	return failures ? 1 : 0;
}
