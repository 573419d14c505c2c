/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "shakeoffd/discovery/listener_scan.h"

/*
 * How many entries at the end of the list a socket is compared with: the kernel mostly lists the sockets of one
 * endpoint next to each other.
 */
#define NEIGHBOURS 4

/* A longer delay is reported. */
#define LATE_NS (2 * LISTENER_SCAN_PERIOD_NS)

/* These are not reachable from outside, and 127.0.0.0/8 has more endpoints than any other prefix of the host. */
static const struct sock_diag_skip loopback = {
	.address = { .s6_addr = { [10] = 0xff, [11] = 0xff, [12] = 127 } },
	.family = AF_INET,
	.prefix = 8,
	.port = SOCK_DIAG_ANY_PORT,
};

/* --------------------------------------------------------------------------------------------- in the task's thread */

int listener_scan_compare_inodes(const void *a, const void *b)
{
	const uint32_t *first = a, *second = b;

	return *first < *second ? -1 : *first > *second;
}

static bool is_same_endpoint(const struct sock_diag_listener *a, const struct sock_diag_listener *b)
{
	return a->port == b->port && a->family == b->family && IN6_ARE_ADDR_EQUAL(&a->address, &b->address);
}

static bool is_alike(const struct sock_diag_listener *a, const struct sock_diag_listener *b)
{
	return is_same_endpoint(a, b) && a->dualstack == b->dualstack && a->mptcp == b->mptcp &&
	       a->tcp_auth == b->tcp_auth && a->ifindex == b->ifindex && a->uid == b->uid;
}

static struct listener_scan_entry *find_alike(const struct listener_scan_list *seen,
					      const struct sock_diag_listener *socket)
{
	size_t end = seen->count > NEIGHBOURS ? seen->count - NEIGHBOURS : 0;

	for (size_t i = seen->count; i > end; i--)
		if (is_alike(&seen->list[i - 1].socket, socket))
			return &seen->list[i - 1];
	return NULL;
}

static int append(struct listener_scan_list *to, const struct listener_scan_entry *entry)
{
	if (to->count == to->room) {
		size_t room = to->room ? 2 * to->room : 64;
		void *larger = reallocarray(to->list, room, sizeof(*to->list));

		if (!larger)
			return -ENOMEM;
		to->list = larger;
		to->room = room;
	}
	to->list[to->count++] = *entry;
	return 0;
}

static int see(void *context, const struct sock_diag_listener *socket)
{
	struct listener_scan *scan = context;
	const struct listener_scan_entry entry = { .socket = *socket, .count = 1 };
	struct listener_scan_entry *alike;

	if (background_task_is_to_stop(&scan->task))
		return -ECANCELED;
	if (scan->own_count &&
	    bsearch(&socket->inode, scan->own, scan->own_count, sizeof(*scan->own), listener_scan_compare_inodes))
		return 0;
	alike = find_alike(&scan->seen, socket);
	if (!alike)
		return append(&scan->seen, &entry);
	if (socket->backlog > alike->socket.backlog)
		alike->socket.backlog = socket->backlog;
	alike->count++;
	return 0;
}

static bool is_in_crowd(const struct listener_scan *scan, const struct sock_diag_listener *socket)
{
	for (size_t i = 1; i < scan->skip_count; i++)
		if (scan->skips[i].port == socket->port && scan->skips[i].family == socket->family &&
		    IN6_ARE_ADDR_EQUAL(&scan->skips[i].address, &socket->address))
			return true;
	return false;
}

static int find_crowds(struct listener_scan *scan)
{
	int error = 0;

	scan->crowds.count = 0;
	scan->skip_count = 1;
	for (size_t i = 0; i < scan->seen.count && scan->skip_count < SOCK_DIAG_SKIPS_MAX; i++) {
		const struct sock_diag_listener *socket = &scan->seen.list[i].socket;

		if (scan->seen.list[i].count < LISTENER_SCAN_CROWD || is_in_crowd(scan, socket))
			continue;
		scan->skips[scan->skip_count++] = (struct sock_diag_skip){
			.address = socket->address,
			.family = socket->family,
			.prefix = socket->family == AF_INET ? 32 : 128,
			.port = socket->port,
		};
	}
	for (size_t i = 0; i < scan->seen.count && scan->skip_count > 1 && !error; i++)
		if (is_in_crowd(scan, &scan->seen.list[i].socket))
			error = append(&scan->crowds, &scan->seen.list[i]);
	return error;
}

static int remember_crowds(struct listener_scan *scan)
{
	int error = 0;

	for (size_t i = 0; i < scan->crowds.count && !error; i++)
		error = append(&scan->seen, &scan->crowds.list[i]);
	return error;
}

static int look(void *context)
{
	struct listener_scan *scan = context;
	int error;

	scan->seen.count = 0;
	error = sock_diag_each_listener_but(scan->skips, scan->whole ? 1 : scan->skip_count, see, scan);
	if (error)
		return error;
	return scan->whole ? find_crowds(scan) : remember_crowds(scan);
}

/* --------------------------------------------------------------------------------------------- in the loop's thread */

int listener_scan_open(struct listener_scan *scan)
{
	*scan = (struct listener_scan){ .skips = calloc(SOCK_DIAG_SKIPS_MAX, sizeof(*scan->skips)) };
	if (!scan->skips)
		return -ENOMEM;
	scan->skips[0] = loopback;
	scan->skip_count = 1;
	return 0;
}

int listener_scan_start(struct listener_scan *scan, struct event_loop *loop)
{
	return background_task_start(&scan->task, loop);
}

void listener_scan_close(struct listener_scan *scan)
{
	background_task_close(&scan->task);
	free(scan->skips);
	free(scan->seen.list);
	free(scan->crowds.list);
	scan->skips = NULL;
	scan->seen = scan->crowds = (struct listener_scan_list){ 0 };
	scan->skip_count = 0;
}

static bool has_crowds(const struct listener_scan *scan)
{
	return scan->skip_count > 1;
}

/* Returns the period for a scan of this cost; scans of both kinds share the limit of CPU time. */
static uint64_t period_of(const struct listener_scan *scan, uint64_t cost_ns)
{
	uint64_t period = cost_ns * LISTENER_SCAN_SHARE * (has_crowds(scan) ? 2 : 1);

	return period > LISTENER_SCAN_PERIOD_NS ? period : LISTENER_SCAN_PERIOD_NS;
}

/* Returns the cost of most scans. */
static uint64_t usual_cost(const struct listener_scan *scan)
{
	return has_crowds(scan) ? scan->cost_ns : scan->whole_cost_ns;
}

static void notify(struct listener_scan *scan)
{
	uint64_t cost = usual_cost(scan), period = period_of(scan, cost);

	if (period > LATE_NS && !scan->reported) {
		log_warn("this host has very many listening sockets: reading them takes %llu ms of CPU time, so they "
			 "are read every %llu ms, and new servers are protected that much later",
			 (unsigned long long)(cost / NS_PER_MS), (unsigned long long)(period / NS_PER_MS));
		scan->reported = true;
	} else if (period <= LISTENER_SCAN_PERIOD_NS && scan->reported) {
		log_info("listening sockets are read twice a second again");
		scan->reported = false;
	}
}

static bool is_whole_due(const struct listener_scan *scan, uint64_t now_ns)
{
	return !has_crowds(scan) || now_ns - scan->whole_ns >= period_of(scan, scan->whole_cost_ns);
}

bool listener_scan_is_due(struct listener_scan *scan, uint64_t now_ns)
{
	return !background_task_is_busy(&scan->task) &&
	       (!scan->began_ns || now_ns - scan->began_ns >= period_of(scan, usual_cost(scan)));
}

void listener_scan_begin(struct listener_scan *scan, uint64_t now_ns, const uint32_t *own, size_t own_count)
{
	scan->own = own;
	scan->own_count = own_count;
	scan->whole = is_whole_due(scan, now_ns);
	scan->began_ns = now_ns;
	if (scan->whole)
		scan->whole_ns = now_ns;
	background_task_begin(&scan->task, look, scan);
}

bool listener_scan_take(struct listener_scan *scan, int *error)
{
	uint64_t cost_ns;

	if (!background_task_take(&scan->task, error, &cost_ns))
		return false;
	if (scan->whole)
		scan->whole_cost_ns = cost_ns;
	else
		scan->cost_ns = cost_ns;
	notify(scan);
	return true;
}

void listener_scan_hurry(struct listener_scan *scan)
{
	scan->began_ns = 0;
}
