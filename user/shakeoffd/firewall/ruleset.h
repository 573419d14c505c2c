/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The parts of a firewall's rules that matter to a handshake: what each rule does to a SYN, and to the ACK that ends a
 * handshake of the hook, whose SYN netfilter does not see. Filled by ruleset_nft.c and ruleset_iptables.c, used by
 * ruleset_verify.c.
 */
#ifndef SHAKEOFFD_FIREWALL_RULESET_H
#define SHAKEOFFD_FIREWALL_RULESET_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The address families of a table, a rule or an endpoint: a set of bits. */
#define RULES_IPV4 1u
#define RULES_IPV6 2u
#define RULES_INET (RULES_IPV4 | RULES_IPV6)

/* Whether an expression of a rule matches a packet. */
enum rule_answer {
	ANSWER_NO,
	ANSWER_YES,
	ANSWER_SENDER, /* depends on the sender or the time: the same for a SYN and an ACK from one client */
	ANSWER_PACKET, /* depends on unknown parts of the packet: any result for a SYN, any for an ACK */
};

enum rule_match_kind {
	MATCH_FIXED,     /* syn, ack: the same at every endpoint */
	MATCH_PORT,      /* destination port */
	MATCH_ADDRESS,   /* destination address */
	MATCH_INTERFACE, /* incoming interface */
	MATCH_FAMILY,
	MATCH_STATE, /* state of connection tracking, where both the SYN and the ACK are a first packet */
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
	bool with_new, with_untracked;    /* MATCH_STATE: whether it matches these states */
	size_t count;                     /* length of the list */
	struct rule_ports *ports;         /* MATCH_PORT */
	struct rule_addresses *addresses; /* MATCH_ADDRESS */
	char (*interfaces)[IFNAMSIZ];     /* MATCH_INTERFACE: a name, or a prefix and a * */
};

enum rule_verdict {
	VERDICT_NONE,
	VERDICT_ACCEPT,
	VERDICT_DROP, /* also reject */
	VERDICT_RETURN,
	VERDICT_JUMP,
	VERDICT_GOTO,
	VERDICT_ELSEWHERE, /* to another port or host, to a program, or unknown */
};

struct rule_chain;

struct rule {
	struct rule_match *matches;
	size_t match_count;
	uint8_t verdict;           /* enum rule_verdict */
	bool remembers;            /* notes for later rules that a packet matched: a set, a mark, a limit per source */
	bool counts;               /* counts packets or connections, and matches depending on that */
	bool marks;                /* notes it by a mark */
	bool untracks;             /* takes the packet out of connection tracking */
	const char *target_name;   /* of a jump or goto */
	struct rule_chain *target; /* set by ruleset_finish(); NULL: there is none, so it means VERDICT_ELSEWHERE */
	uint64_t number;           /* nft: handle; iptables: position in the chain, from 1 */
};

enum rule_hook { HOOK_NONE, HOOK_INGRESS, HOOK_PREROUTING, HOOK_INPUT };

struct rule_chain {
	const char *family; /* nft's name, or "iptables" and so on: for display */
	const char *table, *name;
	uint8_t families;
	bool handles; /* numbers are nft's handles */
	uint8_t hook; /* enum rule_hook; HOOK_NONE: no base chain for incoming packets */
	int priority;
	bool drops;                /* by policy */
	char (*devices)[IFNAMSIZ]; /* HOOK_INGRESS */
	size_t device_count;
	struct rule *rules;
	size_t rule_count;
	size_t index; /* in the rule set */
};

struct ruleset {
	struct rule_chain **chains; /* after ruleset_finish() sorted by family, table, name */
	size_t chain_count;
	struct rule_chain **bases; /* chains at hooks, in the order in which packets pass them */
	size_t base_count;
	bool by_address;   /* a rule matches destination addresses */
	bool untracks;     /* a rule takes packets out of connection tracking */
	size_t last_found; /* by ruleset_find_chain() */
	void *memory;      /* holds all of the above */
};

/* Allocates memory of the rule set, which only ruleset_free() frees. NULL: out of memory. */
void *ruleset_alloc(struct ruleset *ruleset, size_t size);
char *ruleset_text(struct ruleset *ruleset, const char *text);

/* Adds a chain without rules. NULL: out of memory. */
struct rule_chain *ruleset_add_chain(struct ruleset *ruleset, const char *family, const char *table, const char *name);

/* Returns the chain of these names. Only before ruleset_finish(). NULL: there is none. */
struct rule_chain *ruleset_find_chain(struct ruleset *ruleset, const char *family, const char *table, const char *name);

/* Copies a rule to the end of a chain. The rule's lists must be in the rule set's memory. 0 or -ENOMEM. */
int ruleset_add_rule(struct rule_chain *chain, const struct rule *rule);

/* Copies a match to the end of a rule that is being built. 0 or -ENOMEM. */
int ruleset_add_match(struct ruleset *ruleset, struct rule *rule, const struct rule_match *match);

/* Adds a MATCH_FIXED with the same result for SYN and ACK. */
int ruleset_add_fixed(struct ruleset *ruleset, struct rule *rule, enum rule_answer answer);

/* Returns how a mask and a value of TCP flags match a SYN and an ACK: (flags & mask) == value, or with any: != 0. */
struct rule_match ruleset_flags(uint8_t mask, uint8_t value, bool any, bool inverted);
#define RULE_FIN 0x01
#define RULE_SYN 0x02
#define RULE_RST 0x04
#define RULE_PSH 0x08
#define RULE_ACK 0x10
#define RULE_URG 0x20
#define RULE_ECE 0x40
#define RULE_CWR 0x80

/*
 * Looks up the name of a TCP flag, in upper or lower case. "none": 0, "all": all six of RFC 9293. Returns false for
 * another name.
 */
bool ruleset_flag(const char *name, uint8_t *flag);

enum rule_answer rule_answer_not(enum rule_answer answer);

/* Completes the rule set: finds the target chains of rules, and what the rules match on. 0 or -ENOMEM. */
int ruleset_finish(struct ruleset *ruleset);
void ruleset_free(struct ruleset *ruleset);

#endif
