/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The values of keys, one test a rule: which are read, and which are refused with the allowed values.
 *
 * link: user/config/?*.c user/common/text.c
 */
#include <arpa/inet.h>
#include <sys/stat.h>

#include "config/keys.h"
#include "config/retired.h"
#include "config_file.h"

#define LISTEN(value) DAEMON "[service web]\nlisten = " value "\n"

static void omitted_keys_have_the_documented_defaults(void **state)
{
	(void)state;
	accepted(WEB);
	assert_int_equal(config.services[0].handoff, SHAKEOFF_HANDOFF_AUTO);
	assert_int_equal(config.services[0].policy.overflow, SHAKEOFF_OVERFLOW_DROP);
	assert_int_equal(config.services[0].policy.syncookies, SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	assert_int_equal(config.services[0].policy.backlog, 4096);
	assert_int_equal(config.services[0].policy.flood_rate, 20000);
	config_free(&config);
}

static void no_file_is_like_an_empty_file(void **state)
{
	(void)state;
	config_default(&config);
	assert_defaults();
	config_free(&config);
	accepted("");
	assert_defaults();
	config_free(&config);
}

static void every_handoff_is_read(void **state)
{
	(void)state;
	accepted(WEB "handoff = auto\n"
		     "[service a]\nlisten = 10.9.0.1:81\nhandoff = listener\n"
		     "[service b]\nlisten = 10.9.0.1:82\nhandoff = queue\n");
	assert_int_equal(config.services[0].handoff, SHAKEOFF_HANDOFF_AUTO);
	assert_int_equal(config.services[1].handoff, SHAKEOFF_HANDOFF_LISTENER);
	assert_int_equal(config.services[2].handoff, SHAKEOFF_HANDOFF_QUEUE);
	config_free(&config);
}

static void keys_of_discovered_services_do_not_apply_to_others(void **state)
{
	(void)state;
	accepted(WEB "backlog = 5\n[discovered]\nbacklog = 6\noverflow = reset\n");
	assert_int_equal(config.services[0].policy.backlog, 5);
	assert_int_equal(config.services[0].policy.overflow, SHAKEOFF_OVERFLOW_DROP);
	assert_int_equal(config.discovered.backlog, 6);
	assert_int_equal(config.discovered.overflow, SHAKEOFF_OVERFLOW_RESET);
	config_free(&config);
}

static void a_key_file_is_given_once_and_by_its_whole_path(void **state)
{
	(void)state;
	accepted("[daemon]\n");
	assert_null(config.key_file);
	config_free(&config);
	accepted("[daemon]\nkey-file = /etc/shakeoff.key\n");
	assert_string_equal(config.key_file, "/etc/shakeoff.key");
	config_free(&config);
	refused("[daemon]\nkey-file = shakeoff.key\n", 2, "`key-file = shakeoff.key`|a file's whole path");
	refused("[daemon]\nkey-file =\n", 2, "`key-file = `|a file's whole path");
	refused("[daemon]\nkey-file = /a\nkey-file = /b\n", 3, "key-file = /b|once");
}

static void syn_acks_go_to_the_sender_or_by_the_route(void **state)
{
	(void)state;
	accepted("[daemon]\n");
	assert_int_equal(config.answer, CONFIG_ANSWER_SENDER);
	accepted("[daemon]\nanswer = route\n");
	assert_int_equal(config.answer, CONFIG_ANSWER_ROUTE);
	config_free(&config);
	accepted("[daemon]\nanswer = sender\n");
	assert_int_equal(config.answer, CONFIG_ANSWER_SENDER);
	config_free(&config);
	refused("[daemon]\nanswer = gateway\n", 2, "`answer = gateway`|sender or route");
}

static void excludes_are_ports_and_addresses(void **state)
{
	static const char *const written[] = { "*:22", "*:8080", "10.9.0.1:80", "[2001:db8::1]:80" };
	char text[CONFIG_LISTEN_TEXT];

	(void)state;
	accepted("[daemon]\nexclude = 22\nexclude = *:8080\nexclude = 10.9.0.1:80\nexclude = [2001:db8::1]:80\n"
		 "[service web]\nlisten = 10.9.0.1:80\n");
	assert_int_equal(config.exclude_count, 4);
	for (size_t i = 0; i < 4; i++) {
		config_listen_format(&config.excludes[i], text, sizeof(text));
		assert_string_equal(text, written[i]);
	}
	config_free(&config);
}

static void an_ipv4_address_is_stored_mapped(void **state)
{
	struct in6_addr expected;

	(void)state;
	accepted(WEB);
	inet_pton(AF_INET6, "::ffff:10.9.0.1", &expected);
	assert_memory_equal(&config.services[0].listen[0].address, &expected, sizeof(expected));
	config_free(&config);
}

static void the_widest_values_are_read(void **state)
{
	(void)state;
	accepted("[daemon]\ninterface = fifteen-letters\n"
		 "[service a2345678901234567890123456789012345678901234567]\n"
		 "listen = *:65535\nlisten = [2001:db8::1]:1\n"
		 "backlog = 65535\nflood-rate = 100000000\n"
		 "[service b]\nlisten = *:2\nflood-rate = 1\n");
	assert_int_equal(config.services[0].policy.backlog, 65535);
	assert_int_equal(config.services[0].policy.flood_rate, 100000000);
	assert_int_equal(config.services[1].policy.flood_rate, 1);
	config_free(&config);
}

static void by_default_no_source_is_limited(void **state)
{
	const struct config_policy *policy;

	(void)state;
	accepted(WEB);
	policy = &config.services[0].policy;
	assert_int_equal(policy->syn_limit.rate, 0);
	assert_int_equal(policy->accept_limit.rate, 0);
	assert_int_equal(config_prefix4(policy), 32);
	assert_int_equal(config_prefix6(policy), 64);
	assert_true(policy->fair_share);
	assert_int_equal(config.reply_budget, 100000);
	config_free(&config);
}

static void limits_of_sources_are_read(void **state)
{
	static const char *const heads[] = { WEB, "[discovered]\n" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct config_policy *policy;
		char text[512];

		snprintf(text, sizeof(text),
			 "%ssource-syn-limit = 100/s\nsource-limit = 20/s burst 500 per /24 per /48\nfair-share = no\n",
			 heads[i]);
		accepted(text);
		policy = i ? &config.discovered : &config.services[0].policy;
		assert_int_equal(policy->syn_limit.rate, 100);
		assert_int_equal(policy->syn_limit.burst, 100);
		assert_int_equal(policy->accept_limit.rate, 20);
		assert_int_equal(policy->accept_limit.burst, 500);
		assert_int_equal(config_prefix4(policy), 24);
		assert_int_equal(config_prefix6(policy), 48);
		assert_false(policy->fair_share);
		config_free(&config);
	}
}

static void both_limits_use_the_same_source_prefixes(void **state)
{
	(void)state;
	accepted("[discovered]\nsource-limit = 1/s per /24\nsource-syn-limit = 9/s  per /48\tper /24 burst 10\n");
	assert_int_equal(config_prefix4(&config.discovered), 24);
	assert_int_equal(config_prefix6(&config.discovered), 48);
	assert_int_equal(config.discovered.syn_limit.burst, 10);
	config_free(&config);
	accepted("[discovered]\nsource-limit = 1/s per /32 per /64\nsource-syn-limit = 9/s\n");
	assert_int_equal(config_prefix4(&config.discovered), 32);
	assert_int_equal(config_prefix6(&config.discovered), 64);
	config_free(&config);
	refused(WEB "source-limit = 1/s per /24\nsource-syn-limit = 9/s per /32\n", 6,
		"`source-syn-limit = 9/s per /32`|the other limit has per /24|same prefix");
	refused(WEB "source-syn-limit = 9/s per /64\nsource-limit = 1/s per /24 per /48\n", 6,
		"`source-limit = 1/s per /24 per /48`|the other limit has per /64");
	/* Each service has its own. */
	accepted(WEB "source-limit = 1/s per /24\n[discovered]\nsource-syn-limit = 9/s per /32\n");
	assert_int_equal(config_prefix4(&config.services[0].policy), 24);
	config_free(&config);
}

static void wrong_limits_are_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"0/s",
		"-1/s",
		"x",
		"/s",
		"5/m",
		"5/s burst",
		"5/s burst 0",
		"5/s burst x",
		"5/s 10",
		"5 /s",
		"5/s burst 2 burst 3",
		"1000001/s",
		"1/s per",
		"1/s per 24",
		"1/s per /8",
		"1/s per /28",
		"1/s per /24 per /24",
		"5/s brust 9",
		"1/s per /24 per /32",
		"00000000000000000001/s",
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text), WEB "source-limit = %s\n", wrong[i]);
		refused(text, 5, "source-limit is connections of one source|20/s burst 100|per /24 or /32|1000000");
		snprintf(text, sizeof(text), WEB "source-syn-limit = %s\n", wrong[i]);
		refused(text, 5, "source-syn-limit is SYNs of one source|20/s burst 100|per /24 or /32|1000000");
	}
	refused(WEB "fair-share = 1\n", 5, "fair-share is yes or no");
	refused(WEB "syn-rules = no\n", 5, "syn-rules is obey or ignore");
	refused("[discovered]\nsyn-rules = obey\n", 2, "`syn-rules`");
	refused("[daemon]\nsource-limit = 5\n", 2, "`source-limit`|[daemon]");
}

static void limits_in_the_old_form_are_refused_with_the_new_one(void **state)
{
	(void)state;
	refused(WEB "source-limit = 20/100\n", 5, "`source-limit = 20/100`|20/s burst 100");
	refused(WEB "source-syn-limit = 100\n", 5, "`source-syn-limit = 100`|RATE/s, as 20/s");
}

/* A key of which only one value is retired is not in this list. */
static void retired_keys_are_refused_with_their_replacement(void **state)
{
	(void)state;
	for (size_t i = 0; i < retired_key_count; i++) {
		const struct retired_key *key = &retired_keys[i];
		char text[256];

		assert_string_equal(retired_key(key->name, key->value ? key->value : "1"), key->instead);
		if (config_key_find(SECTION_SERVICE, key->name))
			continue;
		snprintf(text, sizeof(text), WEB "%s = %s\n", key->name, key->value ? key->value : "1");
		refused(text, 5, key->instead);
		snprintf(text, sizeof(text), "[daemon]\n%s = %s\n", key->name, key->value ? key->value : "1");
		refused(text, 2, key->instead);
	}
}

static void user_and_group_are_names_or_numbers(void **state)
{
	(void)state;
	accepted(WEB);
	assert_false(config.services[0].has_user || config.services[0].has_group);
	config_free(&config);
	accepted(WEB "user = root\ngroup = root\n");
	assert_true(config.services[0].has_user && config.services[0].has_group);
	assert_int_equal(config.services[0].user, 0);
	assert_int_equal(config.services[0].group, 0);
	config_free(&config);
	accepted(WEB "group = 4000\n");
	assert_true(!config.services[0].has_user && config.services[0].has_group);
	assert_int_equal(config.services[0].group, 4000);
	config_free(&config);
	refused(WEB "user = nobody-of-this-name\n", 5, "`user = nobody-of-this-name`|user of this host");
	refused(WEB "user = -1\n", 5, "`user = -1`");
	refused(WEB "user =\n", 5, "user of this host");
	refused(WEB "group = no group\n", 5, "group of this host");
	refused(WEB "user = root\nuser = root\n", 6, "once");
	refused("[daemon]\nuser = root\n", 2, "`user`|[daemon]");
	refused("[discovered]\ngroup = root\n", 2, "`group`|[discovered]");
}

static void the_reply_budget_is_zero_or_at_least_a_hundred(void **state)
{
	(void)state;
	accepted("[daemon]\nreply-budget = 0\n");
	assert_int_equal(config.reply_budget, 0);
	accepted("[daemon]\nreply-budget = 100\n");
	assert_int_equal(config.reply_budget, 100);
	refused("[daemon]\nreply-budget = 99\n", 2, "`reply-budget = 99`|from 100|0 for no budget");
	refused("[daemon]\nreply-budget = many\n", 2, "`reply-budget = many`");
	refused(WEB "reply-budget = 100\n", 5, "`reply-budget`|a service");
}

static void wrong_interface_names_are_refused(void **state)
{
	(void)state;
	refused("[daemon]\ninterface =\n", 2, "interface|at most 15 characters");
	refused("[daemon]\ninterface = eth0 eth1\n", 2, "`interface = eth0 eth1`");
	refused("[daemon]\ninterface = sixteen-letters-\n", 2, "`interface = sixteen-letters-`");
	refused("[daemon]\ninterface = ../etc\n", 2, "`interface = ../etc`");
	refused("[daemon]\ninterface = ..\n", 2, "`interface = ..`");
}

static void an_interface_twice_is_refused(void **state)
{
	(void)state;
	refused("[daemon]\ninterface = eth0\ninterface = eth1\ninterface = eth0\n", 4, "`interface = eth0`|once");
}

static void wrong_values_of_discover_are_refused(void **state)
{
	(void)state;
	refused("[daemon]\ndiscover = true\n", 2, "`discover = true`|yes or no");
	refused("[daemon]\ndiscover =\n", 2, "`discover = `|yes or no");
}

static void wrong_excludes_are_refused(void **state)
{
	static const char *const wrong[] = { "0", "65536", "ssh", "22,23", "10.9.0.1", "*", "10.9.0.1:0", "[::1", "" };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char text[256], expected[256];

		snprintf(text, sizeof(text), "[daemon]\nexclude = %s\n", wrong[i]);
		snprintf(expected, sizeof(expected),
			 "`exclude = %s`|a port, or ADDRESS:PORT|10.9.0.1:80, [2001:db8::1]:443 or *:22", wrong[i]);
		refused(text, 2, expected);
	}
	refused("[daemon]\nexclude = 0.0.0.0:80\n", 2, "`exclude = 0.0.0.0:80`|*:PORT");
	refused("[daemon]\nexclude = 127.0.0.1:80\n", 2, "loopback");
}

static void wrong_addresses_are_refused_with_examples(void **state)
{
	static const char *const wrong[] = {
		"10.9.0.1",
		"80",
		":80",
		"10.9.0.1:",
		"10.9.0.1:0",
		"10.9.0.1:65536",
		"10.9.0.1:-1",
		"10.9.0.1:http",
		"10.9.0:80",
		"10.9.0.256:80",
		"2001:db8::1:443",
		"[2001:db8::1]",
		"[2001:db8::1%eth0]:1",
		"[10.9.0.1]:80",
		"[]:80",
		"example.org:80",
		"10.9.0.1: 80",
		"10.9.0.1:80,10.9.0.2:80",
		"10.9.0.1:4294967376",
		"**:80",
		"10.9.0.1/24:80",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char text[256], expected[256];

		snprintf(text, sizeof(text), LISTEN("%s"), wrong[i]);
		snprintf(expected, sizeof(expected), "`listen = %s`|10.9.0.1:80, [2001:db8::1]:443 or *:22", wrong[i]);
		refused(text, 4, expected);
	}
}

static void addresses_that_the_hook_never_sees_are_refused_with_the_reason(void **state)
{
	(void)state;
	refused(LISTEN("127.0.0.1:80"), 4, "loopback");
	refused(LISTEN("[::1]:80"), 4, "loopback");
	refused(LISTEN("0.0.0.0:80"), 4, "*:PORT");
	refused(LISTEN("[::]:80"), 4, "*:PORT");
	refused(LISTEN("224.0.0.1:80"), 4, "unicast");
	refused(LISTEN("255.255.255.255:80"), 4, "unicast");
	refused(LISTEN("[ff02::1]:80"), 4, "unicast");
	refused(LISTEN("[fe80::1]:80"), 4, "link-local");
	refused(LISTEN("[::ffff:10.9.0.1]:80"), 4, "without ::ffff:");
}

static void an_address_in_two_services_is_refused(void **state)
{
	(void)state;
	refused(WEB "[service other]\nlisten = 10.9.0.1:80\n", 6, "`listen = 10.9.0.1:80`|service web|once");
	refused(WEB "listen = 10.9.0.1:80\n", 5, "service web already listens on 10.9.0.1:80");
	refused(WEB "[service other]\nlisten = *:80\n", 6, "`listen = *:80`|10.9.0.1:80");
	refused(DAEMON "[service a]\nlisten = *:80\n[service b]\nlisten = [2001:db8::1]:80\n", 6, "*:80");
	refused(DAEMON "[service a]\nlisten = [2001:db8::1]:80\nlisten = [2001:db8:0::1]:80\n", 5, "[2001:db8::1]:80");
}

static void one_address_with_several_ports_is_fine(void **state)
{
	(void)state;
	accepted(WEB "listen = 10.9.0.1:443\n[service other]\nlisten = 10.9.0.2:80\nlisten = *:22\n");
	assert_int_equal(config.services[0].listen_count, 2);
	config_free(&config);
}

static void wrong_backlogs_are_refused(void **state)
{
	static const char *const wrong[] = { "0", "65536", "-1", "many", "", "5k", "0x10", "4096 5", "1e3" };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char text[256], expected[128];

		snprintf(text, sizeof(text), WEB "backlog = %s\n", wrong[i]);
		snprintf(expected, sizeof(expected), "`backlog = %s`|a number of connections, from 1 to 65535",
			 wrong[i]);
		refused(text, 5, expected);
	}
}

static void wrong_rates_are_refused(void **state)
{
	(void)state;
	refused(WEB "flood-rate = 0\n", 5, "`flood-rate = 0`|a number of SYNs a second, from 1 to 100000000");
	refused(WEB "flood-rate = 100000001\n", 5, "`flood-rate = 100000001`");
	refused(WEB "flood-rate = 4294967296\n", 5, "`flood-rate = 4294967296`");
	refused(WEB "flood-rate = 20k\n", 5, "`flood-rate = 20k`");
	refused("[discovered]\nbacklog = 0\n", 2, "`backlog = 0`|from 1 to 65535");
}

static void wrong_words_are_refused_with_the_allowed_words(void **state)
{
	(void)state;
	refused(WEB "overflow = ignore\n", 5, "`overflow = ignore`|drop or reset");
	refused(WEB "syncookies = never\n", 5, "`syncookies = never`|adaptive or always");
	refused(WEB "handoff = socket\n", 5, "`handoff = socket`|auto, listener or queue");
	refused(WEB "overflow = Drop\n", 5, "`overflow = Drop`");
	refused(WEB "overflow = drop # full\n", 5, "`overflow = drop # full`");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(omitted_keys_have_the_documented_defaults),
		cmocka_unit_test(no_file_is_like_an_empty_file),
		cmocka_unit_test(every_handoff_is_read),
		cmocka_unit_test(keys_of_discovered_services_do_not_apply_to_others),
		cmocka_unit_test(a_key_file_is_given_once_and_by_its_whole_path),
		cmocka_unit_test(syn_acks_go_to_the_sender_or_by_the_route),
		cmocka_unit_test(excludes_are_ports_and_addresses),
		cmocka_unit_test(an_ipv4_address_is_stored_mapped),
		cmocka_unit_test(the_widest_values_are_read),
		cmocka_unit_test(by_default_no_source_is_limited),
		cmocka_unit_test(limits_of_sources_are_read),
		cmocka_unit_test(both_limits_use_the_same_source_prefixes),
		cmocka_unit_test(wrong_limits_are_refused),
		cmocka_unit_test(limits_in_the_old_form_are_refused_with_the_new_one),
		cmocka_unit_test(retired_keys_are_refused_with_their_replacement),
		cmocka_unit_test(user_and_group_are_names_or_numbers),
		cmocka_unit_test(the_reply_budget_is_zero_or_at_least_a_hundred),
		cmocka_unit_test(wrong_interface_names_are_refused),
		cmocka_unit_test(an_interface_twice_is_refused),
		cmocka_unit_test(wrong_values_of_discover_are_refused),
		cmocka_unit_test(wrong_excludes_are_refused),
		cmocka_unit_test(wrong_addresses_are_refused_with_examples),
		cmocka_unit_test(addresses_that_the_hook_never_sees_are_refused_with_the_reason),
		cmocka_unit_test(an_address_in_two_services_is_refused),
		cmocka_unit_test(one_address_with_several_ports_is_fine),
		cmocka_unit_test(wrong_backlogs_are_refused),
		cmocka_unit_test(wrong_rates_are_refused),
		cmocka_unit_test(wrong_words_are_refused_with_the_allowed_words),
	};

	return cmocka_run_group_tests_name("config, keys", tests, make_file, remove_file);
}
