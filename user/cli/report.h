/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Runs the read-only commands: opens the view, reads, and shows the result as text or as JSON. */
#ifndef SHAKEOFF_CLI_REPORT_H
#define SHAKEOFF_CLI_REPORT_H

#include <jansson.h>

#include "cli/view.h"

/* Arguments of a report's functions. */
struct subject {
	const struct view *view;
	const struct options *options;
	void *data; /* of report_run(): read() fills it, and the command frees its contents */
};

struct report {
	/* Reads what is not in the view. Returns 0 or a negative errno. NULL: the view has everything. */
	int (*read)(const struct subject *subject);
	/* Prints the text. Returns a STATUS_*. NULL: the command only reads. */
	int (*text)(const struct subject *subject);
	/* Returns an object, or NULL without memory. */
	json_t *(*json)(const struct subject *subject);
	/* Prints what to show without a datapath. NULL: nothing. */
	void (*nothing)(const struct subject *subject);
};

/* Runs a report. Returns a STATUS_*. */
int report_run(const struct report *report, const struct options *options, void *data);

#endif
