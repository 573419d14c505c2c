/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sends a SYN and an ACK of the same client through the rules side by side. Each has a fate; together they are a pair.
 * The set of all pairs that are possible for some client is kept as the bits of a word. A chain does the same to every
 * pair that enters it, so each chain is computed at most three times per endpoint: for both, for the SYN alone, for the
 * ACK alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shakeoffd/firewall/ruleset_verify.h"

enum fate {
	RUNNING,
	RETURNED, /* goes to the end of the chain */
	HELD,     /* waits at the rule while the other packet is in another chain */
	ACCEPTED,
	DROPPED,
	ELSEWHERE,
	FATES,
};

typedef uint64_t fates; /* bit FATES * SYN's + ACK's */

/*
 * Deeper than the kernel allows (NFT_JUMP_STACK_SIZE is 16, net/netfilter/nf_tables_core.c; iptables' jump stack is no
 * deeper).
 */
#define DEPTH_MAX 64

enum entry { BOTH, SYN_ALONE, ACK_ALONE, ENTRIES };

struct memory {
	uint32_t round; /* of the endpoint that the result is for */
	fates result;
};

/* chain NULL: no reason; rule NULL: the chain's policy. */
struct reason {
	const struct rule_chain *chain;
	const struct rule *rule;
};

struct ruleset_verifier {
	const struct ruleset *ruleset;
	const struct ruleset_devices *devices;
	const struct endpoint *endpoint;
	uint8_t family;
	uint32_t round;
	unsigned int depth;
	struct memory (*memory)[ENTRIES]; /* for each chain */
	/*
	 * The first rule that distinguishes SYN and ACK; the first of these that may refuse; the first that may refuse
	 * a SYN; the first that counts.
	 */
	struct reason apart, refuses, syn, counts;
};

static fates pair(enum fate syn, enum fate ack)
{
	return (fates)1 << (FATES * syn + ack);
}

#define for_each_pair(set, syn, ack)                                                                                   \
	for (enum fate syn = RUNNING; syn < FATES; syn++)                                                              \
		for (enum fate ack = RUNNING; ack < FATES; ack++)                                                      \
			if ((set)&pair(syn, ack))

/* ---------------------------------------------------------------------------------------------------------- matches */

static bool name_matches(const char *pattern, const char *name)
{
	size_t length = strlen(pattern);

	if (length && pattern[length - 1] == '*')
		return !strncmp(pattern, name, length - 1);
	return !strcmp(pattern, name);
}

static enum rule_answer match_interface(const struct ruleset_verifier *verifier, const struct rule_match *match)
{
	const struct ruleset_devices *devices = verifier->devices;
	size_t matching = 0;

	for (size_t i = 0; i < devices->count; i++) {
		bool found = false;

		for (size_t k = 0; k < match->count && !found; k++)
			found = name_matches(match->interfaces[k], devices->names[i]);
		matching += found;
	}
	if (!matching)
		return ANSWER_NO;
	return matching == devices->count ? ANSWER_YES : ANSWER_SENDER;
}

static bool match_port(uint16_t port, const struct rule_match *match)
{
	for (size_t i = 0; i < match->count; i++)
		if (port >= match->ports[i].first && port <= match->ports[i].last)
			return true;
	return false;
}

static bool match_address(const struct in6_addr *address, const struct rule_match *match)
{
	for (size_t i = 0; i < match->count; i++)
		if (memcmp(address, &match->addresses[i].first, sizeof(*address)) >= 0 &&
		    memcmp(address, &match->addresses[i].last, sizeof(*address)) <= 0)
			return true;
	return false;
}

/*
 * Matches a state: for connection tracking both packets begin a connection, unless a rule has taken them out of
 * tracking.
 */
static enum rule_answer match_state(const struct ruleset *ruleset, const struct rule_match *match)
{
	if (ruleset->untracks && match->with_new != match->with_untracked)
		return ANSWER_SENDER;
	return match->with_new ? ANSWER_YES : ANSWER_NO;
}

static enum rule_answer answer_of(const struct ruleset_verifier *verifier, const struct rule_match *match, bool syn)
{
	enum rule_answer answer = ANSWER_NO;

	switch ((enum rule_match_kind)match->kind) {
	case MATCH_FIXED: return syn ? match->syn : match->ack;
	case MATCH_FAMILY: return match->families & verifier->family ? ANSWER_YES : ANSWER_NO;
	case MATCH_STATE: return match_state(verifier->ruleset, match);
	case MATCH_MARK: return ANSWER_SENDER; /* follow() handles marks that only one of the two gets */
	case MATCH_PORT: answer = match_port(verifier->endpoint->port, match) ? ANSWER_YES : ANSWER_NO; break;
	case MATCH_ADDRESS: answer = match_address(&verifier->endpoint->address, match) ? ANSWER_YES : ANSWER_NO; break;
	case MATCH_INTERFACE: answer = match_interface(verifier, match); break;
	}
	return match->inverted ? rule_answer_not(answer) : answer;
}

static enum rule_answer matches(const struct ruleset_verifier *verifier, const struct rule *rule, bool syn)
{
	enum rule_answer all = ANSWER_YES;

	for (size_t i = 0; i < rule->match_count; i++) {
		enum rule_answer answer = answer_of(verifier, &rule->matches[i], syn);

		if (answer == ANSWER_NO)
			return ANSWER_NO;
		if (answer > all)
			all = answer;
	}
	return all;
}

/* ------------------------------------------------------------------------------------------------------------ rules */

static fates traverse_chain(struct ruleset_verifier *verifier, const struct rule_chain *chain, enum entry entry);

static bool may_refuse(const struct rule *rule)
{
	return rule->verdict == VERDICT_DROP || rule->verdict == VERDICT_ELSEWHERE || rule->verdict == VERDICT_JUMP ||
	       rule->verdict == VERDICT_GOTO || rule->remembers || rule->untracks;
}

/* Notes a reason, if it is the first. */
static void note(struct reason *reason, const struct rule_chain *chain, const struct rule *rule)
{
	if (!reason->chain)
		*reason = (struct reason){ chain, rule };
}

static void note_apart(struct ruleset_verifier *verifier, const struct rule_chain *chain, const struct rule *rule)
{
	if (rule->verdict != VERDICT_NONE)
		note(&verifier->apart, chain, rule);
	if (may_refuse(rule))
		note(&verifier->refuses, chain, rule);
}

static enum fate after(const struct rule *rule, enum fate before)
{
	switch ((enum rule_verdict)rule->verdict) {
	case VERDICT_ACCEPT: return ACCEPTED;
	case VERDICT_DROP: return DROPPED;
	case VERDICT_RETURN: return RETURNED;
	case VERDICT_ELSEWHERE: return ELSEWHERE;
	default: return before;
	}
}

/* Returns the fate after another chain: a packet continues after the rule, or with goto leaves this chain, too. */
static enum fate come_back(const struct rule *rule, enum fate fate)
{
	return fate == RUNNING && rule->verdict == VERDICT_GOTO ? RETURNED : fate;
}

static fates follow_jump(struct ruleset_verifier *verifier, const struct rule *rule, enum fate syn, enum fate ack,
			 bool syn_matches, bool ack_matches)
{
	enum entry entry = syn_matches && ack_matches ? BOTH : syn_matches ? SYN_ALONE : ACK_ALONE;
	fates result = 0, found = traverse_chain(verifier, rule->target, entry);

	for_each_pair(found, s, a)
		result |= pair(syn_matches ? come_back(rule, s) : syn, ack_matches ? come_back(rule, a) : ack);
	return result;
}

/* Returns the fates of a pair, given which of the two match. */
static fates follow(struct ruleset_verifier *verifier, const struct rule_chain *chain, const struct rule *rule,
		    enum fate syn, enum fate ack, bool syn_matches, bool ack_matches)
{
	if (!syn_matches && !ack_matches)
		return pair(syn, ack);
	/*
	 * Without its SYN, an ACK misses effects of the rule: a counted source, a mark. Any later rule may depend on
	 * them.
	 */
	if (syn_matches && syn == RUNNING && !ack_matches && (rule->remembers || rule->untracks))
		return pair(ELSEWHERE, ack);
	if (ack_matches && ack == RUNNING && !syn_matches && rule->marks)
		return pair(syn, ELSEWHERE);
	if (rule->target && (rule->verdict == VERDICT_JUMP || rule->verdict == VERDICT_GOTO))
		return follow_jump(verifier, rule, syn, ack, syn_matches, ack_matches);
	if (syn_matches && (rule->verdict == VERDICT_DROP || rule->verdict == VERDICT_ELSEWHERE))
		note(&verifier->syn, chain, rule);
	return pair(syn_matches ? after(rule, syn) : syn, ack_matches ? after(rule, ack) : ack);
}

/* Returns which of "does not match" (1) and "matches" (2) are possible. */
static unsigned int possible(enum rule_answer answer)
{
	return answer == ANSWER_NO ? 1 : answer == ANSWER_YES ? 2 : 3;
}

static fates pass_rule(struct ruleset_verifier *verifier, const struct rule_chain *chain, const struct rule *rule,
		       enum fate syn, enum fate ack)
{
	enum rule_answer of_syn = syn == RUNNING ? matches(verifier, rule, true) : ANSWER_NO;
	enum rule_answer of_ack = ack == RUNNING ? matches(verifier, rule, false) : ANSWER_NO;
	bool together = of_syn == ANSWER_SENDER && of_ack == ANSWER_SENDER;
	fates result = 0;

	if (syn == RUNNING && ack == RUNNING && (of_syn != of_ack || of_syn == ANSWER_PACKET))
		note_apart(verifier, chain, rule);
	if (rule->counts && rule->verdict != VERDICT_NONE && of_syn != ANSWER_NO)
		note(&verifier->counts, chain, rule);
	for (unsigned int s = 0; s < 2; s++)
		for (unsigned int a = 0; a < 2; a++)
			if ((possible(of_syn) & (1u << s)) && (possible(of_ack) & (1u << a)) && !(together && s != a))
				result |= follow(verifier, chain, rule, syn, ack, s, a);
	return result;
}

/* ----------------------------------------------------------------------------------------------------------- chains */

static fates leave_chain(fates set)
{
	fates result = 0;

	for_each_pair(set, syn, ack)
		result |= pair(syn == RETURNED ? RUNNING : syn, ack == RETURNED ? RUNNING : ack);
	return result;
}

static fates traverse_rules(struct ruleset_verifier *verifier, const struct rule_chain *chain, enum entry entry)
{
	fates set = pair(entry == ACK_ALONE ? HELD : RUNNING, entry == SYN_ALONE ? HELD : RUNNING), next;

	for (size_t i = 0; i < chain->rule_count; i++) {
		next = 0;
		for_each_pair(set, syn, ack)
			next |= syn == RUNNING || ack == RUNNING ?
					pass_rule(verifier, chain, &chain->rules[i], syn, ack) :
					pair(syn, ack);
		set = next;
	}
	return leave_chain(set);
}

static fates traverse_chain(struct ruleset_verifier *verifier, const struct rule_chain *chain, enum entry entry)
{
	struct memory *memory = &verifier->memory[chain->index][entry];

	if (memory->round == verifier->round)
		return memory->result;
	if (verifier->depth >= DEPTH_MAX) /* no rule set of the kernel is so deep, so the fate is unknown */
		return pair(entry == ACK_ALONE ? HELD : ELSEWHERE, entry == SYN_ALONE ? HELD : ELSEWHERE);
	verifier->depth++;
	memory->result = traverse_rules(verifier, chain, entry);
	memory->round = verifier->round;
	verifier->depth--;
	return memory->result;
}

/* Returns the fate after a base chain: an accepted packet goes on to the next one. */
static enum fate pass_base(struct ruleset_verifier *verifier, const struct rule_chain *chain, enum fate before,
			   enum fate fate, bool syn)
{
	if (before != RUNNING)
		return before;
	if (fate == ACCEPTED)
		return RUNNING;
	if (fate != RUNNING)
		return fate;
	if (chain->drops && syn)
		note(&verifier->syn, chain, NULL);
	return chain->drops ? DROPPED : RUNNING;
}

static fates traverse_base(struct ruleset_verifier *verifier, const struct rule_chain *chain, fates set)
{
	fates result = 0;

	for_each_pair(set, syn, ack) {
		enum entry entry = syn == RUNNING && ack == RUNNING ? BOTH : syn == RUNNING ? SYN_ALONE : ACK_ALONE;
		fates found;

		if (syn != RUNNING && ack != RUNNING) {
			result |= pair(syn, ack);
			continue;
		}
		found = traverse_chain(verifier, chain, entry);
		for_each_pair(found, s, a)
			result |= pair(pass_base(verifier, chain, syn, s, true),
				       pass_base(verifier, chain, ack, a, false));
	}
	return result;
}

static bool is_on_the_way(const struct ruleset_verifier *verifier, const struct rule_chain *chain)
{
	if (!(chain->families & verifier->family))
		return false;
	for (size_t i = 0; i < chain->device_count; i++)
		for (size_t k = 0; k < verifier->devices->count; k++)
			if (!strcmp(chain->devices[i], verifier->devices->names[k]))
				return true;
	return !chain->device_count;
}

void ruleset_verify(struct ruleset_verifier *verifier, const struct endpoint *endpoint,
		    struct ruleset_findings *findings)
{
	const struct ruleset *ruleset = verifier->ruleset;
	fates set = pair(RUNNING, RUNNING);

	*findings = (struct ruleset_findings){ 0 };
	verifier->endpoint = endpoint;
	verifier->family = IN6_IS_ADDR_V4MAPPED(&endpoint->address) ? RULES_IPV4 : RULES_IPV6;
	verifier->round++;
	verifier->apart = verifier->refuses = verifier->syn = verifier->counts = (struct reason){ 0 };
	for (size_t i = 0; i < ruleset->base_count; i++)
		if (is_on_the_way(verifier, ruleset->bases[i]))
			set = traverse_base(verifier, ruleset->bases[i], set);
	for_each_pair(set, syn, ack) {
		findings->refuses_syn |= syn != RUNNING;
		findings->syn_rules |= syn == ELSEWHERE || ack == ELSEWHERE || (syn == RUNNING) != (ack == RUNNING);
	}
	findings->counts = verifier->counts.chain;
	findings->counting_chain = verifier->counts.chain;
	findings->counting_rule = verifier->counts.rule;
	if (findings->refuses_syn) {
		const struct reason *reason = verifier->syn.chain ? &verifier->syn : &verifier->refuses;

		findings->refusing_chain = reason->chain;
		findings->refusing_rule = reason->rule;
	}
	if (findings->syn_rules) {
		const struct reason *reason = verifier->refuses.chain ? &verifier->refuses :
					      verifier->apart.chain   ? &verifier->apart :
									&verifier->syn;

		findings->syn_chain = reason->chain;
		findings->syn_rule = reason->rule;
	}
}

struct ruleset_verifier *ruleset_verifier_open(const struct ruleset *ruleset, const struct ruleset_devices *devices)
{
	struct ruleset_verifier *verifier = calloc(1, sizeof(*verifier));

	if (!verifier)
		return NULL;
	verifier->ruleset = ruleset;
	verifier->devices = devices;
	verifier->memory = calloc(ruleset->chain_count + 1, sizeof(*verifier->memory));
	if (!verifier->memory) {
		free(verifier);
		return NULL;
	}
	return verifier;
}

void ruleset_verifier_close(struct ruleset_verifier *verifier)
{
	if (!verifier)
		return;
	free(verifier->memory);
	free(verifier);
}

void ruleset_rule_text(const struct rule_chain *chain, const struct rule *rule, char *text, size_t size)
{
	if (!chain)
		snprintf(text, size, "?");
	else if (!rule)
		snprintf(text, size, "%s %s %s policy", chain->family, chain->table, chain->name);
	else
		snprintf(text, size, "%s %s %s %s %llu", chain->family, chain->table, chain->name,
			 chain->handles ? "handle" : "rule", (unsigned long long)rule->number);
}
