/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Lines, sections and the file itself. An error names the file, the line, the text that was read and the allowed
 * values; no part of a wrong file takes effect.
 *
 * link: user/config/?*.c user/common/text.c
 */
#include <arpa/inet.h>
#include <sys/stat.h>

#include "config_file.h"

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
		 "syncookies      = always\n"
		 "flood-rate = 5000\n"
		 "\n"
		 "[service web]\n"
		 "listen   = 10.9.0.1:80         ; [2001:db8::1]:443, *:22; may be repeated\n"
		 "listen   = [2001:db8::1]:443\n"
		 "handoff  = queue               ; auto | listener | queue\n"
		 "backlog  = 512\n"
		 "overflow = reset               ; drop | reset\n"
		 "syncookies   = always              ; adaptive | always\n"
		 "flood-rate = 1000\n"
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
	assert_int_equal(config.discovered.syncookies, SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_int_equal(config.discovered.flood_rate, 5000);
	assert_int_equal(config.service_count, 2);
	assert_string_equal(config.services[0].name, "web");
	assert_int_equal(config.services[0].handoff, SHAKEOFF_HANDOFF_QUEUE);
	assert_int_equal(config.services[0].policy.backlog, 512);
	assert_int_equal(config.services[0].policy.overflow, SHAKEOFF_OVERFLOW_RESET);
	assert_int_equal(config.services[0].policy.syncookies, SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_int_equal(config.services[0].policy.flood_rate, 1000);
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

static void the_daemons_section_and_its_interface_are_optional(void **state)
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

static void a_file_without_services_is_read(void **state)
{
	(void)state;
	accepted(DAEMON);
	assert_int_equal(config.service_count, 0);
	config_free(&config);
}

static void a_last_line_without_newline_is_read(void **state)
{
	(void)state;
	accepted(DAEMON "[service web]\nlisten = 10.9.0.1:80\nbacklog = 7");
	assert_int_equal(config.services[0].policy.backlog, 7);
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

static void indented_lines_are_separate_lines(void **state)
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

static void unknown_sections_are_refused(void **state)
{
	(void)state;
	refused(DAEMON "[client]\n", 3, "`[client]`|[daemon], [discovered] and [service NAME]");
	refused("[Daemon]\ninterface = eth0\n", 1, "`[Daemon]`");
	refused(DAEMON "[discovered web]\nbacklog = 5\n", 3, "`[discovered web]`");
	refused(DAEMON "[services web]\nlisten = 10.9.0.1:80\n", 3, "`[services web]`");
	refused(DAEMON "[]\n", 3, "`[]`");
}

static void unknown_keys_are_refused_with_the_known_keys(void **state)
{
	(void)state;
	refused("[daemon]\ninterfaces = eth0\n", 2,
		"`interfaces`|the keys of [daemon] are interface, discover, | and syn-rules");
	refused(WEB "port = 80\n", 5, "`port`|the keys of a service are listen, handoff, |, overflow, | and syn-rules");
	refused("[discovered]\nlisten = *:80\n", 2, "`listen`|the keys of [discovered] are |, overflow | and backlog");
	refused("[discovered]\nhandoff = auto\n", 2, "`handoff`");
	refused(WEB "exclude = 22\n", 5, "`exclude`");
	refused(WEB "Backlog = 80\n", 5, "`Backlog`");
	refused("[daemon]\nlisten = 10.9.0.1:80\n", 2, "`listen`");
}

static void a_key_outside_of_a_section_is_refused(void **state)
{
	(void)state;
	refused("\ninterface = eth0\n", 2, "`interface`|outside a section");
}

static void a_key_that_may_occur_once_is_refused_twice(void **state)
{
	(void)state;
	refused(WEB "backlog = 1\nbacklog = 1\n", 6, "backlog = 1|once");
	refused(WEB "handoff = auto\noverflow = drop\nhandoff = auto\n", 7, "handoff = auto|once");
	refused(WEB "overflow = drop\noverflow = reset\n", 6, "overflow = reset|once");
	refused(WEB "syncookies = adaptive\nsyncookies = adaptive\n", 6, "syncookies = adaptive|once");
	refused(WEB "flood-rate = 1\nflood-rate = 2\n", 6, "flood-rate = 2|once");
	refused("[daemon]\ndiscover = no\ndiscover = no\n", 3, "discover = no|once");
	refused("[discovered]\nbacklog = 1\nbacklog = 2\n", 3, "backlog = 2|once");
}

static void the_same_key_in_two_services_is_fine(void **state)
{
	(void)state;
	accepted(WEB "backlog = 1\n[service mail]\nlisten = 10.9.0.1:25\nbacklog = 2\n");
	assert_int_equal(config.services[1].policy.backlog, 2);
	config_free(&config);
}

static void a_section_that_occurs_twice_is_refused(void **state)
{
	(void)state;
	refused(WEB "[daemon]\ninterface = eth1\n", 5, "[daemon] again|once");
	refused(WEB "[service web]\nlisten = 10.9.0.1:81\n", 5, "[service web] again|once");
	refused("[discovered]\n[daemon]\n[discovered]\n", 3, "[discovered] again|once");
}

static void lines_without_a_key_or_a_section_are_refused(void **state)
{
	(void)state;
	refused("[daemon]\ninterface eth0\n", 2, "`interface eth0`|key = value");
	refused(DAEMON "[service web\nlisten = 10.9.0.1:80\n", 3, "`[service web`|on a line of its own");
	refused("[daemon] interface = eth0\n", 1, "on a line of its own");
}

static void the_first_wrong_line_is_reported(void **state)
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

static void terminal_codes_are_kept_out_of_the_error(void **state)
{
	(void)state;
	refused("[daemon]\ninter\033[31mface = eth0\n", 2, "`inter?[31mface`");
}

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

static void a_pipe_is_refused_without_waiting(void **state)
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
		assert_non_null(strstr(error, "can be written by users other than"));
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
		assert_int_equal(seteuid(65534), 0); /* root can read every file */
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
		cmocka_unit_test(the_daemons_section_and_its_interface_are_optional),
		cmocka_unit_test(a_file_without_services_is_read),
		cmocka_unit_test(a_last_line_without_newline_is_read),
		cmocka_unit_test(dos_line_ends_and_a_byte_order_mark_are_read),
		cmocka_unit_test(comments_of_any_length_are_skipped),
		cmocka_unit_test(indented_lines_are_separate_lines),
		cmocka_unit_test(sections_may_have_blanks_and_a_comment),
		cmocka_unit_test(unknown_sections_are_refused),
		cmocka_unit_test(unknown_keys_are_refused_with_the_known_keys),
		cmocka_unit_test(a_key_outside_of_a_section_is_refused),
		cmocka_unit_test(a_key_that_may_occur_once_is_refused_twice),
		cmocka_unit_test(the_same_key_in_two_services_is_fine),
		cmocka_unit_test(a_section_that_occurs_twice_is_refused),
		cmocka_unit_test(lines_without_a_key_or_a_section_are_refused),
		cmocka_unit_test(the_first_wrong_line_is_reported),
		cmocka_unit_test(a_line_that_is_too_long_is_refused),
		cmocka_unit_test(terminal_codes_are_kept_out_of_the_error),
		cmocka_unit_test(wrong_service_names_are_refused),
		cmocka_unit_test(a_service_without_address_is_refused),
		cmocka_unit_test(more_services_than_the_hook_can_hold_are_refused),
		cmocka_unit_test(a_nul_byte_is_refused_with_its_line),
		cmocka_unit_test(a_missing_file_is_named),
		cmocka_unit_test(a_directory_is_refused),
		cmocka_unit_test(a_pipe_is_refused_without_waiting),
		cmocka_unit_test(a_file_that_others_may_have_written_is_refused),
		cmocka_unit_test(an_unreadable_file_is_named),
		cmocka_unit_test(a_file_of_megabytes_is_refused),
		cmocka_unit_test(a_short_error_buffer_is_filled_and_terminated),
	};

	return cmocka_run_group_tests_name("config, lines and sections", tests, make_file, remove_file);
}
