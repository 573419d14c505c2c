/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Options that accepted sockets inherit from a listening socket in Linux (the child is a copy of the listener).
 * Connections from the daemon are no such children. So options that differ from a fresh socket are read once and set on
 * each connection.
 *
 * Not in the table, because Linux does not pass them on either: SO_PRIORITY, TCP_DEFER_ACCEPT, TCP_FASTOPEN; and
 * because only the handshake decides them: TCP_MAXSEG, TCP_WINDOW_CLAMP, TCP_SAVE_SYN.
 */
#include <linux/in6.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "libshakeoff/preload.h"

enum how {
	PLAIN,
	HALVED, /* the kernel doubles the given value: SO_SNDBUF, SO_RCVBUF */
	IPV6,   /* only AF_INET6 sockets have it */
};

static const struct {
	int level, name;
	enum how how;
} inherited[] = {
	{ SOL_SOCKET, SO_KEEPALIVE, PLAIN },
	{ SOL_SOCKET, SO_LINGER, PLAIN },
	{ SOL_SOCKET, SO_SNDBUF, HALVED },
	{ SOL_SOCKET, SO_RCVBUF, HALVED },
	{ SOL_SOCKET, SO_RCVLOWAT, PLAIN },
	{ SOL_SOCKET, SO_RCVTIMEO, PLAIN },
	{ SOL_SOCKET, SO_SNDTIMEO, PLAIN },
	{ SOL_SOCKET, SO_MARK, PLAIN },
	{ SOL_SOCKET, SO_OOBINLINE, PLAIN },
	{ SOL_SOCKET, SO_DONTROUTE, PLAIN },
	{ SOL_SOCKET, SO_REUSEPORT, PLAIN },
	{ SOL_SOCKET, SO_TIMESTAMP, PLAIN },
	{ SOL_SOCKET, SO_TIMESTAMPNS, PLAIN },
	{ SOL_SOCKET, SO_BUSY_POLL, PLAIN },
	{ SOL_SOCKET, SO_MAX_PACING_RATE, PLAIN },
	{ SOL_SOCKET, SO_ZEROCOPY, PLAIN },
	{ IPPROTO_TCP, TCP_NODELAY, PLAIN },
	{ IPPROTO_TCP, TCP_CORK, PLAIN },
	{ IPPROTO_TCP, TCP_KEEPIDLE, PLAIN },
	{ IPPROTO_TCP, TCP_KEEPINTVL, PLAIN },
	{ IPPROTO_TCP, TCP_KEEPCNT, PLAIN },
	{ IPPROTO_TCP, TCP_LINGER2, PLAIN },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, PLAIN },
	{ IPPROTO_TCP, TCP_CONGESTION, PLAIN },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, PLAIN },
	{ IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, PLAIN },
	{ IPPROTO_TCP, TCP_INQ, PLAIN },
	{ IPPROTO_IP, IP_TOS, PLAIN },
	{ IPPROTO_IP, IP_TTL, PLAIN },
	{ IPPROTO_IP, IP_MINTTL, PLAIN },
	{ IPPROTO_IP, IP_MTU_DISCOVER, PLAIN },
	{ IPPROTO_IP, IP_RECVTOS, PLAIN },
	{ IPPROTO_IP, IP_RECVTTL, PLAIN },
	{ IPPROTO_IP, IP_RECVERR, PLAIN },
	{ IPPROTO_IP, IP_PKTINFO, PLAIN },
	{ IPPROTO_IPV6, IPV6_TCLASS, IPV6 },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, IPV6 },
	{ IPPROTO_IPV6, IPV6_MINHOPCOUNT, IPV6 },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6 },
	{ IPPROTO_IPV6, IPV6_DONTFRAG, IPV6 },
	{ IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, IPV6 },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS, IPV6 },
	{ IPPROTO_IPV6, IPV6_RECVERR, IPV6 },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, IPV6 },
};

#define INHERITED_COUNT (sizeof(inherited) / sizeof(inherited[0]))
_Static_assert(INHERITED_COUNT <= PRELOAD_MAX_OPTIONS, "every option may differ");

static bool read_option(int fd, size_t index, struct preload_option *option)
{
	*option = (struct preload_option){
		.level = inherited[index].level,
		.name = inherited[index].name,
		.size = sizeof(option->value),
	};
	return preload_real()->getsockopt(fd, option->level, option->name, option->value, &option->size) == 0;
}

static void halve(struct preload_option *option)
{
	int value;

	memcpy(&value, option->value, sizeof(value));
	value /= 2;
	memcpy(option->value, &value, sizeof(value));
}

/*
 * Reads the options that an accepted socket would inherit from this listening socket and that differ from a fresh
 * socket.
 */
static void read_options(int fd, int family, struct preload_option_set *set)
{
	int fresh = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	struct preload_option theirs, mine;
	size_t i;

	set->count = 0;
	if (fresh < 0)
		return;
	for (i = 0; i < INHERITED_COUNT; i++) {
		if (inherited[i].how == IPV6 && family != AF_INET6)
			continue;
		if (!read_option(fd, i, &theirs) || !read_option(fresh, i, &mine))
			continue;
		if (theirs.size == mine.size && memcmp(theirs.value, mine.value, theirs.size) == 0)
			continue;
		if (inherited[i].how == HALVED)
			halve(&theirs);
		set->options[set->count++] = theirs;
	}
	preload_real()->close(fresh);
}

void preload_options_apply(int fd, const struct preload_option_set *set)
{
	const struct preload_option *option;

	/* Best effort: SO_MARK may need a privilege that the server has given up since. */
	for (option = set->options; option < set->options + set->count; option++)
		preload_real()->setsockopt(fd, option->level, option->name, option->value, option->size);
}

void preload_options_refresh(struct preload_listener *listener)
{
	struct preload_option_set *next;

	listener->option_set = (listener->option_set + 1) %
			       (sizeof(listener->option_sets) / sizeof(listener->option_sets[0]));
	next = &listener->option_sets[listener->option_set];
	read_options(listener->template_fd, listener->family, next);
	atomic_store(&listener->options, next);
}
