/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Messages reach standard error, and no caller waits for that.
 *
 * link: user/common/log.c
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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"

#define PIPE_SIZE 4096

static int standard_error, reading;

/* Standard error is a pipe that takes one page. */
static int open_pipe(void **state)
{
	int ends[2];

	(void)state;
	if (pipe2(ends, O_CLOEXEC) || fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE) < 0)
		return -1;
	standard_error = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	reading = ends[0];
	fcntl(reading, F_SETFL, O_NONBLOCK);
	log_open("test", 0);
	return 0;
}

static int close_pipe(void **state)
{
	(void)state;
	dup2(standard_error, STDERR_FILENO);
	close(standard_error);
	close(reading);
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Reads until this text comes. Returns everything read: the caller frees it. */
static char *read_until(const char *text)
{
	uint64_t begin = now_ms();
	size_t used = 0, size = 1 << 20;
	char *read_so_far = calloc(1, size);

	while (!strstr(read_so_far, text) && now_ms() - begin < 10000 && used < size - 1) {
		ssize_t got = read(reading, read_so_far + used, size - 1 - used);

		if (got > 0)
			used += (size_t)got;
		else
			usleep(1000);
	}
	return read_so_far;
}

static void control_characters_are_escaped(void **state)
{
	char *text;

	(void)state;
	log_error("one\nline\r, \x1b[2J\x07 and \x7f, not \xc3\xa9");
	text = read_until("not");
	assert_string_equal(text, "test: one line , \\x1b[2J\\x07 and \\x7f, not \xc3\xa9\n");
	free(text);
}

static void a_long_line_is_cut(void **state)
{
	char long_text[5000], *text;

	(void)state;
	memset(long_text, '\x01', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	log_error("%s", long_text);
	text = read_until("\n");
	assert_true(strlen(text) > 2000 && strlen(text) <= 2048);
	assert_int_equal(text[strlen(text) - 1], '\n');
	free(text);
}

static void lines_of_the_thread_arrive_in_order(void **state)
{
	char *text;

	(void)state;
	assert_int_equal(log_start(), 0);
	log_info("first");
	log_warn("second");
	errno = ENOENT;
	log_error("third: %m");
	text = read_until("third");
	assert_string_equal(text, "test: first\ntest: second\ntest: third: No such file or directory\n");
	free(text);
	log_stop();
	log_info("last, written directly");
	text = read_until("directly");
	assert_string_equal(text, "test: last, written directly\n");
	free(text);
}

/*
 * Counts the lines, and adds up the omitted lines that messages report: there are several, as the thread may have begun
 * to write.
 */
static unsigned long account_for(const char *text, unsigned long *omitted)
{
	unsigned long came = 0;

	*omitted = 0;
	while ((text = strstr(text, "test: "))) {
		unsigned long count = 0;
		int end = 0;

		text += strlen("test: ");
		if (sscanf(text, "%lu lines are left out: standard error was blocked\n%n", &count, &end) == 1 && end)
			*omitted += count;
		else
			came++;
	}
	return came + *omitted;
}

static void no_caller_waits_for_a_reader_that_does_not_read(void **state)
{
	enum { LINES = 5000 };
	unsigned long omitted, accounted;
	uint64_t begin = now_ms();
	char *text;

	(void)state;
	assert_int_equal(log_start(), 0);
	for (int i = 0; i < LINES; i++)
		log_info("a line of some length that says that it has the number %d", i);
	assert_true(now_ms() - begin < 5000);
	text = read_until("left out: standard error was blocked\n");
	accounted = account_for(text, &omitted);
	while (accounted < LINES && now_ms() - begin < 20000) {
		unsigned long more;
		char *rest = read_until("left out: standard error was blocked\n");

		accounted += account_for(rest, &more);
		omitted += more;
		free(rest);
	}
	assert_true(omitted > 0);
	assert_int_equal(accounted, LINES);
	free(text);
	log_stop();
}

static void the_end_does_not_wait_forever(void **state)
{
	uint64_t begin;

	(void)state;
	assert_int_equal(log_start(), 0);
	for (int i = 0; i < 500; i++)
		log_info("a line of some length that says that it has the number %d", i);
	begin = now_ms();
	log_stop();
	assert_true(now_ms() - begin < 5000);
	/* Lets the thread end before its pipe does. */
	free(read_until("number 499"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pipe, close_pipe)
	const struct CMUnitTest tests[] = {
		TEST(control_characters_are_escaped),      TEST(a_long_line_is_cut),
		TEST(lines_of_the_thread_arrive_in_order), TEST(no_caller_waits_for_a_reader_that_does_not_read),
		TEST(the_end_does_not_wait_forever),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
