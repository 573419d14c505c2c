/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <shakeoffd/accept_queue.h>

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

void connection_list_insert(struct connection_list *list, struct connection *connection)
{
	struct connection *next = list->first;

	while (next && next->id < connection->id)
		next = next->next;
	link_before(list, next, connection);
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
	*queue = (struct accept_queue){.watch_fd = fd};
	return 0;
}

void accept_queue_close(struct accept_queue *queue)
{
	if (queue->watch_fd >= 0)
		close(queue->watch_fd);
	queue->watch_fd = -1;
}

void accept_queue_watch(struct accept_queue *queue, struct connection *connection)
{
	/* No event is asked for: EPOLLERR and EPOLLHUP are reported always, a client's data or FIN are not. */
	struct epoll_event event = {.data.ptr = connection};

	if (!connection->watched && !epoll_ctl(queue->watch_fd, EPOLL_CTL_ADD, connection->fd, &event))
		connection->watched = true;
}

void accept_queue_unwatch(struct accept_queue *queue, struct connection *connection)
{
	/* Closing the descriptor would not do: the server may hold a duplicate. */
	if (connection->watched)
		epoll_ctl(queue->watch_fd, EPOLL_CTL_DEL, connection->fd, NULL);
	connection->watched = false;
}

void accept_queue_watch_waiting(struct accept_queue *queue, uint64_t now_ns)
{
	/* New ones are at the end, so the first that is watched ends the search. */
	for (struct connection *c = queue->waiting.last; c && !c->watched; c = c->previous)
		if (now_ns - c->since_ns >= ACCEPT_QUEUE_UNWATCHED_NS)
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
