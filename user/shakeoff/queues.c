/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <inttypes.h>

#include "common/text.h"
#include "shakeoff/output.h"
#include "shakeoff/view.h"

/* What bounds the queue: the smaller of the two, as for listen() and somaxconn. */
static const char *capacity_cause(const struct shakeoff_service *service)
{
	if (!service->listen_backlog)
		return "no server yet";
	return service->listen_backlog < service->backlog ? "listen backlog" : "configured backlog";
}

static void add_row(struct table *table, const struct view_datapath *datapath, uint32_t id,
		    const struct shakeoff_service_counters *counters)
{
	const struct shakeoff_service *service = &datapath->services[id];
	uint32_t waiting = view_waiting(service);
	char addresses[256];

	view_addresses(datapath, id, addresses, sizeof(addresses));
	table_cell(table, "%s", service->name);
	table_cell_coloured(table, waiting && waiting >= service->capacity ? COLOUR_BAD : COLOUR_NONE, "%" PRIu32,
			    waiting);
	table_cell(table, "%" PRIu32, service->capacity);
	table_cell(table, "%s", capacity_cause(service));
	table_cell(table, "%" PRIu64, (uint64_t)service->accepted);
	table_cell(table, "%" PRIu64, (uint64_t)counters->overflow);
	table_cell(table, "%" PRIu64, (uint64_t)counters->synack);
	table_cell(table, "%u", service->servers);
	table_cell(table, "%s", addresses);
}

static json_t *queue_json(const struct view_datapath *datapath, uint32_t id,
			  const struct shakeoff_service_counters *counters)
{
	const struct shakeoff_service *service = &datapath->services[id];

	return json_pack("{s:s, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "service",
			 service->name, "id", (json_int_t)id, "recv_q", (json_int_t)view_waiting(service), "send_q",
			 (json_int_t)service->capacity, "send_q_cause", capacity_cause(service), "backlog",
			 (json_int_t)service->backlog, "listen_backlog", (json_int_t)service->listen_backlog,
			 "accepted", (json_int_t)service->accepted, "from_kernel", (json_int_t)service->from_kernel,
			 "established", (json_int_t)service->established, "overflowed", (json_int_t)counters->overflow,
			 "cookies", (json_int_t)counters->synack, "syn_received", (json_int_t)counters->syn, "servers",
			 (json_int_t)service->servers, "datapath", (json_int_t)datapath->control_id, "addresses",
			 view_addresses_json(datapath, id));
}

/* Fills the table or the array, whichever is given. */
static int collect_datapath(const struct view_datapath *datapath, struct table *table, json_t *array)
{
	for (uint32_t id = 0; id < SHAKEOFF_MAX_SERVICES; id++) {
		struct shakeoff_service_counters counters;
		int error;

		if (!view_service_used(datapath, id))
			continue;
		error = datapath_service_counters(datapath->datapath, id, &counters);
		if (error)
			return command_fail("queues", NULL, error);
		if (table)
			add_row(table, datapath, id, &counters);
		else
			json_array_append_new(array, queue_json(datapath, id, &counters));
	}
	return STATUS_OK;
}

static int collect(const struct view *view, struct table *table, json_t *array)
{
	int status = STATUS_OK;

	for (size_t i = 0; i < view->datapath_count && !status; i++)
		status = collect_datapath(&view->datapaths[i], table, array);
	return status;
}

static int print_people(const struct view *view)
{
	static const char *const headings[] = { "Service",     ">Recv-Q",  ">Send-Q",  "Send-Q from", ">Accepted",
						">Overflowed", ">Cookies", ">Servers", "Addresses",   NULL };
	struct table *table = table_new(headings);
	int status = collect(view, table, NULL);

	if (!status)
		table_print(table, stdout);
	table_free(table);
	return status;
}

static int print_json(const struct view *view)
{
	json_t *queues = json_array();
	int status = collect(view, NULL, queues);

	if (status) {
		json_decref(queues);
		return status;
	}
	return json_print(json_pack("{s:o}", "queues", queues));
}

static int queues(const struct options *options)
{
	struct view view;
	int status = view_open(&view, "queues", options->ifname);

	if (!status)
		status = options->json ? print_json(&view) : print_people(&view);
	view_close(&view);
	return status;
}

const struct command command_queues = {
	.name = "queues",
	.arguments = "[--json] [IFACE]",
	.summary = "Show the accept queues, as `ss -lnt` shows those of the kernel",
	.help = "Recv-Q: connections that wait for a server. Send-Q: how many may wait, the smaller of the server's\n"
		"listen() backlog and the configured one. Overflowed: SYNs and ACKs turned away by a full queue.\n"
		"Cookies: SYN-ACKs sent.\n",
	.options = OPTION_JSON | OPTION_INTERFACE,
	.run = queues,
};
