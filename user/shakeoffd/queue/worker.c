/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/log.h"
#include "common/sock_diag.h"
#include "common/text.h"
#include "common/clock.h"
#include "shakeoffd/queue/descriptor.h"
#include "shakeoffd/queue/held_segments.h"
#include "shakeoffd/queue/raw_socket.h"
#include "shakeoffd/queue/repair.h"
#include "shakeoffd/queue/worker.h"

/* How often an idle worker reads its rings; a worker that holds frames does so more often. */
#define IDLE_MS 1000
#define HELD_MS 50

/* After this number of connections servers have their turn; a batch from the ring may be thousands long. */
#define OPENS_A_ROUND 32

struct ring_source {
	struct event_source source;
	struct worker *worker;
	size_t datapath; /* index */
	struct datapath_ring *ring;
};

struct worker {
	pthread_t thread;
	const struct worker_shared *shared;
	struct event_loop *loop;
	struct ring_source *rings;
	size_t ring_count;
	struct held_segments *segments;
	struct raw_socket raw;
	unsigned int opens; /* since servers had their turn */
	_Atomic(uint64_t) drained_ns;
	_Atomic(bool) stop;
};

/* ----------------------------------------------------------------------------------------------- one connection */

/* Removes a socket in TIME-WAIT that the hook found, and that may give way to this connection. */
static int remove_time_wait(struct worker *worker, const struct shakeoff_event *event)
{
	int error = sock_diag_destroy_time_wait(&event->tuple);

	if (error == -EADDRINUSE)
		return error; /* a duplicate of the event was faster, so the connection exists */
	if (error != -EOPNOTSUPP)
		return 0; /* it is gone, or connect() will fail */
	for (size_t i = 0; i < worker->shared->datapath_count; i++)
		__atomic_fetch_or(&datapath_control(worker->shared->datapaths[i])->flags, SHAKEOFF_KEEP_TIME_WAIT,
				  __ATOMIC_RELAXED);
	log_warn_limited("this kernel cannot remove a socket in TIME-WAIT: its clients wait until it ends by itself");
	return error;
}

static enum connection_event make_socket(struct worker *worker, const struct shakeoff_event *event,
					 const struct repair_options *options, struct connection *connection,
					 int *error)
{
	*error = connection_count() > descriptor_limit_of_connections() ? -EMFILE : 0;
	if (!*error && event->flags & SHAKEOFF_EVENT_TIME_WAIT)
		*error = remove_time_wait(worker, event);
	if (!*error)
		*error = repair_socket(event, options, &connection->fd);
	if (!*error)
		return CONNECTION_EVENT_SOCKET_MADE;
	return repair_error_passes(*error) ? CONNECTION_EVENT_SOCKET_LACKING : CONNECTION_EVENT_SOCKET_IMPOSSIBLE;
}

static enum shakeoff_refusal refusal_of(int error)
{
	switch (-error) {
	case EMFILE:
	case ENFILE: return SHAKEOFF_REFUSED_DESCRIPTORS;
	case ENOMEM:
	case ENOBUFS: return SHAKEOFF_REFUSED_MEMORY;
	case EADDRINUSE:
	case EADDRNOTAVAIL:
	case EOPNOTSUPP: return SHAKEOFF_REFUSED_ADDRESS;
	case ENOENT: return SHAKEOFF_REFUSED_NO_SERVER;
	case ESHUTDOWN: return SHAKEOFF_REFUSED_SHUTDOWN;
	default: return SHAKEOFF_REFUSED_KERNEL;
	}
}

static void give_back(struct worker *worker, const struct shakeoff_event *event)
{
	int error = raw_give_back(&worker->raw, event);

	if (error)
		log_warn_limited(
			"a client's packet could not be given back to the kernel over lo (%s); is lo up, and does the "
			"firewall let it pass?",
			strerror(-error));
}

/*
 * Gives back the ACK, then the held frames. The socket has received nothing yet: the ACK brings window, timestamp and
 * payload.
 */
static void give_back_all(struct worker *worker, const struct shakeoff_event *event)
{
	struct shakeoff_event *held;

	give_back(worker, event);
	while ((held = held_take(worker->segments, &event->tuple))) {
		give_back(worker, held);
		free(held);
	}
}

static void drop_held(struct worker *worker, const struct shakeoff_event *event)
{
	struct shakeoff_event *held;

	while ((held = held_take(worker->segments, &event->tuple)))
		free(held);
}

static void log_refusal(const struct service *service, const struct shakeoff_event *event, int error)
{
	char remote[TEXT_ENDPOINT];
	struct in6_addr address;

	if (error == -ENOENT || error == -ESHUTDOWN)
		return;
	memcpy(&address, event->tuple.remote, sizeof(address));
	text_endpoint(&address, ntohs(event->tuple.remote_port), remote, sizeof(remote));
	log_warn_limited("service %s: no socket for the connection from %s: %s", service->config->name, remote,
			 strerror(-error));
}

/* Resets a refused client at once. -EADDRINUSE: another socket has got the tuple, and has to answer. */
static void reset(struct worker *worker, const struct shakeoff_event *event, int error)
{
	if (error == -EADDRINUSE)
		give_back(worker, event);
	else
		raw_reset(&worker->raw, event);
}

static void refuse(struct worker *worker, size_t datapath, struct service *service, const struct shakeoff_event *event,
		   enum connection_action action, int error)
{
	held_note_open(worker->segments, event, false);
	drop_held(worker, event);
	if (action == CONNECTION_DO_FORGET)
		datapath_validated_forget(worker->shared->datapaths[datapath], &event->tuple);
	else
		reset(worker, event, error);
	pthread_mutex_lock(&service->lock);
	service_refused(service, (int)datapath, refusal_of(error));
	pthread_mutex_unlock(&service->lock);
	log_refusal(service, event, error);
}

/* Carries a connection on from SYN-RECEIVED. */
static void complete(struct worker *worker, size_t datapath, struct service *service,
		     const struct shakeoff_event *event, const struct repair_options *options,
		     struct connection *connection, int error)
{
	enum connection_event happened = CONNECTION_EVENT_WITHDRAWN;
	const struct connection_transition *step;

	if (!error)
		happened = make_socket(worker, event, options, connection, &error);
	step = connection_step(connection, happened);
	if (step->action != CONNECTION_DO_ENQUEUE) {
		refuse(worker, datapath, service, event, step->action, error);
		connection_free(connection);
		return;
	}
	socket_address_set(&connection->peer, event->tuple.remote, event->tuple.remote_port, options->dualstack);
	memcpy(&connection->local, event->tuple.local, sizeof(connection->local));
	connection->local_port = ntohs(event->tuple.local_port);
	service_established(service, (int)datapath);
	held_note_open(worker->segments, event, true);
	give_back_all(worker, event);
	delivery_enqueue(&worker->shared->deliveries[service->index], connection);
}

static void open_connection(struct worker *worker, size_t datapath, const struct shakeoff_event *event)
{
	struct service *service = services_find(worker->shared->services, datapath, event->service);
	struct repair_options options;
	struct connection *connection;
	int error;

	if (!service) { /* its service id was cleared, so nothing is counted */
		raw_reset(&worker->raw, event);
		return;
	}
	pthread_mutex_lock(&service->lock);
	service_arrived(service, (int)datapath, event->time_ns);
	pthread_mutex_unlock(&service->lock);

	connection = connection_new((int)datapath);
	if (!connection) {
		refuse(worker, datapath, service, event, CONNECTION_DO_FORGET, -ENOMEM);
		return;
	}
	connection_step(connection, CONNECTION_EVENT_ACK_VALID);
	error = delivery_socket_options(&worker->shared->deliveries[service->index], &event->tuple, &options) ? 0 :
														-ENOENT;
	if (atomic_load_explicit(&worker->stop, memory_order_relaxed))
		error = -ESHUTDOWN;
	complete(worker, datapath, service, event, &options, connection, error);
}

/* ------------------------------------------------------------------------------------------------------------ rings */

static void event_arrived(void *context, const struct shakeoff_event *event)
{
	struct ring_source *ring = context;
	struct worker *worker = ring->worker;

	switch (event->type) {
	case SHAKEOFF_EVENT_OPEN:
		open_connection(worker, ring->datapath, event);
		if (++worker->opens >= OPENS_A_ROUND) {
			worker->opens = 0;
			event_loop_round(worker->loop, 0);
		}
		break;
	case SHAKEOFF_EVENT_SEGMENT:
		if (held_add(worker->segments, event) == HELD_GIVE_BACK)
			give_back(worker, event);
		break;
	default: log_warn_limited("an event of the unknown type %u came from the hook", event->type);
	}
}

/* Only ends the wait: rings are read after every round. */
static void ring_ready(struct event_source *source, uint32_t events)
{
	(void)source;
	(void)events;
}

/*
 * Takes everything from the rings, then checks them once more, which mostly saves a round of the event loop. Events
 * that come later keep a ring's descriptor readable. Returns whether the rings were seen empty.
 */
static bool consume(struct worker *worker)
{
	bool empty = false;

	for (int look = 0; look < 2 && !empty; look++) {
		uint64_t before = clock_ns();
		int taken = 0;

		for (size_t i = 0; i < worker->ring_count; i++)
			taken += datapath_ring_consume(worker->rings[i].ring);
		empty = taken <= 0;
		if (empty)
			atomic_store_explicit(&worker->drained_ns, before, memory_order_relaxed);
	}
	if (held_frames(worker->segments))
		held_expire(worker->segments, clock_ns());
	return empty;
}

static void *run(void *argument)
{
	struct worker *worker = argument;
	int error = 0;

	while (!atomic_load(&worker->stop) && !error) {
		error = event_loop_round(worker->loop, held_frames(worker->segments) ? HELD_MS : IDLE_MS);
		consume(worker);
	}
	if (error)
		log_error("a worker could not wait for events and ends: %s", strerror(-error));
	while (!consume(worker))
		;
	return NULL;
}

static int open_rings(struct worker *worker, size_t index)
{
	const struct worker_shared *shared = worker->shared;
	size_t most = 0;
	int error;

	for (size_t d = 0; d < shared->datapath_count; d++)
		most += shared->rings[d];
	worker->rings = calloc(most + 1, sizeof(*worker->rings));
	if (!worker->rings)
		return -ENOMEM;
	for (size_t d = 0; d < shared->datapath_count; d++) {
		for (uint32_t r = (uint32_t)index; r < shared->rings[d]; r += (uint32_t)shared->worker_count) {
			struct ring_source *ring = &worker->rings[worker->ring_count];

			ring->worker = worker;
			ring->datapath = d;
			error = datapath_ring_open(shared->datapaths[d], r, event_arrived, ring, &ring->ring);
			if (error)
				return error;
			worker->ring_count++;
			error = event_loop_add(worker->loop, &ring->source, datapath_ring_fd(ring->ring), EPOLLIN,
					       ring_ready);
			if (error)
				return error;
		}
	}
	return 0;
}

int worker_open(struct worker **result, const struct worker_shared *shared, size_t index)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int error;

	if (!worker)
		return -ENOMEM;
	worker->shared = shared;
	worker->loop = shared->loops[index];
	worker->raw.fd4 = worker->raw.fd6 = worker->raw.frames = -1;
	error = held_open(&worker->segments);
	if (!error)
		error = raw_socket_open(&worker->raw, datapath_return_mark());
	if (!error)
		error = open_rings(worker, index);
	if (error) {
		worker_close(worker);
		return error;
	}
	*result = worker;
	return 0;
}

int worker_start(struct worker *worker)
{
	return -pthread_create(&worker->thread, NULL, run, worker);
}

void worker_stop(struct worker *worker)
{
	atomic_store(&worker->stop, true);
	event_loop_wake(worker->loop);
	pthread_join(worker->thread, NULL);
}

void worker_close(struct worker *worker)
{
	if (!worker)
		return;
	for (size_t i = 0; i < worker->ring_count; i++)
		datapath_ring_close(worker->rings[i].ring);
	free(worker->rings);
	raw_socket_close(&worker->raw);
	held_close(worker->segments);
	free(worker);
}

uint64_t worker_drained_ns(const struct worker *worker)
{
	return atomic_load_explicit(&worker->drained_ns, memory_order_relaxed);
}
