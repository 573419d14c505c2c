/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The events that the main thread waits for beside sockets: signals, timers, changes of links and addresses. */
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/log.h"
#include "shakeoffd/follow.h"
#include "shakeoffd/hook/broker.h"
#include "shakeoffd/queue/acceptor.h"
#include "shakeoffd/queue/descriptor.h"
#include "shakeoffd/stages.h"
#include "common/clock.h"

#define TICK_NS (100 * NS_PER_MS)

/*
 * Feeds systemd's watchdog (WatchdogSec=), which restarts a daemon whose event loops stand still. No other code feeds
 * it.
 */
static void feed_watchdog(struct daemon *daemon, uint64_t now)
{
	if (!daemon->watchdog_ns || now - daemon->fed_ns < daemon->watchdog_ns / 2 ||
	    !heartbeat_is_well(daemon->heartbeat, now))
		return;
	daemon->fed_ns = now;
	sd_notify(0, "WATCHDOG=1");
}

static void tick(struct event_source *source, uint32_t events)
{
	struct daemon *daemon = (struct daemon *)((char *)source - offsetof(struct daemon, timer));
	uint64_t now = clock_ns(), drained, expirations;

	(void)events;
	if (read(source->fd, &expirations, sizeof(expirations)) < 0)
		return;
	heartbeat_alive(daemon->heartbeat, now);
	feed_watchdog(daemon, now);
	follow_host(daemon, now);
	drained = follow_drained_ns(daemon);
	for (size_t i = 0; i < daemon->delivery_count; i++) {
		delivery_set_device(&daemon->deliveries[i], interfaces_only_device(&daemon->interfaces));
		delivery_tick(&daemon->deliveries[i], now, drained);
	}
	acceptor_tick();
	descriptor_tick();
}

static void signalled(struct event_source *source, uint32_t events)
{
	struct daemon *daemon = (struct daemon *)((char *)source - offsetof(struct daemon, signals));
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		log_info("SIGHUP is ignored: a changed configuration takes effect with a restart");
		return;
	}
	daemon->stop = true;
}

static void broker_ended(void *context)
{
	struct daemon *daemon = context;

	if (!daemon->stop)
		log_error("the process that finds BPF programs and maps has ended, and the daemon needs it: start the "
			  "daemon again (systemd does)");
	daemon->stop = daemon->failed = true;
}

static int open_events(struct daemon *daemon)
{
	struct itimerspec period = { .it_interval.tv_nsec = TICK_NS, .it_value.tv_nsec = TICK_NS };
	sigset_t signals;
	int error, fd;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL); /* threads that start later inherit this */
	fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	error = fd < 0 ? -errno : event_loop_add(daemon->loop, &daemon->signals, fd, EPOLLIN, signalled);
	if (error)
		return error;
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd < 0 || timerfd_settime(fd, 0, &period, NULL))
		return -errno;
	error = event_loop_add(daemon->loop, &daemon->timer, fd, EPOLLIN, tick);
	if (!error)
		error = broker_watch(daemon->loop, broker_ended, daemon);
	return error ? error : rtnl_monitor_open(&daemon->rtnl_monitor, daemon->loop);
}

int start_events(struct daemon *daemon)
{
	return daemon_report("the event sources could not be made", open_events(daemon));
}

void stop_events(struct daemon *daemon)
{
	if (daemon->rtnl_monitor.source.loop)
		rtnl_monitor_close(&daemon->rtnl_monitor);
}
