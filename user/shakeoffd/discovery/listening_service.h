/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A service, configured or discovered, with the state of its listening sockets. */
#ifndef SHAKEOFFD_DISCOVERY_LISTENING_SERVICE_H
#define SHAKEOFFD_DISCOVERY_LISTENING_SERVICE_H

#include <stddef.h>
#include <stdint.h>

#include "shakeoffd/discovery/bypass_reason.h"
#include "shakeoffd/discovery/listeners.h"
#include "shakeoffd/hook/service.h"

struct listening_service {
	struct service *service;
	struct listener_facts facts;
	struct bypass_addresses bypass;    /* holds for all its addresses */
	size_t refusals;                   /* endpoints where the self-test failed, while they are counted */
	size_t bridged;                    /* of these, those that are reached through a bridge */
	size_t unfollowed;                 /* endpoints where routes cannot be followed */
	size_t ruled;                      /* endpoints where the firewall's rules match SYNs */
	char rule[SHAKEOFF_RULE_LEN];      /* one of these rules; "" */
	char next_rule[SHAKEOFF_RULE_LEN]; /* the same, while they are counted */
	size_t others;                     /* endpoints that are not bypassed */
	uint64_t since_ns;                 /* since when it has a socket and an address; 0: it lacks one */
};

/*
 * Describes the present sockets of a service to the hook. Logs when the service becomes bypassed, or stops being
 * bypassed.
 */
void listening_describe(struct listening_service *listening, const struct bypass_host *host);

#endif
