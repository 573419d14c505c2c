/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "shakeoffd/queue/accept_queue.h"

static void link_before(struct connection_list *list, struct connection *next, struct connection *connection)
{
	struct connection *previous = next ? next->previous : list->last;

	connection->next = next;
	connection->previous = previous;
	if (previous)
		previous->next = connection;
	else
		list->first = connection;
	if (next)
		next->previous = connection;
	else
		list->last = connection;
	list->length++;
}

void connection_list_append(struct connection_list *list, struct connection *connection)
{
	link_before(list, NULL, connection);
}

/*
 * Finds the first connection that arrived later. A connection that comes back from a server is older than nearly all
 * that wait; connections that move from another endpoint come in order. So both ends are tried first, then the
 * neighbours of the last insertion: a full queue is never searched in full for each of many connections.
 */
static struct connection *find_next(const struct connection_list *list, uint64_t id)
{
	struct connection *next = list->near;

	if (!list->first || list->first->id > id)
		return list->first;
	if (list->last->id < id)
		return NULL;
	if (!next)
		next = list->first;
	while (next->previous && next->previous->id > id)
		next = next->previous;
	while (next && next->id < id)
		next = next->next;
	return next;
}

void connection_list_insert(struct connection_list *list, struct connection *connection)
{
	link_before(list, find_next(list, connection->id), connection);
	list->near = connection;
}

void connection_list_remove(struct connection_list *list, struct connection *connection)
{
	if (connection->previous)
		connection->previous->next = connection->next;
	else
		list->first = connection->next;
	if (connection->next)
		connection->next->previous = connection->previous;
	else
		list->last = connection->previous;
	if (list->near == connection)
		list->near = connection->next ? connection->next : connection->previous;
	connection->next = connection->previous = NULL;
	list->length--;
}

struct connection *connection_list_find(const struct connection_list *list, uint64_t id)
{
	struct connection *connection = list->first;

	while (connection && connection->id != id)
		connection = connection->next;
	return connection;
}

int accept_queue_open(struct accept_queue *queue)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return -errno;
	*queue = (struct accept_queue){ .watch_fd = fd };
	return 0;
}

void accept_queue_close(struct accept_queue *queue)
{
	struct binding *binding;

	while ((binding = queue->bindings)) {
		queue->bindings = binding->next;
		free(binding);
	}
	if (queue->watch_fd >= 0)
		close(queue->watch_fd);
	queue->watch_fd = -1;
}

static struct binding *binding_new(struct accept_queue *queue, const struct binding_key *key)
{
	struct binding *binding = calloc(1, sizeof(*binding));

	if (!binding)
		return NULL;
	binding->key = *key;
	binding->next = queue->bindings;
	queue->bindings = binding;
	return binding;
}

static void move(struct connection *connection, struct binding *to)
{
	accept_queue_remove(connection);
	connection->binding = to;
	connection_list_insert(&to->waiting, connection);
}

/* Moves connections that other servers take now: a restarted server may bind in another way than the one before. */
static void take_over(struct accept_queue *queue, struct binding *from)
{
	struct connection *next;

	for (struct connection *c = from->waiting.first; c; c = next) {
		struct binding *binding = accept_queue_find(queue, &c->local, c->local_port);

		next = c->next;
		if (binding && binding != from)
			move(c, binding);
	}
}

void accept_queue_take_over(struct accept_queue *queue)
{
	for (struct binding *binding = queue->bindings; binding; binding = binding->next)
		if (!binding->servers)
			take_over(queue, binding);
}

struct binding *accept_queue_bind(struct accept_queue *queue, const struct binding_key *key)
{
	struct binding *binding = queue->bindings;

	while (binding && (binding->adopted || !binding_equal(&binding->key, key)))
		binding = binding->next;
	if (!binding)
		binding = binding_new(queue, key);
	if (!binding)
		return NULL;
	binding->servers++;
	binding->no_server_ns = 0;
	accept_queue_take_over(queue);
	return binding;
}

void accept_queue_unbind(struct binding *binding, uint64_t now_ns)
{
	if (!--binding->servers)
		binding->no_server_ns = now_ns;
}

int accept_queue_adopt(struct accept_queue *queue, uint64_t now_ns)
{
	struct binding *binding = binding_new(queue, &binding_everything);

	if (!binding)
		return -ENOMEM;
	binding->adopted = true;
	binding->no_server_ns = now_ns;
	return 0;
}

/* Prefers a binding with a server to one whose servers may come back, then the most specific one. */
struct binding *accept_queue_find(const struct accept_queue *queue, const struct in6_addr *address, uint16_t port)
{
	enum binding_match best_match = BINDING_NO;
	struct binding *best = NULL;

	for (struct binding *binding = queue->bindings; binding; binding = binding->next) {
		enum binding_match match = binding_match(&binding->key, address, port);
		bool served = binding->servers, best_served = best && best->servers;

		if (!match || served < best_served || (served == best_served && match <= best_match))
			continue;
		best = binding;
		best_match = match;
	}
	return best;
}

void accept_queue_append(struct binding *binding, struct connection *connection)
{
	connection->binding = binding;
	connection_list_append(&binding->waiting, connection);
}

void accept_queue_requeue(struct accept_queue *queue, struct binding *binding, struct connection *connection)
{
	connection->binding = binding;
	connection_list_insert(&binding->waiting, connection);
	/* accept_queue_watch_waiting() does not reach it there. */
	accept_queue_watch(queue, connection);
}

void accept_queue_remove(struct connection *connection)
{
	connection_list_remove(&connection->binding->waiting, connection);
	connection->binding = NULL;
}

static void dissolve(struct accept_queue *queue, struct binding *binding, struct connection_list *orphans)
{
	struct connection *connection;

	while ((connection = binding->waiting.first)) {
		struct binding *other = accept_queue_find(queue, &connection->local, connection->local_port);

		connection_list_remove(&binding->waiting, connection);
		connection->binding = NULL;
		if (other)
			accept_queue_requeue(queue, other, connection);
		else
			connection_list_append(orphans, connection);
	}
	free(binding);
}

static uint64_t grace_ns(const struct binding *binding)
{
	return binding->untrusted ? 0 : ACCEPT_QUEUE_GRACE_NS;
}

bool accept_queue_expire(struct accept_queue *queue, uint64_t now_ns, struct connection_list *orphans)
{
	struct binding **link = &queue->bindings;
	bool expired = false;

	while (*link) {
		struct binding *binding = *link;

		if (!binding->no_server_ns || now_ns < binding->no_server_ns + grace_ns(binding)) {
			link = &binding->next;
			continue;
		}
		*link = binding->next;
		dissolve(queue, binding, orphans);
		expired = true;
	}
	return expired;
}

size_t accept_queue_length(const struct accept_queue *queue)
{
	size_t length = 0;

	for (const struct binding *binding = queue->bindings; binding; binding = binding->next)
		length += binding->waiting.length;
	return length;
}

void accept_queue_watch(struct accept_queue *queue, struct connection *connection)
{
	/* Asks for no event: EPOLLERR and EPOLLHUP are always reported, while a client's data or FIN are not. */
	struct epoll_event event = { .data.ptr = connection };

	if (!connection->watched && !epoll_ctl(queue->watch_fd, EPOLL_CTL_ADD, connection->fd, &event))
		connection->watched = true;
}

void accept_queue_unwatch(struct accept_queue *queue, struct connection *connection)
{
	/* Closing the descriptor is not enough, because the server may hold a duplicate. */
	if (connection->watched)
		epoll_ctl(queue->watch_fd, EPOLL_CTL_DEL, connection->fd, NULL);
	connection->watched = false;
}

void accept_queue_watch_waiting(struct accept_queue *queue, uint64_t now_ns)
{
	/* New connections are at the end, so the search ends at the first that is watched. */
	for (struct binding *binding = queue->bindings; binding; binding = binding->next)
		for (struct connection *c = binding->waiting.last; c && !c->watched; c = c->previous)
			if (now_ns >= c->since_ns + ACCEPT_QUEUE_UNWATCHED_NS)
				accept_queue_watch(queue, c);
}

struct connection *accept_queue_next_reset(struct accept_queue *queue)
{
	struct epoll_event event;
	struct connection *connection;

	if (epoll_wait(queue->watch_fd, &event, 1, 0) != 1)
		return NULL;
	connection = event.data.ptr;
	accept_queue_unwatch(queue, connection);
	return connection;
}
