/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "shakeoffd/firewall/ruleset_nft_internal.h"
#include "shakeoffd/firewall/ruleset_xt.h"

/* Adds a complete rule to its chain. */
static void add_rule(struct nft_reader *reader, const struct rule *rule)
{
	if (!reader->error)
		reader->error = ruleset_add_rule(reader->chain, rule);
}

/* ------------------------------------------------------------------------------------------------------- statements */

/* Reads "xt": {"type": "match", "name": "recent"}, or null in other versions. */
static void xt_expression(struct nft_reader *reader, struct rule *rule, json_t *xt)
{
	const char *type = nft_string(xt, "type"), *name = nft_string(xt, "name");

	if (word_is(type, "target")) {
		ruleset_xt_target(name, rule);
	} else if (word_is(type, "match")) {
		nft_add_fixed(reader, rule, ruleset_xt_match(name, rule));
	} else if (!word_is(type, "watcher")) {
		nft_add_fixed(reader, rule, ANSWER_PACKET);
		rule->verdict = VERDICT_ELSEWHERE;
	}
}

/* Reads a verdict. Returns false if the statement is none. */
static bool verdict_of(struct nft_reader *reader, const char *kind, json_t *of, struct rule *rule)
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
		if (!word_is(kind, verdicts[i].name))
			continue;
		rule->verdict = (uint8_t)verdicts[i].verdict;
		if (verdicts[i].verdict == VERDICT_JUMP || verdicts[i].verdict == VERDICT_GOTO) {
			rule->target_name = ruleset_text(reader->ruleset, nft_string(of, "target"));
			if (!rule->target_name)
				reader->error = -ENOMEM;
		}
		return true;
	}
	return false;
}

/* Reads meta mark set 1, ct mark set 1, ip daddr set ... */
static void mangle(struct rule *rule, json_t *of)
{
	struct nft_key key = nft_key_of(json_object_get(of, "key"));

	if (key.kind == KEY_MARK)
		rule->remembers = rule->marks = true;
	else if (key.kind == KEY_PORT || key.kind == KEY_ADDRESS || key.kind == KEY_FLAGS)
		rule->verdict = VERDICT_ELSEWHERE;
}

static void statement(struct nft_reader *reader, struct rule *rule, const char *kind, json_t *of)
{
	static const char *const harmless[] = { "counter",        "log", "comment", "ct helper", "ct timeout",
						"ct expectation", "dup", "secmark", "flow",      "last",
						"reset",          NULL };
	static const char *const counting[] = { "limit", "quota", "ct count", "connlimit", NULL };

	if (verdict_of(reader, kind, of, rule) || word_is_one_of(kind, harmless))
		return;
	if (word_is_one_of(kind, counting)) {
		nft_add_fixed(reader, rule, ANSWER_SENDER);
		rule->counts = true;
	} else if (word_is(kind, "set") || word_is(kind, "map") || word_is(kind, "meter")) {
		nft_add_fixed(reader, rule, ANSWER_SENDER);
		rule->remembers = rule->counts = true;
	} else if (word_is(kind, "mangle")) {
		mangle(rule, of);
	} else if (word_is(kind, "notrack")) {
		rule->untracks = true;
	} else if (word_is(kind, "xt")) {
		xt_expression(reader, rule, of);
	} else {
		nft_add_fixed(reader, rule, ANSWER_PACKET);
		rule->verdict = VERDICT_ELSEWHERE;
	}
}

/*
 * Compares an element of a map part by part, because a service's address and port match only some endpoints
 * (kube-proxy).
 */
static void compare_element(struct nft_reader *reader, struct rule *rule, json_t *left, json_t *value)
{
	json_t *keys = json_object_get(left, "concat"), *values = json_object_get(value, "concat"), *part;
	struct nft_key key = nft_key_of(left);
	size_t i;

	if (!keys || json_array_size(keys) != json_array_size(values)) {
		nft_compare(reader, rule, &key, "==", value);
		return;
	}
	json_array_foreach(keys, i, part) {
		key = nft_key_of(part);
		nft_compare(reader, rule, &key, "==", json_array_get(values, i));
	}
}

/* Adds a rule for each element of a map of verdicts: no packet matches two of them. */
static void verdict_map(struct nft_reader *reader, const struct rule *rule, json_t *of)
{
	struct nft_key key = nft_key_of(json_object_get(of, "key"));
	json_t *data = json_object_get(of, "data"), *elements, *element;
	size_t i;

	elements = nft_is_name(data) ? nft_elements_of(reader, data, true) : json_incref(json_object_get(data, "set"));
	if (!json_is_array(elements)) {
		struct rule any = *rule;

		nft_add_fixed(reader, &any, nft_unknown(&key));
		any.verdict = VERDICT_ELSEWHERE;
		add_rule(reader, &any);
		json_decref(elements);
		return;
	}
	json_array_foreach(elements, i, element) {
		json_t *value = nft_bare(json_array_get(element, 0)), *verdict = json_array_get(element, 1);
		struct rule one = *rule;

		/* Its list of matches has to grow in its own memory. */
		one.matches = NULL;
		one.match_count = 0;
		for (size_t m = 0; m < rule->match_count; m++)
			nft_add_match(reader, &one, &rule->matches[m]);
		if (value && !word_is(json_string_value(value) ?: "", "*"))
			compare_element(reader, &one, json_object_get(of, "key"), value);
		if (!verdict_of(reader, json_object_iter_key(json_object_iter(verdict)) ?: "",
				json_object_iter_value(json_object_iter(verdict)), &one))
			one.verdict = VERDICT_ELSEWHERE;
		add_rule(reader, &one);
	}
	json_decref(elements);
}

/* ------------------------------------------------------------------------------------------------- rules and chains */

static bool names(struct nft_reader *reader, json_t *object)
{
	reader->family = nft_string(object, "family");
	reader->table = nft_string(object, "table");
	return !reader->source->skips || !reader->source->skips(reader->source->context, reader->family, reader->table);
}

static void read_rule(struct nft_reader *reader, json_t *object)
{
	struct rule rule = { .number = (uint64_t)json_integer_value(json_object_get(object, "handle")) };
	json_t *expressions = json_object_get(object, "expr"), *expression;
	bool mapped = false;
	size_t i;

	if (!names(reader, object))
		return;
	reader->chain = ruleset_find_chain(reader->ruleset, reader->family, reader->table, nft_string(object, "chain"));
	if (!reader->chain)
		return;
	json_array_foreach(expressions, i, expression) {
		const char *kind = json_object_iter_key(json_object_iter(expression)) ?: "";
		json_t *of = json_object_iter_value(json_object_iter(expression));

		if (word_is(kind, "match")) {
			struct nft_key key = nft_key_of(json_object_get(of, "left"));

			nft_compare(reader, &rule, &key, nft_string(of, "op"), json_object_get(of, "right"));
		} else if (word_is(kind, "vmap")) {
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
	if (word_is(family, "ip"))
		return RULES_IPV4;
	if (word_is(family, "ip6"))
		return RULES_IPV6;
	return word_is(family, "inet") || word_is(family, "netdev") || word_is(family, "bridge") ? RULES_INET : 0;
}

static enum rule_hook hook_of(const char *hook)
{
	if (word_is(hook, "ingress"))
		return HOOK_INGRESS;
	if (word_is(hook, "prerouting"))
		return HOOK_PREROUTING;
	return word_is(hook, "input") ? HOOK_INPUT : HOOK_NONE;
}

static void read_devices(struct nft_reader *reader, struct rule_chain *chain, json_t *devices)
{
	json_t *list = nft_list_of(devices), *device;
	size_t i;

	chain->devices = ruleset_alloc(reader->ruleset, (json_array_size(list) + 1) * sizeof(*chain->devices));
	if (!chain->devices)
		reader->error = -ENOMEM;
	json_array_foreach(list, i, device)
		if (chain->devices && json_is_string(device) && json_string_length(device) < IFNAMSIZ)
			strcpy(chain->devices[chain->device_count++], json_string_value(device));
	json_decref(list);
}

/* Includes a bridge's own chains, which packets pass that come in by one of the bridge's ports. */
static void read_chain(struct nft_reader *reader, json_t *object)
{
	json_t *devices = json_object_get(object, "dev");
	struct rule_chain *chain;

	if (!names(reader, object) || !families_of(reader->family))
		return;
	chain = ruleset_add_chain(reader->ruleset, reader->family, reader->table, nft_string(object, "name"));
	if (!chain) {
		reader->error = -ENOMEM;
		return;
	}
	chain->families = families_of(reader->family);
	chain->handles = true;
	chain->hook = (uint8_t)hook_of(nft_string(object, "hook"));
	chain->priority = (int)json_integer_value(json_object_get(object, "prio"));
	chain->drops = word_is(nft_string(object, "policy"), "drop");
	if (devices)
		read_devices(reader, chain, devices);
}

static json_t *objects(json_t *list)
{
	return json_object_get(list, "nftables");
}

int ruleset_nft_read(struct ruleset *ruleset, json_t *list, const struct ruleset_nft_source *source)
{
	struct nft_reader reader = { .ruleset = ruleset, .source = source };
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

		if (!rule || !word_is(nft_string(rule, "family"), family))
			continue;
		json_array_foreach(json_object_get(rule, "expr"), k, expression)
			if (json_object_get(expression, "xt"))
				return true;
	}
	return false;
}
