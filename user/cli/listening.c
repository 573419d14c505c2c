/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/array.h"
#include "common/cleanup.h"
#include "common/listener_match.h"
#include "cli/listening.h"

int listening_add(struct listening *listening, const struct sock_diag_listener *listener)
{
	return array_append(listening->list, listening->count, (struct listening_socket){ .socket = *listener });
}

static int compare_ports(const void *first, const void *second)
{
	const struct listening_socket *a = first, *b = second;

	return (int)a->socket.port - (int)b->socket.port;
}

void listening_sort(struct listening *listening)
{
	if (listening->count)
		qsort(listening->list, listening->count, sizeof(*listening->list), compare_ports);
}

static int add_listener(void *context, const struct sock_diag_listener *listener)
{
	return listening_add(context, listener);
}

static uint32_t read_somaxconn(void)
{
	cleanup_file FILE *file = fopen("/proc/sys/net/core/somaxconn", "re");
	uint32_t value;

	return file && fscanf(file, "%" SCNu32, &value) == 1 ? value : 0;
}

int listening_read(struct listening *listening)
{
	int result;

	*listening = (struct listening){ .somaxconn = read_somaxconn() };
	result = sock_diag_each_listener(add_listener, listening);
	listening_sort(listening);
	return result;
}

void listening_free(struct listening *listening)
{
	free(listening->list);
	*listening = (struct listening){ 0 };
}

static enum binding_match match(const struct listening_socket *listener, const struct view_address *address)
{
	const struct binding_key key = binding_of_listener(&listener->socket);

	return binding_match(&key, &address->address, address->port);
}

/* Returns the index of the first socket of a port. */
static size_t first_at(const struct listening *listening, uint16_t port)
{
	size_t low = 0, high = listening->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (listening->list[middle].socket.port < port)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Returns what bounds the queue: first what bounds it in listen(), then the service. */
static const char *cause_of(const struct listening *listening, const struct sock_diag_listener *socket,
			    uint32_t backlog)
{
	if (backlog < socket->backlog)
		return "configured backlog";
	return socket->backlog == listening->somaxconn ? "somaxconn" : "listen backlog";
}

static void add_to(struct listening_queue *queue, const struct listening *listening,
		   const struct sock_diag_listener *socket, uint32_t backlog)
{
	if (!queue->sockets++)
		queue->cause = cause_of(listening, socket, backlog);
	queue->waiting += socket->waiting;
	queue->capacity += backlog < socket->backlog ? backlog : socket->backlog;
}

static void add_address(struct listening_queue *queue, struct listening *listening, const struct view_address *address,
			uint32_t backlog)
{
	size_t first = first_at(listening, address->port), i;
	enum binding_match best = BINDING_DUALSTACK;

	for (i = first; i < listening->count && listening->list[i].socket.port == address->port; i++)
		if (match(&listening->list[i], address) > best)
			best = match(&listening->list[i], address);
	for (i = first; i < listening->count && listening->list[i].socket.port == address->port; i++) {
		struct listening_socket *listener = &listening->list[i];

		if (listener->counted == listening->sums || match(listener, address) != best)
			continue;
		listener->counted = listening->sums;
		add_to(queue, listening, &listener->socket, backlog);
	}
}

struct listening_queue listening_queue(struct listening *listening, const struct view_address *const *addresses,
				       size_t count, uint32_t backlog)
{
	struct listening_queue queue = { .cause = "no server" };

	listening->sums++;
	for (size_t i = 0; i < count; i++)
		add_address(&queue, listening, addresses[i], backlog);
	return queue;
}
