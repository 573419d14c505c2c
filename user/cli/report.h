/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How the commands that only look begin and end: they open the view, read, and show it as text or as JSON. */
#ifndef SHAKEOFF_CLI_REPORT_H
#define SHAKEOFF_CLI_REPORT_H

#include <jansson.h>

#include "cli/view.h"

/* What the functions of a report are given. */
struct subject {
	const struct view *view;
	const struct options *options;
	void *data; /* of report_run(): read() fills it, and the command frees what is in it */
};

struct report {
	/* Reads what is not in the view. Returns 0 or a negative errno. NULL: the view has all. */
	int (*read)(const struct subject *subject);
	/* Prints it. Returns a STATUS_*. NULL: the command wants it read only. */
	int (*text)(const struct subject *subject);
	/* Returns it as an object, or NULL without memory. */
	json_t *(*json)(const struct subject *subject);
	/* Prints what there is instead of a datapath. NULL: nothing. */
	void (*nothing)(const struct subject *subject);
};

/* Returns a STATUS_*. */
int report_run(const struct report *report, const struct options *options, void *data);

#endif
