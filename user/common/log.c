/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

#define LINE_SIZE 2048

static const char *program_name = "shakeoff";
static bool verbose_enabled;
static bool to_journal;

/* JOURNAL_STREAM is DEVICE:INODE of the stream that the journal reads; it is inherited, so it may not be our stderr. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2 || fstat(STDERR_FILENO, &st))
		return false;
	return st.st_dev == device && st.st_ino == inode;
}

void log_open(const char *program, int verbose)
{
	program_name = program;
	verbose_enabled = verbose;
	to_journal = stderr_is_journal();
}

/* A line is one write(), so that the lines of several threads do not mix. */
__attribute__((format(printf, 2, 0))) static void log_line(int priority, const char *format, va_list arguments)
{
	int saved = errno, length, start;
	char line[LINE_SIZE];

	if (to_journal)
		start = snprintf(line, sizeof(line), "<%d>", priority);
	else
		start = snprintf(line, sizeof(line), "%s: ", program_name);
	if (start >= LINE_SIZE / 2)
		start = LINE_SIZE / 2;

	errno = saved; /* for %m */
	length = vsnprintf(line + start, sizeof(line) - start - 1, format, arguments);
	if (length < 0)
		length = 0;
	length += start;
	if (length > LINE_SIZE - 2)
		length = LINE_SIZE - 2;

	for (int i = start; i < length; i++)
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	line[length++] = '\n';
	if (write(STDERR_FILENO, line, length) < 0) {
		/* There is no other place to say it. */
	}
	errno = saved;
}

#define LOG_FUNCTION(name, priority, condition)                                                                        \
	void name(const char *format, ...)                                                                             \
	{                                                                                                              \
		va_list arguments;                                                                                     \
                                                                                                                       \
		if (!(condition))                                                                                      \
			return;                                                                                        \
		va_start(arguments, format);                                                                           \
		log_line(priority, format, arguments);                                                                 \
		va_end(arguments);                                                                                     \
	}

LOG_FUNCTION(log_debug, LOG_DEBUG, verbose_enabled)
LOG_FUNCTION(log_info, LOG_INFO, true)
LOG_FUNCTION(log_warn, LOG_WARNING, true)
LOG_FUNCTION(log_error, LOG_ERR, true)

static unsigned long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

void log_warn_with_limit(struct log_limit *limit, const char *format, ...)
{
	unsigned long long now = now_ns(), last = atomic_load_explicit(&limit->last_ns, memory_order_relaxed);
	unsigned int left_out;
	char text[LINE_SIZE];
	va_list arguments;
	int saved = errno;

	if ((last && now - last < 1000000000ull) || !atomic_compare_exchange_strong(&limit->last_ns, &last, now)) {
		atomic_fetch_add_explicit(&limit->left_out, 1, memory_order_relaxed);
		return;
	}
	left_out = atomic_exchange(&limit->left_out, 0);

	errno = saved;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (left_out)
		log_warn("%s (%u more like it left out)", text, left_out);
	else
		log_warn("%s", text);
	errno = saved;
}
