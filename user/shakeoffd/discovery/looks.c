/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "shakeoffd/discovery/looks.h"

/*
 * How many entries at the end of the list a socket is compared with: the kernel lists those of one endpoint next to each
 * other, mostly.
 */
#define NEIGHBOURS 4

/* Later than this is worth telling. */
#define LATE_NS (2 * LOOKS_PERIOD_NS)

/* Nobody can reach them from outside, and 127.0.0.0/8 has more endpoints than any other prefix of the host. */
static const struct sock_diag_skip loopback = {
	.address = { .s6_addr = { [10] = 0xff, [11] = 0xff, [12] = 127 } },
	.family = AF_INET,
	.prefix = 8,
	.port = SOCK_DIAG_ANY_PORT,
};

/* ------------------------------------------------------------------------------------------- in the errand's thread */

int looks_compare_inodes(const void *a, const void *b)
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

static struct looks_entry *find_alike(const struct looks_list *seen, const struct sock_diag_listener *socket)
{
	size_t end = seen->count > NEIGHBOURS ? seen->count - NEIGHBOURS : 0;

	for (size_t i = seen->count; i > end; i--)
		if (is_alike(&seen->list[i - 1].socket, socket))
			return &seen->list[i - 1];
	return NULL;
}

static int append(struct looks_list *to, const struct looks_entry *entry)
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
	struct looks *looks = context;
	const struct looks_entry entry = { .socket = *socket, .count = 1 };
	struct looks_entry *alike;

	if (errand_is_to_stop(&looks->errand))
		return -ECANCELED;
	if (looks->own_count &&
	    bsearch(&socket->inode, looks->own, looks->own_count, sizeof(*looks->own), looks_compare_inodes))
		return 0;
	alike = find_alike(&looks->seen, socket);
	if (!alike)
		return append(&looks->seen, &entry);
	if (socket->backlog > alike->socket.backlog)
		alike->socket.backlog = socket->backlog;
	alike->count++;
	return 0;
}

static bool is_in_crowd(const struct looks *looks, const struct sock_diag_listener *socket)
{
	for (size_t i = 1; i < looks->skip_count; i++)
		if (looks->skips[i].port == socket->port && looks->skips[i].family == socket->family &&
		    IN6_ARE_ADDR_EQUAL(&looks->skips[i].address, &socket->address))
			return true;
	return false;
}

static int find_crowds(struct looks *looks)
{
	int error = 0;

	looks->crowds.count = 0;
	looks->skip_count = 1;
	for (size_t i = 0; i < looks->seen.count && looks->skip_count < SOCK_DIAG_SKIPS_MAX; i++) {
		const struct sock_diag_listener *socket = &looks->seen.list[i].socket;

		if (looks->seen.list[i].count < LOOKS_CROWD || is_in_crowd(looks, socket))
			continue;
		looks->skips[looks->skip_count++] = (struct sock_diag_skip){
			.address = socket->address,
			.family = socket->family,
			.prefix = socket->family == AF_INET ? 32 : 128,
			.port = socket->port,
		};
	}
	for (size_t i = 0; i < looks->seen.count && looks->skip_count > 1 && !error; i++)
		if (is_in_crowd(looks, &looks->seen.list[i].socket))
			error = append(&looks->crowds, &looks->seen.list[i]);
	return error;
}

static int remember_crowds(struct looks *looks)
{
	int error = 0;

	for (size_t i = 0; i < looks->crowds.count && !error; i++)
		error = append(&looks->seen, &looks->crowds.list[i]);
	return error;
}

static int look(void *context)
{
	struct looks *looks = context;
	int error;

	looks->seen.count = 0;
	error = sock_diag_each_listener_but(looks->skips, looks->whole ? 1 : looks->skip_count, see, looks);
	if (error)
		return error;
	return looks->whole ? find_crowds(looks) : remember_crowds(looks);
}

/* --------------------------------------------------------------------------------------------- in the loop's thread */

int looks_open(struct looks *looks)
{
	*looks = (struct looks){ .skips = calloc(SOCK_DIAG_SKIPS_MAX, sizeof(*looks->skips)) };
	if (!looks->skips)
		return -ENOMEM;
	looks->skips[0] = loopback;
	looks->skip_count = 1;
	return 0;
}

int looks_start(struct looks *looks, struct event_loop *loop)
{
	return errand_start(&looks->errand, loop);
}

void looks_close(struct looks *looks)
{
	errand_close(&looks->errand);
	free(looks->skips);
	free(looks->seen.list);
	free(looks->crowds.list);
	looks->skips = NULL;
	looks->seen = looks->crowds = (struct looks_list){ 0 };
	looks->skip_count = 0;
}

static bool has_crowds(const struct looks *looks)
{
	return looks->skip_count > 1;
}

/* Looks of both kinds share what they may take. */
static uint64_t period_of(const struct looks *looks, uint64_t cost_ns)
{
	uint64_t period = cost_ns * LOOKS_SHARE * (has_crowds(looks) ? 2 : 1);

	return period > LOOKS_PERIOD_NS ? period : LOOKS_PERIOD_NS;
}

/* Of a look as most of them are. */
static uint64_t usual_cost(const struct looks *looks)
{
	return has_crowds(looks) ? looks->cost_ns : looks->whole_cost_ns;
}

static void tell(struct looks *looks)
{
	uint64_t cost = usual_cost(looks), period = period_of(looks, cost);

	if (period > LATE_NS && !looks->told) {
		log_warn(
			"this host has so many listening sockets that one look at them takes %llu ms of CPU time: it is made every %llu "
			"ms, and servers that begin to listen are protected that much later",
			(unsigned long long)(cost / NS_PER_MS), (unsigned long long)(period / NS_PER_MS));
		looks->told = true;
	} else if (period <= LOOKS_PERIOD_NS && looks->told) {
		log_info("listening sockets are looked at twice a second again");
		looks->told = false;
	}
}

static bool is_whole_due(const struct looks *looks, uint64_t now_ns)
{
	return !has_crowds(looks) || now_ns - looks->whole_ns >= period_of(looks, looks->whole_cost_ns);
}

bool looks_is_due(struct looks *looks, uint64_t now_ns)
{
	return !errand_is_busy(&looks->errand) &&
	       (!looks->began_ns || now_ns - looks->began_ns >= period_of(looks, usual_cost(looks)));
}

void looks_begin(struct looks *looks, uint64_t now_ns, const uint32_t *own, size_t own_count)
{
	looks->own = own;
	looks->own_count = own_count;
	looks->whole = is_whole_due(looks, now_ns);
	looks->began_ns = now_ns;
	if (looks->whole)
		looks->whole_ns = now_ns;
	errand_begin(&looks->errand, look, looks);
}

bool looks_take(struct looks *looks, int *error)
{
	uint64_t cost_ns;

	if (!errand_take(&looks->errand, error, &cost_ns))
		return false;
	if (looks->whole)
		looks->whole_cost_ns = cost_ns;
	else
		looks->cost_ns = cost_ns;
	tell(looks);
	return true;
}

void looks_hurry(struct looks *looks)
{
	looks->began_ns = 0;
}
