/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A configuration file for a test: its content is accepted, or refused with a position and a reason. */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"

static char path[] = "/tmp/shakeoff-test-config-XXXXXX";
static struct config config;
static char error[512];

static inline int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 || close(fd);
}

static inline int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static inline int read_bytes(const void *bytes, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
	memset(&config, 0, sizeof(config));
	memset(error, 0, sizeof(error));
	return config_read(path, &config, error, sizeof(error));
}

static inline int read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

static inline void accepted(const char *text)
{
	int result = read_text(text);

	if (result)
		fail_msg("refused: %s", error);
}

/*
 * Asserts that the error is "FILE:LINE: message", and that the message holds all expected parts, separated by
 * .
 */
static inline void refused(const char *text, int line, const char *expected)
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

static inline void assert_defaults(void)
{
	assert_int_equal(config.interface_count, 0);
	assert_int_equal(config.service_count, 0);
	assert_int_equal(config.exclude_count, 0);
	assert_true(config.discover);
	assert_int_equal(config.discovered.overflow, SHAKEOFF_OVERFLOW_DROP);
	assert_int_equal(config.discovered.syncookies, SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	assert_int_equal(config.discovered.backlog, CONFIG_BACKLOG_SOCKET);
	assert_int_equal(config.discovered.flood_rate, 20000);
}

#endif
