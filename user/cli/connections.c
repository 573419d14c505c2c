/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/cleanup.h"
#include "common/sock_diag.h"
#include "common/text.h"
#include "cli/output.h"
#include "cli/report.h"

#define STATES_CONNECTED (((1u << (TCP_CLOSING + 1)) - 1) & ~(1u << TCP_LISTEN) & ~1u)

struct connection {
	const char *service;
	struct sock_diag_entry entry;
	bool handed_over; /* its final ACK was validated for this service */
	uint64_t age_ns;
};

struct connections {
	const struct view *view;
	struct connection *list;
	size_t count;
};

static void tuple_end(const __be32 address[4], __be16 port, char *text, size_t size)
{
	struct in6_addr in6;

	memcpy(&in6, address, sizeof(in6));
	text_endpoint(&in6, ntohs(port), text, size);
}

static const struct shakeoff_service *find_service(const struct view *view, const struct shakeoff_tuple *tuple,
						   const struct view_datapath **datapath)
{
	struct in6_addr local;

	memcpy(&local, tuple->local, sizeof(local));
	for (size_t i = 0; i < view->datapath_count; i++) {
		const struct shakeoff_service *service = view_service_at(&view->datapaths[i], &local,
									 ntohs(tuple->local_port));

		if (service) {
			*datapath = &view->datapaths[i];
			return service;
		}
	}
	return NULL;
}

static int add_connection(void *context, const struct sock_diag_entry *entry)
{
	struct connections *connections = context;
	const struct view_datapath *datapath;
	const struct shakeoff_service *service = find_service(connections->view, &entry->tuple, &datapath);
	struct connection connection = { .entry = *entry };
	struct shakeoff_validated validated;

	if (!service)
		return 0;
	connection.service = service->name;
	if (!datapath_validated_get(datapath->datapath, &entry->tuple, &validated) &&
	    validated.service == service - datapath->services) {
		connection.handed_over = true;
		if (connections->view->now_ns > validated.established_ns)
			connection.age_ns = connections->view->now_ns - validated.established_ns;
	}
	return array_append(connections->list, connections->count, connection);
}

static int compare(const void *first, const void *second)
{
	const struct connection *a = first, *b = second;
	int order = strcmp(a->service, b->service);

	return order ? order : memcmp(&a->entry.tuple, &b->entry.tuple, sizeof(a->entry.tuple));
}

static int read_connections(const struct subject *subject)
{
	struct connections *connections = subject->data;
	int error;

	connections->view = subject->view;
	error = sock_diag_each(STATES_CONNECTED, add_connection, connections);
	if (!error && connections->count)
		qsort(connections->list, connections->count, sizeof(*connections->list), compare);
	return error;
}

/* ---------------------------------------------------------------------------------------------------------- output */

static int print_text(const struct subject *subject)
{
	static const char *const headings[] = { "Service", "State",     ">Recv-Q", ">Send-Q", "Local",
						"Remote",  "Opened by", "Age",     NULL };
	const struct connections *connections = subject->data;
	struct table *table = table_new(headings);

	for (size_t i = 0; i < connections->count; i++) {
		const struct connection *connection = &connections->list[i];
		const struct shakeoff_tuple *tuple = &connection->entry.tuple;
		char local[TEXT_ENDPOINT], remote[TEXT_ENDPOINT], age[TEXT_DURATION] = "-";

		tuple_end(tuple->local, tuple->local_port, local, sizeof(local));
		tuple_end(tuple->remote, tuple->remote_port, remote, sizeof(remote));
		if (connection->handed_over)
			text_duration(connection->age_ns, age, sizeof(age));
		table_cell(table, "%s", connection->service);
		table_cell(table, "%s", sock_diag_state_name(connection->entry.state));
		table_cell(table, "%" PRIu32, connection->entry.rqueue);
		table_cell(table, "%" PRIu32, connection->entry.wqueue);
		table_cell(table, "%s", local);
		table_cell(table, "%s", remote);
		table_cell(table, "%s", connection->handed_over ? "shakeoff" : "kernel");
		table_cell(table, "%s", age);
	}
	table_print(table, stdout);
	return STATUS_OK;
}

static json_t *make_json(const struct subject *subject)
{
	const struct connections *connections = subject->data;
	json_t *array = json_array();

	for (size_t i = 0; i < connections->count; i++) {
		const struct connection *connection = &connections->list[i];
		const struct shakeoff_tuple *tuple = &connection->entry.tuple;
		char local[TEXT_ENDPOINT], remote[TEXT_ENDPOINT];

		tuple_end(tuple->local, tuple->local_port, local, sizeof(local));
		tuple_end(tuple->remote, tuple->remote_port, remote, sizeof(remote));
		json_array_append_new(
			array,
			json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:I}", "service", connection->service, "local",
				  local, "remote", remote, "state", sock_diag_state_name(connection->entry.state),
				  "opened_by", connection->handed_over ? "shakeoff" : "kernel", "age_ms",
				  connection->handed_over ? json_integer(connection->age_ns / 1000000) : json_null(),
				  "recv_q", (json_int_t)connection->entry.rqueue, "send_q",
				  (json_int_t)connection->entry.wqueue));
	}
	return json_pack("{s:o}", "connections", array);
}

static int connections(const struct options *options)
{
	static const struct report report = { .read = read_connections, .text = print_text, .json = make_json };
	struct connections found = { 0 };
	int status = report_run(&report, options, &found);

	free(found.list);
	return status;
}

const struct command command_connections = {
	.name = "connections",
	.arguments = "[--json] [IFACE]",
	.summary = "Show the services' connections with their TCP states",
	.help = "Opened by shakeoff: the hook made the handshake; the age begins with the final ACK. Opened by\n"
		"the kernel: while idle, over loopback or an interface without the program, or too long ago to be\n"
		"remembered. Send-Q and Recv-Q are bytes, as in `ss -nt`.\n",
	.options = OPTION_JSON | OPTION_INTERFACE,
	.run = connections,
};
