/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A file that is being read: the results so far, and the first error. */
#ifndef SHAKEOFF_CONFIG_READER_H
#define SHAKEOFF_CONFIG_READER_H

#include "config/keys.h"

struct config_reader {
	const char *path;
	const char *text;    /* the whole file, NUL-terminated */
	const char *next;    /* beginning of the line after the present one */
	unsigned int number; /* of the present line, which inih handles */
	struct config config;
	enum config_section section;
	unsigned int section_line;
	unsigned int sections_seen; /* sections that may be used only once */
	uint64_t keys_seen;         /* in this section: a bit for each index in config_keys */
	int result;
	unsigned int failed_at; /* the line at which the result was set */
	char *error;
	size_t error_size;
};

/* Maximum length of a line or a value in a message. */
#define READ_TEXT 96

/* Notes an error at a line, unless there was an earlier one. Returns the result: a negative errno. */
int config_fail_at(struct config_reader *reader, unsigned int number, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Notes a wrong value: what was read, and what is allowed. */
int config_fail_value(struct config_reader *reader, const char *key, const char *value, const char *allowed);

/* Returns the structure of the present section. */
void *config_section_base(struct config_reader *reader);

/* check.c: checks that need more than one line. */

/* Checks the value that was read last against earlier values. Returns 0 or the reader's result. */
int config_check_value(struct config_reader *reader, const struct config_key *key, const char *value);

/* Checks a section at its end. */
void config_check_section(struct config_reader *reader);

/* Sets values that depend on other sections, whose order is free, at the end of the file. */
void config_inherit(struct config *config);

/*
 * file.c: reads a whole file and appends a NUL, which *length does not count. On failure returns NULL and fails the
 * reader.
 */
char *config_file_read(struct config_reader *reader, size_t *length);

#endif
