/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a firewall's rules mean for an endpoint where a service listens.
 *
 * With the listener handoff netfilter sees the ACK that ends a handshake, but not the SYN that began it. Rules that
 * treat both alike keep their effect. A rule that matches SYNs loses its effect. Where such a rule depends on the
 * sender, no test with packets of a few senders can find it. So the question is: is there a client whose SYN gets
 * another verdict than its ACK, if the rules take that ACK for the first packet of a connection?
 *
 * With the queue handoff netfilter sees neither packet if the kernel cannot run a BPF program there. Then the question
 * is: is there a client whose SYN the rules refuse?
 *
 * If a BPF program takes connections from the end of netfilter's input path, connection tracking forgets the ACK, and
 * takes the next segment for the first again. Then the question is: is there a rule that counts, and would count twice?
 *
 * Nothing is known about clients. A rule that depends on a source, a set, a limit, a mark or the time may or may not
 * match, but does the same for the SYN and the ACK. Two such rules are taken to be independent. So a possible effect
 * counts as one.
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

/* The devices by which packets for the endpoints come in. */
struct ruleset_devices {
	const char (*names)[IFNAMSIZ];
	size_t count;
};

struct ruleset_findings {
	bool syn_rules;   /* some clients' SYNs get another verdict than their ACKs */
	bool counts;      /* a rule with a verdict counts packets or connections of clients */
	bool refuses_syn; /* SYNs of some or all clients are refused */
	/* The rule that is the reason for each; NULL: a policy. */
	const struct rule_chain *syn_chain, *refusing_chain, *counting_chain;
	const struct rule *syn_rule, *refusing_rule, *counting_rule;
};

struct ruleset_verifier;

/* Makes a verifier for a finished rule set, which the caller keeps. NULL: no memory. */
struct ruleset_verifier *ruleset_verifier_open(const struct ruleset *ruleset, const struct ruleset_devices *devices);
void ruleset_verifier_close(struct ruleset_verifier *verifier);

void ruleset_verify(struct ruleset_verifier *verifier, const struct endpoint *endpoint,
		    struct ruleset_findings *findings);

/*
 * Writes the name of a rule for display: "inet filter input handle 12", "iptables filter INPUT rule 3", "... policy".
 */
#define RULESET_RULE_TEXT 64
void ruleset_rule_text(const struct rule_chain *chain, const struct rule *rule, char *text, size_t size);

#endif
