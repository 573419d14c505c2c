/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/array.h"
#include "shakeoffd/firewall/ruleset.h"

/* ----------------------------------------------------------------------------------------------------------- memory */

struct block {
	struct block *next;
	max_align_t data[];
};

void *ruleset_alloc(struct ruleset *ruleset, size_t size)
{
	struct block *block = calloc(1, sizeof(*block) + size);

	if (!block)
		return NULL;
	block->next = ruleset->memory;
	ruleset->memory = block;
	return block->data;
}

char *ruleset_text(struct ruleset *ruleset, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = ruleset_alloc(ruleset, size);

	return copy ? memcpy(copy, text, size) : NULL;
}

void ruleset_free(struct ruleset *ruleset)
{
	for (struct block *block = ruleset->memory, *next; block; block = next) {
		next = block->next;
		free(block);
	}
	for (size_t i = 0; i < ruleset->chain_count; i++) {
		free(ruleset->chains[i]->rules);
		free(ruleset->chains[i]);
	}
	free(ruleset->chains);
	free(ruleset->bases);
	*ruleset = (struct ruleset){ 0 };
}

/* ----------------------------------------------------------------------------------------------------------- chains */

struct rule_chain *ruleset_add_chain(struct ruleset *ruleset, const char *family, const char *table, const char *name)
{
	struct rule_chain *chain = calloc(1, sizeof(*chain));

	if (chain) {
		chain->family = ruleset_text(ruleset, family);
		chain->table = ruleset_text(ruleset, table);
		chain->name = ruleset_text(ruleset, name);
	}
	if (!chain || !chain->family || !chain->table || !chain->name ||
	    array_append(ruleset->chains, ruleset->chain_count, chain)) {
		free(chain);
		return NULL;
	}
	return chain;
}

static bool is_called(const struct rule_chain *chain, const char *family, const char *table, const char *name)
{
	return !strcmp(chain->name, name) && !strcmp(chain->table, table) && !strcmp(chain->family, family);
}

/* Rules come chain by chain in the order of the chains, so it mostly is the last chain found, or the next. */
struct rule_chain *ruleset_find_chain(struct ruleset *ruleset, const char *family, const char *table, const char *name)
{
	for (size_t i = 0; i < ruleset->chain_count; i++) {
		size_t index = (ruleset->last_found + i) % ruleset->chain_count;

		if (!is_called(ruleset->chains[index], family, table, name))
			continue;
		ruleset->last_found = index;
		return ruleset->chains[index];
	}
	return NULL;
}

int ruleset_add_rule(struct rule_chain *chain, const struct rule *rule)
{
	return array_append(chain->rules, chain->rule_count, *rule);
}

/* ---------------------------------------------------------------------------------------------------------- matches */

int ruleset_add_match(struct ruleset *ruleset, struct rule *rule, const struct rule_match *match)
{
	size_t count = rule->match_count;

	if (!(count & (count - 1))) { /* the room is the next power of two, as in array_grow() */
		struct rule_match *larger = ruleset_alloc(ruleset, (count ? 2 * count : 1) * sizeof(struct rule_match));

		if (!larger)
			return -ENOMEM;
		if (count)
			memcpy(larger, rule->matches, count * sizeof(*larger));
		rule->matches = larger;
	}
	rule->matches[rule->match_count++] = *match;
	return 0;
}

int ruleset_add_fixed(struct ruleset *ruleset, struct rule *rule, enum rule_answer answer)
{
	const struct rule_match match = { .kind = MATCH_FIXED, .syn = (uint8_t)answer, .ack = (uint8_t)answer };

	return ruleset_add_match(ruleset, rule, &match);
}

enum rule_answer rule_answer_not(enum rule_answer answer)
{
	return answer == ANSWER_NO ? ANSWER_YES : answer == ANSWER_YES ? ANSWER_NO : answer;
}

static bool flags_match(uint8_t flags, uint8_t mask, uint8_t value, bool any)
{
	return any ? (flags & mask) != 0 : (flags & mask) == value;
}

static enum rule_answer both(bool one, bool other)
{
	return one != other ? ANSWER_PACKET : one ? ANSWER_YES : ANSWER_NO;
}

/*
 * Returns the match of a mask and a value. A client that offers ECN sets two more flags in its SYN (RFC 3168, section
 * 6.1.1). A client with data to send sets PSH in its ACK.
 */
struct rule_match ruleset_flags(uint8_t mask, uint8_t value, bool any, bool inverted)
{
	enum rule_answer syn = both(flags_match(RULE_SYN, mask, value, any),
				    flags_match(RULE_SYN | RULE_ECE | RULE_CWR, mask, value, any));
	enum rule_answer ack = both(flags_match(RULE_ACK, mask, value, any),
				    flags_match(RULE_ACK | RULE_PSH, mask, value, any));

	return (struct rule_match){
		.kind = MATCH_FIXED,
		.syn = (uint8_t)(inverted ? rule_answer_not(syn) : syn),
		.ack = (uint8_t)(inverted ? rule_answer_not(ack) : ack),
	};
}

bool ruleset_flag(const char *name, uint8_t *flag)
{
	static const struct {
		const char *name;
		uint8_t flag;
	} flags[] = {
		{ "fin", RULE_FIN }, { "syn", RULE_SYN }, { "rst", RULE_RST }, { "psh", RULE_PSH },
		{ "ack", RULE_ACK }, { "urg", RULE_URG }, { "ecn", RULE_ECE }, { "ece", RULE_ECE },
		{ "cwr", RULE_CWR }, { "none", 0 },       { "all", 0x3f },
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (strcasecmp(flags[i].name, name))
			continue;
		*flag = flags[i].flag;
		return true;
	}
	return false;
}

/* ----------------------------------------------------------------------------------------------- the whole rule set */

static int compare_names(const struct rule_chain *a, const struct rule_chain *b)
{
	int order = strcmp(a->name, b->name);

	if (!order)
		order = strcmp(a->table, b->table);
	return order ? order : strcmp(a->family, b->family);
}

static int compare_chains(const void *a, const void *b)
{
	return compare_names(*(struct rule_chain *const *)a, *(struct rule_chain *const *)b);
}

static int compare_bases(const void *a, const void *b)
{
	const struct rule_chain *first = *(struct rule_chain *const *)a, *second = *(struct rule_chain *const *)b;

	if (first->hook != second->hook)
		return first->hook < second->hook ? -1 : 1;
	if (first->priority != second->priority)
		return first->priority < second->priority ? -1 : 1;
	return first->index < second->index ? -1 : 1;
}

static struct rule_chain *find(const struct ruleset *ruleset, const struct rule_chain *from, const char *name)
{
	const struct rule_chain key = { .family = from->family, .table = from->table, .name = name }, *pointer = &key;
	struct rule_chain **found = bsearch(&pointer, ruleset->chains, ruleset->chain_count, sizeof(pointer),
					    compare_chains);

	return found ? *found : NULL;
}

static void finish_rule(struct ruleset *ruleset, const struct rule_chain *chain, struct rule *rule)
{
	if (rule->verdict == VERDICT_JUMP || rule->verdict == VERDICT_GOTO) {
		rule->target = find(ruleset, chain, rule->target_name);
		if (!rule->target)
			rule->verdict = VERDICT_ELSEWHERE;
	}
	ruleset->untracks |= rule->untracks;
	for (size_t i = 0; i < rule->match_count; i++)
		ruleset->by_address |= rule->matches[i].kind == MATCH_ADDRESS;
}

int ruleset_finish(struct ruleset *ruleset)
{
	if (!ruleset->chain_count)
		return 0;
	qsort(ruleset->chains, ruleset->chain_count, sizeof(struct rule_chain *), compare_chains);
	ruleset->bases = calloc(ruleset->chain_count, sizeof(struct rule_chain *));
	if (!ruleset->bases)
		return -ENOMEM;
	for (size_t i = 0; i < ruleset->chain_count; i++) {
		struct rule_chain *chain = ruleset->chains[i];

		chain->index = i;
		if (chain->hook != HOOK_NONE)
			ruleset->bases[ruleset->base_count++] = chain;
		for (size_t r = 0; r < chain->rule_count; r++)
			finish_rule(ruleset, chain, &chain->rules[r]);
	}
	qsort(ruleset->bases, ruleset->base_count, sizeof(struct rule_chain *), compare_bases);
	return 0;
}
