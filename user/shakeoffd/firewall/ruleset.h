/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A firewall's rules, as far as they matter to a handshake: what each of them says to a SYN, and what it says to the ACK that
 * ends a handshake of the hook's, which netfilter sees without its SYN. Made by ruleset_nft.c and ruleset_iptables.c, asked by
 * ruleset_judge.c.
 */
#ifndef SHAKEOFFD_FIREWALL_RULESET_H
#define SHAKEOFFD_FIREWALL_RULESET_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Families that a table, a rule or an endpoint has: a set of bits. */
#define RULES_IPV4 1u
#define RULES_IPV6 2u
#define RULES_INET (RULES_IPV4 | RULES_IPV6)

/* Whether an expression of a rule matches a packet. */
enum rule_answer {
	ANSWER_NO,
	ANSWER_YES,
	ANSWER_SENDER, /* it depends on who sends, or when: the same for a SYN and an ACK that come from one client */
	ANSWER_PACKET, /* it depends on more of the packet than is known: anything for a SYN, anything for an ACK */
};

enum rule_match_kind {
	MATCH_FIXED,     /* answers[]: the same at every endpoint */
	MATCH_PORT,      /* destination port */
	MATCH_ADDRESS,   /* destination address */
	MATCH_INTERFACE, /* where the packet comes in */
	MATCH_FAMILY,
	MATCH_STATE, /* state of connection tracking; SYN and ACK both are the first that it sees */
	MATCH_MARK,
};

struct rule_ports {
	uint16_t first, last;
};

struct rule_addresses {
	struct in6_addr first, last; /* IPv4 mapped */
};

struct rule_match {
	uint8_t kind;                     /* enum rule_match_kind */
	bool inverted;                    /* MATCH_PORT, _ADDRESS and _INTERFACE */
	uint8_t syn, ack;                 /* MATCH_FIXED: enum rule_answer */
	uint8_t families;                 /* MATCH_FAMILY */
	bool with_new, with_untracked;    /* MATCH_STATE: whether it matches in these states */
	size_t count;                     /* of what is in the list */
	struct rule_ports *ports;         /* MATCH_PORT */
	struct rule_addresses *addresses; /* MATCH_ADDRESS */
	char (*interfaces)[IFNAMSIZ];     /* MATCH_INTERFACE: a name, or its beginning and a * */
};

enum rule_verdict {
	VERDICT_NONE,
	VERDICT_ACCEPT,
	VERDICT_DROP, /* and reject */
	VERDICT_RETURN,
	VERDICT_JUMP,
	VERDICT_GOTO,
	VERDICT_ELSEWHERE, /* to another port or host, to a program, or what is not known */
};

struct rule_chain;

struct rule {
	struct rule_match *matches;
	size_t match_count;
	uint8_t verdict;           /* enum rule_verdict */
	bool remembers;            /* that a packet matched, for rules to come: a set, a mark, a limit of a source's */
	bool counts;               /* packets, or connections, and matches for that */
	bool marks;                /* of these, by a mark */
	bool untracks;             /* takes the packet out of connection tracking */
	const char *target_name;   /* of a jump or goto */
	struct rule_chain *target; /* ruleset_finish() finds it; NULL: there is none, which is VERDICT_ELSEWHERE */
	uint64_t number;           /* nft: handle; iptables: its place in the chain, from 1 */
};

enum rule_hook { HOOK_NONE, HOOK_INGRESS, HOOK_PREROUTING, HOOK_INPUT };

struct rule_chain {
	const char *family; /* as nft says it, or "iptables" and so on: to be shown */
	const char *table, *name;
	uint8_t families;
	bool handles; /* numbers are nft's handles */
	uint8_t hook; /* enum rule_hook; NONE: no base chain on the way of what comes in */
	int priority;
	bool drops;                /* policy */
	char (*devices)[IFNAMSIZ]; /* HOOK_INGRESS */
	size_t device_count;
	struct rule *rules;
	size_t rule_count;
	size_t index; /* in the rule set */
};

struct ruleset {
	struct rule_chain **chains; /* after ruleset_finish() sorted by family, table, name */
	size_t chain_count;
	struct rule_chain **bases; /* those at hooks, in the order in which packets meet them */
	size_t base_count;
	bool by_address;   /* a rule looks at destination addresses */
	bool untracks;     /* a rule takes packets out of connection tracking */
	size_t last_found; /* by ruleset_find_chain() */
	void *memory;      /* all of the above */
};

/* The memory of the rule set: given back by ruleset_free() alone. NULL: there is none left. */
void *ruleset_alloc(struct ruleset *ruleset, size_t size);
char *ruleset_text(struct ruleset *ruleset, const char *text);

/* A new chain without rules. NULL without memory. */
struct rule_chain *ruleset_add_chain(struct ruleset *ruleset, const char *family, const char *table, const char *name);

/* The chain of these names that was added, if ruleset_finish() has not been called since. NULL: none. */
struct rule_chain *ruleset_find_chain(struct ruleset *ruleset, const char *family, const char *table, const char *name);

/* Copies a rule (and what it holds is the rule set's memory) to the end of a chain. 0 or -ENOMEM. */
int ruleset_add_rule(struct rule_chain *chain, const struct rule *rule);

/* Copies a match to the end of a rule that is being made. 0 or -ENOMEM. */
int ruleset_add_match(struct ruleset *ruleset, struct rule *rule, const struct rule_match *match);

/* A MATCH_FIXED that says the same to both. */
int ruleset_add_fixed(struct ruleset *ruleset, struct rule *rule, enum rule_answer answer);

/* What a mask and a value of TCP flags say to a SYN and to an ACK: (flags & mask) == value, or with any: != 0. */
struct rule_match ruleset_flags(uint8_t mask, uint8_t value, bool any, bool inverted);
#define RULE_FIN 0x01
#define RULE_SYN 0x02
#define RULE_RST 0x04
#define RULE_PSH 0x08
#define RULE_ACK 0x10
#define RULE_URG 0x20
#define RULE_ECE 0x40
#define RULE_CWR 0x80

/* The name of a TCP flag, in any case; 0: none. "none": 0, "all": all six of RFC 9293. */
bool ruleset_flag(const char *name, uint8_t *flag);

enum rule_answer rule_answer_not(enum rule_answer answer);

/* The rule set is complete: finds the chains that rules jump to, and what it is that rules look at. 0 or -ENOMEM. */
int ruleset_finish(struct ruleset *ruleset);
void ruleset_free(struct ruleset *ruleset);

#endif
