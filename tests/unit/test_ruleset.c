/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The verifier's results for rules, as libnftables 1.0.6 and iptables-save 1.8.9 print them: at which endpoints a
 * client's SYN and its ACK may get different verdicts, and at which a SYN may be refused at all.
 *
 * link: user/shakeoffd/firewall/ruleset.c user/shakeoffd/firewall/ruleset_nft*.c user/shakeoffd/firewall/ruleset_xt.c
 * link: user/shakeoffd/firewall/ruleset_iptables.c user/shakeoffd/firewall/ruleset_verify.c
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shakeoffd/firewall/ruleset_iptables.h"
#include "shakeoffd/firewall/ruleset_verify.h"
#include "shakeoffd/firewall/ruleset_nft.h"

static const char device[][IFNAMSIZ] = { "s0" };
static const struct ruleset_devices devices = { .names = device, .count = 1 };

static struct endpoint endpoint(const char *address, uint16_t port)
{
	struct endpoint endpoint = { .address = { .s6_addr = { [10] = 0xff, [11] = 0xff } }, .port = port };

	if (strchr(address, ':'))
		assert_int_equal(inet_pton(AF_INET6, address, &endpoint.address), 1);
	else
		assert_int_equal(inet_pton(AF_INET, address, &endpoint.address.s6_addr[12]), 1);
	return endpoint;
}

static char reason[RULESET_RULE_TEXT];

static struct ruleset_findings judged(struct ruleset *ruleset, const char *address, uint16_t port)
{
	struct endpoint where = endpoint(address, port);
	struct ruleset_findings findings;
	struct ruleset_verifier *verifier;

	assert_int_equal(ruleset_finish(ruleset), 0);
	verifier = ruleset_verifier_open(ruleset, &devices);
	assert_non_null(verifier);
	ruleset_verify(verifier, &where, &findings);
	*reason = '\0';
	if (findings.syn_rules)
		ruleset_rule_text(findings.syn_chain, findings.syn_rule, reason, sizeof(reason));
	else if (findings.refuses_syn)
		ruleset_rule_text(findings.refusing_chain, findings.refusing_rule, reason, sizeof(reason));
	ruleset_verifier_close(verifier);
	ruleset_free(ruleset);
	return findings;
}

/* --------------------------------------------------------------------------------------------------------- nftables */

#define CHAIN(name, more) "{\"chain\": {\"family\": \"inet\", \"table\": \"f\", \"name\": \"" name "\"" more "}},"
#define INPUT(policy) CHAIN("i", ", \"type\": \"filter\", \"hook\": \"input\", \"prio\": 0, \"policy\": \"" policy "\"")
#define RULE_IN(chain, handle, expressions)                                                                            \
	"{\"rule\": {\"family\": \"inet\", \"table\": \"f\", \"chain\": \"" chain "\", \"handle\": " #handle           \
	", \"expr\": [" expressions "]}},"
#define RULE(handle, expressions) RULE_IN("i", handle, expressions)
#define MATCH(op, left, right) "{\"match\": {\"op\": \"" op "\", \"left\": " left ", \"right\": " right "}},"
#define FIELD(protocol, field) "{\"payload\": {\"protocol\": \"" protocol "\", \"field\": \"" field "\"}}"
#define SYN MATCH("==", "{\"&\": [" FIELD("tcp", "flags") ", [\"fin\", \"syn\", \"rst\", \"ack\"]]}", "\"syn\"")
#define PORT(port) MATCH("==", FIELD("tcp", "dport"), #port)
#define FROM(what) MATCH("==", FIELD("ip", "saddr"), what)
#define STATE(states) MATCH("in", "{\"ct\": {\"key\": \"state\"}}", states)
#define ACCEPT "{\"accept\": null}"
#define DROP "{\"drop\": null}"

static json_t *ports_or_verdicts(void *context, const char *family, const char *table, const char *name, bool map)
{
	(void)context;
	assert_string_equal(family, "inet");
	assert_string_equal(table, "f");
	if (map)
		return strcmp(name, "verdicts") ? NULL : json_loads("[[80, {\"accept\": null}]]", 0, NULL);
	return strcmp(name, "ports") ? NULL : json_loads("[22, {\"range\": [80, 90]}]", 0, NULL);
}

static struct ruleset_findings nft_at(const char *rules, const char *address, uint16_t port)
{
	const struct ruleset_nft_source source = { .elements = ports_or_verdicts };
	struct ruleset ruleset = { 0 };
	json_error_t error;
	char *text;
	json_t *list;

	assert_true(asprintf(&text, "{\"nftables\": [%s{\"metainfo\": {}}]}", rules) > 0);
	list = json_loads(text, 0, &error);
	if (!list)
		fail_msg("%s: %s", error.text, text);
	assert_int_equal(ruleset_nft_read(&ruleset, list, &source), 0);
	json_decref(list);
	free(text);
	return judged(&ruleset, address, port);
}

static void obeyed(const char *rules)
{
	struct ruleset_findings findings = nft_at(rules, "10.9.0.1", 80);

	if (findings.syn_rules)
		fail_msg("bypassed for %s: %s", reason, rules);
}

static void bypassed(const char *rules, const char *because)
{
	assert_true(nft_at(rules, "10.9.0.1", 80).syn_rules);
	assert_string_equal(reason, because);
}

static void no_rules_bypass_nothing(void **state)
{
	(void)state;
	assert_false(nft_at("", "10.9.0.1", 80).refuses_syn);
	obeyed("");
	obeyed(INPUT("drop"));
}

static void syn_rules_with_a_source_bypass_the_endpoint(void **state)
{
	(void)state;
	bypassed(INPUT("accept") RULE(2, FROM("\"10.9.0.2\"") PORT(80) SYN DROP), "inet f i handle 2");
	bypassed(INPUT("accept") RULE(2, SYN FROM("\"@bad\"") DROP), "inet f i handle 2");
	bypassed(INPUT("accept") RULE(2, SYN "{\"limit\": {\"rate\": 10, \"per\": \"second\"}}," DROP),
		 "inet f i handle 2");
	/* A source that was accepted before. */
	bypassed(INPUT("accept") RULE(2, FROM("{\"prefix\": {\"addr\": \"10.9.0.0\", \"len\": 24}}") ACCEPT)
			 RULE(3, SYN DROP),
		 "inet f i handle 3");
	bypassed(INPUT("drop") RULE(2, FROM("\"@allowed\"") SYN ACCEPT)
			 RULE(3, PORT(80) MATCH("==", FIELD("tcp", "flags"), "\"ack\"") ACCEPT),
		 "inet f i handle 2");
}

static void syn_rules_of_other_ports_and_devices_bypass_nothing(void **state)
{
	(void)state;
	obeyed(INPUT("accept") RULE(2, FROM("\"10.9.0.2\"") PORT(81) SYN DROP));
	obeyed(INPUT("accept") RULE(2, MATCH("==", "{\"meta\": {\"key\": \"iifname\"}}", "\"eth1\"") SYN DROP));
	obeyed(INPUT("accept") RULE(2, MATCH("==", "{\"meta\": {\"key\": \"iifname\"}}", "\"e*\"") SYN DROP));
	bypassed(INPUT("accept")
			 RULE(2, MATCH("==", "{\"meta\": {\"key\": \"iifname\"}}", "\"s*\"") FROM("\"@x\"") SYN DROP),
		 "inet f i handle 2");
	obeyed(INPUT("accept") RULE(2, MATCH("==", FIELD("ip6", "saddr"), "\"@bad\"") SYN DROP));
	assert_true(nft_at(INPUT("accept") RULE(2, MATCH("==", FIELD("ip6", "saddr"), "\"@bad\"") SYN DROP),
			   "2001:db8::1", 80)
			    .syn_rules);
	obeyed(INPUT("accept") RULE(2, MATCH("==", FIELD("ip", "daddr"), "\"10.9.0.7\"") SYN FROM("\"@x\"") DROP));
	obeyed(INPUT("accept") RULE(2, MATCH("==", FIELD("udp", "dport"), "80") FROM("\"@x\"") DROP)
		       RULE(3, SYN ACCEPT));
	obeyed(INPUT("accept") RULE(2, MATCH("!=", FIELD("tcp", "dport"), "{\"set\": [22, 80]}") SYN DROP));
	obeyed(INPUT("accept") RULE(2, MATCH(">=", FIELD("tcp", "dport"), "1024") SYN DROP));
	bypassed(INPUT("accept") RULE(2, MATCH("<", FIELD("tcp", "dport"), "1024") FROM("\"@x\"") SYN DROP),
		 "inet f i handle 2");
}

static void rules_that_treat_both_packets_alike_bypass_nothing(void **state)
{
	(void)state;
	obeyed(INPUT("drop") RULE(2, STATE("[\"established\", \"related\"]") ACCEPT)
		       RULE(3, PORT(80) STATE("\"new\"") ACCEPT));
	obeyed(INPUT("drop") RULE(2, FROM("\"@lan\"") ACCEPT) RULE(3, FROM("\"@bad\"") PORT(80) DROP));
	obeyed(INPUT("accept") RULE(2, PORT(80) "{\"ct count\": {\"val\": 3, \"inv\": true}}," DROP));
	obeyed(INPUT("accept") RULE(2, MATCH("==", "{\"fib\": {\"result\": \"oif\", \"flags\": [\"saddr\", \"iif\"]}}",
					     "false") DROP));
	/* A rule on SYNs with no other condition on the packet. */
	obeyed(INPUT("accept") RULE(2, SYN FROM("\"@x\"") "{\"counter\": {}}, {\"log\": {}}"));
	/* A packet that both rules accept. */
	obeyed(INPUT("accept") RULE(2, SYN FROM("\"@x\"") ACCEPT));
}

static void rules_on_syns_are_recognised_in_every_spelling(void **state)
{
	(void)state;
	static const char *const spellings[] = {
		MATCH("in", FIELD("tcp", "flags"), "\"syn\""),
		MATCH("==", FIELD("tcp", "flags"), "\"syn\""),
		MATCH("!=", FIELD("tcp", "flags"), "\"ack\""),
		MATCH("!", FIELD("tcp", "flags"), "\"ack\""),
		MATCH("==", "{\"&\": [" FIELD("tcp", "flags") ", \"syn\"]}", "\"syn\""),
		MATCH("==", "{\"&\": [" FIELD("tcp", "flags") ", [\"syn\", \"ack\"]]}", "\"syn\""),
		MATCH("==", "{\"&\": [" FIELD("tcp", "flags") ", {\"|\": [\"syn\", \"ack\"]}]}", "2"),
		MATCH("==", FIELD("tcp", "flags"), "{\"set\": [\"syn\", {\"|\": [\"syn\", \"ack\"]}]}"),
		MATCH("==", "{\"tcp option\": {\"name\": \"maxseg\", \"field\": \"size\"}}", "{\"range\": [1, 500]}"),
		MATCH("==", "{\"payload\": {\"base\": \"th\", \"offset\": 104, \"len\": 8}}", "2"),
		MATCH("==", "{\"concat\": [" FIELD("ip", "saddr") "," FIELD("tcp", "flags") "]}", "\"@x\""),
		MATCH("==", "{\"osf\": {\"key\": \"name\"}}", "\"Linux\""),
		"{\"xt\": {\"type\": \"match\", \"name\": \"tcp\"}},",
	};
	char rules[2048];

	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		snprintf(rules, sizeof(rules),
			 "%s{\"rule\": {\"family\": \"inet\", \"table\": \"f\", \"chain\": \"i\", \"handle\": 7, "
			 "\"expr\": [%s %s %s]}},",
			 INPUT("accept"), FROM("\"@x\""), spellings[i], DROP);
		bypassed(rules, "inet f i handle 7");
	}
}

static void chains_are_followed(void **state)
{
	(void)state;
	bypassed(INPUT("accept") CHAIN("c", "") RULE(2, SYN "{\"jump\": {\"target\": \"c\"}}")
			 RULE_IN("c", 3, FROM("\"@x\"") DROP),
		 "inet f i handle 2");
	obeyed(INPUT("accept") CHAIN("c", "") RULE(2, SYN "{\"jump\": {\"target\": \"c\"}}")
		       RULE_IN("c", 3, PORT(81) DROP));
	obeyed(INPUT("accept") CHAIN("c", "") RULE(2, SYN "{\"jump\": {\"target\": \"c\"}}")
		       RULE_IN("c", 3, FROM("\"@x\"") "{\"return\": null}"));
	/* goto does not return: the policy is next. */
	obeyed(INPUT("drop") CHAIN("c", "") RULE(2, "{\"goto\": {\"target\": \"c\"}}") RULE_IN("c", 3, PORT(80) ACCEPT)
		       RULE(4, SYN FROM("\"@x\"") DROP));
	bypassed(INPUT("accept") RULE(2, FROM("\"@x\"") "{\"vmap\": {\"key\": " FIELD(
						 "tcp", "flags") ", \"data\": {\"set\": [[\"syn\", " DROP
								 "], [\"ack\", " ACCEPT "]]}}}"),
		 "inet f i handle 2");
	obeyed(INPUT("drop") RULE(2, "{\"vmap\": {\"key\": " FIELD("tcp", "dport") ", \"data\": \"@verdicts\"}}")
		       RULE(3, SYN FROM("\"@x\"") ACCEPT));
	bypassed(INPUT("drop")
			 RULE(2, PORT(80) "{\"vmap\": {\"key\": " FIELD("ip", "saddr") ", \"data\": \"@unknown\"}}"),
		 "inet f i handle 2");
}

static void sets_of_ports_are_known(void **state)
{
	(void)state;
	bypassed(INPUT("accept") RULE(2, MATCH("==", FIELD("tcp", "dport"), "\"@ports\"") SYN FROM("\"@x\"") DROP),
		 "inet f i handle 2");
	assert_false(nft_at(INPUT("accept")
				    RULE(2, MATCH("==", FIELD("tcp", "dport"), "\"@ports\"") SYN FROM("\"@x\"") DROP),
			    "10.9.0.1", 91)
			     .syn_rules);
}

static void state_that_a_syn_leaves_counts(void **state)
{
	(void)state;
	/* Marked at the SYN, dropped because of the mark. */
	bypassed(INPUT("accept") RULE(
			 2, SYN FROM("\"@x\"") "{\"mangle\": {\"key\": {\"meta\": {\"key\": \"mark\"}}, \"value\": 1}}")
			 RULE(3, MATCH("==", "{\"meta\": {\"key\": \"mark\"}}", "1") DROP),
		 "inet f i handle 2");
	bypassed(INPUT("accept") RULE(
			 2, SYN "{\"set\": {\"op\": \"add\", \"elem\": " FIELD("ip", "saddr") ", \"set\": \"@seen\"}}"),
		 "inet f i handle 2");
	bypassed(INPUT("accept") RULE(2, SYN "{\"notrack\": null}"), "inet f i handle 2");
	obeyed(INPUT("accept") RULE(2, PORT(80) "{\"notrack\": null}"));
}

static void endpoints_whose_packets_are_redirected_are_bypassed(void **state)
{
	(void)state;
	bypassed(INPUT("accept") RULE(2, PORT(80) FROM("\"@x\"") "{\"queue\": {\"num\": 1}}"), "inet f i handle 2");
	bypassed(INPUT("accept") RULE(2, PORT(80) FROM("\"@x\"") "{\"synproxy\": null}"), "inet f i handle 2");
	bypassed(INPUT("accept") RULE(2, PORT(80) "{\"something\": {\"new\": 1}}"), "inet f i handle 2");
	obeyed(INPUT("accept") RULE(2, PORT(81) FROM("\"@x\"") "{\"redirect\": {\"port\": 80}}"));
}

static void every_refusal_is_reported_for_packets_that_skip_the_rules(void **state)
{
	(void)state;
	assert_true(nft_at(INPUT("accept") RULE(2, FROM("\"@x\"") DROP), "10.9.0.1", 80).refuses_syn);
	assert_string_equal(reason, "inet f i handle 2");
	assert_true(nft_at(INPUT("drop") RULE(2, FROM("\"@x\"") ACCEPT), "10.9.0.1", 80).refuses_syn);
	assert_string_equal(reason, "inet f i policy");
	assert_false(nft_at(INPUT("drop") RULE(2, STATE("\"invalid\"") DROP) RULE(3, PORT(80) ACCEPT)
				    RULE(4, FROM("\"@x\"") DROP),
			    "10.9.0.1", 80)
			     .refuses_syn);
}

static void rules_with_counters_are_reported(void **state)
{
	(void)state;
	assert_true(nft_at(INPUT("accept") RULE(2, PORT(80) "{\"ct count\": {\"val\": 3, \"inv\": true}}," DROP),
			   "10.9.0.1", 80)
			    .counts);
	assert_false(nft_at(INPUT("accept") RULE(2, PORT(81) "{\"ct count\": {\"val\": 3, \"inv\": true}}," DROP),
			    "10.9.0.1", 80)
			     .counts);
	assert_false(nft_at(INPUT("accept") RULE(2, "{\"limit\": {\"rate\": 3, \"per\": \"minute\"}}, {\"log\": {}}"),
			    "10.9.0.1", 80)
			     .counts);
}

/* --------------------------------------------------------------------------------------------------------- iptables */

static struct ruleset_findings iptables_at(const char *rules, const char *address, uint16_t port)
{
	struct ruleset ruleset = { 0 };
	char *text;

	assert_true(
		asprintf(
			&text,
			"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:c - [0:0]\n%sCOMMIT\n",
			rules) > 0);
	assert_true(ruleset_iptables_has_table(text, "filter"));
	assert_false(ruleset_iptables_has_table(text, "filt"));
	assert_int_equal(ruleset_iptables_read(&ruleset, text, "iptables", strchr(address, ':')), 0);
	free(text);
	return judged(&ruleset, address, port);
}

static void iptables_rules_are_read(void **state)
{
	(void)state;
	static const struct {
		bool bypassed;
		const char *rules;
	} rows[] = {
		{ true, "-A INPUT -s 10.9.0.2/32 -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -j DROP\n" },
		{ false, "-A INPUT -s 10.9.0.2/32 -p tcp -m tcp --dport 81 --tcp-flags FIN,SYN,RST,ACK SYN -j DROP\n" },
		{ false, "-A INPUT -s 10.9.0.2/32 -p tcp -m tcp --dport 80 -j DROP\n" },
		{ true,
		  "-A INPUT -p tcp -m tcp ! --dport 81 --tcp-flags FIN,SYN,RST,ACK SYN -m set --match-set geo src -j DROP\n" },
		{ true,
		  "-A INPUT -p tcp -m multiport --dports 22,80:90 -m tcp --tcp-flags SYN SYN -m hashlimit --hashlimit-above 50/sec "
		  "--hashlimit-name a -j DROP\n" },
		{ true,
		  "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment \"-j ACCEPT \\\" x\" -j c\n"
		  "-A c -m limit --limit 1/sec -j RETURN\n-A c -j DROP\n" },
		{ false,
		  "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j c\n-A c -m limit --limit 1/sec -j LOG --log-prefix \"-j DROP\"\n" },
		{ false,
		  "-A INPUT -p tcp -m tcp --dport 80 -m conntrack --ctstate NEW -m recent --set --name DEFAULT --mask 255.255.255.255 "
		  "--rsource\n-A INPUT -p tcp -m tcp --dport 80 -m conntrack --ctstate NEW -m recent --update --seconds 30 --hitcount 6 "
		  "--name DEFAULT --mask 255.255.255.255 --rsource -j c\n-A c -j REJECT --reject-with icmp-port-unreachable\n" },
		{ true,
		  "-A INPUT -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m recent --set --name x --rsource\n" },
		{ false, "-A INPUT -i eth1 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -s 1.2.3.4/32 -j DROP\n" },
		{ true, "-A INPUT -i s+ -s 1.2.3.4/32 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP\n" },
		{ false,
		  "-A INPUT -d 10.9.1.0/24 -s 1.2.3.4/32 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP\n" },
		{ true,
		  "-A INPUT -d 10.9.0.0/24 -s 1.2.3.4/32 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP\n" },
		{ false, "-A INPUT -m addrtype --dst-type BROADCAST -p tcp --syn -s 1.2.3.4 -j DROP\n" },
		{ true, "-A INPUT -s 1.2.3.4/32 -p tcp -m tcp --dport 80 -j NFQUEUE --queue-num 1\n" },
		{ true, "-A INPUT -p tcp -m length --length 60 -m geoip --source-country CN -j DROP\n" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (iptables_at(rows[i].rules, "10.9.0.1", 80).syn_rules != rows[i].bypassed)
			fail_msg("%s: %s (%s)", rows[i].bypassed ? "not bypassed" : "bypassed", rows[i].rules, reason);
	iptables_at(rows[0].rules, "10.9.0.1", 80);
	assert_string_equal(reason, "iptables filter INPUT rule 1");
	assert_true(iptables_at("-A INPUT -s 2001:db8::/32 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP\n",
				"2001:db8::1", 80)
			    .syn_rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_rules_bypass_nothing),
		cmocka_unit_test(syn_rules_with_a_source_bypass_the_endpoint),
		cmocka_unit_test(syn_rules_of_other_ports_and_devices_bypass_nothing),
		cmocka_unit_test(rules_that_treat_both_packets_alike_bypass_nothing),
		cmocka_unit_test(rules_on_syns_are_recognised_in_every_spelling),
		cmocka_unit_test(chains_are_followed),
		cmocka_unit_test(sets_of_ports_are_known),
		cmocka_unit_test(state_that_a_syn_leaves_counts),
		cmocka_unit_test(endpoints_whose_packets_are_redirected_are_bypassed),
		cmocka_unit_test(every_refusal_is_reported_for_packets_that_skip_the_rules),
		cmocka_unit_test(rules_with_counters_are_reported),
		cmocka_unit_test(iptables_rules_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
