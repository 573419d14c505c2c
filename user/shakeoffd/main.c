/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* shakeoffd: arguments, and what is started and stopped in which order. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <common/log.h>
#include <common/version.h>
#include <shakeoff/shakeoff.h>
#include "shakeoffd/queue/acceptor.h"
#include "shakeoffd/discovery/addresses.h"
#include "shakeoffd/hook/broker.h"
#include "shakeoffd/sys/clock.h"
#include "shakeoffd/queue/descriptor.h"
#include "shakeoffd/hook/devices.h"
#include "shakeoffd/discovery/discovery.h"
#include "shakeoffd/hook/resend.h"
#include "shakeoffd/hook/heartbeat.h"
#include "shakeoffd/hook/interfaces.h"
#include "shakeoffd/hook/keys.h"
#include "shakeoffd/hook/acl.h"
#include "shakeoffd/discovery/rtnl_monitor.h"
#include "shakeoffd/discovery/own_publish.h"
#include "shakeoffd/sys/privilege.h"
#include "shakeoffd/hook/synack_profile.h"
#include "shakeoffd/hook/synack_rate.h"
#include "shakeoffd/route/routes.h"
#include "shakeoffd/firewall/ruleset_reader.h"
#include "shakeoffd/firewall/ruleset_watch.h"
#include "shakeoffd/queue/run_dir.h"
#include "shakeoffd/selftest/selftest.h"
#include "shakeoffd/hook/socket_filter.h"
#include "shakeoffd/sys/sysctls.h"
#include "shakeoffd/queue/worker.h"
#include "shakeoffd/firewall/xfrm.h"

#define TICK_NS (100 * NS_PER_MS)
/* Programs come to interfaces without a message, and what else decides what the kernel offers changes without one. */
#define LOOK_PERIOD_NS NS_PER_S
#define DEVICES_PERIOD_NS (500 * NS_PER_MS)
#define PROFILE_PERIOD_NS (30 * NS_PER_S)

/* How long the end waits for threads. */
#define END_NS NS_PER_S

#define TCP_SYNACK_RETRIES_DEFAULT 5 /* TCP_SYNACK_RETRIES, include/net/tcp.h */

struct options {
	const char *config; /* NULL: none */
	char (*interfaces)[IFNAMSIZ];
	size_t interface_count;
	const char *run_dir;
	const char *bpffs;    /* NULL: the default */
	unsigned int workers; /* 0: one a CPU */
	int verbose;
};

struct daemon {
	struct config config;
	struct run_dir run_dir;
	struct interfaces interfaces;
	struct keys keys;
	struct lists lists;
	struct sysctls sysctls;
	struct devices devices;
	struct routes routes;
	struct socket_filter filter;
	struct half_open half_open;
	struct slots slots;
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
	uint32_t *rings; /* of each datapath */
	struct worker_shared shared;
	struct worker **workers;
	size_t worker_count, workers_open, workers_running;
	struct monitor monitor;
	struct event_source signals, timer;
	struct heartbeat *heartbeat;
	uint64_t looked_ns, profiled_ns, devices_ns;
	uint64_t watchdog_ns; /* WATCHDOG_USEC; 0: there is none */
	uint64_t fed_ns;
	bool ready; /* said so */
	bool stop, failed;
};

/* -------------------------------------------------------------------------------------------------------- arguments */

static const char usage[] =
	"Usage: shakeoffd [--config FILE] [--interface IFACE]... [--run-dir DIR] [--bpffs DIR] [--workers N]\n"
	"                 [--verbose]\n"
	"       shakeoffd --check FILE | --help-config[=mdoc|example]\n"
	"\n"
	"Finds the servers that listen on this host and lets shakeoff's XDP program answer for them, and hands\n"
	"connections to those that are preloaded. Runs in the foreground; SIGTERM and SIGINT stop it.\n"
	"\n"
	"  --config FILE      interfaces and services; without it every server that listens is a service\n"
	"  --interface IFACE  protect this interface, beside those of the file; may be repeated. Where none is named,\n"
	"                     every interface that has the program (`shakeoff attach IFACE`) is protected\n"
	"  --run-dir DIR      where preloaded servers find it (default " SHAKEOFF_RUN_DIR_DEFAULT ")\n"
	"  --bpffs DIR        where attached programs are pinned (default /sys/fs/bpf/shakeoff/INODE-OF-THE-NETNS)\n"
	"  --workers N        threads that complete connections (default: one for each CPU that it may run on)\n"
	"  --verbose          also say what only matters when something is wrong\n"
	"  --check FILE       say whether a configuration file is right, and end: status 0, or 1 with what is wrong\n"
	"  --help-config      every key of the file by section: what is allowed, the default, what it is for;\n"
	"                     =mdoc: the body of shakeoff.conf(5); =example: a file with all keys as comments\n"
	"  --help, --version\n";

static unsigned int parse_workers(const char *text)
{
	char *end;
	long workers = strtol(text, &end, 10);

	if (*text && !*end && workers >= 1 && workers <= SHAKEOFF_MAX_RINGS)
		return (unsigned int)workers;
	log_error("--workers %s: a number from 1 to %d is allowed", text, SHAKEOFF_MAX_RINGS);
	exit(EXIT_FAILURE);
}

static void parse_interface(const char *name, struct options *options)
{
	void *larger = reallocarray(options->interfaces, options->interface_count + 1, IFNAMSIZ);
	size_t length = strlen(name);

	if (!length || length >= IFNAMSIZ)
		log_error("--interface %s: the name of an interface has 1 to %d characters", name, IFNAMSIZ - 1);
	else if (!larger)
		log_error("--interface %s: %s", name, strerror(ENOMEM));
	if (!length || length >= IFNAMSIZ || !larger)
		exit(EXIT_FAILURE);
	options->interfaces = larger;
	memset(options->interfaces[options->interface_count], 0, IFNAMSIZ);
	memcpy(options->interfaces[options->interface_count++], name, length);
}

/* Reads a configuration file and nothing else. Returns the exit status. */
static int check_file(const char *path)
{
	struct config config;
	char sentence[512];

	if (config_read(path, &config, sentence, sizeof(sentence))) {
		log_error("%s", sentence);
		return EXIT_FAILURE;
	}
	config_free(&config);
	printf("%s: configuration OK\n", path);
	return EXIT_SUCCESS;
}

/* Writes the keys. form: NULL for people. Returns the exit status. */
static int help_config(const char *name)
{
	enum config_form form = CONFIG_FORM_TEXT;

	if (name && !config_form_find(name, &form)) {
		log_error("--help-config=%s: mdoc or example is allowed", name);
		return EXIT_FAILURE;
	}
	config_help(stdout, form);
	return EXIT_SUCCESS;
}

static void parse(int argc, char **argv, struct options *options)
{
	static const struct option table[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "interface", required_argument, NULL, 'i' },
		{ "run-dir", required_argument, NULL, 'r' },
		{ "bpffs", required_argument, NULL, 'b' },
		{ "workers", required_argument, NULL, 'w' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "check", required_argument, NULL, 'C' },
		{ "help-config", optional_argument, NULL, 'H' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (option) {
		case 'c': options->config = optarg; break;
		case 'i': parse_interface(optarg, options); break;
		case 'r': options->run_dir = optarg; break;
		case 'b': options->bpffs = optarg; break;
		case 'w': options->workers = parse_workers(optarg); break;
		case 'v': options->verbose = 1; break;
		case 'C': exit(check_file(optarg));
		case 'H': exit(help_config(optarg));
		case 'h': fputs(usage, stdout); exit(EXIT_SUCCESS);
		case 'V': puts("shakeoffd " SHAKEOFF_VERSION); exit(EXIT_SUCCESS);
		default: fputs("shakeoffd --help lists the options.\n", stderr); exit(EXIT_FAILURE);
		}
	}
	if (optind == argc)
		return;
	log_error("%s: no such argument; shakeoffd --help lists them", argv[optind]);
	exit(EXIT_FAILURE);
}

/* --------------------------------------------------------------------------------------------------------- running */

static uint64_t drained_ns(const struct daemon *daemon)
{
	uint64_t oldest = UINT64_MAX;

	for (size_t i = 0; i < daemon->worker_count; i++) {
		uint64_t drained = worker_drained_ns(daemon->workers[i]);

		if (drained < oldest)
			oldest = drained;
	}
	return oldest;
}

/* Ports below are root's alone, or of whom root has given CAP_NET_BIND_SERVICE to. */
static uint32_t roots_ports(const struct sysctls *sysctls)
{
	int start = sysctls_get(sysctls, SYSCTL_UNPRIVILEGED_PORT, 0, IPPORT_RESERVED);

	return start < 0 ? 0 : start < IPPORT_RESERVED ? (uint32_t)start : IPPORT_RESERVED;
}

static struct discovery_host discovery_host(const struct daemon *daemon)
{
	const struct sysctls *sysctls = &daemon->sysctls;

	return (struct discovery_host){
		.can_admit = datapath_can_admit(),
		.queue_passes_rules = datapath_can_input(),
		.syncookies = sysctls_get(sysctls, SYSCTL_TCP_SYNCOOKIES, 0, 1) != 0,
		.routes_left = { routes_left(&daemon->routes, false), routes_left(&daemon->routes, true) },
		.roots_ports = roots_ports(sysctls),
	};
}

/* Tells the self-test where the tc program hangs; but a bond lets nothing in by an inactive member, of which nothing follows. */
static void choose_test_interfaces(struct daemon *daemon)
{
	const struct interfaces *interfaces = &daemon->interfaces;
	unsigned int ifindexes[SHAKEOFF_MAX_INTERFACES];
	size_t count = 0;
	int error;

	daemon->interfaces.changed = false;
	if (!daemon->selftest)
		return;
	for (size_t i = 0; i < interfaces->count && count < SHAKEOFF_MAX_INTERFACES; i++)
		if (interface_admits(&interfaces->list[i]) && !interfaces->list[i].inactive)
			ifindexes[count++] = interfaces->list[i].ifindex;
	error = selftest_interfaces(daemon->selftest, ifindexes, count);
	if (error)
		log_warn("the self-test cannot be made: %s", strerror(-error));
}

/*
 * Tells the reader of rules by which devices packets come: the interfaces, and what stands above them, which rules know them by. Those
 * above are found as the topology was last read.
 */
static void name_devices(struct daemon *daemon)
{
	const struct topology *topology = &daemon->interfaces.topology;
	char(*names)[IFNAMSIZ] = calloc(topology->count + daemon->interfaces.count + 1, sizeof(*names));
	size_t count = 0;

	for (size_t i = 0; names && i < daemon->interfaces.count; i++)
		if (daemon->interfaces.list[i].ifindex)
			memcpy(names[count++], daemon->interfaces.list[i].name, IFNAMSIZ);
	for (size_t i = 0; names && i < topology->count; i++) {
		const struct link_entry *device = &topology->list[i];
		bool above = false;

		for (size_t k = 0; k < daemon->interfaces.count; k++) {
			const struct link_entry *below = topology_find(topology, daemon->interfaces.list[k].ifindex);

			above |= below && below != device && device->type != ARPHRD_LOOPBACK &&
				 strcmp(device->kind, "dummy") && device_is_reached(topology, device, below);
		}
		if (above)
			memcpy(names[count++], device->name, IFNAMSIZ);
	}
	if (names)
		ruleset_reader_devices(daemon->ruleset, (const char(*)[IFNAMSIZ])names, count);
	free(names);
}

/* Whether one has changed. */
static bool read_devices(struct daemon *daemon, uint64_t now)
{
	bool changed = false;
	int error = devices_read(&daemon->devices, &changed);

	daemon->devices_ns = now;
	if (changed)
		routes_touch(&daemon->routes);
	if (error)
		log_warn_limited("the network devices could not be listed: %s", strerror(-error));
	return changed;
}

static void refresh_interfaces(struct daemon *daemon, uint64_t now)
{
	int error;

	daemon->profiled_ns = now;
	read_devices(daemon, now);
	interfaces_refresh(&daemon->interfaces);
	routes_touch(&daemon->routes);
	if (daemon->interfaces.changed)
		choose_test_interfaces(daemon);
	name_devices(daemon);
	error = discovery_devices_changed(&daemon->discovery);
	if (error)
		log_warn_limited("the addresses of VLAN devices could not be listed: %s", strerror(-error));
}

static unsigned int synack_retries(const struct sysctls *sysctls)
{
	int retries = sysctls_get(sysctls, SYSCTL_TCP_SYNACK_RETRIES, 0, TCP_SYNACK_RETRIES_DEFAULT);

	return retries < 0 ? 0 : (unsigned int)retries;
}

static void follow_sysctls(struct daemon *daemon)
{
	struct discovery_host host;

	if (!sysctls_changed(&daemon->sysctls))
		return;
	host = discovery_host(daemon);
	profile_learn(&daemon->sysctls);
	half_open_set_retries(&daemon->half_open, synack_retries(&daemon->sysctls));
	interfaces_profile(&daemon->interfaces);
	routes_touch(&daemon->routes);
	for (size_t i = 0; i < daemon->delivery_count; i++)
		delivery_publish_window(&daemon->deliveries[i]);
	discovery_host_changed(&daemon->discovery, &host);
}

static void follow_routes(struct daemon *daemon, uint64_t now)
{
	struct discovery_host before = discovery_host(daemon), after;

	routes_tick(&daemon->routes, now);
	after = discovery_host(daemon);
	if (memcmp(before.routes_left, after.routes_left, sizeof(after.routes_left)))
		discovery_host_changed(&daemon->discovery, &after);
}

/* Of the firewall's: what is tried of them, and what is read. */
static void follow_rules(struct daemon *daemon)
{
	unsigned int changes = ruleset_reader_take_changes(daemon->ruleset);

	if (changes)
		selftest_rules_changed(daemon->selftest, changes & RULESET_CHANGED_RULES);
}

/* Without it the host's own addresses are possible as sources, and local routes are not protected: the services are all the same. */
static void publish_own(struct daemon *daemon)
{
	int error = own_publish(&daemon->own, &daemon->discovery.own);

	if (error)
		log_warn_limited("the host's own addresses could not be published: %s", strerror(-error));
}

/* Of servers: those that are registered, and those that listen. */
static void follow_servers(struct daemon *daemon)
{
	bool changed = false;
	int error = 0, looked;

	for (size_t i = 0; i < daemon->delivery_count; i++)
		changed |= delivery_take_change(&daemon->deliveries[i]);
	if (changed)
		discovery_servers_changed(&daemon->discovery);
	daemon->monitor.addresses_changed |= daemon->routes.local_changed;
	daemon->routes.local_changed = false;
	if (daemon->monitor.addresses_changed) {
		error = discovery_addresses_changed(&daemon->discovery);
		daemon->monitor.addresses_changed = error != 0; /* tried again with the next event */
		if (!error)
			publish_own(daemon);
	}
	looked = discovery_take_look(&daemon->discovery);
	if (looked)
		log_warn_limited("the kernel's listening sockets could not be listed: %s", strerror(-looked));
	follow_rules(daemon);
	discovery_take_results(&daemon->discovery);
	if (!error)
		error = discovery_update(&daemon->discovery, clock_ns());
	if (error)
		log_warn_limited("the addresses of the services could not be published: %s", strerror(-error));
	for (size_t i = 0; i < daemon->delivery_count && changed; i++)
		delivery_announce(&daemon->deliveries[i]);
}

/* For `shakeoff status`. */
static void publish_rules_unread(const struct daemon *daemon)
{
	bool unread = daemon->discovery.obeys_rules && ruleset_reader_is_unread(daemon->ruleset);

	for (size_t i = 0; i < daemon->interfaces.datapath_count; i++)
		__atomic_store_n(&datapath_control(daemon->interfaces.datapaths[i])->rules_unread, unread,
				 __ATOMIC_RELAXED);
}

/* Of the host, and of time. */
static void follow_host(struct daemon *daemon, uint64_t now)
{
	struct keys_moment moment;
	int error;

	follow_sysctls(daemon);
	if (now - daemon->looked_ns >= LOOK_PERIOD_NS) {
		daemon->looked_ns = now;
		daemon->monitor.links_changed |= interfaces_look(&daemon->interfaces);
	}
	daemon->monitor.links_changed |= interfaces_watch(&daemon->interfaces, now);
	if (daemon->monitor.links_changed || now - daemon->profiled_ns >= PROFILE_PERIOD_NS) {
		daemon->monitor.links_changed = false;
		daemon->monitor.addresses_changed = true; /* IPv4 routes go with their device without a message */
		refresh_interfaces(daemon, now);
	}
	if (now - daemon->devices_ns >= DEVICES_PERIOD_NS && read_devices(daemon, now))
		interfaces_profile(&daemon->interfaces);
	follow_routes(daemon, now);
	if (xfrm_follow(&daemon->xfrm))
		discovery_policies_changed(&daemon->discovery);
	ruleset_reader_tick(daemon->ruleset, now);
	publish_rules_unread(daemon);
	error = discovery_tick(&daemon->discovery, now);
	if (error)
		log_warn_limited("the kernel's listening sockets could not be listed: %s", strerror(-error));
	moment = keys_now();
	error = keys_tick(&daemon->keys, &moment);
	if (error)
		log_warn_limited("the cookie keys could not be rotated: %s", strerror(-error));
	error = lists_tick(&daemon->lists, now);
	if (error)
		log_warn_limited("expired entries of the lists could not be removed: %s", strerror(-error));
	error = socket_filter_tick(&daemon->filter, now, drained_ns(daemon));
	if (error)
		log_warn_limited("the kernel's sockets could not be listed: %s", strerror(-error));
	error = half_open_tick(&daemon->half_open, now);
	if (error)
		log_warn_limited("the half-open connections could not be listed: %s", strerror(-error));
}

/* systemd's (WatchdogSec=), from here and from nowhere else: it starts a daemon again whose event loops stand still. */
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
	drained = drained_ns(daemon);
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
		log_error(
			"the process that finds BPF programs and maps has ended, without which this one cannot go on: start it "
			"again (systemd does)");
	daemon->stop = daemon->failed = true;
}

/* -------------------------------------------------------------------------------------------------------- starting */

static int say(const char *what, int error)
{
	if (error)
		log_error("%s: %s", what, strerror(-error));
	return error;
}

static bool has_interface(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->interface_count; i++)
		if (!strncmp(config->interfaces[i], name, IFNAMSIZ))
			return true;
	return false;
}

static int add_interfaces(struct config *config, const struct options *options)
{
	for (size_t i = 0; i < options->interface_count; i++) {
		void *larger = reallocarray(config->interfaces, config->interface_count + 1, IFNAMSIZ);

		if (!larger)
			return say("the interfaces could not be read", -ENOMEM);
		config->interfaces = larger;
		if (!has_interface(config, options->interfaces[i]))
			memcpy(config->interfaces[config->interface_count++], options->interfaces[i], IFNAMSIZ);
	}
	return 0;
}

static int check_handoffs(const struct config *config)
{
	for (size_t i = 0; i < config->service_count; i++) {
		if (config->services[i].handoff != SHAKEOFF_HANDOFF_LISTENER || datapath_can_admit())
			continue;
		log_error(
			"service %s: handoff = listener needs Linux 6.9 or later (bpf_sk_assign_tcp_reqsk), which this kernel "
			"is not: auto and queue work with a preloaded server",
			config->services[i].name);
		return -EOPNOTSUPP;
	}
	return 0;
}

static int read_config(struct daemon *daemon, const struct options *options)
{
	char sentence[512];
	int error = 0;

	config_default(&daemon->config);
	if (options->config)
		error = config_read(options->config, &daemon->config, sentence, sizeof(sentence));
	if (error) {
		log_error("%s", sentence);
		return error;
	}
	return add_interfaces(&daemon->config, options);
}

static size_t usable_cpus(void)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return 1;
	return CPU_COUNT(&cpus) < SHAKEOFF_MAX_RINGS ? (size_t)CPU_COUNT(&cpus) : SHAKEOFF_MAX_RINGS;
}

static int open_loops(struct daemon *daemon, unsigned int workers)
{
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

static int open_keys(struct daemon *daemon)
{
	const struct interfaces *interfaces = &daemon->interfaces;
	const struct keys_moment moment = keys_now();
	char sentence[512];
	int error = keys_open(&daemon->keys, interfaces->datapaths, interfaces->datapath_count, daemon->config.key_file,
			      &moment, sentence, sizeof(sentence));

	if (error)
		log_error("%s", sentence);
	return error;
}

static int open_deliveries(struct daemon *daemon)
{
	int error;

	run_dir_clear(&daemon->run_dir);
	daemon->deliveries = calloc(daemon->services.count + 1, sizeof(*daemon->deliveries));
	if (!daemon->deliveries)
		return say("the accept queues could not be made", -ENOMEM);
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
			return say("the accept queues could not be made", error);
		}
		delivery_set_device(&daemon->deliveries[i], interfaces_only_device(&daemon->interfaces));
		daemon->delivery_count++;
	}
	return run_dir_link(&daemon->run_dir, &daemon->config);
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

static int open_sources(struct daemon *daemon)
{
	struct itimerspec period = { .it_interval.tv_nsec = TICK_NS, .it_value.tv_nsec = TICK_NS };
	sigset_t signals;
	int error, fd;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL); /* inherited by the threads to come */
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
	return error ? error : monitor_open(&daemon->monitor, daemon->loop);
}

/* Made once for a datapath: a new daemon goes on with what the programs use already. */
static void make_secrets(struct shakeoff_control *control)
{
	uint32_t random;

	if (!control->admission && getrandom(&random, sizeof(random), 0) == sizeof(random))
		__atomic_store_n(&control->admission, random, __ATOMIC_RELAXED);
}

/* What of the configuration holds for the hook as a whole. */
static void configure(struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->interfaces.datapath_count; i++) {
		struct shakeoff_control *control = datapath_control(daemon->interfaces.datapaths[i]);

		make_secrets(control);
		if (daemon->config.answer == CONFIG_ANSWER_ROUTE)
			__atomic_fetch_or(&control->flags, SHAKEOFF_ANSWER_ROUTE, __ATOMIC_RELAXED);
		else
			__atomic_fetch_and(&control->flags, ~SHAKEOFF_ANSWER_ROUTE, __ATOMIC_RELAXED);
	}
}

static int open_services(struct daemon *daemon)
{
	struct interfaces *interfaces = &daemon->interfaces;
	struct datapath **datapaths = interfaces->datapaths;
	size_t count = interfaces->datapath_count;
	int error;

	socket_filter_open(&daemon->filter, datapaths, count);
	error = slots_open(&daemon->slots, datapaths, count);
	if (!error)
		error = services_open(&daemon->services, &daemon->config, &daemon->slots);
	if (!error)
		error = addresses_open(&daemon->addresses, datapaths, count, &daemon->filter);
	return say("the services could not be published", error);
}

static int open_discovery(struct daemon *daemon)
{
	struct discovery_host host = discovery_host(daemon);
	int error = discovery_open(&daemon->discovery, &daemon->config, daemon->deliveries, daemon->delivery_count,
				   &daemon->slots, &daemon->addresses, &daemon->interfaces, &host);

	if (!error) {
		error = say("the policies of IPsec could not be read", xfrm_open(&daemon->xfrm));
		daemon->discovery.xfrm = &daemon->xfrm;
	}
	if (!error && !host.can_admit && daemon->discovery.follows)
		log_info("servers that listen are left to the kernel: %s", left_help(SHAKEOFF_LEFT_KERNEL));
	else if (!error && !host.syncookies && daemon->discovery.follows)
		log_warn("servers that listen are left to the kernel: %s", left_help(SHAKEOFF_LEFT_SYNCOOKIES));
	if (!error) {
		daemon->own = (struct own_publisher){ .datapaths = daemon->interfaces.datapaths,
						      .count = daemon->interfaces.datapath_count };
		publish_own(daemon);
	}
	return say("the listening sockets could not be listed", error);
}

/* Connections of the queue handoff come through the kernel's input path, where the kernel can give them back from its end. */
static void open_input(struct daemon *daemon)
{
	const struct interfaces *interfaces = &daemon->interfaces;

	for (size_t i = 0; i < interfaces->datapath_count; i++) {
		int error = datapath_input_attach(interfaces->datapaths[i]);

		if (!error)
			continue;
		datapath_input_detach(interfaces->datapaths[i]);
		if (!daemon->config.service_count)
			continue;
		log_warn(
			"queue handoff: the firewall's input chain does not see final ACKs and first data, as the netfilter program "
			"cannot be attached: %s%s%s",
			error == -EOPNOTSUPP ? "it needs Linux 6.4 or later" : strerror(-error),
			*datapath_detail() ? ": " : "", datapath_detail());
	}
}

/* What the hook needs to know, before it is attached. */
static int prepare(struct daemon *daemon, const struct options *options)
{
	struct interfaces *interfaces = &daemon->interfaces;
	int error;

	profile_learn(&daemon->sysctls);
	read_devices(daemon, clock_ns());
	error = interfaces_open(interfaces, &daemon->config, &daemon->sysctls, &daemon->devices);
	if (!error)
		error = interfaces_profile(interfaces);
	if (error)
		return error;
	configure(daemon);
	error = say("the event loops could not be made", open_loops(daemon, options->workers));
	if (!error)
		error = say("the ring buffers could not be made", prepare_rings(daemon));
	if (!error)
		error = say("the routes could not be read",
			    routes_open(&daemon->routes, daemon->loop, interfaces, &daemon->devices, &daemon->sysctls,
					daemon->config.answer == CONFIG_ANSWER_ROUTE));
	if (!error)
		error = open_keys(daemon);
	if (!error)
		error = say("SYN-ACKs cannot be sent again",
			    half_open_open(&daemon->half_open, interfaces->datapaths, interfaces->datapath_count,
					   synack_retries(&daemon->sysctls), clock_ns()));
	if (!error)
		error = say("the reply budget could not be told to the hook",
			    reply_budget_publish(interfaces->datapaths, interfaces->datapath_count,
						 daemon->config.reply_budget));
	if (!error)
		error = say("the lists could not be opened",
			    lists_open(&daemon->lists, interfaces->datapaths, interfaces->datapath_count));
	if (!error)
		error = open_services(daemon);
	if (!error)
		error = open_deliveries(daemon);
	if (!error)
		open_input(daemon);
	if (!error)
		error = say("the workers could not be made", open_workers(daemon));
	if (!error)
		error = say("the event sources could not be made", open_sources(daemon));
	if (!error)
		error = open_discovery(daemon);
	return error;
}

/* The process was started before; who needs no rules has none. */
static int listen_to_rules(struct daemon *daemon)
{
	daemon->discovery.ruleset = daemon->ruleset;
	daemon->discovery.obeys_rules = true;
	name_devices(daemon);
	return say("the rules of the firewall cannot be followed",
		   ruleset_reader_listen(daemon->ruleset, daemon->loop));
}

static void start_reader(struct daemon *daemon)
{
	int error = ruleset_reader_open(&daemon->ruleset);

	if (error)
		log_warn(
			"the firewall's rules cannot be read, so services are left to the kernel (those with `syn-rules = ignore` "
			"are not): %s",
			strerror(-error));
}

static void open_selftest(struct daemon *daemon)
{
	int error;

	if (!daemon->discovery.follows || !datapath_can_admit())
		return;
	error = selftest_open(&daemon->selftest, daemon->loop);
	if (error) {
		log_warn(
			"the self-test cannot be made, so firewall rules that refuse an ACK without a SYN, or a SYN, stay unnoticed: %s",
			strerror(-error));
		return;
	}
	choose_test_interfaces(daemon);
	daemon->discovery.selftest = daemon->selftest;
}

/* From now on the hook answers for what needs no test first. */
static int publish(struct daemon *daemon)
{
	int error = discovery_update(&daemon->discovery, clock_ns());

	if (!error)
		slots_sweep(&daemon->slots);
	return say("the addresses of the services could not be published", error);
}

static int start_threads(struct daemon *daemon)
{
	int error = log_start();

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
	return say("the threads could not be started", error);
}

/* What is loaded for interfaces that come later needs more than is kept. */
static int give_up_privileges(struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->interfaces.datapath_count; i++) {
		int error = datapath_admit_prepare(daemon->interfaces.datapaths[i]);

		if (error && error != -EOPNOTSUPP)
			log_debug("the tc programs could not be loaded: %s: %s", strerror(-error), datapath_detail());
	}
	return privilege_drop();
}

/* Other processes are forked first, with what privileges they need; then privileges are given up; then threads start. */
static int start(struct daemon *daemon, const struct options *options)
{
	uint64_t watchdog_us;
	int error;

	error = read_config(daemon, options);
	if (!error)
		error = privilege_check();
	if (!error)
		error = broker_start();
	if (!error)
		error = check_handoffs(&daemon->config);
	if (!error)
		start_reader(daemon);
	if (!error)
		error = say("--bpffs", datapath_set_bpffs(options->bpffs));
	if (!error)
		error = run_dir_open(&daemon->run_dir, options->run_dir);
	if (!error)
		error = prepare(daemon, options);
	if (!error)
		error = interfaces_attach(&daemon->interfaces);
	if (!error)
		error = listen_to_rules(daemon);
	if (error)
		return error;
	open_selftest(daemon);
	error = publish(daemon);
	if (!error)
		error = give_up_privileges(daemon);
	if (error)
		return error;
	daemon->profiled_ns = clock_ns();
	if (sd_watchdog_enabled(0, &watchdog_us) > 0)
		daemon->watchdog_ns = watchdog_us * (NS_PER_MS / 1000);
	return start_threads(daemon);
}

/* -------------------------------------------------------------------------------------------------------- stopping */

/* Lets clients that listening sockets are answered for bring back their cookies, which the kernel would not know. */
static void await_cookies(struct daemon *daemon)
{
	struct timespec pause = { .tv_nsec = SERVICE_RETURN_NS };

	if (discovery_stop_answering(&daemon->discovery, clock_ns()))
		nanosleep(&pause, NULL);
}

/* Maps live on as long as anybody has them open. What stays attached keeps its keys for the next daemon. */
static void forget_keys(struct interfaces *interfaces)
{
	for (size_t i = 0; i < interfaces->datapath_count; i++) {
		bool stays = false;

		for (size_t k = 0; k < interfaces->count; k++)
			stays |= interfaces->list[k].ifindex && interfaces->list[k].datapath == i &&
				 !interfaces->list[k].detach;
		if (!stays && keys_forget(interfaces->datapaths[i]))
			log_warn("the cookie keys could not be wiped");
	}
}

/* First nothing new comes in, then what is there is brought to its end. */
static void stop_service(struct daemon *daemon)
{
	struct interfaces *interfaces = &daemon->interfaces;

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
	for (size_t i = 0; i < interfaces->datapath_count; i++)
		datapath_input_detach(interfaces->datapaths[i]);
	interfaces_detach(interfaces, false);
	forget_keys(interfaces);
}

/*
 * Threads that a server's socket holds up cannot be waited for: what they use stays then, and the process ends with them.
 * Everything that others see is in order.
 */
static void end_threads(struct daemon *daemon, int status)
{
	bool ended = acceptor_end_all(END_NS);

	descriptor_finish(END_NS / NS_PER_MS);
	if (ended)
		return;
	log_warn("a server's listening socket holds up a thread, which ends with the process");
	lists_keep(&daemon->lists);
	run_dir_close(&daemon->run_dir);
	log_stop();
	_exit(status);
}

/* It could not start. */
static void give_up(struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->interfaces.datapath_count; i++)
		datapath_input_detach(daemon->interfaces.datapaths[i]);
	interfaces_detach(&daemon->interfaces, true);
}

static void release(struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->workers_open; i++)
		worker_close(daemon->workers[i]);
	for (size_t i = 0; i < daemon->worker_count && daemon->worker_loops; i++)
		event_loop_close(daemon->worker_loops[i]);
	for (size_t i = 0; i < daemon->delivery_count; i++)
		delivery_close(&daemon->deliveries[i]);
	if (daemon->monitor.source.loop)
		monitor_close(&daemon->monitor);
	routes_close(&daemon->routes);
	selftest_close(daemon->selftest);
	event_loop_close(daemon->loop);
	own_publisher_close(&daemon->own);
	ruleset_reader_close(daemon->ruleset);
	discovery_close(&daemon->discovery);
	xfrm_close(&daemon->xfrm);
	addresses_close(&daemon->addresses);
	services_close(&daemon->services);
	slots_close(&daemon->slots);
	half_open_close(&daemon->half_open);
	lists_keep(&daemon->lists);
	lists_close(&daemon->lists);
	keys_close(&daemon->keys);
	interfaces_close(&daemon->interfaces);
	run_dir_close(&daemon->run_dir);
	config_free(&daemon->config);
	sysctls_close(&daemon->sysctls);
	devices_free(&daemon->devices);
	free(daemon->deliveries);
	free(daemon->worker_loops);
	free(daemon->workers);
	free(daemon->rings);
	broker_stop();
}

/* Once what was there at the start is tested and published. */
static void say_ready(struct daemon *daemon)
{
	if (daemon->ready || discovery_is_pending(&daemon->discovery))
		return;
	daemon->ready = true;
	log_info("ready: %zu services of the configuration and %zu discovered ones on %zu interfaces, %zu workers",
		 daemon->services.count, discovery_count(&daemon->discovery), daemon->interfaces.count,
		 daemon->worker_count);
	sd_notify(0, "READY=1");
}

int main(int argc, char **argv)
{
	struct options options = { .run_dir = SHAKEOFF_RUN_DIR_DEFAULT };
	struct daemon daemon = { .run_dir.lock_fd = -1, .xfrm.notices = -1 };
	int error, status;

	log_open("shakeoffd", 0);
	parse(argc, argv, &options);
	log_open("shakeoffd", options.verbose);
	signal(SIGPIPE, SIG_IGN);
	descriptor_raise_limit();
	sysctls_open(&daemon.sysctls);

	error = start(&daemon, &options);
	if (error) {
		if (daemon.workers_running)
			stop_service(&daemon);
		else
			give_up(&daemon);
		release(&daemon);
		free(options.interfaces);
		log_stop();
		return EXIT_FAILURE;
	}
	while (!daemon.stop && !error) {
		error = event_loop_round(daemon.loop, -1);
		follow_servers(&daemon);
		say_ready(&daemon);
	}
	say("waiting for events failed", error);
	sd_notify(0, "STOPPING=1");
	stop_service(&daemon);
	status = error || daemon.failed ? EXIT_FAILURE : EXIT_SUCCESS;
	end_threads(&daemon, status);
	release(&daemon);
	free(options.interfaces);
	log_stop();
	return status;
}
