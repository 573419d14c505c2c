/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/names.h"
#include "common/verdicts.h"
#include "cli/output.h"
#include "cli/report.h"

struct stats {
	struct verdict_totals totals;
	uint64_t verdicts[SHAKEOFF_VERDICT_COUNT];
	uint64_t refused[SHAKEOFF_REFUSAL_COUNT];
	uint64_t taken_ns;
};

/* The counters for display, and those of the last display. */
struct shown {
	struct stats now, before;
	bool watched; /* there is a `before` */
};

static const struct {
	const char *name;
	const char *help;
	size_t offset;
} total_table[] = {
#define X(field, help) { #field, help, offsetof(struct verdict_totals, field) },
	VERDICT_TOTALS(X)
#undef X
};
#define TOTAL_COUNT (sizeof(total_table) / sizeof(total_table[0]))

static uint64_t total(const struct stats *stats, size_t index)
{
	return *(const uint64_t *)((const char *)&stats->totals + total_table[index].offset);
}

/* Adds the counters of the services, which disappear with their service. */
static int add_services(struct stats *stats, const struct view_datapath *datapath)
{
	for (uint32_t id = 0; id < SHAKEOFF_MAX_SERVICES; id++) {
		const struct shakeoff_service *service = &datapath->services[id];
		struct shakeoff_service_counters counters;
		int error;

		if (!(service->flags & SHAKEOFF_SERVICE_USED))
			continue;
		error = datapath_service_counters(datapath->datapath, id, &counters);
		if (error)
			return error;
		stats->totals.admitted += counters.admitted;
		stats->totals.unadmitted += counters.unadmitted;
		stats->totals.synack_repeated += service->repeated;
		stats->totals.established += service->established;
		stats->totals.accepted += service->accepted;
		for (size_t k = 0; k < SHAKEOFF_REFUSAL_COUNT; k++)
			stats->refused[k] += service->refused[k];
	}
	return 0;
}

static int read_stats(const struct subject *subject)
{
	struct shown *shown = subject->data;
	struct stats *stats = &shown->now;
	int error = 0;

	*stats = (struct stats){ .taken_ns = subject->view->now_ns };
	for (size_t i = 0; i < subject->view->datapath_count && !error; i++) {
		uint64_t counts[SHAKEOFF_VERDICT_COUNT];

		error = datapath_verdicts(subject->view->datapaths[i].datapath, counts);
		if (!error)
			error = add_services(stats, &subject->view->datapaths[i]);
		if (error)
			break;
		for (size_t k = 0; k < SHAKEOFF_VERDICT_COUNT; k++)
			stats->verdicts[k] += counts[k];
		verdict_totals_add(&stats->totals, counts);
	}
	return error;
}

/* ---------------------------------------------------------------------------------------------------------- people */

/* Adds a counter. With `before` it adds the rate since then in another column. */
static void count_cells(struct table *table, uint64_t now, const uint64_t *before, double seconds)
{
	table_cell(table, "%" PRIu64, now);
	if (before)
		table_cell(table, "%.0f", now > *before ? (now - *before) / seconds : 0.0);
}

static void print_totals(const struct stats *stats, const struct stats *before, double seconds)
{
	static const char *const once[] = { "Total", ">Count", "Meaning", NULL };
	static const char *const watched[] = { "Total", ">Count", ">Per second", "Meaning", NULL };
	struct table *table = table_new(before ? watched : once);

	for (size_t i = 0; i < TOTAL_COUNT; i++) {
		uint64_t then = before ? total(before, i) : 0;

		table_cell(table, "%s", total_table[i].name);
		count_cells(table, total(stats, i), before ? &then : NULL, seconds);
		table_cell(table, "%s", total_table[i].help);
	}
	table_print(table, stdout);
}

static void print_verdicts(const struct stats *stats, const struct stats *before, double seconds)
{
	static const char *const once[] = { "Verdict", "Action", ">Packets", "Meaning", NULL };
	static const char *const watched[] = { "Verdict", "Action", ">Packets", ">Per second", "Meaning", NULL };
	struct table *table = table_new(before ? watched : once);

	for (size_t i = 0; i < SHAKEOFF_VERDICT_COUNT; i++) {
		table_cell(table, "%s", verdict_table[i].name);
		table_cell(table, "%s", verdict_table[i].action);
		count_cells(table, stats->verdicts[i], before ? &before->verdicts[i] : NULL, seconds);
		table_cell(table, "%s", verdict_table[i].help);
	}
	printf("\n");
	table_print(table, stdout);
}

static void print_refusals(const struct stats *stats, const struct stats *before, double seconds)
{
	static const char *const once[] = { "Refused by the daemon", ">Count", "Meaning", NULL };
	static const char *const watched[] = { "Refused by the daemon", ">Count", ">Per second", "Meaning", NULL };
	struct table *table = table_new(before ? watched : once);

	for (size_t i = 0; i < SHAKEOFF_REFUSAL_COUNT; i++) {
		table_cell(table, "%s", refusal_table[i].name);
		count_cells(table, stats->refused[i], before ? &before->refused[i] : NULL, seconds);
		table_cell(table, "%s", refusal_table[i].help);
	}
	printf("\n");
	table_print(table, stdout);
}

static int print_text(const struct subject *subject)
{
	const struct shown *shown = subject->data;
	const struct stats *before = shown->watched ? &shown->before : NULL;
	double seconds = before ? (shown->now.taken_ns - before->taken_ns) / 1e9 : 0;

	if (before && isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout);
	print_totals(&shown->now, before, seconds);
	print_verdicts(&shown->now, before, seconds);
	print_refusals(&shown->now, before, seconds);
	return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------------------ JSON */

/*
 * Makes the JSON object. `counters`: all by name; if a verdict has the name of a total, the total. `verdicts`: only
 * verdicts.
 */
static json_t *make_json(const struct subject *subject)
{
	const struct stats *stats = &((const struct shown *)subject->data)->now;
	json_t *counters = json_object(), *verdicts = json_object(), *refused = json_object();

	for (size_t i = 0; i < TOTAL_COUNT; i++)
		json_object_set_new(counters, total_table[i].name, json_integer(total(stats, i)));
	for (size_t i = 0; i < SHAKEOFF_VERDICT_COUNT; i++) {
		json_object_set_new(verdicts, verdict_table[i].name, json_integer(stats->verdicts[i]));
		if (!json_object_get(counters, verdict_table[i].name))
			json_object_set_new(counters, verdict_table[i].name, json_integer(stats->verdicts[i]));
	}
	for (size_t i = 0; i < SHAKEOFF_REFUSAL_COUNT; i++)
		json_object_set_new(refused, refusal_table[i].name, json_integer(stats->refused[i]));
	return json_pack("{s:o, s:o, s:o}", "counters", counters, "verdicts", verdicts, "refused", refused);
}

static const struct report report = { .read = read_stats, .text = print_text, .json = make_json };

static void wait_seconds(double seconds)
{
	struct timespec time = { .tv_sec = seconds, .tv_nsec = (seconds - (time_t)seconds) * 1e9 };

	while (nanosleep(&time, &time) && errno == EINTR)
		continue;
}

/* Shows the counters again and again, until interrupted or until nothing is attached any more. */
static int watch(const struct options *options)
{
	static const struct report first = { .read = read_stats };
	struct shown shown = { .watched = true };
	int status = report_run(&first, options, &shown);

	while (!status) {
		shown.before = shown.now;
		wait_seconds(options->watch_seconds);
		status = report_run(&report, options, &shown);
		if (!status && fflush(stdout))
			return STATUS_FAILURE;
	}
	return status;
}

static int stats(const struct options *options)
{
	struct shown shown = { .watched = false };

	return options->watch_seconds ? watch(options) : report_run(&report, options, &shown);
}

const struct command command_stats = {
	.name = "stats",
	.arguments = "[--json] [--watch[=SECONDS]] [IFACE]",
	.summary = "Show the counters: totals, verdicts, refusals",
	.help = "Every packet at the hook gets exactly one verdict. Counters start when the program is attached.\n"
		"With an interface they are those of all interfaces that share its datapath. The totals from\n"
		"admitted to accepted are sums over the present services; `shakeoff queues` shows those of each.\n",
	.options = OPTION_JSON | OPTION_WATCH | OPTION_INTERFACE,
	.run = stats,
};
