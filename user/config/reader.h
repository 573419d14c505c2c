/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A file that is being read: what the lines so far have made, and the first thing wrong. */
#ifndef SHAKEOFF_CONFIG_READER_H
#define SHAKEOFF_CONFIG_READER_H

#include "config/keys.h"

struct config_reader {
	const char *path;
	const char *text;    /* the whole file, NUL-terminated */
	const char *next;    /* where the line after the present one begins */
	unsigned int number; /* of the present line: the one that inih works on */
	struct config config;
	enum config_section section;
	unsigned int section_line;
	unsigned int sections_seen; /* of those that may stand once */
	uint64_t keys_seen;         /* in this section; bits, by index in config_keys */
	int result;
	unsigned int failed_at; /* the line that was being read when the result was set */
	char *error;
	size_t error_size;
};

/* What is shown of a line or a value. */
#define READ_TEXT 96

/* Notes what is wrong at a line, unless something was wrong before. Returns the result: a negative errno. */
int config_fail_at(struct config_reader *reader, unsigned int number, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int config_fail_memory(struct config_reader *reader);

/* Notes a wrong value: what was read, and what is allowed. */
int config_fail_value(struct config_reader *reader, const char *key, const char *value, const char *allowed);

/* Returns what the present section is held in. */
void *config_section_base(struct config_reader *reader);

/* check.c: what one line alone does not show. */

/* Checks the value that was read last against what was read before it. Returns 0 or the reader's result. */
int config_check_value(struct config_reader *reader, const struct config_key *key, const char *value);

/* Checks a section at its end. */
void config_check_section(struct config_reader *reader);

/* Sets what depends on other sections, which come in any order, at the end of the file. */
void config_inherit(struct config *config);

/*
 * file.c: reads a whole file, NUL-terminated; *length counts no NUL of ours. Returns NULL and fails the reader without
 * one.
 */
char *config_file_read(struct config_reader *reader, size_t *length);

#endif
