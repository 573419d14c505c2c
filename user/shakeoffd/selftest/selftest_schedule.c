/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The schedule of the self-test: the timer, due endpoints, and changes of the firewall's rules. */
#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "shakeoffd/selftest/selftest_internal.h"

#define STEP_NS (20 * NS_PER_MS) /* pause between two runs: for probes under way, and for the rest of the daemon */

/* Rules change in bursts, and on some hosts all the time. */
#define RULES_SETTLE_NS (100 * NS_PER_MS)
#define RULES_PERIOD_NS NS_PER_S
/*
 * RULES_BURST tests may be made at once, then one every RULES_REST_NS. With PROBE_NEIGHBOURS no source sends more than
 * five packets to a port in half a minute, so rules that count what a source opens (the usual limit is six) let the
 * probes pass.
 */
#define RULES_BURST 8
#define RULES_REST_NS (4 * NS_PER_S)
#define ELEMENTS_PERIOD_NS (30 * NS_PER_S)

static void set_timer(struct selftest *selftest, uint64_t at_ns)
{
	struct itimerspec when = {
		.it_value = { .tv_sec = (time_t)(at_ns / NS_PER_S), .tv_nsec = (long)(at_ns % NS_PER_S) },
	};

	timerfd_settime(selftest->timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void selftest_begin_soon(struct selftest *selftest)
{
	set_timer(selftest, clock_ns());
}

void selftest_all_due(struct selftest *selftest, uint64_t now)
{
	for (size_t i = 0; i < selftest->target_count; i++)
		selftest->targets[i].due = true;
	selftest->next_due = 0;
	selftest->all_begun_ns = now;
	selftest->all_due_ns = now + SELFTEST_PERIOD_NS;
}

/* Makes endpoints due that were not reached, when it is time. Returns when the next one is due, or all are. */
static uint64_t some_due(struct selftest *selftest, uint64_t now)
{
	uint64_t next = selftest->all_due_ns;

	for (size_t i = 0; i < selftest->target_count; i++) {
		struct probe_target *target = &selftest->targets[i];

		if (!target->again_ns)
			continue;
		if (now >= target->again_ns) {
			target->due = true;
			target->again_ns = 0;
			selftest->next_due = 0;
		} else if (target->again_ns < next) {
			next = target->again_ns;
		}
	}
	return next;
}

void selftest_step(struct event_source *source, uint32_t events)
{
	struct selftest *selftest = (struct selftest *)((char *)source - offsetof(struct selftest, timer));
	uint64_t now = clock_ns(), expirations, next;

	(void)events;
	if (read(source->fd, &expirations, sizeof(expirations)) < 0)
		return;
	selftest_run_end(selftest);
	if (!selftest_round_step(selftest)) {
		selftest_round_end(selftest);
		if (now >= selftest->all_due_ns)
			selftest_all_due(selftest, now);
		next = some_due(selftest, now);
		if (!selftest_round_begin(selftest)) {
			set_timer(selftest, next);
			return;
		}
		selftest_round_step(selftest);
	}
	set_timer(selftest, clock_ns() + STEP_NS);
}

/* ------------------------------------------------------------------------------------------------- changes of rules */

/* Returns when a test because of a change may begin: the generic cell rate algorithm. */
static uint64_t rules_allowed(const struct selftest *selftest)
{
	const uint64_t burst = (RULES_BURST - 1) * RULES_REST_NS;

	return selftest->rules_ns > burst ? selftest->rules_ns - burst : 0;
}

/* Makes all endpoints due: any chain, rule or element of a set that changes may affect a probe. */
void selftest_rules_changed(struct selftest *selftest, bool rules)
{
	uint64_t now = clock_ns(), rest = rules ? RULES_PERIOD_NS : ELEMENTS_PERIOD_NS, soon = now + RULES_SETTLE_NS;

	if (!selftest)
		return;
	if (soon < selftest->all_begun_ns + rest)
		soon = selftest->all_begun_ns + rest;
	if (soon < rules_allowed(selftest))
		soon = rules_allowed(selftest);
	if (soon >= selftest->all_due_ns)
		return;
	/* All changes until a test begins count as one. */
	if (selftest->all_due_ns >= selftest->all_begun_ns + SELFTEST_PERIOD_NS)
		selftest->rules_ns = (selftest->rules_ns > now ? selftest->rules_ns : now) + RULES_REST_NS;
	selftest->all_due_ns = soon;
	if (!selftest->round.count)
		set_timer(selftest, soon);
}
