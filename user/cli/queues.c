/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/prefix.h"
#include "cli/listening.h"
#include "cli/output.h"
#include "cli/service_list.h"
#include "cli/report.h"

/* Fill and capacity of a service's accept queue: from the hook's counters, or from its listening sockets. */
struct queue {
	uint64_t waiting, capacity;
	const char *cause; /* of the capacity */
	uint32_t servers;
	struct shakeoff_service_counters counters;
	struct shakeoff_source_key top_source; /* the source that holds the most positions */
	uint32_t held;                         /* how many positions; 0: no source holds any */
};

/* ---------------------------------------------------------------------------------------------------------- reading */

/* Returns what bounds the queue: the smaller of the two, as for listen() and somaxconn. */
static const char *capacity_cause(const struct shakeoff_service *service)
{
	if (!service->listen_capacity)
		return "no server yet";
	return service->listen_capacity < service->backlog ? "listen backlog" : "configured backlog";
}

static bool is_listener(const struct shakeoff_service *service)
{
	return service->handoff == SHAKEOFF_HANDOFF_LISTENER;
}

static void read_listening(const struct view_datapath *datapath, uint32_t id, struct listening *listening,
			   struct queue *queue)
{
	const struct view_address *const *addresses;
	size_t count = view_addresses_of(datapath, id, &addresses);
	struct listening_queue sum = listening_queue(listening, addresses, count, datapath->services[id].backlog);

	queue->waiting = sum.waiting;
	queue->capacity = sum.capacity;
	queue->cause = sum.cause;
	queue->servers = sum.sockets;
}

static int read_queue(const struct view_datapath *datapath, uint32_t id, struct listening *listening,
		      struct queue *queue)
{
	const struct shakeoff_service *service = &datapath->services[id];

	if (is_listener(service)) {
		read_listening(datapath, id, listening, queue);
	} else {
		queue->waiting = view_waiting(service);
		queue->capacity = service->capacity;
		queue->cause = capacity_cause(service);
		queue->servers = service->servers;
	}
	return datapath_service_counters(datapath->datapath, id, &queue->counters);
}

struct top_sources {
	const struct view_datapath *datapath;
	struct queue *queues;
};

/* Returns the number of the position at the head of the queue, as the hook computes it. */
static uint64_t head_of(const struct shakeoff_service *service, const struct queue *queue)
{
	int64_t on_their_way = (int64_t)(service->enqueued - service->dequeued);
	uint64_t taken = queue->waiting;

	if (!is_listener(service))
		return service->dequeued;
	taken += on_their_way > 0 ? on_their_way : 0;
	return shakeoff_listener_head(service, service->enqueued > taken ? service->enqueued - taken : 0);
}

static void look_at_source(void *context, const struct shakeoff_source_key *key, const struct shakeoff_source *source)
{
	const struct top_sources *top = context;
	uint32_t id = key->service & ~SHAKEOFF_SOURCE_IPV6, held;
	const struct shakeoff_service *service;
	struct queue *queue;

	if (id >= SHAKEOFF_MAX_SERVICES)
		return;
	service = &top->datapath->services[id];
	queue = &top->queues[id];
	if (!(service->flags & SHAKEOFF_SERVICE_USED) || !queue->waiting)
		return;
	held = shakeoff_source_held(source, head_of(service, queue));
	if (held > queue->waiting)
		held = queue->waiting;
	if (held <= queue->held)
		return;
	queue->held = held;
	queue->top_source = *key;
}

static int read_top_sources(const struct view_datapath *datapath, struct queue *queues)
{
	struct top_sources top = { datapath, queues };

	return datapath_source_each(datapath->datapath, look_at_source, &top);
}

struct queues {
	struct listening listening;
	size_t count;      /* number of datapaths that were read */
	struct queue **of; /* for each datapath, by service id */
};

static int read_datapath(const struct view_datapath *datapath, struct listening *listening, struct queue *queues)
{
	int error = 0;

	for (uint32_t id = 0; id < SHAKEOFF_MAX_SERVICES && !error; id++)
		if (datapath->services[id].flags & SHAKEOFF_SERVICE_USED)
			error = read_queue(datapath, id, listening, &queues[id]);
	return error ? error : read_top_sources(datapath, queues);
}

static int read_queues(const struct subject *subject)
{
	struct queues *queues = subject->data;
	int error = listening_read(&queues->listening);

	queues->of = calloc(subject->view->datapath_count, sizeof(*queues->of));
	if (!error && !queues->of)
		error = -ENOMEM;
	while (!error && queues->count < subject->view->datapath_count) {
		struct queue *of = calloc(SHAKEOFF_MAX_SERVICES, sizeof(*of));

		queues->of[queues->count] = of;
		error = of ? read_datapath(&subject->view->datapaths[queues->count++], &queues->listening, of) :
			     -ENOMEM;
	}
	return error;
}

static void free_queues(struct queues *queues)
{
	for (size_t i = 0; i < queues->count; i++)
		free(queues->of[i]);
	free(queues->of);
	listening_free(&queues->listening);
}

/* Writes the source as an operator would: 10.9.0.2, 198.51.100.0/24, 2001:db8:7::/64. */
static void source_text(const struct shakeoff_source_key *key, const struct shakeoff_service *service, char *text,
			size_t size)
{
	bool ipv6 = key->service & SHAKEOFF_SOURCE_IPV6;
	const struct prefix prefix = {
		.address = { key->prefix[0], key->prefix[1] },
		.len = ipv6 ? service->source_prefix6 : service->source_prefix4,
		.ipv6 = ipv6,
	};

	prefix_write(&prefix, text, size);
}

/* ---------------------------------------------------------------------------------------------------------- people */

static bool is_full(const struct queue *queue)
{
	return queue->waiting && queue->waiting >= queue->capacity;
}

/* Ranks full queues first, then queues with waiting connections, then queues that were used before. */
static uint32_t rank(const void *context, uint32_t id)
{
	const struct queue *queue = (const struct queue *)context + id;

	if (is_full(queue))
		return 0;
	if (queue->waiting)
		return 1;
	return queue->counters.syn ? 2 : 3;
}

/* Adds a cell: "-" for a counter of the other handoff. */
static void cell_if(struct table *table, bool known, uint64_t value)
{
	if (known)
		table_cell(table, "%" PRIu64, value);
	else
		table_cell(table, "-");
}

static void add_top_source(struct table *table, const struct shakeoff_service *service, const struct queue *queue)
{
	char source[PREFIX_TEXT];

	if (!queue->held) {
		table_cell(table, "-");
		return;
	}
	source_text(&queue->top_source, service, source, sizeof(source));
	table_cell(table, "%s: %" PRIu32 " (%" PRIu64 "%%)", source, queue->held,
		   queue->capacity ? 100 * queue->held / queue->capacity : 100);
}

static void add_row(struct table *table, const struct view_datapath *datapath, const struct service_row *row,
		    const struct queue *queue)
{
	const struct shakeoff_service *service = row->service;
	char addresses[VIEW_ADDRESSES];

	view_addresses(datapath, row->id, addresses, sizeof(addresses));
	table_cell(table, "%s", service->name);
	table_cell_coloured(table, is_full(queue) ? COLOUR_BAD : COLOUR_NONE, "%" PRIu64, queue->waiting);
	table_cell(table, "%" PRIu64, queue->capacity);
	table_cell(table, "%s", queue->cause);
	cell_if(table, is_listener(service), queue->counters.admitted);
	cell_if(table, !is_listener(service), service->accepted);
	table_cell(table, "%" PRIu32, service->half_open);
	table_cell(table, "%" PRIu64, (uint64_t)queue->counters.overflow);
	table_cell(table, "%" PRIu64, (uint64_t)queue->counters.synack);
	table_cell(table, "%" PRIu32, queue->servers);
	add_top_source(table, service, queue);
	table_cell(table, "%s", addresses);
}

/* Adds the first `limit` services of a datapath. Returns how many there are, or a negative errno. */
static ssize_t add_rows(struct table *table, const struct view_datapath *datapath, const struct queue *queues,
			size_t limit)
{
	cleanup_free struct service_row *rows = NULL;
	size_t count;
	int error = service_list(datapath->services, rank, queues, &rows, &count);

	if (error)
		return error;
	for (size_t i = 0; i < count && i < limit; i++)
		add_row(table, datapath, &rows[i], &queues[rows[i].id]);
	return count;
}

static int print_text(const struct subject *subject)
{
	static const char *const headings[] = { "Service",    ">Recv-Q",    ">Send-Q",     "Send-Q from", ">Admitted",
						">Accepted",  ">Half-open", ">Overflowed", ">Cookies",    ">Servers",
						"Top source", "Addresses",  NULL };
	size_t limit = subject->options->all ? SIZE_MAX : SERVICE_LIST_SHOWN, omitted = 0;
	const struct queues *queues = subject->data;
	struct table *table = table_new(headings);

	for (size_t i = 0; i < subject->view->datapath_count; i++) {
		ssize_t count = add_rows(table, &subject->view->datapaths[i], queues->of[i], limit);

		if (count < 0)
			return command_fail(subject->options->command->name, NULL, count);
		omitted += (size_t)count > limit ? count - limit : 0;
	}
	table_print(table, stdout);
	if (omitted)
		printf("and %zu more: --all lists them\n", omitted);
	return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------------------ JSON */

static json_t *queue_json(const struct view_datapath *datapath, const struct service_row *row,
			  const struct queue *queue)
{
	const struct shakeoff_service *service = row->service;
	const struct shakeoff_service_counters *counters = &queue->counters;
	char source[PREFIX_TEXT];
	json_t *object = json_pack("{s:s, s:I, s:s, s:b, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:o}", "service",
				   service->name, "id", (json_int_t)row->id, "handoff", service_handoff_name(service),
				   "discovered", !!(service->flags & SHAKEOFF_SERVICE_DISCOVERED), "recv_q",
				   (json_int_t)queue->waiting, "send_q", (json_int_t)queue->capacity, "send_q_cause",
				   queue->cause, "backlog", (json_int_t)service->backlog, "listen_backlog",
				   (json_int_t)view_listen_backlog(service), "servers", (json_int_t)queue->servers,
				   "datapath", (json_int_t)datapath->control_id, "addresses",
				   view_addresses_json(datapath, row->id));

	json_object_set_new(object, "syn_received", json_integer(counters->syn));
	json_object_set_new(object, "cookies", json_integer(counters->synack));
	json_object_set_new(object, "ack_valid", json_integer(counters->ack_valid));
	json_object_set_new(object, "ack_invalid", json_integer(counters->ack_invalid));
	json_object_set_new(object, "overflowed", json_integer(counters->overflow));
	json_object_set_new(object, "admitted", json_integer(counters->admitted));
	json_object_set_new(object, "unadmitted", json_integer(counters->unadmitted));
	json_object_set_new(object, "half_open", json_integer(service->half_open));
	json_object_set_new(object, "synack_repeated", json_integer(service->repeated));
	json_object_set_new(object, "established", json_integer(service->established));
	json_object_set_new(object, "accepted", json_integer(service->accepted));
	json_object_set_new(object, "from_kernel", json_integer(service->from_kernel));
	json_object_set_new(object, "top_held", json_integer(queue->held));
	if (queue->held)
		source_text(&queue->top_source, service, source, sizeof(source));
	json_object_set_new(object, "top_source", queue->held ? json_string(source) : json_null());
	return object;
}

static json_t *make_json(const struct subject *subject)
{
	const struct queues *queues = subject->data;
	json_t *array = json_array();

	for (size_t i = 0; i < subject->view->datapath_count; i++) {
		const struct view_datapath *datapath = &subject->view->datapaths[i];
		cleanup_free struct service_row *rows = NULL;
		size_t count;

		if (service_list(datapath->services, NULL, NULL, &rows, &count)) {
			json_decref(array);
			return NULL;
		}
		for (size_t k = 0; k < count; k++)
			json_array_append_new(array, queue_json(datapath, &rows[k], &queues->of[i][rows[k].id]));
	}
	return json_pack("{s:o}", "queues", array);
}

static int queues(const struct options *options)
{
	static const struct report report = { .read = read_queues, .text = print_text, .json = make_json };
	struct queues queues = { 0 };
	int status = report_run(&report, options, &queues);

	free_queues(&queues);
	return status;
}

const struct command command_queues = {
	.name = "queues",
	.arguments = "[--all] [--json] [IFACE]",
	.summary = "Show the accept queues, as `ss -lnt` shows those of the kernel",
	.help = "Recv-Q: connections that wait to be accepted; for listening sockets the kernel's present value,\n"
		"the sum of an SO_REUSEPORT group. Send-Q: the maximum of connections that wait, and what bounds\n"
		"it: the server's listen() backlog, sysctl net.core.somaxconn or the configured backlog.\n"
		"Admitted: connections given to listening sockets. Accepted: connections that servers took from\n"
		"the daemon. Half-open: SYN-ACKs that wait for their ACK, and are sent again without it; in a\n"
		"flood there are none. Overflowed: SYNs and ACKs refused because the queue is full, or because\n"
		"their source holds its fair share of it. Cookies: SYN-ACKs sent. Top source: the source that\n"
		"holds the most positions of the queue, with an upper bound of their number; positions from the\n"
		"kernel's own handshake are unknown.\n"
		"\n"
		"Full queues come first, then queues with waiting connections. Without --all at most 50 are\n"
		"listed.\n",
	.options = OPTION_ALL | OPTION_JSON | OPTION_INTERFACE,
	.run = queues,
};
