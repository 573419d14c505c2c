/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Follows registered and listening servers, and publishes for which of them the hook may answer. */
#include <string.h>

#include "common/log.h"
#include "shakeoffd/firewall/ruleset_watch.h"
#include "shakeoffd/follow.h"
#include "common/clock.h"

/* Has the self-test try again after changes of firewall rules. */
static void follow_rules(struct daemon *daemon)
{
	unsigned int changes = ruleset_reader_take_changes(daemon->ruleset);

	if (changes)
		selftest_rules_changed(daemon->selftest, changes & RULESET_CHANGED_RULES);
}

void follow_own_addresses(struct daemon *daemon)
{
	int error = own_publish(&daemon->own, &daemon->discovery.own);

	if (error)
		log_warn_limited("the host's own addresses could not be published: %s", strerror(-error));
}

void follow_servers(struct daemon *daemon)
{
	bool changed = false;
	int error = 0, looked;

	for (size_t i = 0; i < daemon->delivery_count; i++)
		changed |= delivery_take_change(&daemon->deliveries[i]);
	if (changed)
		discovery_servers_changed(&daemon->discovery);
	daemon->rtnl_monitor.addresses_changed |= daemon->routes.local_changed;
	daemon->routes.local_changed = false;
	if (daemon->rtnl_monitor.addresses_changed) {
		error = discovery_addresses_changed(&daemon->discovery);
		daemon->rtnl_monitor.addresses_changed = error != 0; /* the next event tries again */
		if (!error)
			follow_own_addresses(daemon);
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
