/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tables for people, JSON for programs. */
#ifndef SHAKEOFF_CLI_OUTPUT_H
#define SHAKEOFF_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_GOOD, COLOUR_WARN, COLOUR_BAD };

/* Prints to standard output; in colour if it is a terminal, and NO_COLOR (no-color.org) is not set. */
void print_coloured(enum colour colour, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A table (libsmartcols): cells are added one after another, row by row, and aligned when it is printed. */
struct table;

/* Makes a table. headings: ends with NULL; > at the beginning aligns the column to the right. */
struct table *table_new(const char *const *headings);
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_cell_coloured(struct table *table, enum colour colour, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Prints a table and frees it. */
void table_print(struct table *table, FILE *stream);

/* Prints an object and gives up the reference to it. Returns a STATUS_*. */
int json_print(json_t *object);

#endif
