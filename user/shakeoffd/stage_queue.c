/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The queue handoff: event loops, rings, accept queues and workers. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "shakeoffd/queue/acceptor.h"
#include "shakeoffd/queue/descriptor.h"
#include "shakeoffd/stages.h"
#include "common/clock.h"

/* How long the daemon waits for threads at its end. */
#define END_NS NS_PER_S

/* Returns how many CPUs the daemon may run on. */
static size_t usable_cpus(void)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return 1;
	return CPU_COUNT(&cpus) < SHAKEOFF_MAX_RINGS ? (size_t)CPU_COUNT(&cpus) : SHAKEOFF_MAX_RINGS;
}

static int open_event_loops(struct daemon *daemon)
{
	unsigned int workers = daemon->options->workers;
	int error;

	daemon->worker_count = workers ? workers : usable_cpus();
	daemon->worker_loops = calloc(daemon->worker_count, sizeof(*daemon->worker_loops));
	daemon->workers = calloc(daemon->worker_count, sizeof(*daemon->workers));
	if (!daemon->worker_loops || !daemon->workers)
		return -ENOMEM;
	error = event_loop_open(&daemon->loop);
	for (size_t i = 0; i < daemon->worker_count && !error; i++)
		error = event_loop_open(&daemon->worker_loops[i]);
	return error;
}

int start_event_loops(struct daemon *daemon)
{
	return daemon_report("the event loops could not be made", open_event_loops(daemon));
}

void stop_event_loops(struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->worker_count && daemon->worker_loops; i++)
		event_loop_close(daemon->worker_loops[i]);
	event_loop_close(daemon->loop);
	free(daemon->worker_loops);
	free(daemon->workers);
}

static int prepare_rings(struct daemon *daemon)
{
	struct interfaces *interfaces = &daemon->interfaces;
	int error = 0;

	daemon->rings = calloc(interfaces->datapath_count, sizeof(*daemon->rings));
	if (!daemon->rings)
		return -ENOMEM;
	for (size_t i = 0; i < interfaces->datapath_count && !error; i++) {
		struct shakeoff_control *control = datapath_control(interfaces->datapaths[i]);

		error = datapath_rings_prepare(interfaces->datapaths[i], (uint32_t)daemon->worker_count,
					       &daemon->rings[i]);
		if (!error)
			__atomic_store_n(&control->rings, daemon->rings[i], __ATOMIC_RELEASE);
	}
	return error;
}

int start_rings(struct daemon *daemon)
{
	return daemon_report("the ring buffers could not be made", prepare_rings(daemon));
}

void stop_rings(struct daemon *daemon)
{
	free(daemon->rings);
}

int start_accept_queues(struct daemon *daemon)
{
	int error;

	run_dir_clear(&daemon->run_dir);
	daemon->deliveries = calloc(daemon->services.count + 1, sizeof(*daemon->deliveries));
	if (!daemon->deliveries)
		return daemon_report("the accept queues could not be made", -ENOMEM);
	for (size_t i = 0; i < daemon->services.count; i++) {
		struct service *service = &daemon->services.list[i];
		int fd;

		error = run_dir_listen(&daemon->run_dir, service->config, &fd);
		if (error)
			return error;
		error = delivery_open(&daemon->deliveries[i], service, fd, daemon->loop, daemon->worker_loops,
				      daemon->worker_count);
		if (error) {
			close(fd);
			return daemon_report("the accept queues could not be made", error);
		}
		delivery_set_device(&daemon->deliveries[i], interfaces_only_device(&daemon->interfaces));
		daemon->delivery_count++;
	}
	return run_dir_link(&daemon->run_dir, &daemon->config);
}

/*
 * Waits for the threads that a server's socket may hold up. If a thread does not end, the memory that it uses must
 * stay, so the process exits here and ends the thread. Everything that other processes see is in order before.
 */
static void end_threads(struct daemon *daemon)
{
	bool ended = acceptor_end_all(END_NS);

	descriptor_finish(END_NS / NS_PER_MS);
	if (ended)
		return;
	log_warn("a server's listening socket holds up a thread, which ends with the process");
	acl_keeper_keep(&daemon->acl_keeper);
	run_dir_close(&daemon->run_dir);
	log_stop();
	_exit(daemon->failed ? EXIT_FAILURE : EXIT_SUCCESS);
}

void stop_accept_queues(struct daemon *daemon)
{
	end_threads(daemon);
	for (size_t i = 0; i < daemon->delivery_count; i++)
		delivery_close(&daemon->deliveries[i]);
	free(daemon->deliveries);
}

static int open_workers(struct daemon *daemon)
{
	int error = 0;

	daemon->shared = (struct worker_shared){
		.datapaths = daemon->interfaces.datapaths,
		.rings = daemon->rings,
		.datapath_count = daemon->interfaces.datapath_count,
		.services = &daemon->services,
		.deliveries = daemon->deliveries,
		.loops = daemon->worker_loops,
		.worker_count = daemon->worker_count,
	};
	for (size_t i = 0; i < daemon->worker_count && !error; i++) {
		error = worker_open(&daemon->workers[i], &daemon->shared, i);
		if (!error)
			daemon->workers_open++;
	}
	return error;
}

int start_workers(struct daemon *daemon)
{
	return daemon_report("the workers could not be made", open_workers(daemon));
}

void stop_workers(struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->workers_open; i++)
		worker_close(daemon->workers[i]);
}
