/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "cli/command.h"
#include "cli/output.h"

#define COLUMNS_MAX 16

struct cell {
	char *text;
	enum colour colour;
};

struct table {
	const char *const *headings;
	size_t columns, column; /* of the next cell */
	int widths[COLUMNS_MAX];
	struct cell *cells;
	size_t count, room;
};

/* ---------------------------------------------------------------------------------------------------------- colours */

static bool colours_wanted(void)
{
	static int wanted = -1;

	if (wanted < 0) {
		const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");

		wanted = isatty(STDOUT_FILENO) && !(no_color && *no_color) && terminal && strcmp(terminal, "dumb");
	}
	return wanted;
}

const char *colour_begin(enum colour colour)
{
	static const char *const sequences[] = {
		[COLOUR_NONE] = "",         [COLOUR_BOLD] = "\033[1m", [COLOUR_GOOD] = "\033[32m",
		[COLOUR_WARN] = "\033[33m", [COLOUR_BAD] = "\033[31m",
	};

	return colours_wanted() ? sequences[colour] : "";
}

const char *colour_end(enum colour colour)
{
	return colours_wanted() && colour != COLOUR_NONE ? "\033[0m" : "";
}

/* ----------------------------------------------------------------------------------------------------------- tables */

/* A table that lacks a cell would be wrong, and no command goes on without memory. */
static void *needed(void *memory)
{
	if (memory)
		return memory;
	log_error("out of memory");
	exit(STATUS_FAILURE);
}

static bool is_right(const struct table *table, size_t column)
{
	return table->headings[column][0] == '>';
}

static const char *heading(const struct table *table, size_t column)
{
	return table->headings[column] + is_right(table, column);
}

struct table *table_new(const char *const *headings)
{
	struct table *table = needed(calloc(1, sizeof(*table)));

	table->headings = headings;
	for (; headings[table->columns] && table->columns < COLUMNS_MAX; table->columns++)
		table->widths[table->columns] = strlen(heading(table, table->columns));
	return table;
}

__attribute__((format(printf, 3, 0))) static void add_cell(struct table *table, enum colour colour, const char *format,
							   va_list arguments)
{
	int *width = &table->widths[table->column], length;
	char *text;

	if (table->count == table->room) {
		table->room = table->room ? table->room * 2 : 64;
		table->cells = needed(reallocarray(table->cells, table->room, sizeof(*table->cells)));
	}
	length = vasprintf(&text, format, arguments);
	if (length < 0)
		text = needed(NULL);
	if (length > *width)
		*width = length;
	table->column = table->column + 1 < table->columns ? table->column + 1 : 0;
	table->cells[table->count++] = (struct cell){ text, colour };
}

void table_cell(struct table *table, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_cell(table, COLOUR_NONE, format, arguments);
	va_end(arguments);
}

void table_cell_coloured(struct table *table, enum colour colour, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_cell(table, colour, format, arguments);
	va_end(arguments);
}

/* The last column is not filled up: no line ends in blanks. */
static void print_cell(const struct table *table, size_t column, const char *text, enum colour colour, FILE *stream)
{
	bool last = column + 1 == table->columns;
	int blanks = table->widths[column] - (int)strlen(text);

	fprintf(stream, "%s%*s%s%s%s", column ? "  " : "", is_right(table, column) ? blanks : 0, "",
		colour_begin(colour), text, colour_end(colour));
	if (!last && !is_right(table, column))
		fprintf(stream, "%*s", blanks, "");
	if (last)
		fputc('\n', stream);
}

void table_print(const struct table *table, FILE *stream)
{
	for (size_t column = 0; column < table->columns; column++)
		print_cell(table, column, heading(table, column), COLOUR_BOLD, stream);
	for (size_t i = 0, column = 0; i < table->count; i++) {
		print_cell(table, column, table->cells[i].text, table->cells[i].colour, stream);
		column = column + 1 < table->columns ? column + 1 : 0;
	}
}

void table_free(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
}

/* ------------------------------------------------------------------------------------------------------------- JSON */

int json_print(json_t *object)
{
	int failed = !object || json_dumpf(object, stdout, JSON_INDENT(2)) || putchar('\n') == EOF;

	json_decref(object);
	if (failed)
		log_error("cannot write the JSON output");
	return failed ? STATUS_FAILURE : STATUS_OK;
}
