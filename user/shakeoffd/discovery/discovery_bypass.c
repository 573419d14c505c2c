/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Decides which endpoints are bypassed, and so which services: asks the self-test and the reader of the firewall's
 * rules, and applies their results.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shakeoffd/discovery/discovery_internal.h"

/*
 * If the self-test has no result after this time, a service is published without one. It takes several tries to be sure
 * that an address is not reached.
 */
#define TEST_PATIENCE_NS (400 * NS_PER_MS)

/* --------------------------------------------------------------------------------------------------------- requests */

/* Returns whether only the self-test could say that the service has to be bypassed. */
static bool is_testable(const struct discovery *discovery, const struct listening_service *listening)
{
	const struct bypass_addresses none = { 0 };

	return discovery->selftest && !bypass_reason(&discovery->host, &listening->facts, &none);
}

static bool obeys_rules(const struct discovery *discovery, const struct listening_service *owner)
{
	return discovery->obeys_rules && owner->service->config->policy.syn_rules != CONFIG_SYN_RULES_IGNORE;
}

bool tested_awaits_rules(const struct discovery *discovery, const struct tested *tested, uint16_t port)
{
	return obeys_rules(discovery, tested->owner) &&
	       ruleset_reader_find(discovery->ruleset, &tested->address, port).state == RULESET_PENDING;
}

/*
 * Returns whether a rule counts the packets that come there. Probes would use up what the rule allows clients, and
 * would be refused themselves.
 */
static bool is_counted(const struct discovery *discovery, const struct tested *tested, uint16_t port)
{
	struct ruleset_answer answer;

	if (!obeys_rules(discovery, tested->owner))
		return false;
	answer = ruleset_reader_find(discovery->ruleset, &tested->address, port);
	return answer.state == RULESET_KNOWN && answer.counts;
}

static bool awaits_test(const struct discovery *discovery, const struct tested *tested, uint16_t port, uint64_t now_ns)
{
	return is_testable(discovery, tested->owner) && !tested->by_socket && !is_counted(discovery, tested, port) &&
	       now_ns - tested->owner->since_ns < TEST_PATIENCE_NS &&
	       selftest_awaits(discovery->selftest, &tested->address,
			       port); /* the self-test gets a new endpoint only afterwards */
}

bool tested_is_pending(const struct discovery *discovery, const struct tested *tested, uint16_t port, uint64_t now_ns)
{
	return tested_awaits_rules(discovery, tested, port) || awaits_test(discovery, tested, port, now_ns);
}

static size_t count_tested(const struct discovery *discovery)
{
	size_t count = 0;

	for (size_t port = 0; port < PORTS; port++)
		count += discovery->ports[port].count;
	return count;
}

static bool may_be_probed(const struct discovery *discovery, const struct tested *tested, uint16_t port)
{
	return !tested->covered && !tested->by_socket && is_testable(discovery, tested->owner) &&
	       !tested_awaits_rules(discovery, tested, port) && !is_counted(discovery, tested, port);
}

/* Lists all endpoints, or those that may be probed. NULL: no memory. */
static struct endpoint *list_tested(const struct discovery *discovery, bool probed, size_t *count)
{
	struct endpoint *endpoints = calloc(count_tested(discovery) + 1, sizeof(*endpoints));

	*count = 0;
	for (size_t port = 0; endpoints && port < PORTS; port++) {
		const struct discovery_port *at_port = &discovery->ports[port];

		for (size_t i = 0; i < at_port->count; i++)
			if (!probed || may_be_probed(discovery, &at_port->list[i], (uint16_t)port))
				endpoints[(*count)++] = (struct endpoint){ .address = at_port->list[i].address,
									   .port = (uint16_t)port };
	}
	return endpoints;
}

int discovery_request_tests(struct discovery *discovery)
{
	size_t count;
	struct endpoint *endpoints = list_tested(discovery, true, &count);
	int error = endpoints ? selftest_targets(discovery->selftest, endpoints, count) : -ENOMEM;

	free(endpoints);
	return error;
}

int discovery_request_rules(struct discovery *discovery)
{
	size_t count;
	struct endpoint *endpoints = list_tested(discovery, false, &count);
	int error = endpoints ? ruleset_reader_endpoints(discovery->ruleset, endpoints, count) : -ENOMEM;

	free(endpoints);
	return error;
}

/* ---------------------------------------------------------------------------------------------------------- results */

bool discovery_is_secured(const struct discovery *discovery, const struct in6_addr *address, uint16_t port)
{
	return discovery->xfrm && xfrm_requires(discovery->xfrm, address, port);
}

static bool is_refused(const struct discovery *discovery, const struct in6_addr *address, uint16_t port)
{
	return selftest_result(discovery->selftest, address, port) == SELFTEST_NOT_REACHED ||
	       discovery_is_secured(discovery, address, port);
}

static bool is_unfollowed(const struct discovery *discovery, const struct in6_addr *address)
{
	return discovery->host.routes[!IN6_IS_ADDR_V4MAPPED(address)];
}

/* Returns the rule because of which an endpoint is bypassed. NULL: there is none, or it is not known yet. */
static const char *ruled_by(const struct discovery *discovery, const struct tested *tested, uint16_t port)
{
	struct ruleset_answer answer;
	bool ruled;

	if (!obeys_rules(discovery, tested->owner))
		return NULL;
	answer = ruleset_reader_find(discovery->ruleset, &tested->address, port);
	ruled = answer.syn_rules;
	if (tested->covered)
		ruled |= discovery->host.queue_unruled ? answer.refuses_syn : answer.counts;
	return ruled ? answer.rule : NULL;
}

bool tested_is_bypassed(const struct discovery *discovery, const struct tested *tested, uint16_t port)
{
	if (ruled_by(discovery, tested, port))
		return true;
	return !tested->covered && (tested->by_socket || is_unfollowed(discovery, &tested->address) ||
				    is_refused(discovery, &tested->address, port));
}

bool tested_stays_untested(const struct discovery *discovery, const struct tested *tested, uint16_t port)
{
	return is_testable(discovery, tested->owner) && !tested->by_socket &&
	       (is_counted(discovery, tested, port) ||
		selftest_cannot_try(discovery->selftest, &tested->address, port));
}

/* --------------------------------------------------------------------------------------------------------- services */

/*
 * Returns whether bridges hand packets to netfilter: such packets lose the request that the tc program has given them.
 */
static bool bridges_have_netfilter(void)
{
	static const char *const sysctls[] = { "/proc/sys/net/bridge/bridge-nf-call-iptables",
					       "/proc/sys/net/bridge/bridge-nf-call-ip6tables" };
	bool found = false;

	for (size_t i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
		FILE *file = fopen(sysctls[i], "re");

		if (!file)
			continue;
		found |= fgetc(file) == '1';
		fclose(file);
	}
	return found;
}

static void count_endpoint(struct discovery *discovery, const struct tested *tested, uint16_t port, bool bypassed)
{
	struct listening_service *owner = tested->owner;
	const char *rule = ruled_by(discovery, tested, port);
	bool unfollowed = !tested->covered && is_unfollowed(discovery, &tested->address);
	bool refused = !tested->covered && !tested->by_socket && !unfollowed &&
		       is_refused(discovery, &tested->address, port);

	owner->unfollowed += unfollowed;
	owner->refusals += refused;
	owner->bridged += refused && upper_addresses_are_bridged(&discovery->upper, &tested->address);
	owner->ruled += rule && !unfollowed && !refused;
	owner->others += !bypassed;
	if (rule && !*owner->next_rule)
		snprintf(owner->next_rule, sizeof(owner->next_rule), "%s", rule);
}

/* Sums up what was counted at the endpoints of a service: whether the service as a whole is bypassed. */
static void sum_up(struct discovery *discovery, struct listening_service *listening)
{
	bool not_reached = listening->refusals && !listening->others;
	const struct bypass_addresses bypass = {
		.not_reached = not_reached,
		.bridged = not_reached &&
			   (listening->bridged == listening->refusals ||
			    interfaces_are_bridge_ports(discovery->interfaces)) &&
			   bridges_have_netfilter(),
		.routes = listening->unfollowed && !listening->others,
		.syn_rules = listening->ruled && !listening->others,
	};
	bool same = listening->bypass.not_reached == bypass.not_reached &&
		    listening->bypass.bridged == bypass.bridged && listening->bypass.routes == bypass.routes &&
		    listening->bypass.syn_rules == bypass.syn_rules && !strcmp(listening->rule, listening->next_rule);

	listening->refusals = listening->bridged = listening->unfollowed = listening->ruled = listening->others = 0;
	if (same)
		return;
	memcpy(listening->rule, listening->next_rule, sizeof(listening->rule));
	listening->bypass = bypass;
	discovery_describe(discovery, listening);
}

static void forget_rules(struct discovery *discovery)
{
	for (size_t i = 0; i < discovery->configured_count; i++)
		*discovery->configured[i].next_rule = '\0';
	for (struct auto_service *d = discovery->discovered.used.first; d; d = d->next)
		*d->listening.next_rule = '\0';
}

static void sum_up_all(struct discovery *discovery)
{
	for (size_t i = 0; i < discovery->configured_count; i++)
		sum_up(discovery, &discovery->configured[i]);
	for (struct auto_service *d = discovery->discovered.used.first; d; d = d->next)
		sum_up(discovery, &d->listening);
}

/*
 * Applies the results. An endpoint is bypassed if it is not reached, or if its routes cannot be followed. A service
 * that has only such endpoints is bypassed as a whole.
 */
void discovery_apply_results(struct discovery *discovery)
{
	forget_rules(discovery);
	for (size_t port = 0; port < PORTS; port++) {
		const struct discovery_port *at_port = &discovery->ports[port];

		for (size_t i = 0; i < at_port->count; i++) {
			const struct tested *tested = &at_port->list[i];
			bool bypassed = tested_is_bypassed(discovery, tested, (uint16_t)port);

			count_endpoint(discovery, tested, (uint16_t)port, bypassed);
			if (bypassed != tested->bypassed ||
			    tested->untested != tested_stays_untested(discovery, tested, (uint16_t)port))
				discovery_mark(discovery, (uint16_t)port);
		}
	}
	sum_up_all(discovery);
}
