/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A round: tries as many due endpoints as one run has room for. Each endpoint on each interface that counts for it is a
 * trial for each class of sources that is routed over the interface. A run per interface and try takes all trials that
 * are not over. The results are published when all trials are over.
 */
#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "shakeoffd/selftest/selftest_internal.h"

/* A target that was not reached is tried again from other addresses, less and less often. */
#define AGAIN_NS (10 * NS_PER_S)
#define AGAIN_MAX_NS (80 * NS_PER_S)

/* Returns whether probes to addresses of a family can be sent on a link at all. */
static bool can_try(const struct selftest *selftest, const struct link *link, int family)
{
	return link->map >= 0 && selftest->listeners[family] >= 0 &&
	       (link->sources[family].counts[PROBE_OUTSIDE] || link->sources[family].counts[PROBE_NEIGHBOUR]);
}

static void read_link(struct selftest *selftest, struct link *link)
{
	int error = probe_port_read(link->ifindex, &link->port);

	for (int family = 0; family < FAMILIES; family++) {
		struct probe_sources *sources = &link->sources[family];

		if (error)
			*sources = (struct probe_sources){ 0 };
		if (!error && probe_sources_choose(&link->port, &selftest->hosts, &selftest->neighbours,
						   selftest_address_family(family), sources))
			*sources = (struct probe_sources){ 0 };
	}
}

/* Adds a trial for each class of sources. If sources outside can send there too, one ACK of a neighbour is enough. */
static void add_classes(struct selftest *selftest, struct probe_target *target, size_t link)
{
	const size_t *counts = selftest->links[link].sources[family_of(target)].counts;
	struct round *round = &selftest->round;

	for (int class = 0; class < PROBE_CLASSES; class ++) {
		if (!counts[class])
			continue;
		round->trials[round->count++] = (struct trial){
			.target = target,
			.link = link,
			.class = (enum probe_class) class,
			.wanted = class == PROBE_NEIGHBOUR && counts[PROBE_OUTSIDE] ? 1 : ARRIVALS,
		};
	}
	target->outside |= counts[PROBE_OUTSIDE] != 0;
}

/*
 * Adds trials on the daemon's interfaces that have the address, or else on all, because its packets may arrive on any
 * of them.
 */
static void add_trials(struct selftest *selftest, struct probe_target *target)
{
	const struct in6_addr *address = &target->what.address;
	bool has_own = false;

	target->found = SELFTEST_UNTESTED;
	target->outside = target->arrived = target->tried = false;
	for (size_t i = 0; i < selftest->link_count; i++)
		has_own |= probe_port_has(&selftest->links[i].port, &selftest->hosts, address);
	for (size_t i = 0; i < selftest->link_count; i++) {
		const struct link *link = &selftest->links[i];

		if (has_own && !probe_port_has(&link->port, &selftest->hosts, address))
			continue;
		if (can_try(selftest, link, family_of(target)))
			add_classes(selftest, target, i);
	}
}

bool selftest_round_begin(struct selftest *selftest)
{
	struct round *round = &selftest->round;
	bool found = false;
	int error;

	round->count = round->attempt = round->link = 0;
	if (!selftest->links) /* selftest_interfaces() has not been called yet */
		return false;
	while (selftest->next_due < selftest->target_count && !selftest->targets[selftest->next_due].due)
		selftest->next_due++;
	if (selftest->next_due == selftest->target_count)
		return false;
	error = probe_hosts_read(&selftest->hosts);
	if (error)
		log_debug("the host's addresses could not be read: %s", strerror(-error));
	for (size_t i = 0; i < selftest->link_count; i++)
		read_link(selftest, &selftest->links[i]);
	for (; selftest->next_due < selftest->target_count; selftest->next_due++) {
		struct probe_target *target = &selftest->targets[selftest->next_due];

		if (!target->due)
			continue;
		if (round->count + selftest->link_count * PROBE_CLASSES > SHAKEOFF_PROBE_MAX)
			break;
		add_trials(selftest, target);
		found = true;
	}
	return found;
}

bool selftest_round_step(struct selftest *selftest)
{
	struct round *round = &selftest->round;

	for (; round->attempt < TRIES_OF_ALL; round->attempt++, round->link = 0)
		while (round->link < selftest->link_count)
			if (selftest_run_begin(selftest, round->link++))
				return true;
	return false;
}

/* Publishes the result of an endpoint at the end of its round. */
static void target_end(struct selftest *selftest, struct probe_target *target, uint64_t now)
{
	uint64_t rest = AGAIN_NS << target->failures;

	if (target->tried && target->found == SELFTEST_UNTESTED)
		target->found = SELFTEST_NOT_REACHED; /* by no source */
	else if (target->found == SELFTEST_REACHED && target->outside && !target->arrived)
		target->found = SELFTEST_UNTESTED; /* a neighbour's success does not prove that others succeed */
	target->due = false;
	selftest->changed |= target->result != target->found;
	target->result = target->found;
	if (target->found != SELFTEST_NOT_REACHED) {
		target->failures = 0;
		target->again_ns = 0;
		return;
	}
	target->again_ns = now + (rest < AGAIN_MAX_NS ? rest : AGAIN_MAX_NS);
	if (rest < AGAIN_MAX_NS)
		target->failures++;
}

void selftest_round_end(struct selftest *selftest)
{
	struct round *round = &selftest->round;

	round->count = 0;
	/* The endpoints before next_due that are still due are those of the round. */
	for (size_t i = 0; i < selftest->next_due; i++) {
		struct probe_target *target = &selftest->targets[i];

		if (target->due)
			target_end(selftest, target, clock_ns());
	}
}

void selftest_round_abandon(struct selftest *selftest)
{
	selftest_run_end(selftest);
	selftest->round.count = 0;
	selftest->round.attempt = TRIES_OF_ALL;
	selftest->next_due = 0;
}
