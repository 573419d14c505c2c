/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <string.h>

#include "common/log.h"
#include "shakeoffd/discovery/listening_service.h"

static void say_left(const struct service *service, enum shakeoff_left before, enum shakeoff_left now, const char *rule)
{
	if (now == before)
		return;
	/* Those of the host concern every service: they are said once, elsewhere. */
	if (now == SHAKEOFF_LEFT_MPTCP || now == SHAKEOFF_LEFT_TCP_AUTH || now == SHAKEOFF_LEFT_DEVICE ||
	    now == SHAKEOFF_LEFT_NETFILTER || now == SHAKEOFF_LEFT_BRIDGE)
		log_warn_limited("service %s is left to the kernel: %s", service->config->name, left_help(now));
	else if (now == SHAKEOFF_LEFT_SYN_RULES)
		log_warn_limited("service %s is left to the kernel because of the firewall's rules: %s",
				 service->config->name, rule);
	else if (!now)
		log_debug("service %s is no longer left to the kernel", service->config->name);
}

void listening_describe(struct listening_service *listening, const struct left_host *host)
{
	const struct listener_facts *facts = &listening->facts;
	/* About to change counts: what sockets are matters to the listener handoff alone. */
	bool queue = listening->service->handoff == SHAKEOFF_HANDOFF_QUEUE ||
		     service_wants(listening->service) == SHAKEOFF_HANDOFF_QUEUE;
	const struct service_listening *was = &listening->service->listening;
	enum shakeoff_left before = queue ? was->queue_left : was->left;
	struct service_listening now = {
		.sockets = facts->sockets,
		.backlog = facts->backlog,
		.uid = facts->uid,
		.left = (uint8_t)left_reason(host, facts, &listening->left),
		.queue_left = listening->left.syn_rules ? SHAKEOFF_LEFT_SYN_RULES : SHAKEOFF_LEFT_NOT,
	};

	memcpy(now.left_rule, listening->rule, sizeof(now.left_rule));

	service_set_listening(listening->service, &now);
	if (queue || facts->sockets)
		say_left(listening->service, before, queue ? now.queue_left : now.left, listening->rule);
}
