/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shakeoffd/firewall/ruleset_nft.h"
#include "common/tuple.h"

struct reader {
	struct ruleset *ruleset;
	const struct ruleset_nft_source *source;
	const char *family, *table; /* of the rule that is being read */
	struct rule_chain *chain;
	int error;
};

static const char *string(json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static bool is(const char *text, const char *other)
{
	return !strcmp(text, other);
}

static bool is_one_of(const char *name, const char *const *names)
{
	while (*names && !is(name, *names))
		names++;
	return *names;
}

static void add_match(struct reader *reader, struct rule *rule, const struct rule_match *match)
{
	if (!reader->error)
		reader->error = ruleset_add_match(reader->ruleset, rule, match);
}

static void add_fixed(struct reader *reader, struct rule *rule, enum rule_answer answer)
{
	if (!reader->error)
		reader->error = ruleset_add_fixed(reader->ruleset, rule, answer);
}

/* Takes rules to their chain as they are complete. */
static void add_rule(struct reader *reader, const struct rule *rule)
{
	if (!reader->error)
		reader->error = ruleset_add_rule(reader->chain, rule);
}

/* ----------------------------------------------------------------------------------- the left sides of a comparison */

enum key_kind {
	KEY_FIXED,
	KEY_PORT,
	KEY_SOURCE_PORT,
	KEY_ADDRESS,
	KEY_FLAGS,
	KEY_INTERFACE,
	KEY_FAMILY,   /* nfproto */
	KEY_PROTOCOL, /* of layer 4 */
	KEY_ETHER,    /* protocol of layer 3 */
	KEY_STATE,
	KEY_MARK,
	KEY_TYPE, /* what fib says of the destination: it is local at every place */
};

struct key {
	enum key_kind kind;
	enum rule_answer answer; /* KEY_FIXED */
	uint8_t families;        /* only packets of these have it; 0: all */
	uint8_t mask;            /* KEY_FLAGS */
	bool masked;
};

static struct key fixed(enum rule_answer answer)
{
	return (struct key){ .kind = KEY_FIXED, .answer = answer };
}

static struct key payload_tcp(const char *field)
{
	if (is(field, "dport"))
		return (struct key){ .kind = KEY_PORT };
	if (is(field, "flags"))
		return (struct key){ .kind = KEY_FLAGS, .mask = 0xff };
	return is(field, "sport") ? (struct key){ .kind = KEY_SOURCE_PORT } : fixed(ANSWER_PACKET);
}

static struct key payload_ip(const char *field, uint8_t family)
{
	struct key key = fixed(ANSWER_PACKET);

	if (is(field, "daddr"))
		key.kind = KEY_ADDRESS;
	else if (is(field, "protocol") || is(field, "nexthdr"))
		key.kind = KEY_PROTOCOL;
	else if (is(field, "saddr") || is(field, "ttl") || is(field, "hoplimit") || is(field, "dscp") ||
		 is(field, "version") || is(field, "hdrlength"))
		key.answer = ANSWER_SENDER;
	key.families = family;
	return key;
}

static struct key payload(json_t *of)
{
	static const char *const other_transports[] = { "udp",  "udplite", "sctp", "dccp", "icmp", "icmpv6", "igmp",
							"comp", "esp",     "ah",   "gre",  "arp",  NULL };
	const char *protocol = string(of, "protocol"), *field = string(of, "field");

	if (is(protocol, "tcp") || is(protocol, "th"))
		return payload_tcp(field);
	if (is(protocol, "ip"))
		return payload_ip(field, RULES_IPV4);
	if (is(protocol, "ip6"))
		return payload_ip(field, RULES_IPV6);
	if (is(protocol, "ether"))
		return is(field, "type") ? (struct key){ .kind = KEY_ETHER } : fixed(ANSWER_SENDER);
	if (is(protocol, "vlan"))
		return fixed(ANSWER_SENDER);
	return fixed(is_one_of(protocol, other_transports) ? ANSWER_NO : ANSWER_PACKET);
}

static struct key meta(const char *key)
{
	if (is(key, "iif") || is(key, "iifname"))
		return (struct key){ .kind = KEY_INTERFACE };
	if (is(key, "nfproto"))
		return (struct key){ .kind = KEY_FAMILY };
	if (is(key, "l4proto"))
		return (struct key){ .kind = KEY_PROTOCOL };
	if (is(key, "protocol"))
		return (struct key){ .kind = KEY_ETHER };
	if (is(key, "mark"))
		return (struct key){ .kind = KEY_MARK };
	if (is(key, "length") || is(key, "random") || is(key, "priority"))
		return fixed(ANSWER_PACKET);
	return fixed(ANSWER_SENDER);
}

static struct key conntrack(const char *key)
{
	if (is(key, "state"))
		return (struct key){ .kind = KEY_STATE };
	return is(key, "mark") ? (struct key){ .kind = KEY_MARK } : fixed(ANSWER_SENDER);
}

static struct key fib(json_t *of)
{
	json_t *flags = json_object_get(of, "flags");

	if (is(string(of, "result"), "type") && json_array_size(flags) == 1 &&
	    is(json_string_value(json_array_get(flags, 0)) ?: "", "daddr"))
		return (struct key){ .kind = KEY_TYPE };
	return fixed(ANSWER_SENDER);
}

static bool read_flags(json_t *value, uint8_t *flags);
static struct key key_of(json_t *left);

static struct key masked(json_t *operands)
{
	struct key key = key_of(json_array_get(operands, 0));

	if (key.kind == KEY_FLAGS && read_flags(json_array_get(operands, 1), &key.mask)) {
		key.masked = true;
		return key;
	}
	if (key.kind == KEY_STATE || key.kind == KEY_FIXED)
		return key;
	return fixed(key.kind == KEY_FLAGS || key.kind == KEY_MARK ? ANSWER_PACKET : ANSWER_SENDER);
}

/* Of several it is the least known one. */
static struct key concatenated(json_t *parts)
{
	enum rule_answer answer = ANSWER_SENDER;
	json_t *part;
	size_t i;

	json_array_foreach(parts, i, part) {
		struct key key = key_of(part);

		if (key.kind == KEY_FLAGS || key.kind == KEY_MARK ||
		    (key.kind == KEY_FIXED && key.answer == ANSWER_PACKET))
			answer = ANSWER_PACKET;
		if (key.kind == KEY_FIXED && key.answer == ANSWER_NO)
			return key;
	}
	return fixed(answer);
}

static struct key key_of(json_t *left)
{
	static const char *const of_sender[] = { "rt", "socket", "ipsec", "tunnel", "jhash", "symhash", NULL };
	const char *kind = json_object_iter_key(json_object_iter(left));
	json_t *of = json_object_iter_value(json_object_iter(left));

	if (!kind)
		return fixed(ANSWER_PACKET);
	if (is(kind, "payload"))
		return payload(of);
	if (is(kind, "meta"))
		return meta(string(of, "key"));
	if (is(kind, "ct"))
		return conntrack(string(of, "key"));
	if (is(kind, "fib"))
		return fib(of);
	if (is(kind, "&"))
		return masked(of);
	if (is(kind, "concat"))
		return concatenated(of);
	/* Otherwise options, a passive fingerprint, a number at random. */
	return fixed(is_one_of(kind, of_sender) ? ANSWER_SENDER : ANSWER_PACKET);
}

/* ----------------------------------------------------------------------------------------- values, and lists of them */

/* Of a value that may be a list, a set or a single one: {"set": [...]}, [...], x. */
static json_t *list_of(json_t *right)
{
	json_t *set = json_object_get(right, "set");

	if (json_is_array(set))
		return json_incref(set);
	if (json_is_array(right))
		return json_incref(right);
	return json_pack("[O]", right);
}

/* An element of a set may stand in an object with its timeout, counter or comment. */
static json_t *bare(json_t *element)
{
	json_t *inner = json_object_get(json_object_get(element, "elem"), "val");

	return inner ? inner : element;
}

static bool read_flags(json_t *value, uint8_t *flags)
{
	json_t *several = json_is_array(value) ? value : json_object_get(value, "|"), *one;
	uint8_t flag;
	size_t i;

	*flags = 0;
	if (json_is_integer(value)) {
		*flags = (uint8_t)json_integer_value(value);
		return true;
	}
	if (json_is_string(value))
		return ruleset_flag(json_string_value(value), flags);
	if (!several)
		return false;
	json_array_foreach(several, i, one) {
		if (!read_flags(one, &flag))
			return false;
		*flags |= flag;
	}
	return true;
}

static bool read_port(json_t *value, uint16_t *port)
{
	*port = (uint16_t)json_integer_value(value);
	return json_is_integer(value);
}

static bool read_ports(json_t *value, struct rule_ports *ports)
{
	json_t *range = json_object_get(value, "range");

	if (range)
		return read_port(json_array_get(range, 0), &ports->first) &&
		       read_port(json_array_get(range, 1), &ports->last);
	if (!read_port(value, &ports->first))
		return false;
	ports->last = ports->first;
	return true;
}

static bool read_address(json_t *value, struct in6_addr *address)
{
	const char *text = json_string_value(value);
	struct in_addr ipv4;

	if (!text)
		return false;
	if (inet_pton(AF_INET, text, &ipv4) != 1)
		return inet_pton(AF_INET6, text, address) == 1;
	address_map(AF_INET, &ipv4, address);
	return true;
}

static bool read_prefix(json_t *prefix, struct rule_addresses *addresses)
{
	json_int_t length = json_integer_value(json_object_get(prefix, "len"));

	if (!read_address(json_object_get(prefix, "addr"), &addresses->first))
		return false;
	if (IN6_IS_ADDR_V4MAPPED(&addresses->first))
		length += 96;
	addresses->last = addresses->first;
	for (json_int_t bit = length < 0 ? 0 : length; bit < 128; bit++)
		addresses->last.s6_addr[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return true;
}

static bool read_addresses(json_t *value, struct rule_addresses *addresses)
{
	json_t *range = json_object_get(value, "range"), *prefix = json_object_get(value, "prefix");

	if (prefix)
		return read_prefix(prefix, addresses);
	if (range)
		return read_address(json_array_get(range, 0), &addresses->first) &&
		       read_address(json_array_get(range, 1), &addresses->last);
	if (!read_address(value, &addresses->first))
		return false;
	addresses->last = addresses->first;
	return true;
}

static bool says(json_t *value, const char *name, json_int_t number)
{
	return json_is_string(value) ? is(json_string_value(value), name) :
				       json_is_integer(value) && json_integer_value(value) == number;
}

#define IPPROTO_TCP_NUMBER 6
#define NF_STATE_NEW 8 /* NF_CT_STATE_BIT(IP_CT_NEW), linux/netfilter/nf_conntrack_common.h */
#define NF_STATE_UNTRACKED 64
#define ETH_P_IP_NUMBER 0x0800
#define ETH_P_IPV6_NUMBER 0x86dd

static bool has(json_t *list, const char *name, json_int_t number)
{
	json_t *value;
	size_t i;

	json_array_foreach(list, i, value)
		if (says(bare(value), name, number))
			return true;
	return false;
}

/* --------------------------------------------------------------------------------------------------------- comparisons */

/* Returns false if one of the values is not understood. */
static bool match_ports(struct reader *reader, json_t *list, struct rule_match *match)
{
	match->kind = MATCH_PORT;
	match->ports = ruleset_alloc(reader->ruleset, (json_array_size(list) + 1) * sizeof(*match->ports));
	for (size_t i = 0; i < json_array_size(list) && match->ports; i++)
		if (!read_ports(bare(json_array_get(list, i)), &match->ports[match->count++]))
			return false;
	return match->ports;
}

static bool match_addresses(struct reader *reader, json_t *list, struct rule_match *match)
{
	match->kind = MATCH_ADDRESS;
	match->addresses = ruleset_alloc(reader->ruleset, (json_array_size(list) + 1) * sizeof(*match->addresses));
	for (size_t i = 0; i < json_array_size(list) && match->addresses; i++)
		if (!read_addresses(bare(json_array_get(list, i)), &match->addresses[match->count++]))
			return false;
	return match->addresses;
}

static bool match_interfaces(struct reader *reader, json_t *list, struct rule_match *match)
{
	match->kind = MATCH_INTERFACE;
	match->interfaces = ruleset_alloc(reader->ruleset, (json_array_size(list) + 1) * sizeof(*match->interfaces));
	for (size_t i = 0; i < json_array_size(list) && match->interfaces; i++) {
		const char *name = json_string_value(bare(json_array_get(list, i)));

		if (!name || strlen(name) >= IFNAMSIZ)
			return false;
		strcpy(match->interfaces[match->count++], name);
	}
	return match->interfaces;
}

static bool match_family(const struct key *key, json_t *list, struct rule_match *match)
{
	bool ipv4 = key->kind == KEY_FAMILY ? has(list, "ipv4", 2) : has(list, "ip", ETH_P_IP_NUMBER);
	bool ipv6 = key->kind == KEY_FAMILY ? has(list, "ipv6", 10) : has(list, "ip6", ETH_P_IPV6_NUMBER);

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
	match->with_new = has(list, "new", NF_STATE_NEW) != match->inverted;
	match->with_untracked = has(list, "untracked", NF_STATE_UNTRACKED) != match->inverted;
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

/* op: "in" is any of the bits, "!" none of them; == and != are the whole value, or one of several in a set. */
static bool match_flags(const struct key *key, const char *op, json_t *right, struct rule_match *match)
{
	bool any = is(op, "in") || is(op, "!"), inverted = is(op, "!=") || is(op, "!");
	json_t *set = json_object_get(right, "set"), *value;
	enum rule_answer syn = ANSWER_NO, ack = ANSWER_NO;
	uint8_t flags;
	size_t i;

	if (!set) {
		if (!read_flags(right, &flags))
			return false;
		/* As numbers: "< fin" is the usual way to say that none is set; others are nobody's. */
		if (is(op, "<") && flags == 1)
			return *match = ruleset_flags(key->mask, 0, false, false), true;
		if (is(op, "<") || is(op, ">") || is(op, "<=") || is(op, ">="))
			return false;
		*match = any && !key->masked ? ruleset_flags(flags, 0, true, inverted) :
					       ruleset_flags(key->mask, flags, false, inverted);
		return true;
	}
	json_array_foreach(set, i, value) {
		struct rule_match one;

		if (!read_flags(bare(value), &flags))
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

/* Ports may be compared by size, too. */
static bool match_order(struct reader *reader, const struct key *key, const char *op, json_t *right,
			struct rule_match *match)
{
	uint16_t port;

	if (key->kind != KEY_PORT || !read_port(right, &port))
		return false;
	match->kind = MATCH_PORT;
	match->count = 1;
	match->ports = ruleset_alloc(reader->ruleset, sizeof(*match->ports));
	if (!match->ports)
		return false;
	if (is(op, "<") || is(op, ">=")) {
		*match->ports = (struct rule_ports){ port, UINT16_MAX };
		match->inverted = is(op, "<");
	} else {
		*match->ports = (struct rule_ports){ 0, port };
		match->inverted = is(op, ">");
	}
	return true;
}

static bool is_name(json_t *right)
{
	return json_is_string(right) && *json_string_value(right) == '@';
}

/* What a named set or map has. NULL: not known. */
static json_t *elements_of(struct reader *reader, json_t *name, bool map)
{
	const struct ruleset_nft_source *source = reader->source;

	return source->elements ? source->elements(source->context, reader->family, reader->table,
						   json_string_value(name) + 1, map) :
				  NULL;
}

static bool match_values(struct reader *reader, const struct key *key, json_t *list, struct rule_match *match)
{
	switch (key->kind) {
	case KEY_PORT: return match_ports(reader, list, match);
	case KEY_ADDRESS: return match_addresses(reader, list, match);
	case KEY_INTERFACE: return match_interfaces(reader, list, match);
	case KEY_FAMILY:
	case KEY_ETHER: return match_family(key, list, match);
	case KEY_PROTOCOL: return match_fixed(match, yes_or_no(has(list, "tcp", IPPROTO_TCP_NUMBER)));
	case KEY_STATE: return match_state(list, match);
	/* The hook answers nobody with port 0 (bpf/packet/malformed.h), so nobody gets past a rule about it. */
	case KEY_SOURCE_PORT:
		return json_array_size(list) == 1 && says(json_array_get(list, 0), "0", 0) &&
		       match_fixed(match, ANSWER_NO);
	case KEY_TYPE: return match_fixed(match, yes_or_no(has(list, "local", 2)));
	case KEY_MARK: match->kind = MATCH_MARK; return true;
	default: return false;
	}
}

/* What is not understood of a value may be anything that the key can be. */
static enum rule_answer unknown(const struct key *key)
{
	return key->kind == KEY_FLAGS || key->kind == KEY_MARK ? ANSWER_PACKET :
	       key->kind == KEY_FIXED                          ? key->answer :
								 ANSWER_SENDER;
}

static void compare(struct reader *reader, struct rule *rule, const struct key *key, const char *op, json_t *right)
{
	struct rule_match match = { .inverted = is(op, "!=") || is(op, "!") };
	json_t *list = NULL;
	bool understood;

	if (key->families) {
		const struct rule_match family = { .kind = MATCH_FAMILY, .families = key->families };

		add_match(reader, rule, &family);
	}
	if (key->kind == KEY_FIXED) {
		add_fixed(reader, rule, key->answer);
		return;
	}
	if (key->kind == KEY_FLAGS) {
		understood = match_flags(key, op, right, &match);
	} else if (is(op, "<") || is(op, ">") || is(op, "<=") || is(op, ">=")) {
		understood = match_order(reader, key, op, right, &match);
	} else {
		if (!is_name(right))
			list = list_of(right);
		else if (key->kind == KEY_PORT) /* of other sets the elements are not worth the trouble */
			list = elements_of(reader, right, false);
		understood = list && match_values(reader, key, list, &match);
	}
	json_decref(list);
	if (understood)
		add_match(reader, rule, &match);
	else
		add_fixed(reader, rule, unknown(key));
}

/* ----------------------------------------------------------------------------------------------- iptables' expressions */

enum rule_answer ruleset_xt_match(const char *name, struct rule *rule)
{
	static const char *const of_sender[] = {
		"addrtype", "ah",       "cluster", "connbytes", "connlabel", "connlimit", "connmark", "conntrack",
		"cpu",      "devgroup", "dscp",    "esp",       "geoip",     "hashlimit", "helper",   "hl",
		"iface",    "iprange",  "limit",   "mac",       "mark",      "multiport", "nfacct",   "owner",
		"physdev",  "pkttype",  "policy",  "quota",     "realm",     "recent",    "rpfilter", "set",
		"socket",   "state",    "time",    "ttl",       "asn",       "udp",       NULL,
	};

	static const char *const counting[] = { "recent",    "hashlimit", "limit",  "connlimit",
						"connbytes", "quota",     "nfacct", NULL };

	if (is(name, "comment"))
		return ANSWER_YES;
	if (is(name, "recent"))
		rule->remembers = true;
	rule->counts |= is_one_of(name, counting);
	if (is(name, "icmp") || is(name, "icmp6") || is(name, "udp") || is(name, "sctp") || is(name, "dccp"))
		return ANSWER_NO;
	/* Otherwise tcp, whose flags are not told; length, string, u32, bpf, osf, statistic, ... */
	return is_one_of(name, of_sender) ? ANSWER_SENDER : ANSWER_PACKET;
}

void ruleset_xt_target(const char *name, struct rule *rule)
{
	static const char *const harmless[] = {
		"AUDIT", "CHECKSUM", "CLASSIFY", "DSCP",        "ECN",        "HL",     "IDLETIMER",   "LED",
		"LOG",   "NFLOG",    "SECMARK",  "CONNSECMARK", "RATEEST",    "SNAT",   "TCPMSS",      "TOS",
		"TRACE", "TTL",      "ULOG",     "TEE",         "MASQUERADE", "NFACCT", "TCPOPTSTRIP", NULL,
	};

	if (is(name, "REJECT")) {
		rule->verdict = VERDICT_DROP;
		return;
	}
	if (is(name, "MARK") || is(name, "CONNMARK")) {
		rule->remembers = rule->marks = true;
		return;
	}
	if (is(name, "SET")) {
		rule->remembers = true;
		return;
	}
	if (is(name, "NOTRACK") || is(name, "CT")) {
		rule->untracks = true;
		return;
	}
	if (!is_one_of(name, harmless))
		rule->verdict = VERDICT_ELSEWHERE; /* DNAT, REDIRECT, TPROXY, NFQUEUE, SYNPROXY, TARPIT, ... */
}

/* "xt": {"type": "match", "name": "recent"}, or null in other versions */
static void xt_expression(struct reader *reader, struct rule *rule, json_t *xt)
{
	const char *type = string(xt, "type"), *name = string(xt, "name");

	if (is(type, "target")) {
		ruleset_xt_target(name, rule);
	} else if (is(type, "match")) {
		add_fixed(reader, rule, ruleset_xt_match(name, rule));
	} else if (!is(type, "watcher")) {
		add_fixed(reader, rule, ANSWER_PACKET);
		rule->verdict = VERDICT_ELSEWHERE;
	}
}

/* ---------------------------------------------------------------------------------------------------------- statements */

/* Returns whether it is a verdict. */
static bool verdict_of(struct reader *reader, const char *kind, json_t *of, struct rule *rule)
{
	static const struct {
		const char *name;
		enum rule_verdict verdict;
	} verdicts[] = {
		{ "accept", VERDICT_ACCEPT },   { "drop", VERDICT_DROP },        { "reject", VERDICT_DROP },
		{ "return", VERDICT_RETURN },   { "continue", VERDICT_NONE },    { "jump", VERDICT_JUMP },
		{ "goto", VERDICT_GOTO },       { "dnat", VERDICT_ELSEWHERE },   { "redirect", VERDICT_ELSEWHERE },
		{ "queue", VERDICT_ELSEWHERE }, { "tproxy", VERDICT_ELSEWHERE }, { "synproxy", VERDICT_ELSEWHERE },
		{ "fwd", VERDICT_ELSEWHERE },   { "snat", VERDICT_ACCEPT },      { "masquerade", VERDICT_ACCEPT },
	};

	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
		if (!is(kind, verdicts[i].name))
			continue;
		rule->verdict = (uint8_t)verdicts[i].verdict;
		if (verdicts[i].verdict == VERDICT_JUMP || verdicts[i].verdict == VERDICT_GOTO) {
			rule->target_name = ruleset_text(reader->ruleset, string(of, "target"));
			if (!rule->target_name)
				reader->error = -ENOMEM;
		}
		return true;
	}
	return false;
}

/* meta mark set 1, ct mark set 1, ip daddr set ... */
static void mangle(struct rule *rule, json_t *of)
{
	struct key key = key_of(json_object_get(of, "key"));

	if (key.kind == KEY_MARK)
		rule->remembers = rule->marks = true;
	else if (key.kind == KEY_PORT || key.kind == KEY_ADDRESS || key.kind == KEY_FLAGS)
		rule->verdict = VERDICT_ELSEWHERE;
}

static void statement(struct reader *reader, struct rule *rule, const char *kind, json_t *of)
{
	static const char *const harmless[] = { "counter",        "log", "comment", "ct helper", "ct timeout",
						"ct expectation", "dup", "secmark", "flow",      "last",
						"reset",          NULL };
	static const char *const counting[] = { "limit", "quota", "ct count", "connlimit", NULL };

	if (verdict_of(reader, kind, of, rule) || is_one_of(kind, harmless))
		return;
	if (is_one_of(kind, counting)) {
		add_fixed(reader, rule, ANSWER_SENDER);
		rule->counts = true;
	} else if (is(kind, "set") || is(kind, "map") || is(kind, "meter")) {
		add_fixed(reader, rule, ANSWER_SENDER);
		rule->remembers = rule->counts = true;
	} else if (is(kind, "mangle")) {
		mangle(rule, of);
	} else if (is(kind, "notrack")) {
		rule->untracks = true;
	} else if (is(kind, "xt")) {
		xt_expression(reader, rule, of);
	} else {
		add_fixed(reader, rule, ANSWER_PACKET);
		rule->verdict = VERDICT_ELSEWHERE;
	}
}

/* An element of a map is compared part by part: a service's address and port are not every place's (kube-proxy). */
static void compare_element(struct reader *reader, struct rule *rule, json_t *left, json_t *value)
{
	json_t *keys = json_object_get(left, "concat"), *values = json_object_get(value, "concat"), *part;
	struct key key = key_of(left);
	size_t i;

	if (!keys || json_array_size(keys) != json_array_size(values)) {
		compare(reader, rule, &key, "==", value);
		return;
	}
	json_array_foreach(keys, i, part) {
		key = key_of(part);
		compare(reader, rule, &key, "==", json_array_get(values, i));
	}
}

/* One rule for each element of a map that leads to verdicts: no packet matches two. */
static void verdict_map(struct reader *reader, const struct rule *rule, json_t *of)
{
	struct key key = key_of(json_object_get(of, "key"));
	json_t *data = json_object_get(of, "data"), *elements, *element;
	size_t i;

	elements = is_name(data) ? elements_of(reader, data, true) : json_incref(json_object_get(data, "set"));
	if (!json_is_array(elements)) {
		struct rule any = *rule;

		add_fixed(reader, &any, unknown(&key));
		any.verdict = VERDICT_ELSEWHERE;
		add_rule(reader, &any);
		json_decref(elements);
		return;
	}
	json_array_foreach(elements, i, element) {
		json_t *value = bare(json_array_get(element, 0)), *verdict = json_array_get(element, 1);
		struct rule one = *rule;

		/* Its list of matches goes on in memory of its own. */
		one.matches = NULL;
		one.match_count = 0;
		for (size_t m = 0; m < rule->match_count; m++)
			add_match(reader, &one, &rule->matches[m]);
		if (value && !is(json_string_value(value) ?: "", "*"))
			compare_element(reader, &one, json_object_get(of, "key"), value);
		if (!verdict_of(reader, json_object_iter_key(json_object_iter(verdict)) ?: "",
				json_object_iter_value(json_object_iter(verdict)), &one))
			one.verdict = VERDICT_ELSEWHERE;
		add_rule(reader, &one);
	}
	json_decref(elements);
}

/* --------------------------------------------------------------------------------------------------- rules and chains */

static bool names(struct reader *reader, json_t *object)
{
	reader->family = string(object, "family");
	reader->table = string(object, "table");
	return !reader->source->skips || !reader->source->skips(reader->source->context, reader->family, reader->table);
}

static void read_rule(struct reader *reader, json_t *object)
{
	struct rule rule = { .number = (uint64_t)json_integer_value(json_object_get(object, "handle")) };
	json_t *expressions = json_object_get(object, "expr"), *expression;
	bool mapped = false;
	size_t i;

	if (!names(reader, object))
		return;
	reader->chain = ruleset_find_chain(reader->ruleset, reader->family, reader->table, string(object, "chain"));
	if (!reader->chain)
		return;
	json_array_foreach(expressions, i, expression) {
		const char *kind = json_object_iter_key(json_object_iter(expression)) ?: "";
		json_t *of = json_object_iter_value(json_object_iter(expression));

		if (is(kind, "match")) {
			struct key key = key_of(json_object_get(of, "left"));

			compare(reader, &rule, &key, string(of, "op"), json_object_get(of, "right"));
		} else if (is(kind, "vmap")) {
			verdict_map(reader, &rule, of);
			mapped = true;
		} else {
			statement(reader, &rule, kind, of);
		}
	}
	if (!mapped)
		add_rule(reader, &rule);
}

static uint8_t families_of(const char *family)
{
	if (is(family, "ip"))
		return RULES_IPV4;
	if (is(family, "ip6"))
		return RULES_IPV6;
	return is(family, "inet") || is(family, "netdev") || is(family, "bridge") ? RULES_INET : 0;
}

static enum rule_hook hook_of(const char *hook)
{
	if (is(hook, "ingress"))
		return HOOK_INGRESS;
	if (is(hook, "prerouting"))
		return HOOK_PREROUTING;
	return is(hook, "input") ? HOOK_INPUT : HOOK_NONE;
}

static void read_devices(struct reader *reader, struct rule_chain *chain, json_t *devices)
{
	json_t *list = list_of(devices), *device;
	size_t i;

	chain->devices = ruleset_alloc(reader->ruleset, (json_array_size(list) + 1) * sizeof(*chain->devices));
	if (!chain->devices)
		reader->error = -ENOMEM;
	json_array_foreach(list, i, device)
		if (chain->devices && json_is_string(device) && json_string_length(device) < IFNAMSIZ)
			strcpy(chain->devices[chain->device_count++], json_string_value(device));
	json_decref(list);
}

/* A bridge's own chains are asked like others: what comes in by one of its ports meets them. */
static void read_chain(struct reader *reader, json_t *object)
{
	json_t *devices = json_object_get(object, "dev");
	struct rule_chain *chain;

	if (!names(reader, object) || !families_of(reader->family))
		return;
	chain = ruleset_add_chain(reader->ruleset, reader->family, reader->table, string(object, "name"));
	if (!chain) {
		reader->error = -ENOMEM;
		return;
	}
	chain->families = families_of(reader->family);
	chain->handles = true;
	chain->hook = (uint8_t)hook_of(string(object, "hook"));
	chain->priority = (int)json_integer_value(json_object_get(object, "prio"));
	chain->drops = is(string(object, "policy"), "drop");
	if (devices)
		read_devices(reader, chain, devices);
}

static json_t *objects(json_t *list)
{
	return json_object_get(list, "nftables");
}

int ruleset_nft_read(struct ruleset *ruleset, json_t *list, const struct ruleset_nft_source *source)
{
	struct reader reader = { .ruleset = ruleset, .source = source };
	json_t *object;
	size_t i;

	if (!json_is_array(objects(list)))
		return -EBADMSG;
	json_array_foreach(objects(list), i, object)
		if (json_object_get(object, "chain") && !reader.error)
			read_chain(&reader, json_object_get(object, "chain"));
	json_array_foreach(objects(list), i, object)
		if (json_object_get(object, "rule") && !reader.error)
			read_rule(&reader, json_object_get(object, "rule"));
	return reader.error;
}

bool ruleset_nft_has_xt(json_t *list, const char *family)
{
	json_t *object, *expression;
	size_t i, k;

	json_array_foreach(objects(list), i, object) {
		json_t *rule = json_object_get(object, "rule");

		if (!rule || !is(string(rule, "family"), family))
			continue;
		json_array_foreach(json_object_get(rule, "expr"), k, expression)
			if (json_object_get(expression, "xt"))
				return true;
	}
	return false;
}
