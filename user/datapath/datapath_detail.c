/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages of libbpf, the verifier and drivers about a failure: one line is kept, the rest goes to log_debug(). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "datapath/datapath_internal.h"
#include "common/log.h"

static _Thread_local char detail[256];
static _Thread_local bool detail_is_cause; /* from the verifier or the kernel itself: no later line is better */

const char *datapath_detail(void)
{
	return detail;
}

void detail_clear(void)
{
	detail[0] = '\0';
	detail_is_cause = false;
}

static void keep(const char *text, size_t length, bool is_cause)
{
	if (detail_is_cause || (detail[0] && !is_cause))
		return;
	while (length && (text[length - 1] == '\n' || text[length - 1] == ' '))
		length--;
	snprintf(detail, sizeof(detail), "%.*s", (int)length, text);
	detail_is_cause = is_cause;
}

void detail_set(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(detail, sizeof(detail), format, arguments);
	va_end(arguments);
	detail_is_cause = true;
}

#define VERIFIER_BEGIN "-- BEGIN PROG LOAD LOG --\n"
#define KERNEL_MESSAGE "Kernel error message: "

/* Takes the complaint from the verifier's log: the line before its statistics. */
static void detail_from_verifier(const char *line)
{
	const char *complaint = NULL;
	size_t length = 0;

	while (*line) {
		size_t size = strcspn(line, "\n");

		if (!strncmp(line, "processed ", 10) || !strncmp(line, "-- END", 6))
			break;
		if (size) {
			complaint = line;
			length = size;
		}
		line += size + (line[size] == '\n');
	}
	if (complaint)
		keep(complaint, length, true);
}

static void detail_from_libbpf(const char *text)
{
	const char *found;

	if (!strncmp(text, "libbpf: ", 8))
		text += 8;
	found = strstr(text, VERIFIER_BEGIN);
	if (found) {
		detail_from_verifier(found + strlen(VERIFIER_BEGIN));
		return;
	}
	found = strstr(text, KERNEL_MESSAGE);
	if (found)
		keep(found + strlen(KERNEL_MESSAGE), strlen(found + strlen(KERNEL_MESSAGE)), true);
	else
		keep(text, strlen(text), false);
}

__attribute__((format(printf, 2, 0))) static int print_libbpf(enum libbpf_print_level level, const char *format,
							      va_list arguments)
{
	cleanup_free char *text = NULL;
	char *rest, *line;

	if (level == LIBBPF_DEBUG || vasprintf(&text, format, arguments) < 0)
		return 0;
	if (level == LIBBPF_WARN)
		detail_from_libbpf(text);
	for (rest = text; (line = strsep(&rest, "\n"));)
		if (*line)
			log_debug("%s", line);
	return 0;
}

__attribute__((constructor)) static void quiet_libbpf(void)
{
	libbpf_set_print(print_libbpf);
}
