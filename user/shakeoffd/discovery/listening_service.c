/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <string.h>

#include "common/log.h"
#include "shakeoffd/discovery/listening_service.h"

static void report_bypass(const struct service *service, enum shakeoff_bypass before, enum shakeoff_bypass now,
			  const char *rule)
{
	if (now == before)
		return;
	/* Reasons of the whole host concern every service, so they are logged once, elsewhere. */
	if (now == SHAKEOFF_BYPASS_MPTCP || now == SHAKEOFF_BYPASS_TCP_AUTH || now == SHAKEOFF_BYPASS_DEVICE ||
	    now == SHAKEOFF_BYPASS_NETFILTER || now == SHAKEOFF_BYPASS_BRIDGE)
		log_warn_limited("service %s is bypassed: %s", service->config->name, bypass_help(now));
	else if (now == SHAKEOFF_BYPASS_SYN_RULES)
		log_warn_limited("service %s is bypassed because of the firewall's rules: %s", service->config->name,
				 rule);
	else if (!now)
		log_debug("service %s is no longer bypassed", service->config->name);
}

void listening_describe(struct listening_service *listening, const struct bypass_host *host)
{
	const struct listener_facts *facts = &listening->facts;
	/*
	 * A service that is about to change counts as well: the properties of sockets matter only to the listener
	 * handoff.
	 */
	bool queue = listening->service->handoff == SHAKEOFF_HANDOFF_QUEUE ||
		     service_wants(listening->service) == SHAKEOFF_HANDOFF_QUEUE;
	const struct service_listening *was = &listening->service->listening;
	enum shakeoff_bypass before = queue ? was->queue_bypass : was->bypass;
	struct service_listening now = {
		.sockets = facts->sockets,
		.backlog = facts->backlog,
		.uid = facts->uid,
		.bypass = (uint8_t)bypass_reason(host, facts, &listening->bypass),
		.queue_bypass = listening->bypass.syn_rules ? SHAKEOFF_BYPASS_SYN_RULES : SHAKEOFF_BYPASS_NONE,
	};

	memcpy(now.bypass_rule, listening->rule, sizeof(now.bypass_rule));

	service_set_listening(listening->service, &now);
	if (queue || facts->sockets)
		report_bypass(listening->service, before, queue ? now.queue_bypass : now.bypass, listening->rule);
}
