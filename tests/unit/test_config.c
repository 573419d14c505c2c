/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rules of the configuration file, one test a rule. What is refused is refused with file, line, what was read and
 * what is allowed; nothing of a wrong file takes effect.
 *
 * link: user/config/config.c user/common/text.c
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "config/config.h"

static char path[] = "/tmp/shakeoff-test-config-XXXXXX";
static struct config config;
static char error[512];

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 || close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static int read_bytes(const void *bytes, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
	memset(&config, 0, sizeof(config));
	memset(error, 0, sizeof(error));
	return config_read(path, &config, error, sizeof(error));
}

static int read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

static void accepted(const char *text)
{
	int result = read_text(text);

	if (result)
		fail_msg("refused: %s", error);
}

/* The error is "FILE:LINE: message", and the message holds all that is expected, separated by |. */
static void refused(const char *text, int line, const char *expected)
{
	char place[128], parts[512], *rest = parts, *part;

	assert_int_equal(read_text(text), -EINVAL);
	snprintf(place, sizeof(place), "%s:%d: ", path, line);
	if (strncmp(error, place, strlen(place)))
		fail_msg("expected %s..., got %s", place, error);
	snprintf(parts, sizeof(parts), "%s", expected);
	while ((part = strsep(&rest, "|")))
		if (!strstr(error, part))
			fail_msg("expected \"%s\" in: %s", part, error);
	assert_null(strchr(error, '\n'));
	assert_null(config.interfaces);
	assert_null(config.services);
	assert_null(config.excludes);
}

#define DAEMON "[daemon]\ninterface = eth0\n"
#define WEB DAEMON "[service web]\nlisten = 10.9.0.1:80\n"

/* ----------------------------------------------------------------------------------------------------- what is read */

static void the_documented_example_is_read(void **state)
{
	char text[CONFIG_LISTEN_TEXT];

	(void)state;
	accepted("[daemon]\n"
		 "interface = eth0               ; may be repeated\n"
		 "interface = eth1\n"
		 "discover  = no                 ; yes | no\n"
		 "exclude   = 22                 ; may be repeated\n"
		 "\n"
		 "[discovered]\n"
		 "backlog     = 100\n"
		 "overflow    = reset\n"
		 "engage      = always\n"
		 "engage-rate = 5000\n"
		 "\n"
		 "[service web]\n"
		 "listen   = 10.9.0.1:80         ; [2001:db8::1]:443, *:22; may be repeated\n"
		 "listen   = [2001:db8::1]:443\n"
		 "handoff  = queue               ; auto | listener | queue\n"
		 "backlog  = 512\n"
		 "overflow = reset               ; drop | reset\n"
		 "engage   = always              ; auto | always\n"
		 "engage-rate = 1000\n"
		 "[service ssh_2-x]\n"
		 "listen = *:22\n");
	assert_int_equal(config.interface_count, 2);
	assert_string_equal(config.interfaces[0], "eth0");
	assert_string_equal(config.interfaces[1], "eth1");
	assert_false(config.discover);
	assert_int_equal(config.exclude_count, 1);
	assert_int_equal(config.excludes[0].family, AF_UNSPEC);
	assert_int_equal(config.excludes[0].port, 22);
	assert_int_equal(config.discovered.backlog, 100);
	assert_int_equal(config.discovered.overflow, SHAKEOFF_OVERFLOW_RESET);
	assert_int_equal(config.discovered.engage, SHAKEOFF_ENGAGE_ALWAYS);
	assert_int_equal(config.discovered.engage_rate, 5000);
	assert_int_equal(config.service_count, 2);
	assert_string_equal(config.services[0].name, "web");
	assert_int_equal(config.services[0].handoff, SHAKEOFF_HANDOFF_QUEUE);
	assert_int_equal(config.services[0].backlog, 512);
	assert_int_equal(config.services[0].overflow, SHAKEOFF_OVERFLOW_RESET);
	assert_int_equal(config.services[0].engage, SHAKEOFF_ENGAGE_ALWAYS);
	assert_int_equal(config.services[0].engage_rate, 1000);
	assert_int_equal(config.services[0].listen_count, 2);
	assert_int_equal(config.services[0].listen[0].family, AF_INET);
	assert_int_equal(config.services[0].listen[0].port, 80);
	config_listen_format(&config.services[0].listen[0], text, sizeof(text));
	assert_string_equal(text, "10.9.0.1:80");
	assert_int_equal(config.services[0].listen[1].family, AF_INET6);
	config_listen_format(&config.services[0].listen[1], text, sizeof(text));
	assert_string_equal(text, "[2001:db8::1]:443");
	assert_string_equal(config.services[1].name, "ssh_2-x");
	assert_int_equal(config.services[1].listen[0].family, AF_UNSPEC);
	config_listen_format(&config.services[1].listen[0], text, sizeof(text));
	assert_string_equal(text, "*:22");
	config_free(&config);
}

static void what_is_left_out_has_the_documented_defaults(void **state)
{
	(void)state;
	accepted(WEB);
	assert_int_equal(config.services[0].handoff, SHAKEOFF_HANDOFF_AUTO);
	assert_int_equal(config.services[0].overflow, SHAKEOFF_OVERFLOW_DROP);
	assert_int_equal(config.services[0].engage, SHAKEOFF_ENGAGE_AUTO);
	assert_int_equal(config.services[0].backlog, 4096);
	assert_int_equal(config.services[0].engage_rate, SHAKEOFF_ENGAGE_RATE_DEFAULT);
	config_free(&config);
}

static void assert_defaults(void)
{
	assert_int_equal(config.interface_count, 0);
	assert_int_equal(config.service_count, 0);
	assert_int_equal(config.exclude_count, 0);
	assert_true(config.discover);
	assert_int_equal(config.discovered.overflow, SHAKEOFF_OVERFLOW_DROP);
	assert_int_equal(config.discovered.engage, SHAKEOFF_ENGAGE_AUTO);
	assert_int_equal(config.discovered.backlog, 0);
	assert_int_equal(config.discovered.engage_rate, SHAKEOFF_ENGAGE_RATE_DEFAULT);
}

static void without_a_file_the_same_holds_as_with_an_empty_one(void **state)
{
	(void)state;
	config_default(&config);
	assert_defaults();
	config_free(&config);
	accepted("");
	assert_defaults();
	config_free(&config);
}

static void the_daemon_s_section_and_its_interface_may_be_left_out(void **state)
{
	(void)state;
	accepted("[daemon]\n");
	assert_defaults();
	config_free(&config);
	accepted("[discovered]\n[service web]\nlisten = 10.9.0.1:80\n");
	assert_int_equal(config.interface_count, 0);
	assert_int_equal(config.service_count, 1);
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

static void what_holds_for_discovered_services_holds_for_no_other(void **state)
{
	(void)state;
	accepted(WEB "backlog = 5\n[discovered]\nbacklog = 6\noverflow = reset\n");
	assert_int_equal(config.services[0].backlog, 5);
	assert_int_equal(config.services[0].overflow, SHAKEOFF_OVERFLOW_DROP);
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
	assert_false(config.answer_route);
	accepted("[daemon]\nanswer = route\n");
	assert_true(config.answer_route);
	config_free(&config);
	accepted("[daemon]\nanswer = sender\n");
	assert_false(config.answer_route);
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

static void a_file_without_services_is_read(void **state)
{
	(void)state;
	accepted(DAEMON);
	assert_int_equal(config.service_count, 0);
	config_free(&config);
}

static void an_ipv4_address_is_held_mapped(void **state)
{
	struct in6_addr expected;

	(void)state;
	accepted(WEB);
	inet_pton(AF_INET6, "::ffff:10.9.0.1", &expected);
	assert_memory_equal(&config.services[0].listen[0].address, &expected, sizeof(expected));
	config_free(&config);
}

static void a_last_line_without_newline_is_read(void **state)
{
	(void)state;
	accepted(DAEMON "[service web]\nlisten = 10.9.0.1:80\nbacklog = 7");
	assert_int_equal(config.services[0].backlog, 7);
	config_free(&config);
}

static void dos_line_ends_and_a_byte_order_mark_are_read(void **state)
{
	(void)state;
	accepted("\xef\xbb\xbf[daemon]\r\ninterface = eth0\r\n\r\n[service web]\r\nlisten = 10.9.0.1:80\r\n");
	assert_string_equal(config.interfaces[0], "eth0");
	assert_int_equal(config.services[0].listen[0].port, 80);
	config_free(&config);
}

static void comments_of_any_length_are_skipped(void **state)
{
	char text[2000];

	(void)state;
	snprintf(text, sizeof(text), "; %01000d\n  # x\n%s", 0, DAEMON);
	accepted(text);
	config_free(&config);
}

static void indented_lines_are_lines_of_their_own(void **state)
{
	(void)state;
	accepted("  [daemon]\n\tinterface = eth0\n\t\tinterface = eth1\n");
	assert_int_equal(config.interface_count, 2);
	config_free(&config);
}

static void sections_may_have_blanks_and_a_comment(void **state)
{
	(void)state;
	accepted("[ daemon ] ; this host\ninterface = eth0\n[service \t web ]   # x\nlisten = 10.9.0.1:80\n");
	assert_string_equal(config.services[0].name, "web");
	config_free(&config);
}

static void the_widest_values_are_read(void **state)
{
	(void)state;
	accepted(
		"[daemon]\ninterface = fifteen-letters\n"
		"[service a2345678901234567890123456789012345678901234567]\nlisten = *:65535\nlisten = [2001:db8::1]:1\n"
		"backlog = 65535\nengage-rate = 100000000\n"
		"[service b]\nlisten = *:2\nengage-rate = 1\n");
	assert_int_equal(config.services[0].backlog, 65535);
	assert_int_equal(config.services[0].engage_rate, 100000000);
	assert_int_equal(config.services[1].engage_rate, 1);
	config_free(&config);
}

/* ------------------------------------------------------------------------------------------ what is refused: lines */

static void unknown_sections_are_refused(void **state)
{
	(void)state;
	refused(DAEMON "[client]\n", 3, "`[client]`|[daemon], [discovered] and [service NAME]");
	refused("[Daemon]\ninterface = eth0\n", 1, "`[Daemon]`");
	refused(DAEMON "[discovered web]\nbacklog = 5\n", 3, "`[discovered web]`");
	refused(DAEMON "[services web]\nlisten = 10.9.0.1:80\n", 3, "`[services web]`");
	refused(DAEMON "[]\n", 3, "`[]`");
}

/* ------------------------------------------------------------------------------------------------ limits of sources */

static void by_default_no_source_is_limited(void **state)
{
	const struct config_sources *sources;

	(void)state;
	accepted(WEB);
	sources = &config.services[0].sources;
	assert_int_equal(sources->syn_limit.rate, 0);
	assert_int_equal(sources->accept_limit.rate, 0);
	assert_int_equal(sources->prefix4, 32);
	assert_int_equal(sources->prefix6, 64);
	assert_true(sources->fair_share);
	assert_memory_equal(sources, &config.discovered.sources, sizeof(*sources));
	assert_int_equal(config.reply_budget, SHAKEOFF_REPLY_BUDGET_DEFAULT);
	config_free(&config);
}

static void limits_of_sources_are_read(void **state)
{
	static const char *const heads[] = { WEB, "[discovered]\n" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct config_sources *sources;
		char text[512];

		snprintf(text, sizeof(text),
			 "%ssource-syn-limit = 100\nsource-limit = 20/500\nsource-prefix4 = 24\n"
			 "source-prefix6 = 48\nfair-share = no\n",
			 heads[i]);
		accepted(text);
		sources = i ? &config.discovered.sources : &config.services[0].sources;
		assert_int_equal(sources->syn_limit.rate, 100);
		assert_int_equal(sources->syn_limit.burst, 100);
		assert_int_equal(sources->accept_limit.rate, 20);
		assert_int_equal(sources->accept_limit.burst, 500);
		assert_int_equal(sources->prefix4, 24);
		assert_int_equal(sources->prefix6, 48);
		assert_false(sources->fair_share);
		config_free(&config);
	}
}

static void wrong_limits_are_refused(void **state)
{
	static const char *const wrong[] = { "",
					     "0",
					     "-1",
					     "x",
					     "1/0",
					     "1/",
					     "/5",
					     "1/x",
					     "1 / 5",
					     "1000001",
					     "1/1000001",
					     "10/5/3",
					     "00000000000000000001" };
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text), WEB "source-limit = %s\n", wrong[i]);
		refused(text, 5, "source-limit|100/500|1000000");
		snprintf(text, sizeof(text), WEB "source-syn-limit = %s\n", wrong[i]);
		refused(text, 5, "source-syn-limit|100/500|1000000");
	}
	refused(WEB "source-prefix4 = 28\n", 5, "source-prefix4 is 32 or 24");
	refused(WEB "source-prefix6 = 56\n", 5, "source-prefix6 is 64 or 48");
	refused(WEB "fair-share = 1\n", 5, "fair-share is yes or no");
	refused(WEB "syn-rules = no\n", 5, "syn-rules is obey or ignore");
	refused("[discovered]\nsyn-rules = obey\n", 2, "`syn-rules`");
	refused("[daemon]\nsource-limit = 5\n", 2, "`source-limit`|[daemon]");
}

static void who_may_serve_is_a_name_or_a_number(void **state)
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

static void the_reply_budget_is_none_or_a_hundred_at_least(void **state)
{
	(void)state;
	accepted("[daemon]\nreply-budget = 0\n");
	assert_int_equal(config.reply_budget, 0);
	accepted("[daemon]\nreply-budget = 100\n");
	assert_int_equal(config.reply_budget, 100);
	refused("[daemon]\nreply-budget = 99\n", 2, "`reply-budget = 99`|from 100|0 for none");
	refused("[daemon]\nreply-budget = many\n", 2, "`reply-budget = many`");
	refused(WEB "reply-budget = 100\n", 5, "`reply-budget`|a service");
}

static void unknown_keys_are_refused_with_those_that_exist(void **state)
{
	(void)state;
	refused("[daemon]\ninterfaces = eth0\n", 2,
		"`interfaces`|[daemon]|interface, discover, exclude, key-file, reply-budget, answer and syn-rules");
	refused(WEB "port = 80\n", 5,
		"`port`|a service|listen, handoff, backlog, overflow, engage, engage-rate, "
		"source-syn-limit, source-limit, source-prefix4, source-prefix6, fair-share, user, group and syn-rules");
	refused("[discovered]\nlisten = *:80\n", 2,
		"`listen`|[discovered]|are backlog, overflow, engage, engage-rate, "
		"source-syn-limit, source-limit, source-prefix4, source-prefix6 and fair-share");
	refused("[discovered]\nhandoff = auto\n", 2, "`handoff`");
	refused(WEB "exclude = 22\n", 5, "`exclude`");
	refused(WEB "Backlog = 80\n", 5, "`Backlog`");
	refused("[daemon]\nlisten = 10.9.0.1:80\n", 2, "`listen`");
}

static void a_key_outside_of_a_section_is_refused(void **state)
{
	(void)state;
	refused("\ninterface = eth0\n", 2, "`interface`|in a section");
}

static void a_key_that_may_stand_once_is_refused_twice(void **state)
{
	(void)state;
	refused(WEB "backlog = 1\nbacklog = 1\n", 6, "backlog = 1|once");
	refused(WEB "handoff = auto\noverflow = drop\nhandoff = auto\n", 7, "handoff = auto|once");
	refused(WEB "overflow = drop\noverflow = reset\n", 6, "overflow = reset|once");
	refused(WEB "engage = auto\nengage = auto\n", 6, "engage = auto|once");
	refused(WEB "engage-rate = 1\nengage-rate = 2\n", 6, "engage-rate = 2|once");
	refused("[daemon]\ndiscover = no\ndiscover = no\n", 3, "discover = no|once");
	refused("[discovered]\nbacklog = 1\nbacklog = 2\n", 3, "backlog = 2|once");
}

static void the_same_key_in_two_services_is_fine(void **state)
{
	(void)state;
	accepted(WEB "backlog = 1\n[service mail]\nlisten = 10.9.0.1:25\nbacklog = 2\n");
	assert_int_equal(config.services[1].backlog, 2);
	config_free(&config);
}

static void a_section_that_stands_twice_is_refused(void **state)
{
	(void)state;
	refused(WEB "[daemon]\ninterface = eth1\n", 5, "[daemon] again|once");
	refused(WEB "[service web]\nlisten = 10.9.0.1:81\n", 5, "[service web] again|once");
	refused("[discovered]\n[daemon]\n[discovered]\n", 3, "[discovered] again|once");
}

static void lines_that_are_neither_key_nor_section_are_refused(void **state)
{
	(void)state;
	refused("[daemon]\ninterface eth0\n", 2, "`interface eth0`|key = value");
	refused(DAEMON "[service web\nlisten = 10.9.0.1:80\n", 3, "`[service web`|on a line of its own");
	refused("[daemon] interface = eth0\n", 1, "on a line of its own");
}

static void the_first_wrong_line_is_the_one_that_is_told(void **state)
{
	(void)state;
	refused("[daemon]\ninterface eth0\n[service web]\nbacklog = x\n", 2, "`interface eth0`");
	refused(WEB "backlog = x\nnonsense\n", 5, "backlog = x");
}

static void a_line_that_is_too_long_is_refused(void **state)
{
	char text[2000];

	(void)state;
	snprintf(text, sizeof(text), "[daemon]\ninterface = %01000d\n", 0);
	refused(text, 2, "1012 characters|at most");
}

static void terminal_codes_do_not_get_into_the_error(void **state)
{
	(void)state;
	refused("[daemon]\ninter\033[31mface = eth0\n", 2, "`inter?[31mface`");
}

/* ------------------------------------------------------------------------------------- what is refused: interfaces */

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

static void wrong_words_for_discovery_are_refused(void **state)
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

/* --------------------------------------------------------------------------------------- what is refused: services */

static void wrong_service_names_are_refused(void **state)
{
	(void)state;
	refused(DAEMON "[service]\nlisten = 10.9.0.1:80\n", 3, "[service ]|1 to 47 letters");
	refused(DAEMON "[service a b]\n", 3, "[service a b]|letters, digits, - and _");
	refused(DAEMON "[service ../x]\n", 3, "[service ../x]");
	refused(DAEMON "[service a23456789012345678901234567890123456789012345678]\n", 3, "1 to 47");
}

static void a_service_without_address_is_refused(void **state)
{
	(void)state;
	refused(DAEMON "[service web]\nbacklog = 5\n", 3, "[service web] without an address|listen = ADDRESS:PORT");
	refused(DAEMON "[service web]\n[service mail]\nlisten = 10.9.0.1:25\n", 3, "[service web] without");
}

static void more_services_than_the_hook_can_hold_are_refused(void **state)
{
	size_t room = 1024 * 1024 - 1, used;
	char *text = malloc(room);

	(void)state;
	assert_non_null(text);
	used = snprintf(text, room, "%s", DAEMON);
	for (int i = 0; i <= SHAKEOFF_MAX_SERVICES; i++)
		used += snprintf(text + used, room - used, "[service s%d]\nlisten = *:%d\n", i, i + 1);
	refused(text, 3 + 2 * SHAKEOFF_MAX_SERVICES, "at most 16384 services");
	free(text);
}

#define LISTEN(value) DAEMON "[service web]\nlisten = " value "\n"

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
		snprintf(expected, sizeof(expected), "`backlog = %s`|a number from 1 to 65535", wrong[i]);
		refused(text, 5, expected);
	}
}

static void wrong_rates_are_refused(void **state)
{
	(void)state;
	refused(WEB "engage-rate = 0\n", 5, "`engage-rate = 0`|SYNs a second, from 1 to 100000000");
	refused(WEB "engage-rate = 100000001\n", 5, "`engage-rate = 100000001`");
	refused(WEB "engage-rate = 4294967296\n", 5, "`engage-rate = 4294967296`");
	refused(WEB "engage-rate = 20k\n", 5, "`engage-rate = 20k`");
	refused("[discovered]\nbacklog = 0\n", 2, "`backlog = 0`|from 1 to 65535");
}

static void wrong_words_are_refused_with_those_that_are_allowed(void **state)
{
	(void)state;
	refused(WEB "overflow = ignore\n", 5, "`overflow = ignore`|drop or reset");
	refused(WEB "engage = never\n", 5, "`engage = never`|auto or always");
	refused(WEB "handoff = socket\n", 5, "`handoff = socket`|auto, listener or queue");
	refused(WEB "overflow = Drop\n", 5, "`overflow = Drop`");
	refused(WEB "overflow = drop # full\n", 5, "`overflow = drop # full`");
}

/* ------------------------------------------------------------------------------------------ what is refused: files */

static void a_nul_byte_is_refused_with_its_line(void **state)
{
	static const char text[] = "[daemon]\ninterface = eth0\0\n";

	(void)state;
	assert_int_equal(read_bytes(text, sizeof(text) - 1), -EINVAL);
	assert_non_null(strstr(error, ":2: read a NUL byte"));
}

static void a_missing_file_is_named(void **state)
{
	(void)state;
	assert_int_equal(config_read("/nonexistent/shakeoff.conf", &config, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, "/nonexistent/shakeoff.conf"));
	assert_non_null(strstr(error, "No such file"));
}

static void a_directory_is_refused(void **state)
{
	(void)state;
	assert_int_equal(config_read("/tmp", &config, error, sizeof(error)), -EISDIR);
	assert_non_null(strstr(error, "/tmp"));
	assert_non_null(strstr(error, "directory"));
}

static void a_pipe_is_refused_and_holds_up_nothing(void **state)
{
	(void)state;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(config_read(path, &config, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, path));
	assert_non_null(strstr(error, "not a regular file"));
	assert_int_equal(unlink(path), 0);
}

static void a_file_that_others_may_have_written_is_refused(void **state)
{
	static const mode_t modes[] = { 0620, 0602, 0666, 0664 };

	(void)state;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		accepted("");
		assert_int_equal(chmod(path, modes[i]), 0);
		assert_int_equal(config_read(path, &config, error, sizeof(error)), -EPERM);
		assert_non_null(strstr(error, "can be written by others"));
		assert_int_equal(chmod(path, 0644), 0);
		accepted("");
	}
	if (geteuid())
		skip();
	assert_int_equal(chown(path, 1, 0), 0);
	assert_int_equal(config_read(path, &config, error, sizeof(error)), -EPERM);
	assert_non_null(strstr(error, "belongs to another user"));
	assert_int_equal(chown(path, 0, 0), 0);
	accepted("");
}

static void an_unreadable_file_is_named(void **state)
{
	uid_t uid = geteuid();
	int result;

	(void)state;
	assert_int_equal(chmod(path, 0), 0);
	if (!uid)
		assert_int_equal(seteuid(65534), 0); /* root may read everything */
	result = config_read(path, &config, error, sizeof(error));
	if (!uid)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(result, -EACCES);
	assert_non_null(strstr(error, path));
	assert_non_null(strstr(error, "Permission denied"));
}

static void a_file_of_megabytes_is_refused(void **state)
{
	size_t size = (1u << 20) + 1;
	char *text = malloc(size);

	(void)state;
	assert_non_null(text);
	memset(text, '\n', size);
	assert_int_equal(read_bytes(text, size), -EFBIG);
	free(text);
}

static void a_short_error_buffer_is_filled_and_terminated(void **state)
{
	char little[12];

	(void)state;
	read_text("[daemon]\nfoo = 1\n");
	assert_int_equal(config_read(path, &config, little, sizeof(little)), -EINVAL);
	assert_int_equal(strlen(little), sizeof(little) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_documented_example_is_read),
		cmocka_unit_test(what_is_left_out_has_the_documented_defaults),
		cmocka_unit_test(without_a_file_the_same_holds_as_with_an_empty_one),
		cmocka_unit_test(the_daemon_s_section_and_its_interface_may_be_left_out),
		cmocka_unit_test(every_handoff_is_read),
		cmocka_unit_test(what_holds_for_discovered_services_holds_for_no_other),
		cmocka_unit_test(a_key_file_is_given_once_and_by_its_whole_path),
		cmocka_unit_test(syn_acks_go_to_the_sender_or_by_the_route),
		cmocka_unit_test(excludes_are_ports_and_addresses),
		cmocka_unit_test(a_file_without_services_is_read),
		cmocka_unit_test(an_ipv4_address_is_held_mapped),
		cmocka_unit_test(a_last_line_without_newline_is_read),
		cmocka_unit_test(dos_line_ends_and_a_byte_order_mark_are_read),
		cmocka_unit_test(comments_of_any_length_are_skipped),
		cmocka_unit_test(indented_lines_are_lines_of_their_own),
		cmocka_unit_test(sections_may_have_blanks_and_a_comment),
		cmocka_unit_test(the_widest_values_are_read),
		cmocka_unit_test(unknown_sections_are_refused),
		cmocka_unit_test(by_default_no_source_is_limited),
		cmocka_unit_test(limits_of_sources_are_read),
		cmocka_unit_test(wrong_limits_are_refused),
		cmocka_unit_test(who_may_serve_is_a_name_or_a_number),
		cmocka_unit_test(the_reply_budget_is_none_or_a_hundred_at_least),
		cmocka_unit_test(unknown_keys_are_refused_with_those_that_exist),
		cmocka_unit_test(a_key_outside_of_a_section_is_refused),
		cmocka_unit_test(a_key_that_may_stand_once_is_refused_twice),
		cmocka_unit_test(the_same_key_in_two_services_is_fine),
		cmocka_unit_test(a_section_that_stands_twice_is_refused),
		cmocka_unit_test(lines_that_are_neither_key_nor_section_are_refused),
		cmocka_unit_test(the_first_wrong_line_is_the_one_that_is_told),
		cmocka_unit_test(a_line_that_is_too_long_is_refused),
		cmocka_unit_test(terminal_codes_do_not_get_into_the_error),
		cmocka_unit_test(wrong_interface_names_are_refused),
		cmocka_unit_test(an_interface_twice_is_refused),
		cmocka_unit_test(wrong_words_for_discovery_are_refused),
		cmocka_unit_test(wrong_excludes_are_refused),
		cmocka_unit_test(wrong_service_names_are_refused),
		cmocka_unit_test(a_service_without_address_is_refused),
		cmocka_unit_test(more_services_than_the_hook_can_hold_are_refused),
		cmocka_unit_test(wrong_addresses_are_refused_with_examples),
		cmocka_unit_test(addresses_that_the_hook_never_sees_are_refused_with_the_reason),
		cmocka_unit_test(an_address_in_two_services_is_refused),
		cmocka_unit_test(one_address_with_several_ports_is_fine),
		cmocka_unit_test(wrong_backlogs_are_refused),
		cmocka_unit_test(wrong_rates_are_refused),
		cmocka_unit_test(wrong_words_are_refused_with_those_that_are_allowed),
		cmocka_unit_test(a_nul_byte_is_refused_with_its_line),
		cmocka_unit_test(a_missing_file_is_named),
		cmocka_unit_test(a_directory_is_refused),
		cmocka_unit_test(a_pipe_is_refused_and_holds_up_nothing),
		cmocka_unit_test(a_file_that_others_may_have_written_is_refused),
		cmocka_unit_test(an_unreadable_file_is_named),
		cmocka_unit_test(a_file_of_megabytes_is_refused),
		cmocka_unit_test(a_short_error_buffer_is_filled_and_terminated),
	};

	return cmocka_run_group_tests_name("config", tests, make_file, remove_file);
}
