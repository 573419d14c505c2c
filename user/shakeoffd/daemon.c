/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Starts and stops the stages of the daemon in order, and runs its event loop. */
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "common/log.h"
#include "shakeoffd/daemon.h"
#include "shakeoffd/follow.h"
#include "shakeoffd/stages.h"

struct stage {
	const char *name;
	int (*start)(struct daemon *daemon);
	void (*stop)(struct daemon *daemon); /* NULL: there is nothing to undo */
};

/*
 * The stages start in this order and stop in reverse. The order matters:
 *
 *  - Helper processes are forked first, while few descriptors are open and the daemon still has the privileges that
 *    they need. The daemon drops its own privileges when everything is set up. Threads start after that.
 *  - The hook gets all its settings before it is attached. It gets the addresses of services after that.
 *  - At the end the daemon first stops taking new connections. Then threads end, the hook is detached, and memory is
 *    freed last.
 */
static const struct stage stages[] = {
	{ "sysctls", start_sysctls, stop_sysctls },
	{ "configuration", start_configuration, stop_configuration },
	{ "privileges", check_privileges, NULL },
	{ "broker", start_broker, stop_broker },
	{ "handoffs", check_handoffs, NULL },
	{ "reader of rules", start_rules_reader, stop_rules_reader },
	{ "bpffs", choose_bpffs, NULL },
	{ "run directory", start_run_dir, stop_run_dir },

	{ "interfaces", start_interfaces, stop_interfaces },
	{ "event loops", start_event_loops, stop_event_loops },
	{ "rings", start_rings, stop_rings },
	{ "routes", start_routes, stop_routes },
	{ "keys", start_keys, stop_keys },
	{ "resend", start_resend, stop_resend },
	{ "reply budget", publish_reply_budget, NULL },
	{ "acl", start_acl, stop_acl },
	{ "services", start_services, stop_services },
	{ "accept queues", start_accept_queues, stop_accept_queues },
	{ "input path", start_input, stop_input },
	{ "workers", start_workers, stop_workers }, /* their packets carry the mark of the input path */
	{ "events", start_events, stop_events },
	{ "discovery", start_discovery, stop_discovery },
	{ "hook", start_hook, stop_hook },

	{ "firewall's rules", start_rules, NULL },
	{ "self-test", start_selftest, stop_selftest },
	{ "addresses", publish_addresses, NULL },
	{ "fewer privileges", drop_privileges, NULL },
	{ "threads", start_threads, stop_threads },
};

#define STAGES (sizeof(stages) / sizeof(stages[0]))

int daemon_report(const char *what, int error)
{
	if (error)
		log_error("%s: %s", what, strerror(-error));
	return error;
}

/* Starts the stages until one fails. Returns how many to stop, which includes the stage that failed. */
static size_t start_stages(struct daemon *daemon)
{
	for (size_t i = 0; i < STAGES; i++) {
		if (!stages[i].start(daemon))
			continue;
		log_debug("the daemon could not start: %s", stages[i].name);
		daemon->failed = true;
		return i + 1;
	}
	return STAGES;
}

/* Stops the first `count` stages in reverse order. */
static void stop_stages(struct daemon *daemon, size_t count)
{
	while (count--)
		if (stages[count].stop)
			stages[count].stop(daemon);
}

/* Reports that the daemon is ready, once all endpoints that existed at the start are tested and published. */
static void report_ready(struct daemon *daemon)
{
	if (daemon->ready || discovery_is_pending(&daemon->discovery))
		return;
	daemon->ready = true;
	log_info("ready: %zu services of the configuration and %zu discovered ones on %zu interfaces, %zu workers",
		 daemon->services.count, discovery_count(&daemon->discovery), daemon->interfaces.count,
		 daemon->worker_count);
	sd_notify(0, "READY=1");
}

/* Handles events until the daemon has to stop or fails. */
static void run(struct daemon *daemon)
{
	int error = 0;

	while (!daemon->stop && !error) {
		error = event_loop_round(daemon->loop, -1);
		follow_servers(daemon);
		report_ready(daemon);
	}
	daemon_report("waiting for events failed", error);
	daemon->failed |= error != 0;
	sd_notify(0, "STOPPING=1");
}

int daemon_run(const struct options *options)
{
	struct daemon daemon = { .options = options, .run_dir.lock_fd = -1, .xfrm.notices = -1 };
	size_t started = start_stages(&daemon);

	if (!daemon.failed)
		run(&daemon);
	stop_stages(&daemon, started);
	return daemon.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
