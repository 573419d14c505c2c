/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/output.h"
#include "cli/report.h"

static int show(const struct report *report, const struct subject *subject)
{
	if (subject->options->json)
		return json_print(report->json(subject));
	return report->text(subject);
}

int report_run(const struct report *report, const struct options *options, void *data)
{
	const char *what = options->command->name;
	struct view view;
	const struct subject subject = { &view, options, data };
	int status = view_open(&view, what, options->ifname), error = 0;

	if (status && report->nothing && !options->json)
		report->nothing(&subject);
	if (!status && report->read)
		error = report->read(&subject);
	if (error)
		status = command_fail(what, options->ifname, error);
	if (!status && report->text)
		status = show(report, &subject);
	view_close(&view);
	return status;
}
