/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a firewall's rules mean to an endpoint where a service listens.
 *
 * With the listener handoff netfilter sees the ACK that ends a handshake, but not the SYN that began it. So every rule holds
 * that says the same to both. A rule that looks at SYNs holds no more, and where it depends on who sends, no test with
 * packets of one sender or another can tell. What is asked is therefore: is there a client to which the rules give one
 * verdict for its SYN, and another for an ACK that they take for the first packet of a connection?
 *
 * With the queue handoff netfilter sees neither, where the kernel cannot run a BPF program there: is there a client whose
 * SYN the rules refuse?
 *
 * Where a BPF program takes connections from the end of netfilter's input path, connection tracking forgets the ACK, and sees the next
 * segment as the first again: is there a rule that counts, and would count twice?
 *
 * Nothing is known of clients. A rule that asks for a source, a set, a limit, a mark or the time may match or may not, for
 * a SYN and an ACK alike; what two such rules say is taken for independent. Hence a doubt, not a certainty, is an answer.
 */
#ifndef SHAKEOFFD_FIREWALL_RULESET_VERIFY_H
#define SHAKEOFFD_FIREWALL_RULESET_VERIFY_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shakeoffd/firewall/ruleset.h"
#include "shakeoffd/hook/endpoint.h"

/* The devices by which packets come to the endpoints. */
struct ruleset_devices {
	const char (*names)[IFNAMSIZ];
	size_t count;
};

struct ruleset_findings {
	bool syn_rules;   /* some clients' SYNs get another verdict than their ACKs */
	bool counts;      /* a rule with a verdict counts packets or connections of theirs */
	bool refuses_syn; /* the SYNs of some clients, or of all, get no further */
	/* The rule that is the reason of each; NULL: a policy. */
	const struct rule_chain *syn_chain, *refusing_chain, *counting_chain;
	const struct rule *syn_rule, *refusing_rule, *counting_rule;
};

struct ruleset_verifier;

/* The rule set has to be finished, and stays the caller's. NULL without memory. */
struct ruleset_verifier *ruleset_verifier_open(const struct ruleset *ruleset, const struct ruleset_devices *devices);
void ruleset_verifier_close(struct ruleset_verifier *verifier);

void ruleset_verify(struct ruleset_verifier *verifier, const struct endpoint *endpoint,
		    struct ruleset_findings *findings);

/* How a rule is called, for people: "inet filter input handle 12", "iptables filter INPUT rule 3", "... policy". */
#define RULESET_RULE_TEXT 64
void ruleset_rule_text(const struct rule_chain *chain, const struct rule *rule, char *text, size_t size);

#endif
