/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shakeoffd/firewall/ruleset_iptables.h"
#include "shakeoffd/firewall/ruleset_word.h"
#include "shakeoffd/firewall/ruleset_xt.h"
#include "common/tuple.h"

#define WORDS_MAX 256 /* of a line: multiport has at most 15 ports, a comment is one word */

struct reader {
	struct ruleset *ruleset;
	const char *name, *table;
	bool ipv6;
	struct rule_chain *chain;
	struct rule *rule;
	const char *module; /* the match that the next options belong to */
	int error;
};

/* The words of a line. */
struct words {
	char *list[WORDS_MAX];
	size_t count, next;
};

/* ------------------------------------------------------------------------------------------------------------ words */

/* Cuts off a word with quotes and backslashes as iptables-save writes them. NULL: the line has no more. */
static char *cut_word(char **line)
{
	char *read = *line + strspn(*line, " "), *word = read, *write = read;
	bool quoted = false;

	if (!*read)
		return NULL;
	for (; *read && (quoted || *read != ' '); read++) {
		if (*read == '"')
			quoted = !quoted;
		else if (*read == '\\' && quoted && read[1])
			*write++ = *++read;
		else
			*write++ = *read;
	}
	*line = *read ? read + 1 : read;
	*write = '\0';
	return word;
}

static bool cut_words(char *line, struct words *words)
{
	char *word;

	words->count = words->next = 0;
	while ((word = cut_word(&line))) {
		if (words->count == WORDS_MAX)
			return false;
		words->list[words->count++] = word;
	}
	return true;
}

/* Returns the next word; "" after the last. */
static const char *take(struct words *words)
{
	return words->next < words->count ? words->list[words->next++] : "";
}

/* ---------------------------------------------------------------------------------------------------------- matches */

static void add_match(struct reader *reader, const struct rule_match *match)
{
	if (!reader->error)
		reader->error = ruleset_add_match(reader->ruleset, reader->rule, match);
}

static void add_fixed(struct reader *reader, enum rule_answer answer, bool inverted)
{
	if (inverted)
		answer = rule_answer_not(answer);
	if (!reader->error)
		reader->error = ruleset_add_fixed(reader->ruleset, reader->rule, answer);
}

/* Adds an option that depends on the sender. */
static void add_sender(struct reader *reader, struct words *words)
{
	take(words);
	add_fixed(reader, ANSWER_SENDER, false);
}

static void add_interface(struct reader *reader, const char *name, bool inverted)
{
	struct rule_match match = { .kind = MATCH_INTERFACE, .inverted = inverted, .count = 1 };
	size_t length = strlen(name);

	match.interfaces = ruleset_alloc(reader->ruleset, sizeof(*match.interfaces));
	if (!match.interfaces || length >= IFNAMSIZ || !length) {
		add_fixed(reader, ANSWER_SENDER, false);
		return;
	}
	memcpy(match.interfaces[0], name, length);
	if (name[length - 1] == '+')
		match.interfaces[0][length - 1] = '*';
	add_match(reader, &match);
}

/* Adds a list of ports: "80", "80:90", "80:90,443" */
static void add_ports(struct reader *reader, char *list, bool inverted)
{
	struct rule_match match = { .kind = MATCH_PORT, .inverted = inverted };

	match.ports = ruleset_alloc(reader->ruleset, (strlen(list) / 2 + 1) * sizeof(*match.ports));
	for (char *rest = list, *item; match.ports && (item = strsep(&rest, ","));) {
		struct rule_ports *ports = &match.ports[match.count++];
		char *end;

		ports->first = ports->last = (uint16_t)strtoul(item, &end, 10);
		if (*end == ':')
			ports->last = (uint16_t)strtoul(end + 1, &end, 10);
		if (*end || end == item)
			match.ports = NULL;
	}
	if (match.ports)
		add_match(reader, &match);
	else
		add_fixed(reader, ANSWER_SENDER, false);
}

static bool mapped_address(const char *text, bool ipv6, struct in6_addr *address)
{
	struct in_addr ipv4;

	if (ipv6)
		return inet_pton(AF_INET6, text, address) == 1;
	if (inet_pton(AF_INET, text, &ipv4) != 1)
		return false;
	address_map(AF_INET, &ipv4, address);
	return true;
}

/* Adds an address: "10.9.0.0/24". A mask that is no prefix counts as unknown. */
static void add_address(struct reader *reader, char *text, bool inverted)
{
	struct rule_match match = { .kind = MATCH_ADDRESS, .inverted = inverted, .count = 1 };
	char *slash = strchr(text, '/'), *end = "";
	unsigned long bits = 128;

	if (slash) {
		*slash = '\0';
		bits = strtoul(slash + 1, &end, 10) + (reader->ipv6 ? 0 : 96);
	}
	match.addresses = ruleset_alloc(reader->ruleset, sizeof(*match.addresses));
	if (!match.addresses || *end || bits > 128 || !mapped_address(text, reader->ipv6, &match.addresses->first)) {
		add_fixed(reader, ANSWER_SENDER, false);
		return;
	}
	match.addresses->last = match.addresses->first;
	for (unsigned long bit = bits; bit < 128; bit++)
		match.addresses->last.s6_addr[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	add_match(reader, &match);
}

static bool read_flags(char *list, uint8_t *flags)
{
	uint8_t flag;

	*flags = 0;
	for (char *item; (item = strsep(&list, ","));) {
		if (!ruleset_flag(item, &flag))
			return false;
		*flags |= flag;
	}
	return true;
}

static void add_flags(struct reader *reader, char *mask_text, char *value_text, bool inverted)
{
	struct rule_match match;
	uint8_t mask, value;

	if (!read_flags(mask_text, &mask) || !read_flags(value_text, &value)) {
		add_fixed(reader, ANSWER_PACKET, false);
		return;
	}
	match = ruleset_flags(mask, value, false, inverted);
	add_match(reader, &match);
}

static void add_syn(struct reader *reader, bool inverted)
{
	const struct rule_match match = ruleset_flags(RULE_FIN | RULE_SYN | RULE_RST | RULE_ACK, RULE_SYN, false,
						      inverted);

	add_match(reader, &match);
}

static void add_states(struct reader *reader, char *list, bool inverted)
{
	struct rule_match match = { .kind = MATCH_STATE };
	bool with_new = false, with_untracked = false;

	for (char *item; (item = strsep(&list, ","));) {
		with_new |= !strcasecmp(item, "NEW");
		with_untracked |= !strcasecmp(item, "UNTRACKED");
	}
	match.with_new = with_new != inverted;
	match.with_untracked = with_untracked != inverted;
	add_match(reader, &match);
}

static void add_protocol(struct reader *reader, const char *protocol, bool inverted)
{
	bool tcp = word_is(protocol, "tcp") || word_is(protocol, "6") || word_is(protocol, "all") ||
		   word_is(protocol, "0");

	add_fixed(reader, tcp ? ANSWER_YES : ANSWER_NO, inverted);
}

/* Begins a match. Options are read only for the listed modules; for other modules the name has to be enough. */
static void begin_match(struct reader *reader, const char *module)
{
	static const char *const read[] = { "tcp", "multiport", "conntrack", "state", "addrtype", "comment", NULL };

	reader->module = module;
	for (size_t i = 0; read[i]; i++)
		if (word_is(module, read[i]))
			return;
	if (word_is(module, "mark") || word_is(module, "connmark")) {
		const struct rule_match mark = { .kind = MATCH_MARK };

		add_match(reader, &mark);
		return;
	}
	add_fixed(reader, ruleset_xt_match(module, reader->rule), false);
}

/* ---------------------------------------------------------------------------------------------------------- options */

/* Returns whether a list has LOCAL: "LOCAL,BROADCAST" */
static bool names_local(char *list)
{
	bool local = false;

	for (char *item; (item = strsep(&list, ","));)
		local |= !strcasecmp(item, "LOCAL");
	return local;
}

/* Reads an option of a match for which begin_match() has added nothing. */
static void match_option(struct reader *reader, const char *option, struct words *words, bool inverted)
{
	const char *module = reader->module;

	if (word_is(option, "--tcp-flags")) {
		char *mask = (char *)take(words);

		add_flags(reader, mask, (char *)take(words), inverted);
	} else if (word_is(option, "--syn")) {
		add_syn(reader, inverted);
	} else if (word_is(option, "--dport") || word_is(option, "--dports") || word_is(option, "--destination-port")) {
		add_ports(reader, (char *)take(words), inverted);
	} else if (word_is(option, "--ctstate") || (word_is(module, "state") && word_is(option, "--state"))) {
		add_states(reader, (char *)take(words), inverted);
	} else if (word_is(option, "--dst-type")) {
		add_fixed(reader, names_local((char *)take(words)) ? ANSWER_YES : ANSWER_NO, inverted);
	} else if (word_is(option, "--sport") && words->next < words->count && word_is(words->list[words->next], "0")) {
		/*
		 * The hook never answers a client with port 0 (bpf/packet/malformed.h), so such a rule cannot be
		 * bypassed.
		 */
		take(words);
		add_fixed(reader, ANSWER_NO, inverted);
	} else if (word_is(option, "--comment")) {
		take(words);
	} else if (word_is(option, "--tcp-option")) {
		add_fixed(reader, ANSWER_PACKET, false);
	} else if (word_is(module, "tcp") || word_is(module, "multiport") || word_is(module, "conntrack") ||
		   word_is(module, "addrtype")) {
		add_fixed(reader, ANSWER_SENDER, false);
	}
}

static void begin_target(struct reader *reader, const char *option, const char *target)
{
	struct rule *rule = reader->rule;

	if (word_is(target, "ACCEPT")) {
		rule->verdict = VERDICT_ACCEPT;
	} else if (word_is(target, "DROP")) {
		rule->verdict = VERDICT_DROP;
	} else if (word_is(target, "RETURN")) {
		rule->verdict = VERDICT_RETURN;
	} else if (ruleset_find_chain(reader->ruleset, reader->name, reader->table, target)) {
		rule->verdict = word_is(option, "-g") ? VERDICT_GOTO : VERDICT_JUMP;
		rule->target_name = ruleset_text(reader->ruleset, target);
		if (!rule->target_name)
			reader->error = -ENOMEM;
	} else {
		ruleset_xt_target(target, rule);
	}
}

/* Returns false at the rule's target, after which nothing matters. */
static bool read_option(struct reader *reader, const char *option, struct words *words, bool inverted)
{
	if (word_is(option, "-s"))
		add_sender(reader, words);
	else if (word_is(option, "-d"))
		add_address(reader, (char *)take(words), inverted);
	else if (word_is(option, "-i"))
		add_interface(reader, take(words), inverted);
	else if (word_is(option, "-o"))
		add_sender(reader, words);
	else if (word_is(option, "-p"))
		add_protocol(reader, take(words), inverted);
	else if (word_is(option, "-f"))
		add_fixed(reader, ANSWER_NO, inverted);
	else if (word_is(option, "-m"))
		begin_match(reader, take(words));
	else if (!strncmp(option, "--", 2))
		match_option(reader, option, words, inverted);
	if (!word_is(option, "-j") && !word_is(option, "-g"))
		return true;
	begin_target(reader, option, take(words));
	return false;
}

static void read_rule(struct reader *reader, struct words *words, const char *chain_name)
{
	struct rule rule = { 0 };
	bool inverted = false;

	reader->chain = ruleset_find_chain(reader->ruleset, reader->name, reader->table, chain_name);
	if (!reader->chain)
		return;
	reader->rule = &rule;
	reader->module = "";
	rule.number = reader->chain->rule_count + 1;
	while (words->next < words->count) {
		const char *word = take(words);

		if (word_is(word, "!")) {
			inverted = true;
			continue;
		}
		if (*word == '-' && !read_option(reader, word, words, inverted))
			break;
		inverted = false; /* other words are values of ignored options */
	}
	if (!reader->error)
		reader->error = ruleset_add_rule(reader->chain, &rule);
	reader->rule = NULL;
}

/* ----------------------------------------------------------------------------------------------------------- tables */

/* Priorities: enum nf_ip_hook_priorities, linux/netfilter_ipv4.h. */
static const struct {
	const char *table, *chain;
	enum rule_hook hook;
	int priority;
} hooks[] = {
	{ "raw", "PREROUTING", HOOK_PREROUTING, -300 },
	{ "mangle", "PREROUTING", HOOK_PREROUTING, -150 },
	{ "nat", "PREROUTING", HOOK_PREROUTING, -100 },
	{ "mangle", "INPUT", HOOK_INPUT, -150 },
	{ "filter", "INPUT", HOOK_INPUT, 0 },
	{ "security", "INPUT", HOOK_INPUT, 50 },
	{ "nat", "INPUT", HOOK_INPUT, 100 },
};

/* Reads a chain: ":INPUT DROP [0:0]" */
static void read_chain(struct reader *reader, const char *name, const char *policy)
{
	struct rule_chain *chain = ruleset_add_chain(reader->ruleset, reader->name, reader->table, name);

	if (!chain) {
		reader->error = -ENOMEM;
		return;
	}
	chain->families = reader->ipv6 ? RULES_IPV6 : RULES_IPV4;
	chain->drops = word_is(policy, "DROP");
	for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
		if (!word_is(hooks[i].table, reader->table) || !word_is(hooks[i].chain, name))
			continue;
		chain->hook = (uint8_t)hooks[i].hook;
		chain->priority = hooks[i].priority;
	}
}

static void read_line(struct reader *reader, char *line)
{
	struct words words;

	if (*line == '*') {
		reader->table = ruleset_text(reader->ruleset, line + 1);
		if (!reader->table)
			reader->error = -ENOMEM;
		return;
	}
	if ((*line != ':' && *line != '-') || !reader->table)
		return;
	if (!cut_words(line, &words)) {
		reader->error = -E2BIG;
		return;
	}
	if (*line == ':') {
		take(&words);
		read_chain(reader, line + 1, take(&words));
	} else if (word_is(take(&words), "-A")) {
		read_rule(reader, &words, take(&words));
	}
}

int ruleset_iptables_read(struct ruleset *ruleset, char *text, const char *name, bool ipv6)
{
	struct reader reader = { .ruleset = ruleset, .name = name, .ipv6 = ipv6 };

	for (char *line; !reader.error && (line = strsep(&text, "\n"));)
		read_line(&reader, line);
	return reader.error;
}

bool ruleset_iptables_has_table(const char *text, const char *table)
{
	size_t length = strlen(table);

	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (*at == '*' && !strncmp(at + 1, table, length) && (at[1 + length] == '\n' || !at[1 + length]))
			return true;
	}
	return false;
}
