/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The process that reads the firewall's rules. It follows changes. For each request it forks a process that reads and
 * verifies the rules: libraries, tools or a huge rule set can end, block or exhaust only that process.
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

/* The results of an endpoint. */
#define RULESET_SYN_RULES 1u
#define RULESET_REFUSES_SYN 2u
#define RULESET_COUNTS 4u

/*
 * Memory that daemon and process share. It belongs to the process between a request and its reply, otherwise to the
 * daemon, which does not trust its contents.
 */
struct ruleset_shared {
	uint32_t device_count, endpoint_count; /* written by the daemon */
	char devices[RULESET_MAX_DEVICES][IFNAMSIZ];
	struct endpoint endpoints[RULESET_MAX_ENDPOINTS];

	uint32_t text_count; /* written by the process */
	char texts[RULESET_MAX_TEXTS][RULESET_RULE_TEXT];
	char why[RULESET_WHY]; /* the reason why the rules could not be read */
	uint8_t results[RULESET_MAX_ENDPOINTS];
	uint8_t rules[RULESET_MAX_ENDPOINTS]; /* index of the rule's text */
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

/* Serves the daemon and never returns. socket: SOCK_SEQPACKET, to the daemon, whose process id is `daemon`. */
_Noreturn void ruleset_process(int socket, struct ruleset_shared *shared, int daemon);

#endif
