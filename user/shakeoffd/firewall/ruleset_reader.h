/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The results of the firewall's rules for each endpoint. A separate process (ruleset_process.h) reads and verifies the
 * rules. The process has CAP_NET_ADMIN and CAP_NET_RAW, so the daemon needs neither a parser nor a tool for rules. The
 * process dies with the daemon.
 */
#ifndef SHAKEOFFD_FIREWALL_RULESET_READER_H
#define SHAKEOFFD_FIREWALL_RULESET_READER_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shakeoffd/sys/event_loop.h"
#include "shakeoffd/firewall/ruleset_verify.h"

struct ruleset_reader;

enum ruleset_state {
	RULESET_PENDING, /* the rules have not been read yet, or not for this endpoint */
	RULESET_KNOWN,
	RULESET_UNKNOWN, /* the rules cannot be read */
};

struct ruleset_answer {
	enum ruleset_state state;
	bool syn_rules, counts, refuses_syn; /* as in struct ruleset_findings; all true if the rules are not known */
	const char *rule; /* the rule that is the reason for the first of these; or why the rules are not known */
};

/*
 * Starts the process. Call it before any thread starts, and before privileges are dropped. In all functions, a NULL
 * reader means that all rules are unknown.
 */
int ruleset_reader_open(struct ruleset_reader **reader);
void ruleset_reader_close(struct ruleset_reader *reader);

/* Has the loop's thread read messages of the process from now on. The same thread calls all other functions. */
int ruleset_reader_listen(struct ruleset_reader *reader, struct event_loop *loop);

/*
 * Sets the endpoints to verify, and copies them. Endpoints that were there before keep their results until there are
 * new ones. 0 or -ENOMEM.
 */
int ruleset_reader_endpoints(struct ruleset_reader *reader, const struct endpoint *endpoints, size_t count);
void ruleset_reader_devices(struct ruleset_reader *reader, const char (*names)[IFNAMSIZ], size_t count);

struct ruleset_answer ruleset_reader_find(const struct ruleset_reader *reader, const struct in6_addr *address,
					  uint16_t port);

/* Returns whether the rules cannot be read now. */
bool ruleset_reader_is_unread(const struct ruleset_reader *reader);

/* Reads again when it is time to, and notices a process that hangs. Call it several times a second. */
void ruleset_reader_tick(struct ruleset_reader *reader, uint64_t now_ns);

/* Returns whether results have come since the last call. */
bool ruleset_reader_take_answers(struct ruleset_reader *reader);

/* Returns what has changed in the rules since the last call: RULESET_CHANGED_*. */
unsigned int ruleset_reader_take_changes(struct ruleset_reader *reader);

#endif
