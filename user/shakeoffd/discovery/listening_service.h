/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A service, configured or discovered, together with what its listening sockets say. */
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
	struct bypass_addresses bypass;    /* of all of its addresses */
	size_t refusals;                   /* at so many the self-test failed, while they are counted */
	size_t bridged;                    /* of these, those that are reached through a bridge */
	size_t unfollowed;                 /* at so many routes cannot be followed */
	size_t ruled;                      /* at so many the firewall's rules look at SYNs */
	char rule[SHAKEOFF_RULE_LEN];      /* one of those; "" */
	char next_rule[SHAKEOFF_RULE_LEN]; /* the same, while they are counted */
	size_t others;                     /* and so many are bypassed */
	uint64_t since_ns;                 /* since when it has had a socket and an address; 0: it has not */
};

/* Tells the hook what the sockets of a service are now. Logs when the service is bypassed, or no longer. */
void listening_describe(struct listening_service *listening, const struct bypass_host *host);

#endif
