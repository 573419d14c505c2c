/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Turns comparisons in nftables' rules into matches. */
#include <net/if.h>
#include <string.h>

#include "shakeoffd/firewall/ruleset_nft_internal.h"

void nft_add_match(struct nft_reader *reader, struct rule *rule, const struct rule_match *match)
{
	if (!reader->error)
		reader->error = ruleset_add_match(reader->ruleset, rule, match);
}

void nft_add_fixed(struct nft_reader *reader, struct rule *rule, enum rule_answer answer)
{
	if (!reader->error)
		reader->error = ruleset_add_fixed(reader->ruleset, rule, answer);
}

#define IPPROTO_TCP_NUMBER 6
#define NF_STATE_NEW 8 /* NF_CT_STATE_BIT(IP_CT_NEW), linux/netfilter/nf_conntrack_common.h */
#define NF_STATE_UNTRACKED 64
#define ETH_P_IP_NUMBER 0x0800
#define ETH_P_IPV6_NUMBER 0x86dd

/* Returns false if a value is unknown. */
static bool match_ports(struct nft_reader *reader, json_t *list, struct rule_match *match)
{
	match->kind = MATCH_PORT;
	match->ports = ruleset_alloc(reader->ruleset, (json_array_size(list) + 1) * sizeof(*match->ports));
	for (size_t i = 0; i < json_array_size(list) && match->ports; i++)
		if (!nft_read_ports(nft_bare(json_array_get(list, i)), &match->ports[match->count++]))
			return false;
	return match->ports;
}

static bool match_addresses(struct nft_reader *reader, json_t *list, struct rule_match *match)
{
	match->kind = MATCH_ADDRESS;
	match->addresses = ruleset_alloc(reader->ruleset, (json_array_size(list) + 1) * sizeof(*match->addresses));
	for (size_t i = 0; i < json_array_size(list) && match->addresses; i++)
		if (!nft_read_addresses(nft_bare(json_array_get(list, i)), &match->addresses[match->count++]))
			return false;
	return match->addresses;
}

static bool match_interfaces(struct nft_reader *reader, json_t *list, struct rule_match *match)
{
	match->kind = MATCH_INTERFACE;
	match->interfaces = ruleset_alloc(reader->ruleset, (json_array_size(list) + 1) * sizeof(*match->interfaces));
	for (size_t i = 0; i < json_array_size(list) && match->interfaces; i++) {
		const char *name = json_string_value(nft_bare(json_array_get(list, i)));

		if (!name || strlen(name) >= IFNAMSIZ)
			return false;
		strcpy(match->interfaces[match->count++], name);
	}
	return match->interfaces;
}

static bool match_family(const struct nft_key *key, json_t *list, struct rule_match *match)
{
	bool ipv4 = key->kind == KEY_FAMILY ? nft_has(list, "ipv4", 2) : nft_has(list, "ip", ETH_P_IP_NUMBER);
	bool ipv6 = key->kind == KEY_FAMILY ? nft_has(list, "ipv6", 10) : nft_has(list, "ip6", ETH_P_IPV6_NUMBER);

	match->kind = MATCH_FAMILY;
	match->families = (uint8_t)((ipv4 ? RULES_IPV4 : 0) | (ipv6 ? RULES_IPV6 : 0));
	if (match->inverted)
		match->families ^= RULES_INET;
	match->inverted = false;
	return true;
}

static bool match_state(json_t *list, struct rule_match *match)
{
	match->kind = MATCH_STATE;
	match->with_new = nft_has(list, "new", NF_STATE_NEW) != match->inverted;
	match->with_untracked = nft_has(list, "untracked", NF_STATE_UNTRACKED) != match->inverted;
	match->inverted = false;
	return true;
}

static enum rule_answer yes_or_no(bool yes)
{
	return yes ? ANSWER_YES : ANSWER_NO;
}

static bool match_fixed(struct rule_match *match, enum rule_answer answer)
{
	if (match->inverted)
		answer = rule_answer_not(answer);
	*match = (struct rule_match){ .kind = MATCH_FIXED, .syn = (uint8_t)answer, .ack = (uint8_t)answer };
	return true;
}

static enum rule_answer either(enum rule_answer one, enum rule_answer other)
{
	if (one == ANSWER_YES || other == ANSWER_YES)
		return ANSWER_YES;
	return one > other ? one : other;
}

/*
 * Matches flags. op: "in" matches any of the bits, "!" none of them; == and != the whole value, or any value of a set.
 */
static bool match_flags(const struct nft_key *key, const char *op, json_t *right, struct rule_match *match)
{
	bool any = word_is(op, "in") || word_is(op, "!"), inverted = word_is(op, "!=") || word_is(op, "!");
	json_t *set = json_object_get(right, "set"), *value;
	enum rule_answer syn = ANSWER_NO, ack = ANSWER_NO;
	uint8_t flags;
	size_t i;

	if (!set) {
		if (!nft_read_flags(right, &flags))
			return false;
		/* Numeric comparisons: "< fin" is the usual way to say that no flag is set; others are not in use. */
		if (word_is(op, "<") && flags == 1)
			return *match = ruleset_flags(key->mask, 0, false, false), true;
		if (word_is(op, "<") || word_is(op, ">") || word_is(op, "<=") || word_is(op, ">="))
			return false;
		*match = any && !key->masked ? ruleset_flags(flags, 0, true, inverted) :
					       ruleset_flags(key->mask, flags, false, inverted);
		return true;
	}
	json_array_foreach(set, i, value) {
		struct rule_match one;

		if (!nft_read_flags(nft_bare(value), &flags))
			return false;
		one = ruleset_flags(key->mask, flags, false, false);
		syn = either(syn, one.syn);
		ack = either(ack, one.ack);
	}
	*match = (struct rule_match){
		.kind = MATCH_FIXED,
		.syn = (uint8_t)(inverted ? rule_answer_not(syn) : syn),
		.ack = (uint8_t)(inverted ? rule_answer_not(ack) : ack),
	};
	return true;
}

/* Matches ports by size. */
static bool match_order(struct nft_reader *reader, const struct nft_key *key, const char *op, json_t *right,
			struct rule_match *match)
{
	uint16_t port;

	if (key->kind != KEY_PORT || !nft_read_port(right, &port))
		return false;
	match->kind = MATCH_PORT;
	match->count = 1;
	match->ports = ruleset_alloc(reader->ruleset, sizeof(*match->ports));
	if (!match->ports)
		return false;
	if (word_is(op, "<") || word_is(op, ">=")) {
		*match->ports = (struct rule_ports){ port, UINT16_MAX };
		match->inverted = word_is(op, "<");
	} else {
		*match->ports = (struct rule_ports){ 0, port };
		match->inverted = word_is(op, ">");
	}
	return true;
}

bool nft_is_name(json_t *right)
{
	return json_is_string(right) && *json_string_value(right) == '@';
}

json_t *nft_elements_of(struct nft_reader *reader, json_t *name, bool map)
{
	const struct ruleset_nft_source *source = reader->source;

	return source->elements ? source->elements(source->context, reader->family, reader->table,
						   json_string_value(name) + 1, map) :
				  NULL;
}

static bool match_values(struct nft_reader *reader, const struct nft_key *key, json_t *list, struct rule_match *match)
{
	switch (key->kind) {
	case KEY_PORT: return match_ports(reader, list, match);
	case KEY_ADDRESS: return match_addresses(reader, list, match);
	case KEY_INTERFACE: return match_interfaces(reader, list, match);
	case KEY_FAMILY:
	case KEY_ETHER: return match_family(key, list, match);
	case KEY_PROTOCOL: return match_fixed(match, yes_or_no(nft_has(list, "tcp", IPPROTO_TCP_NUMBER)));
	case KEY_STATE: return match_state(list, match);
	/* The hook never answers a client with port 0 (bpf/packet/malformed.h), so such a rule cannot be bypassed. */
	case KEY_SOURCE_PORT:
		return json_array_size(list) == 1 && nft_is(json_array_get(list, 0), "0", 0) &&
		       match_fixed(match, ANSWER_NO);
	case KEY_TYPE: return match_fixed(match, yes_or_no(nft_has(list, "local", 2)));
	case KEY_MARK: match->kind = MATCH_MARK; return true;
	default: return false;
	}
}

enum rule_answer nft_unknown(const struct nft_key *key)
{
	return key->kind == KEY_FLAGS || key->kind == KEY_MARK ? ANSWER_PACKET :
	       key->kind == KEY_FIXED                          ? key->answer :
								 ANSWER_SENDER;
}

void nft_compare(struct nft_reader *reader, struct rule *rule, const struct nft_key *key, const char *op, json_t *right)
{
	struct rule_match match = { .inverted = word_is(op, "!=") || word_is(op, "!") };
	json_t *list = NULL;
	bool understood;

	if (key->families) {
		const struct rule_match family = { .kind = MATCH_FAMILY, .families = key->families };

		nft_add_match(reader, rule, &family);
	}
	if (key->kind == KEY_FIXED) {
		nft_add_fixed(reader, rule, key->answer);
		return;
	}
	if (key->kind == KEY_FLAGS) {
		understood = match_flags(key, op, right, &match);
	} else if (word_is(op, "<") || word_is(op, ">") || word_is(op, "<=") || word_is(op, ">=")) {
		understood = match_order(reader, key, op, right, &match);
	} else {
		if (!nft_is_name(right))
			list = nft_list_of(right);
		else if (key->kind == KEY_PORT) /* elements of other sets are not worth reading */
			list = nft_elements_of(reader, right, false);
		understood = list && match_values(reader, key, list, &match);
	}
	json_decref(list);
	if (understood)
		nft_add_match(reader, rule, &match);
	else
		nft_add_fixed(reader, rule, nft_unknown(key));
}
