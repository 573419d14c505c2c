/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The firewall's rules, read and verified by a process of its own (ruleset_process.h), and what came of it for every endpoint.
 * The process has CAP_NET_ADMIN and CAP_NET_RAW, so the daemon needs neither a parser nor a tool for rules; it dies with the
 * daemon.
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
	RULESET_PENDING, /* it has not been read yet, or not for this endpoint */
	RULESET_KNOWN,
	RULESET_UNKNOWN, /* it cannot be read */
};

struct ruleset_answer {
	enum ruleset_state state;
	bool syn_rules, counts, refuses_syn; /* as in struct ruleset_findings; all if the rules are not known */
	const char *rule;                    /* the one that is the reason of the first of these; or why not known */
};

/*
 * Starts the process. Before any thread, and before privileges are dropped. NULL is a reader for which all rules are
 * unknown, in all functions.
 */
int ruleset_reader_open(struct ruleset_reader **reader);
void ruleset_reader_close(struct ruleset_reader *reader);

/* From now on messages of the process are read by the loop's thread, which calls all other functions. */
int ruleset_reader_listen(struct ruleset_reader *reader, struct event_loop *loop);

/* What to verify. Copied; of what was there before the answers stay until there are new ones. 0 or -ENOMEM. */
int ruleset_reader_endpoints(struct ruleset_reader *reader, const struct endpoint *endpoints, size_t count);
void ruleset_reader_devices(struct ruleset_reader *reader, const char (*names)[IFNAMSIZ], size_t count);

struct ruleset_answer ruleset_reader_find(const struct ruleset_reader *reader, const struct in6_addr *address,
					  uint16_t port);

/* Whether the rules cannot be read, now. */
bool ruleset_reader_is_unread(const struct ruleset_reader *reader);

/* To be called several times a second: reads again when it is time to, and notices a process that hangs. */
void ruleset_reader_tick(struct ruleset_reader *reader, uint64_t now_ns);

/* Whether answers have come since this was last asked. */
bool ruleset_reader_take_answers(struct ruleset_reader *reader);

/* What of the rules has changed since this was last asked: RULESET_CHANGED_*. */
unsigned int ruleset_reader_take_changes(struct ruleset_reader *reader);

#endif
