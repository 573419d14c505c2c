/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Starts and stops the threads, which run with the few privileges that the daemon keeps. Starts last, stops first. */
#include <errno.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "shakeoffd/stages.h"
#include "common/clock.h"
#include "shakeoffd/sys/privilege.h"

/* Loads the programs for interfaces that come later before it drops privileges, because loading needs more of them. */
int drop_privileges(struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->interfaces.datapath_count; i++) {
		int error = datapath_admit_prepare(daemon->interfaces.datapaths[i]);

		if (error && error != -EOPNOTSUPP)
			log_debug("the tc programs could not be loaded: %s: %s", strerror(-error), datapath_detail());
	}
	return privilege_drop();
}

int start_threads(struct daemon *daemon)
{
	uint64_t watchdog_us;
	int error;

	daemon->profiled_ns = clock_ns();
	if (sd_watchdog_enabled(0, &watchdog_us) > 0)
		daemon->watchdog_ns = watchdog_us * (NS_PER_MS / 1000);
	error = log_start();
	for (size_t i = 0; i < daemon->worker_count && !error; i++) {
		error = worker_start(daemon->workers[i]);
		if (!error)
			daemon->workers_running++;
	}
	for (size_t i = 0; i < daemon->interfaces.datapath_count && !error; i++) {
		struct shakeoff_control *control = datapath_control(daemon->interfaces.datapaths[i]);

		__atomic_store_n(&control->daemon_pid, (uint32_t)getpid(), __ATOMIC_RELAXED);
		__atomic_store_n(&control->started_ns, clock_ns(), __ATOMIC_RELAXED);
	}
	if (!error)
		error = discovery_start(&daemon->discovery, daemon->loop);
	if (!error)
		error = socket_filter_start(&daemon->filter, daemon->loop);
	if (!error)
		error = heartbeat_start(&daemon->heartbeat, daemon->interfaces.datapaths,
					daemon->interfaces.datapath_count, daemon->worker_loops, daemon->worker_count);
	return daemon_report("the threads could not be started", error);
}

/*
 * Waits for clients that send a cookie of the hook back to a listening socket: the kernel does not know these cookies.
 */
static void await_cookies(struct daemon *daemon)
{
	struct timespec pause = { .tv_nsec = SERVICE_RETURN_NS };

	if (discovery_stop_answering(&daemon->discovery, clock_ns()))
		nanosleep(&pause, NULL);
}

/* Stops new connections first, then finishes those that exist. */
void stop_threads(struct daemon *daemon)
{
	struct interfaces *interfaces = &daemon->interfaces;

	if (!daemon->workers_running)
		return;
	await_cookies(daemon);
	if (addresses_withdraw(interfaces->datapaths, interfaces->datapath_count))
		log_warn("the addresses of the services could not be withdrawn");
	discovery_stop(&daemon->discovery);
	socket_filter_close(&daemon->filter);
	heartbeat_stop(daemon->heartbeat);
	for (size_t i = 0; i < daemon->workers_running; i++)
		worker_stop(daemon->workers[i]);
	for (size_t i = 0; i < daemon->delivery_count; i++)
		delivery_stop(&daemon->deliveries[i]);
}
