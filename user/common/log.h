/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Messages for people: one clear sentence a line on stderr, with "<N>" priority prefixes (sd-daemon(3)) when stderr is the
 * journal (JOURNAL_STREAM), coloured never, prefixed with the program's name otherwise. Control characters are written as
 * \xNN, line ends as spaces.
 */
#ifndef SHAKEOFF_LOG_H
#define SHAKEOFF_LOG_H

void log_open(const char *program, int verbose);

/*
 * Starts a thread that writes the lines, so that no caller waits: a terminal, a pipe or the journal may take nothing for any
 * time. Lines that do not fit into the buffer meanwhile are left out, and counted in a line of their own. 0 or a negative errno.
 */
int log_start(void);

/* Writes what is left, but waits for at most a second, and writes directly again. */
void log_stop(void);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2))); /* only when verbose */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* At most one message every second from one place in the code, for what a flood could repeat; says how many it left out. */
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
