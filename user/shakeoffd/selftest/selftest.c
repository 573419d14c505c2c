/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/tuple.h"
#include "datapath/datapath.h"
#include "datapath/datapath_probe.h"
#include "shakeoffd/selftest/selftest_internal.h"

/* --------------------------------------------------------------------------------------------------- open and close */

/*
 * Opens the socket that receives the probes. It is bound even if lo is down: packets get to it only through the tc
 * program. It is transparent, so that a SYN stays with it where there is NAT: nf_nat_ipv4_local_in() would take the
 * packet away from any other socket that its addresses do not lead to, and the server would get it. The socket's
 * requests are not transparent, so they are treated like those of a server's socket.
 */
static int open_listener(struct selftest *selftest, int family)
{
	union socket_address address = { .sa.sa_family = (sa_family_t)selftest_address_family(family) };
	cleanup_fd int fd = socket(selftest_address_family(family), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t size = family == IPV4 ? sizeof(address.in) : sizeof(address.in6);
	int on = 1, error;

	if (fd < 0)
		return -errno;
	if (family == IPV4)
		address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		address.in6.sin6_addr = in6addr_loopback;
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
	setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on));
	error = datapath_probe_catch(selftest->probe, fd);
	if (error)
		return error;
	if (bind(fd, &address.sa, size) || listen(fd, 1) || getsockname(fd, &address.sa, &size))
		return -errno;
	selftest->listener_ports[family] = family == IPV4 ? address.in.sin_port : address.in6.sin6_port;
	selftest->listeners[family] = take_fd(&fd);
	return 0;
}

static int open_parts(struct selftest *selftest, struct event_loop *loop)
{
	int error, fd;

	error = datapath_probe_open(&selftest->probe);
	if (!error)
		error = open_listener(selftest, IPV4);
	if (error)
		return error;
	/* A host without IPv6 needs no IPv6 socket. */
	error = open_listener(selftest, IPV6);
	if (error)
		log_debug("no self-test of IPv6: %s", strerror(-error));
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return fd < 0 ? -errno : event_loop_add(loop, &selftest->timer, fd, EPOLLIN, selftest_step);
}

int selftest_open(struct selftest **opened, struct event_loop *loop)
{
	struct selftest *selftest = calloc(1, sizeof(*selftest));
	int error;

	if (!selftest)
		return -ENOMEM;
	selftest->timer.fd = -1;
	for (int family = 0; family < FAMILIES; family++)
		selftest->listeners[family] = -1;
	selftest->round.attempt = TRIES_OF_ALL;
	error = open_parts(selftest, loop);
	if (error) {
		selftest_close(selftest);
		return error;
	}
	*opened = selftest;
	return 0;
}

static void close_links(struct selftest *selftest)
{
	for (size_t i = 0; i < selftest->link_count; i++)
		cleanup_fd_function(&selftest->links[i].map);
	free(selftest->links);
	selftest->links = NULL;
	selftest->link_count = 0;
}

void selftest_close(struct selftest *selftest)
{
	if (!selftest)
		return;
	if (selftest->probe)
		selftest_run_end(selftest);
	close_links(selftest);
	for (int family = 0; family < FAMILIES; family++)
		cleanup_fd_function(&selftest->listeners[family]);
	cleanup_fd_function(&selftest->timer.fd);
	datapath_probe_close(selftest->probe);
	probe_hosts_free(&selftest->hosts);
	probe_neighbours_free(&selftest->neighbours);
	free(selftest->targets);
	free(selftest);
}

/* ---------------------------------------------------------------------------------------------------------- targets */

int selftest_interfaces(struct selftest *selftest, const unsigned int *ifindexes, size_t count)
{
	struct link *links;

	if (!selftest)
		return 0;
	links = calloc(count + 1, sizeof(*links));
	if (!links)
		return -ENOMEM;
	selftest_round_abandon(selftest);
	close_links(selftest);
	for (size_t i = 0; i < count; i++) {
		int error;

		links[i].ifindex = ifindexes[i];
		links[i].map = -1;
		error = datapath_probe_map(ifindexes[i], &links[i].map);
		if (error)
			log_debug("no self-test on interface %u: %s", ifindexes[i], strerror(-error));
	}
	selftest->links = links;
	selftest->link_count = count;
	selftest_all_due(selftest, clock_ns());
	selftest_begin_soon(selftest);
	return 0;
}

static struct probe_target *find(const struct selftest *selftest, const struct endpoint *what)
{
	return selftest->target_count ? bsearch(what, selftest->targets, selftest->target_count,
						sizeof(*selftest->targets), endpoint_compare) :
					NULL;
}

int selftest_targets(struct selftest *selftest, const struct endpoint *wanted, size_t count)
{
	struct probe_target *targets;
	size_t distinct = 0;

	if (!selftest)
		return 0;
	targets = calloc(count + 1, sizeof(*targets));
	if (!targets)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct probe_target *known = find(selftest, &wanted[i]);

		targets[i] = known ? *known : (struct probe_target){ .what = wanted[i], .due = true };
	}
	qsort(targets, count, sizeof(*targets), endpoint_compare);
	for (size_t i = 0; i < count; i++)
		if (!distinct || endpoint_compare(&targets[distinct - 1], &targets[i]))
			targets[distinct++] = targets[i];
	selftest_round_abandon(selftest);
	free(selftest->targets);
	selftest->targets = targets;
	selftest->target_count = distinct;
	selftest_begin_soon(selftest);
	return 0;
}

enum selftest_result selftest_result(const struct selftest *selftest, const struct in6_addr *address, uint16_t port)
{
	struct endpoint what = { .address = *address, .port = port };
	const struct probe_target *target = selftest ? find(selftest, &what) : NULL;

	return target ? (enum selftest_result)target->result : SELFTEST_UNTESTED;
}

bool selftest_awaits(const struct selftest *selftest, const struct in6_addr *address, uint16_t port)
{
	struct endpoint what = { .address = *address, .port = port };
	const struct probe_target *target = selftest ? find(selftest, &what) : NULL;

	return selftest && (!target || target->result == SELFTEST_PENDING);
}

bool selftest_cannot_try(const struct selftest *selftest, const struct in6_addr *address, uint16_t port)
{
	struct endpoint what = { .address = *address, .port = port };
	const struct probe_target *target = selftest ? find(selftest, &what) : NULL;

	return target && target->result == SELFTEST_UNTESTED;
}

bool selftest_take_change(struct selftest *selftest)
{
	bool changed = selftest && selftest->changed;

	if (changed)
		selftest->changed = false;
	return changed;
}
