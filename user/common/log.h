/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Messages for people: a clear sentence a line on stderr, with "<N>" priority prefixes (sd-daemon(3)) when stderr is
 * the journal (JOURNAL_STREAM), otherwise with the program's name in front; never coloured. Control characters are
 * written as \xNN, line ends as spaces.
 */
#ifndef SHAKEOFF_LOG_H
#define SHAKEOFF_LOG_H

void log_open(const char *program, int verbose);

/*
 * Starts a thread that writes the lines from now on, so that callers never wait: a terminal, a pipe or the journal may
 * block for any time. Lines without room in the buffer are left out, and their number is logged. Returns 0 or a
 * negative errno.
 */
int log_start(void);

/* Writes the remaining lines, waits for at most a second, and writes directly again. */
void log_stop(void);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2))); /* only when verbose */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * At most one message a second from this place in the code, for events that a flood could repeat; adds how many it left
 * out.
 */
#define log_warn_limited(...)                                                                                          \
	do {                                                                                                           \
		static struct log_limit limit_;                                                                        \
		log_warn_with_limit(&limit_, __VA_ARGS__);                                                             \
	} while (0)

struct log_limit {
	_Atomic(unsigned long long) last_ns;
	_Atomic(unsigned int) omitted;
};
void log_warn_with_limit(struct log_limit *limit, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
