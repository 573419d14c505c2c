/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "cli/command.h"
#include "cli/output.h"

/* ---------------------------------------------------------------------------------------------------------- colours */

static const char *const sequences[] = {
	[COLOUR_NONE] = "",         [COLOUR_BOLD] = "\033[1m", [COLOUR_GOOD] = "\033[32m",
	[COLOUR_WARN] = "\033[33m", [COLOUR_BAD] = "\033[31m",
};

static bool colours_wanted(void)
{
	static int wanted = -1;

	if (wanted < 0) {
		const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");

		wanted = isatty(STDOUT_FILENO) && !(no_color && *no_color) && terminal && strcmp(terminal, "dumb");
	}
	return wanted;
}

void print_coloured(enum colour colour, const char *format, ...)
{
	bool coloured = colours_wanted() && colour != COLOUR_NONE;
	va_list arguments;

	fputs(coloured ? sequences[colour] : "", stdout);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	fputs(coloured ? "\033[0m" : "", stdout);
}

/* ----------------------------------------------------------------------------------------------------------- tables */

#define SEPARATOR "  "

struct table {
	struct libscols_table *lines;
	struct libscols_line *line; /* of the next cell */
	size_t column, columns;     /* of the next cell; total */
};

/* Ends the command without memory: a table that lacks a cell would be wrong. */
static void *checked(void *memory)
{
	if (memory)
		return memory;
	log_error("out of memory");
	exit(STATUS_FAILURE);
}

struct table *table_new(const char *const *headings)
{
	struct table *table = checked(calloc(1, sizeof(*table)));

	table->lines = checked(scols_new_table());
	scols_table_set_column_separator(table->lines, SEPARATOR);
	scols_table_enable_colors(table->lines, colours_wanted());
	/* Lines stay whole in a narrow window, as in a file. */
	scols_table_set_termforce(table->lines, SCOLS_TERMFORCE_NEVER);
	for (; headings[table->columns]; table->columns++) {
		const char *heading = headings[table->columns];
		bool right = *heading == '>';
		struct libscols_column *column =
			checked(scols_table_new_column(table->lines, heading + right, 0, right ? SCOLS_FL_RIGHT : 0));

		scols_cell_set_color(scols_column_get_header(column), sequences[COLOUR_BOLD]);
	}
	return table;
}

__attribute__((format(printf, 3, 0))) static void add_cell(struct table *table, enum colour colour, const char *format,
							   va_list arguments)
{
	char *text;

	if (!table->column)
		table->line = checked(scols_table_new_line(table->lines, NULL));
	if (vasprintf(&text, format, arguments) < 0 || scols_line_refer_data(table->line, table->column, text))
		checked(NULL);
	if (colour != COLOUR_NONE)
		scols_cell_set_color(scols_line_get_cell(table->line, table->column), sequences[colour]);
	table->column = (table->column + 1) % table->columns;
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

/* Prints the headings of a table without rows, which libsmartcols leaves out. */
static void print_headings(const struct table *table, FILE *stream)
{
	for (size_t i = 0; i < table->columns; i++) {
		struct libscols_cell *heading = scols_column_get_header(scols_table_get_column(table->lines, i));

		fprintf(stream, "%s%s", i ? SEPARATOR : "", scols_cell_get_data(heading));
	}
	fputc('\n', stream);
}

void table_print(struct table *table, FILE *stream)
{
	scols_table_set_stream(table->lines, stream);
	if (!table->line)
		print_headings(table, stream);
	else if (scols_print_table(table->lines))
		checked(NULL);
	scols_unref_table(table->lines);
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
