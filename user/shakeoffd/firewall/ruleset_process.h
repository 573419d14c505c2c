/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The process that reads the firewall's rules. It follows changes, and for every request has a process of its own read and
 * judge: libraries, tools and a rule set of any size can end, hang or fill the memory of that one alone.
 */
#ifndef SHAKEOFFD_FIREWALL_RULESET_PROCESS_H
#define SHAKEOFFD_FIREWALL_RULESET_PROCESS_H

#include <net/if.h>
#include <stdint.h>

#include <shakeoff/abi.h>
#include "shakeoffd/firewall/ruleset_verify.h"

#define RULESET_MAX_ENDPOINTS (2 * SHAKEOFF_MAX_ADDRESSES)
#define RULESET_MAX_DEVICES 256
#define RULESET_MAX_TEXTS 256
#define RULESET_WHY 128

/* Of an endpoint. */
#define RULESET_SYN_RULES 1u
#define RULESET_REFUSES_SYN 2u
#define RULESET_COUNTS 4u

/*
 * Memory that daemon and process share. Between a request and its answer it is the process's, otherwise the daemon's, which
 * does not trust what it finds there.
 */
struct ruleset_shared {
	uint32_t device_count, endpoint_count; /* by the daemon */
	char devices[RULESET_MAX_DEVICES][IFNAMSIZ];
	struct endpoint endpoints[RULESET_MAX_ENDPOINTS];

	uint32_t text_count; /* by the process */
	char texts[RULESET_MAX_TEXTS][RULESET_RULE_TEXT];
	char why[RULESET_WHY]; /* the rules could not be read */
	uint8_t results[RULESET_MAX_ENDPOINTS];
	uint8_t rules[RULESET_MAX_ENDPOINTS]; /* index of its text */
};

enum ruleset_message_kind {
	RULESET_REQUEST, /* from the daemon */
	RULESET_ANSWER,  /* value: 0 or an errno, and shared->why */
	RULESET_CHANGE,  /* value: RULESET_CHANGED_* */
};

struct ruleset_message {
	uint32_t kind; /* enum ruleset_message_kind */
	uint32_t value;
};

/* Does not return. socket: SOCK_SEQPACKET, to the daemon, whose process id is `daemon`. */
_Noreturn void ruleset_process(int socket, struct ruleset_shared *shared, int daemon);

#endif
