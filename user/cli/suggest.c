/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <string.h>

#include "cli/suggest.h"

#define LENGTH_MAX 31
#define DISTANCE_MAX 2

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Returns Levenshtein's distance: letters to insert, remove or replace. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[LENGTH_MAX + 1], columns = strlen(b);

	for (unsigned int k = 0; k <= columns; k++)
		row[k] = k;
	for (unsigned int i = 1; a[i - 1]; i++) {
		unsigned int diagonal = row[0];

		row[0] = i;
		for (unsigned int k = 1; k <= columns; k++) {
			unsigned int above = row[k];

			row[k] = least(diagonal + (a[i - 1] != b[k - 1]), least(above, row[k - 1]) + 1);
			diagonal = above;
		}
	}
	return row[columns];
}

const char *suggest(const char *typed, const char *const *names)
{
	unsigned int best = DISTANCE_MAX + 1;
	const char *meant = NULL;

	if (!*typed || strlen(typed) > LENGTH_MAX)
		return NULL;
	for (; *names; names++) {
		unsigned int d;

		if (strlen(*names) > LENGTH_MAX)
			continue;
		d = strncmp(*names, typed, strlen(typed)) ? distance(typed, *names) : 1;
		if (d < best && d < strlen(*names)) {
			best = d;
			meant = *names;
		}
	}
	return meant;
}
