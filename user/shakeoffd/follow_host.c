/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Follows the host (interfaces, settings, routes, policies) and runs the timed work that is due. */
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "shakeoffd/follow.h"
#include "shakeoffd/hook/synack_profile.h"
#include "common/clock.h"

/*
 * The kernel sends no message when a program is attached to an interface, nor when settings behind the offered options
 * change.
 */
#define LOOK_PERIOD_NS NS_PER_S
#define DEVICES_PERIOD_NS (500 * NS_PER_MS)
#define PROFILE_PERIOD_NS (30 * NS_PER_S)

#define TCP_SYNACK_RETRIES_DEFAULT 5 /* TCP_SYNACK_RETRIES, include/net/tcp.h */

/* Returns the first port at which a user may listen who is not root and has no CAP_NET_BIND_SERVICE. */
static uint32_t roots_ports(const struct sysctls *sysctls)
{
	int start = sysctls_get(sysctls, SYSCTL_UNPRIVILEGED_PORT, 0, IPPORT_RESERVED);

	return start < 0 ? 0 : start < IPPORT_RESERVED ? (uint32_t)start : IPPORT_RESERVED;
}

struct discovery_host follow_discovery_host(const struct daemon *daemon)
{
	const struct sysctls *sysctls = &daemon->sysctls;

	return (struct discovery_host){
		.can_admit = datapath_can_admit(),
		.queue_passes_rules = datapath_can_input(),
		.syncookies = sysctls_get(sysctls, SYSCTL_TCP_SYNCOOKIES, 0, 1) != 0,
		.routes_bypassed = { routes_bypassed(&daemon->routes, false), routes_bypassed(&daemon->routes, true) },
		.roots_ports = roots_ports(sysctls),
	};
}

void follow_test_interfaces(struct daemon *daemon)
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

void follow_device_names(struct daemon *daemon)
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

bool follow_devices(struct daemon *daemon, uint64_t now)
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
	follow_devices(daemon, now);
	interfaces_refresh(&daemon->interfaces);
	routes_touch(&daemon->routes);
	if (daemon->interfaces.changed)
		follow_test_interfaces(daemon);
	follow_device_names(daemon);
	error = discovery_devices_changed(&daemon->discovery);
	if (error)
		log_warn_limited("the addresses of VLAN devices could not be listed: %s", strerror(-error));
}

unsigned int follow_synack_retries(const struct daemon *daemon)
{
	int retries = sysctls_get(&daemon->sysctls, SYSCTL_TCP_SYNACK_RETRIES, 0, TCP_SYNACK_RETRIES_DEFAULT);

	return retries < 0 ? 0 : (unsigned int)retries;
}

static void follow_sysctls(struct daemon *daemon)
{
	struct discovery_host host;

	if (!sysctls_changed(&daemon->sysctls))
		return;
	host = follow_discovery_host(daemon);
	profile_learn(&daemon->sysctls);
	half_open_set_retries(&daemon->half_open, follow_synack_retries(daemon));
	interfaces_profile(&daemon->interfaces);
	routes_touch(&daemon->routes);
	for (size_t i = 0; i < daemon->delivery_count; i++)
		delivery_publish_window(&daemon->deliveries[i]);
	discovery_host_changed(&daemon->discovery, &host);
}

static void follow_routes(struct daemon *daemon, uint64_t now)
{
	struct discovery_host before = follow_discovery_host(daemon), after;

	routes_tick(&daemon->routes, now);
	after = follow_discovery_host(daemon);
	if (memcmp(before.routes_bypassed, after.routes_bypassed, sizeof(after.routes_bypassed)))
		discovery_host_changed(&daemon->discovery, &after);
}

/* Publishes whether the rules cannot be read, for `shakeoff status`. */
static void publish_rules_unread(const struct daemon *daemon)
{
	bool unread = daemon->discovery.obeys_rules && ruleset_reader_is_unread(daemon->ruleset);

	for (size_t i = 0; i < daemon->interfaces.datapath_count; i++)
		__atomic_store_n(&datapath_control(daemon->interfaces.datapaths[i])->rules_unread, unread,
				 __ATOMIC_RELAXED);
}

uint64_t follow_drained_ns(const struct daemon *daemon)
{
	uint64_t oldest = UINT64_MAX;

	for (size_t i = 0; i < daemon->worker_count; i++) {
		uint64_t drained = worker_drained_ns(daemon->workers[i]);

		if (drained < oldest)
			oldest = drained;
	}
	return oldest;
}

void follow_host(struct daemon *daemon, uint64_t now)
{
	struct keys_time keys_time;
	int error;

	follow_sysctls(daemon);
	if (now - daemon->looked_ns >= LOOK_PERIOD_NS) {
		daemon->looked_ns = now;
		daemon->rtnl_monitor.links_changed |= interfaces_look(&daemon->interfaces);
	}
	daemon->rtnl_monitor.links_changed |= interfaces_watch(&daemon->interfaces, now);
	if (daemon->rtnl_monitor.links_changed || now - daemon->profiled_ns >= PROFILE_PERIOD_NS) {
		daemon->rtnl_monitor.links_changed = false;
		daemon->rtnl_monitor.addresses_changed =
			true; /* the kernel removes IPv4 routes with their device without a message */
		refresh_interfaces(daemon, now);
	}
	if (now - daemon->devices_ns >= DEVICES_PERIOD_NS && follow_devices(daemon, now))
		interfaces_profile(&daemon->interfaces);
	follow_routes(daemon, now);
	if (xfrm_follow(&daemon->xfrm))
		discovery_policies_changed(&daemon->discovery);
	ruleset_reader_tick(daemon->ruleset, now);
	publish_rules_unread(daemon);
	error = discovery_tick(&daemon->discovery, now);
	if (error)
		log_warn_limited("the kernel's listening sockets could not be listed: %s", strerror(-error));
	keys_time = keys_now();
	error = keys_tick(&daemon->keys, &keys_time);
	if (error)
		log_warn_limited("the cookie keys could not be rotated: %s", strerror(-error));
	error = acl_keeper_tick(&daemon->acl_keeper, now);
	if (error)
		log_warn_limited("expired entries of the lists could not be removed: %s", strerror(-error));
	error = socket_filter_tick(&daemon->filter, now, follow_drained_ns(daemon));
	if (error)
		log_warn_limited("the kernel's sockets could not be listed: %s", strerror(-error));
	error = half_open_tick(&daemon->half_open, now);
	if (error)
		log_warn_limited("the half-open connections could not be listed: %s", strerror(-error));
}
