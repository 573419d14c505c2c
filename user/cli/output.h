/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tables for people, JSON for programs. */
#ifndef SHAKEOFF_CLI_OUTPUT_H
#define SHAKEOFF_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_GOOD, COLOUR_WARN, COLOUR_BAD };

/* Escape sequences, or "" where colours are not wanted: not a terminal, or NO_COLOR is set (no-color.org). */
const char *colour_begin(enum colour colour);
const char *colour_end(enum colour colour);

/* A table: cells are added one after the other, row by row, and aligned when it is printed. */
struct table;

/* Headings, the last one NULL; one that begins with > stands over a column that is aligned to the right. */
struct table *table_new(const char *const *headings);
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_cell_coloured(struct table *table, enum colour colour, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void table_print(const struct table *table, FILE *stream);
void table_free(struct table *table);

/* Prints an object and gives up the reference to it. Returns a STATUS_*. */
int json_print(json_t *object);

#endif
