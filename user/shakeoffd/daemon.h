/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The state of the whole daemon while it runs. */
#ifndef SHAKEOFFD_DAEMON_H
#define SHAKEOFFD_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shakeoffd/discovery/addresses.h"
#include "shakeoffd/discovery/discovery.h"
#include "shakeoffd/discovery/own_publish.h"
#include "shakeoffd/discovery/rtnl_monitor.h"
#include "shakeoffd/firewall/ruleset_reader.h"
#include "shakeoffd/firewall/xfrm.h"
#include "shakeoffd/hook/acl.h"
#include "shakeoffd/hook/devices.h"
#include "shakeoffd/hook/heartbeat.h"
#include "shakeoffd/hook/interfaces.h"
#include "shakeoffd/hook/keys.h"
#include "shakeoffd/hook/resend.h"
#include "shakeoffd/hook/socket_filter.h"
#include "shakeoffd/options.h"
#include "shakeoffd/queue/run_dir.h"
#include "shakeoffd/queue/worker.h"
#include "shakeoffd/route/routes.h"
#include "shakeoffd/selftest/selftest.h"
#include "shakeoffd/sys/sysctls.h"

struct daemon {
	const struct options *options;
	struct config config;
	struct run_dir run_dir;
	struct interfaces interfaces;
	struct keys keys;
	struct acl_keeper acl_keeper;
	struct sysctls sysctls;
	struct devices devices;
	struct routes routes;
	struct socket_filter filter;
	struct half_open half_open;
	struct service_ids service_ids;
	struct services services;
	struct addresses addresses;
	struct ruleset_reader *ruleset;
	struct selftest *selftest;
	struct xfrm_policies xfrm;
	struct discovery discovery;
	struct own_publisher own;
	struct event_loop *loop;
	struct event_loop **worker_loops;
	struct delivery *deliveries;
	size_t delivery_count;
	uint32_t *rings; /* one for each datapath */
	struct worker_shared shared;
	struct worker **workers;
	size_t worker_count, workers_open, workers_running;
	struct rtnl_monitor rtnl_monitor;
	struct event_source signals, timer;
	struct heartbeat *heartbeat;
	uint64_t looked_ns, profiled_ns, devices_ns;
	uint64_t watchdog_ns; /* WATCHDOG_USEC; 0: there is no watchdog */
	uint64_t fed_ns;
	bool ready; /* it has reported that it is ready */
	bool stop, failed;
};

/* Starts the daemon, runs it until it has to stop, and stops it. Returns the exit status of the process. */
int daemon_run(const struct options *options);

/* Logs what failed, if `error` is not 0. Returns the error. */
int daemon_report(const char *what, int error);

#endif
