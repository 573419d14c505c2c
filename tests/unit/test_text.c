/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Texts for people: addresses, durations, tables, totals, suggestions, log lines.
 *
 * link: user/common/text.c user/common/names.c user/common/verdicts.c user/common/log.c user/cli/suggest.c
 * link: user/cli/output.c
 */
#include <errno.h>
#include <fcntl.h>
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

#include "common/log.h"
#include "common/text.h"
#include "common/names.h"
#include "common/verdicts.h"
#include "cli/output.h"
#include "cli/suggest.h"

static void endpoint_is(const char *address, uint16_t port, const char *expected)
{
	char text[TEXT_ENDPOINT];
	struct in6_addr in6;

	assert_int_equal(inet_pton(AF_INET6, address, &in6), 1);
	text_endpoint(&in6, port, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void endpoints_are_written_as_urls_write_them(void **state)
{
	(void)state;
	endpoint_is("::ffff:10.9.0.1", 80, "10.9.0.1:80");
	endpoint_is("2001:db8::1", 443, "[2001:db8::1]:443");
	endpoint_is("::", 65535, "[::]:65535");
	endpoint_is("2001:db8:1111:2222:3333:4444:5555:6666", 65535, "[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
}

static void duration_is(uint64_t nanoseconds, const char *expected)
{
	char text[TEXT_DURATION];

	text_duration(nanoseconds, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void durations_have_at_most_two_units(void **state)
{
	const uint64_t second = 1000000000;

	(void)state;
	duration_is(0, "0 ms");
	duration_is(999999999, "999 ms");
	duration_is(second, "1 s");
	duration_is(185 * second, "3 min 5 s");
	duration_is(7800 * second, "2 h 10 min");
	duration_is((4 * 24 + 3) * 3600 * second, "4 d 3 h");
}

static void control_sequences_of_terminals_are_made_harmless(void **state)
{
	char text[16];

	(void)state;
	text_printable("a\033[31m\nb\x7f\xff", text, sizeof(text));
	assert_string_equal(text, "a?[31m?b??");
	text_printable("longer than there is room", text, sizeof(text));
	assert_string_equal(text, "longer than ...");
}

static void every_verdict_has_a_unique_name_and_a_text(void **state)
{
	(void)state;
	for (int i = 0; i < SHAKEOFF_VERDICT_COUNT; i++) {
		assert_true(verdict_table[i].name && *verdict_table[i].name);
		assert_true(verdict_table[i].help && *verdict_table[i].help);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(verdict_table[i].name, verdict_table[k].name);
	}
	for (int i = 0; i < SHAKEOFF_REFUSAL_COUNT; i++)
		assert_true(refusal_table[i].name && refusal_table[i].help);
}

static void totals_are_the_sums_of_their_verdicts(void **state)
{
	uint64_t counts[SHAKEOFF_VERDICT_COUNT] = {
		[SHAKEOFF_NO_SERVICE] = 1,         [SHAKEOFF_SOCKET] = 2,
		[SHAKEOFF_SYN_SOCKET] = 4,         [SHAKEOFF_SYNACK_SENT] = 8,
		[SHAKEOFF_SYN_OVERFLOW_DROP] = 16, [SHAKEOFF_ACK_OVERFLOW_RESET] = 32,
		[SHAKEOFF_ACK_VALID] = 64,         [SHAKEOFF_ACK_BAD_COOKIE] = 128,
		[SHAKEOFF_ACK_EXPIRED] = 256,      [SHAKEOFF_RST_NO_SOCKET] = 512,
	};
	struct verdict_totals totals = { .established = 5, .accepted = 6 };

	(void)state;
	verdict_totals_add(&totals, counts);
	assert_int_equal(totals.syn_received, 4 + 8 + 16);
	assert_int_equal(totals.synack_sent, 8);
	assert_int_equal(totals.ack_valid, 64);
	assert_int_equal(totals.ack_invalid, 128 + 256);
	assert_int_equal(totals.overflow, 16 + 32);
	assert_int_equal(totals.passed, 1 + 2 + 4);
	assert_int_equal(totals.established, 5);
	assert_int_equal(totals.accepted, 6);
}

static void tables_are_aligned_and_lines_do_not_end_in_blanks(void **state)
{
	static const char *const headings[] = { "Name", ">Count", "Meaning", NULL };
	struct table *table = table_new(headings);
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	(void)state;
	table_cell(table, "%s", "a");
	table_cell(table, "%d", 12345678);
	table_cell(table, "first");
	table_cell(table, "longer");
	table_cell(table, "%d", 1);
	table_cell_coloured(table, COLOUR_BAD, "2nd");
	table_print(table, stream);
	fclose(stream);
	assert_string_equal(text, "Name       Count  Meaning\n"
				  "a       12345678  first\n"
				  "longer         1  2nd\n");
	free(text);
}

static void an_empty_table_has_its_headings(void **state)
{
	static const char *const headings[] = { "Name", ">Count", NULL };
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	(void)state;
	table_print(table_new(headings), stream);
	fclose(stream);
	assert_string_equal(text, "Name  Count\n");
	free(text);
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
	static const char *const headings[] = { "Name", NULL };
	struct table *table = table_new(headings);
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	(void)state;
	table_cell(table, "a\033[2Jb");
	table_print(table, stream);
	fclose(stream);
	assert_string_equal(text, "Name\na\\x1b[2Jb\n");
	free(text);
}

static void a_mistyped_name_is_recognised(void **state)
{
	static const char *const names[] = { "attach", "detach", "status", "stats", "queues", "connections", NULL };

	(void)state;
	assert_string_equal(suggest("atach", names), "attach");
	assert_string_equal(suggest("statuss", names), "status");
	assert_string_equal(suggest("conn", names), "connections");
	assert_string_equal(suggest("queue", names), "queues");
	assert_null(suggest("explode", names));
	assert_null(suggest("", names));
	assert_null(suggest("a-name-that-is-longer-than-any-of-the-names", names));
}

/* Returns the text that a function writes to stderr. */
static void captured(void (*function)(void), char *text, size_t size)
{
	int saved = dup(STDERR_FILENO), ends[2];
	ssize_t got;

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	function();
	dup2(saved, STDERR_FILENO);
	close(saved);
	got = read(ends[0], text, size - 1);
	close(ends[0]);
	text[got > 0 ? got : 0] = '\0';
}

static void log_one(void)
{
	log_open("prog", 0);
	log_debug("hidden");
	errno = ENOENT;
	log_error("%s: %m\nsecond line", "x");
	assert_int_equal(errno, ENOENT);
}

static void a_message_is_one_line_with_the_programs_name(void **state)
{
	char text[256];

	(void)state;
	unsetenv("JOURNAL_STREAM");
	captured(log_one, text, sizeof(text));
	assert_string_equal(text, "prog: x: No such file or directory second line\n");
}

static void log_to_journal(void)
{
	char stream[64];
	struct stat st;

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_open("prog", 1);
	log_warn("w");
	log_debug("d");
	unsetenv("JOURNAL_STREAM");
}

static void the_journal_gets_priorities_instead_of_the_name(void **state)
{
	char text[256];

	(void)state;
	captured(log_to_journal, text, sizeof(text));
	assert_string_equal(text, "<4>w\n<7>d\n");
}

static void log_often(void)
{
	log_open("prog", 0);
	for (int i = 0; i < 1000; i++)
		log_warn_limited("again %d", i);
}

static void repeated_messages_are_logged_once_a_second(void **state)
{
	char text[256];

	(void)state;
	captured(log_often, text, sizeof(text));
	assert_string_equal(text, "prog: again 0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_are_written_as_urls_write_them),
		cmocka_unit_test(durations_have_at_most_two_units),
		cmocka_unit_test(control_sequences_of_terminals_are_made_harmless),
		cmocka_unit_test(every_verdict_has_a_unique_name_and_a_text),
		cmocka_unit_test(totals_are_the_sums_of_their_verdicts),
		cmocka_unit_test(tables_are_aligned_and_lines_do_not_end_in_blanks),
		cmocka_unit_test(an_empty_table_has_its_headings),
		cmocka_unit_test(control_characters_do_not_reach_the_terminal),
		cmocka_unit_test(a_mistyped_name_is_recognised),
		cmocka_unit_test(a_message_is_one_line_with_the_programs_name),
		cmocka_unit_test(the_journal_gets_priorities_instead_of_the_name),
		cmocka_unit_test(repeated_messages_are_logged_once_a_second),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
