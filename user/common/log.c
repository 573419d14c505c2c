/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
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

#include "common/clock.h"
#include "common/log.h"

#define LINE_SIZE 2048

static const char *program_name = "shakeoff";
static bool verbose_enabled;
static bool to_journal;

/*
 * Compares stderr with JOURNAL_STREAM, which is DEVICE:INODE of the stream that the journal reads. The variable is
 * inherited, so it may belong to another stderr.
 */
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

/* ------------------------------------------------------------------------------------------------------- the writer */

#define BUFFER_SIZE (64 * 1024)
#define STOP_NS NS_PER_S

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	pthread_t thread;
	bool runs, stop;
	char lines[BUFFER_SIZE];
	size_t used;
	bool writing; /* the thread has lines to write */
	unsigned long omitted;
} writer = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* Writes everything: some terminals and pipes take only a part at once. */
static void write_all(const char *text, size_t size)
{
	while (size) {
		ssize_t written = write(STDERR_FILENO, text, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0 && errno == EAGAIN) {
			struct pollfd writable = { .fd = STDERR_FILENO, .events = POLLOUT };

			poll(&writable, 1, -1);
			continue;
		}
		if (written <= 0)
			return; /* there is no other place to report it */
		text += written;
		size -= (size_t)written;
	}
}

static size_t start_line(int priority, char *line, size_t size)
{
	int length = to_journal ? snprintf(line, size, "<%d>", priority) : snprintf(line, size, "%s: ", program_name);

	return length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1;
}

static void report_omitted(unsigned long count)
{
	char line[128];
	size_t length = start_line(LOG_WARNING, line, sizeof(line) / 2);

	length += (size_t)snprintf(line + length, sizeof(line) - length,
				   "%lu lines are left out: standard error was blocked\n", count);
	write_all(line, length);
}

static void *run(void *unused)
{
	static char lines[BUFFER_SIZE];
	unsigned long omitted;
	size_t size;

	pthread_mutex_lock(&writer.mutex);
	while (writer.used || writer.omitted || !writer.stop) {
		if (!writer.used && !writer.omitted) {
			pthread_cond_wait(&writer.changed, &writer.mutex);
			continue;
		}
		size = writer.used;
		omitted = writer.omitted;
		memcpy(lines, writer.lines, size);
		writer.used = 0;
		writer.omitted = 0;
		writer.writing = true;
		pthread_mutex_unlock(&writer.mutex);
		write_all(lines, size);
		if (omitted)
			report_omitted(omitted);
		pthread_mutex_lock(&writer.mutex);
		writer.writing = false;
		pthread_cond_broadcast(&writer.changed);
	}
	pthread_mutex_unlock(&writer.mutex);
	return unused;
}

int log_start(void)
{
	pthread_condattr_t attributes;
	sigset_t all, before;
	int error;

	writer.stop = false;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&writer.changed, &attributes);
	pthread_condattr_destroy(&attributes);
	/* The thread blocks all signals: the program may read them from a descriptor, or not have blocked them yet. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&writer.thread, NULL, run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return -error;
	pthread_mutex_lock(&writer.mutex);
	writer.runs = true;
	pthread_mutex_unlock(&writer.mutex);
	return 0;
}

void log_stop(void)
{
	uint64_t end_ns = clock_ns() + STOP_NS;
	struct timespec end = { .tv_sec = (time_t)(end_ns / NS_PER_S), .tv_nsec = (long)(end_ns % NS_PER_S) };
	bool written;

	pthread_mutex_lock(&writer.mutex);
	if (!writer.runs) {
		pthread_mutex_unlock(&writer.mutex);
		return;
	}
	writer.stop = true;
	pthread_cond_broadcast(&writer.changed);
	while (writer.used || writer.omitted || writer.writing)
		if (pthread_cond_timedwait(&writer.changed, &writer.mutex, &end))
			break;
	written = !writer.used && !writer.omitted && !writer.writing;
	writer.runs = false;
	pthread_mutex_unlock(&writer.mutex);
	if (written)
		pthread_join(writer.thread, NULL);
}

/* Hands a line to the thread. Returns false without a thread: then the caller writes. */
static bool hand_over(const char *line, size_t length)
{
	bool runs;

	pthread_mutex_lock(&writer.mutex);
	runs = writer.runs;
	if (runs && length <= sizeof(writer.lines) - writer.used) {
		memcpy(writer.lines + writer.used, line, length);
		writer.used += length;
	} else if (runs) {
		writer.omitted++;
	}
	if (runs)
		pthread_cond_broadcast(&writer.changed);
	pthread_mutex_unlock(&writer.mutex);
	return runs;
}

/* -------------------------------------------------------------------------------------------------------- the lines */

/*
 * Copies a text so that no part of it, which others may have chosen, moves the cursor of a terminal or begins a line.
 */
static size_t copy_printable(const char *text, char *line, size_t size)
{
	size_t used = 0;

	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (used + sizeof("\\x00") > size)
			break;
		if (byte == '\n' || byte == '\r')
			line[used++] = ' ';
		else if (byte < 0x20 || byte == 0x7f)
			used += (size_t)sprintf(line + used, "\\x%02x", byte);
		else
			line[used++] = (char)byte;
	}
	return used;
}

/* A line is a single write(), so that the lines of several threads do not mix. */
__attribute__((format(printf, 2, 0))) static void log_line(int priority, const char *format, va_list arguments)
{
	char line[LINE_SIZE], text[LINE_SIZE];
	int saved = errno;
	size_t length = start_line(priority, line, sizeof(line) / 2);

	errno = saved; /* for %m */
	if (vsnprintf(text, sizeof(text), format, arguments) < 0)
		text[0] = '\0';
	length += copy_printable(text, line + length, sizeof(line) - length - 1);
	line[length++] = '\n';
	if (!hand_over(line, length))
		write_all(line, length);
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

void log_warn_with_limit(struct log_limit *limit, const char *format, ...)
{
	unsigned long long now = clock_ns(), last = atomic_load_explicit(&limit->last_ns, memory_order_relaxed);
	unsigned int omitted;
	char text[LINE_SIZE];
	va_list arguments;
	int saved = errno;

	if ((last && now - last < NS_PER_S) || !atomic_compare_exchange_strong(&limit->last_ns, &last, now)) {
		atomic_fetch_add_explicit(&limit->omitted, 1, memory_order_relaxed);
		return;
	}
	omitted = atomic_exchange(&limit->omitted, 0);

	errno = saved;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (omitted)
		log_warn("%s (%u similar messages left out)", text, omitted);
	else
		log_warn("%s", text);
	errno = saved;
}
