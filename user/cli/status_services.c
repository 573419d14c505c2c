/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The services in the text of `shakeoff status`: a row for each, and explanations below the table. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "cli/output.h"
#include "cli/service_list.h"
#include "cli/status.h"

struct state_context {
	const struct view *view;
	const struct view_datapath *datapath;
};

static uint32_t state_rank(const void *context, uint32_t id)
{
	const struct state_context *state = context;

	return view_service_state(state->view, state->datapath, id);
}

/* Prints "10003 services: 2 active, 3 bypassed, 9998 idle". */
static void print_summary(const struct service_row *rows, size_t count)
{
	size_t counts[SERVICE_STATE_COUNT] = { 0 };
	const char *separator = ":";

	for (size_t i = 0; i < count; i++)
		counts[rows[i].rank]++;
	print_coloured(COLOUR_BOLD, "%zu service%s", count, count == 1 ? "" : "s");
	for (size_t i = 0; i < SERVICE_STATE_COUNT; i++) {
		if (!counts[i])
			continue;
		printf("%s ", separator);
		print_coloured(service_state_table[i].colour, "%zu %s", counts[i], service_state_table[i].summary);
		separator = ",";
	}
	printf("\n");
}

/* Adds the reason for the state. Out-of-state segments may be dropped in any state, so their reason is added to it. */
static void add_reason(struct table *table, const struct view *view, const struct view_datapath *datapath,
		       const struct service_row *row)
{
	const struct shakeoff_service *service = row->service;
	enum service_state state = row->rank;
	const char *why = view_service_reason(datapath, row->id, state).name;

	if (state == STATE_OUT_OF_STATE || !service_drops_out_of_state(service, view->now_ns))
		table_cell(table, "%s", why);
	else
		table_cell(table, "%s%s%s", why, *why ? ", " : "", service_out_of_state(service).name);
}

static void add_service(struct table *table, const struct view *view, const struct view_datapath *datapath,
			const struct service_row *row)
{
	const struct shakeoff_service *service = row->service;
	char addresses[VIEW_ADDRESSES], since[TEXT_DURATION] = "";
	enum service_state state = row->rank;
	uint64_t age_ns;

	view_addresses(datapath, row->id, addresses, sizeof(addresses));
	if (service_since(service, state, view->now_ns, &age_ns))
		text_duration(age_ns, since, sizeof(since));
	table_cell(table, "%s", service->name);
	table_cell_coloured(table, service_state_table[state].colour, "%s", service_state_table[state].name);
	add_reason(table, view, datapath, row);
	table_cell(table, "%s", since);
	table_cell(table, "%s", service_handoff_name(service));
	table_cell(table, "%s", service->flags & SHAKEOFF_SERVICE_DISCOVERED ? "discovered" : "configured");
	table_cell(table, "%u", service->servers);
	table_cell(table, "%" PRIu32, service->capacity);
	table_cell(table, "%s", addresses);
}

static bool any_has(const struct view *view, const struct view_datapath *datapath, const struct service_row *rows,
		    size_t count, const char *reason)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(view_service_reason(datapath, rows[i].id, rows[i].rank).name, reason) ||
		    (service_drops_out_of_state(rows[i].service, view->now_ns) &&
		     !strcmp(service_out_of_state(rows[i].service).name, reason)))
			return true;
	return false;
}

static void print_reason(const struct view *view, const struct view_datapath *datapath, const struct service_row *rows,
			 size_t count, const struct named *reason, const char **before)
{
	if (!any_has(view, datapath, rows, count, reason->name))
		return;
	printf("%s%s: %s\n", *before, reason->name, reason->help);
	*before = "";
}

static bool is_bypassed(const struct view_address *address)
{
	return address->bypassed;
}

static bool is_elsewhere(const struct view_address *address)
{
	return address->elsewhere;
}

static bool is_tagged(const struct view_address *address)
{
	return address->tagged;
}

static bool is_untested(const struct view_address *address)
{
	return address->untested;
}

/* Explains a word behind an address, if an address has it. */
static void print_mark(const struct view_datapath *datapath, bool (*has)(const struct view_address *address),
		       const char *mark, const char *help, const char **before)
{
	for (size_t i = 0; i < datapath->address_count; i++) {
		if (!has(&datapath->addresses[i]))
			continue;
		printf("%s(%s): %s\n", *before, mark, help);
		*before = "";
		return;
	}
}

/* Explains the names in the column "Reason" that occur. */
static void print_reasons(const struct view *view, const struct view_datapath *datapath, const struct service_row *rows,
			  size_t count)
{
	bool bridged = any_has(view, datapath, rows, count, bypass_table[SHAKEOFF_BYPASS_BRIDGE].name);
	const char *before = "\n";
	char help[1024];

	for (size_t i = 1; i < SHAKEOFF_CAUSE_COUNT; i++)
		print_reason(view, datapath, rows, count, &cause_table[i], &before);
	for (size_t i = 1; i < SHAKEOFF_NO_SOCKET_KIND_COUNT; i++)
		print_reason(view, datapath, rows, count, &no_socket_table[i], &before);
	for (size_t i = 1; i < SHAKEOFF_BYPASS_COUNT; i++)
		print_reason(view, datapath, rows, count, &bypass_table[i], &before);
	for (size_t i = 1; i < OBSTACLE_COUNT; i++)
		print_reason(view, datapath, rows, count, &obstacle_table[i], &before);
	print_reason(view, datapath, rows, count, &reason_no_room, &before);
	print_reason(view, datapath, rows, count, &reason_no_address, &before);
	print_reason(view, datapath, rows, count, &reason_tag_hidden, &before);
	print_reason(view, datapath, rows, count, &reason_elsewhere, &before);
	print_mark(datapath, is_elsewhere, "elsewhere", reason_elsewhere.help, &before);
	print_mark(datapath, is_tagged, "tagged", reason_tag_hidden.help, &before);
	print_mark(
		datapath, is_untested, "untested",
		"the self-test could not try whether an ACK and a SYN reach it: no route leads over an interface, the "
		"test is not allowed, or the firewall lets in neighbours, but no probe from outside; "
		"its rules alone decide",
		&before);
	snprintf(
		help, sizeof(help),
		"this address is bypassed. Reasons: %s; its routes cannot be followed; firewall rules match SYN flags, "
		"or cannot be read; only the kernel can serve another user's listening socket there (MPTCP, TCP-MD5 "
		"keys, another device)",
		bypass_table[bridged ? SHAKEOFF_BYPASS_BRIDGE : SHAKEOFF_BYPASS_NETFILTER].help);
	print_mark(datapath, is_bypassed, "bypassed", help, &before);
}

/* Prints the firewall rule because of which a service, or some of its addresses, is bypassed. */
static void print_rules(const struct service_row *rows, size_t count)
{
	const char *before = "\n";

	for (size_t i = 0; i < count; i++) {
		char rule[SHAKEOFF_RULE_LEN];

		text_printable(rows[i].service->bypass_rule, rule, sizeof(rule));
		if (!*rule)
			continue;
		printf("%s%s: bypassed because of the firewall's rules: %s\n", before, rows[i].service->name, rule);
		before = "";
	}
}

static void print_forgery(const struct view *view, const struct service_row *rows, size_t count)
{
	const char *before = "\n";

	for (size_t i = 0; i < count; i++) {
		char since[TEXT_DURATION];
		uint64_t age_ns;

		if (!service_forgery(rows[i].service, view->now_ns, &age_ns))
			continue;
		text_duration(age_ns, since, sizeof(since));
		printf("%s%s: an ACK flood tries to forge its cookies, since %s\n", before, rows[i].service->name,
		       since);
		before = "";
	}
}

/* Prints addresses without room. A full table is an expected limit, but the operator has to know what is missing. */
static void print_no_room(const struct service_row *rows, size_t count)
{
	const char *before = "\n";
	size_t total = 0;

	for (size_t i = 0; i < count; i++) {
		const struct shakeoff_service *service = rows[i].service;
		char endpoint[TEXT_ENDPOINT];
		struct in6_addr first;

		if (!service->no_room)
			continue;
		memcpy(&first, service->no_room_address, sizeof(first));
		text_endpoint(&first, service->no_room_port, endpoint, sizeof(endpoint));
		fputs(before, stdout);
		print_coloured(COLOUR_BAD, "%s: %" PRIu32 " of its addresses have no room, from %s on", service->name,
			       service->no_room, endpoint);
		printf("\n");
		before = "";
		total += service->no_room;
	}
	if (total)
		printf("The hook's table of addresses is full (%u of a family): %zu addresses and ports have no room "
		       "and are not protected\n",
		       SHAKEOFF_MAX_ADDRESSES, total);
}

/* Prints listening sockets for which the table of services has no room: they are in no list above. */
static void print_no_service(const struct shakeoff_control *control)
{
	if (!control->no_service)
		return;
	printf("\n");
	print_coloured(COLOUR_BAD, "%" PRIu32 " listening sockets are not protected", control->no_service);
	printf(", from port %" PRIu32
	       " on: the table of services has no room for them, or their user has a quarter of it (%u) "
	       "already. Most are user %" PRIu32 "'s\n",
	       control->no_service_port, SHAKEOFF_MAX_SERVICES / 4, control->no_service_uid);
}

int status_print_services(const struct view *view, const struct view_datapath *datapath, bool all)
{
	static const char *const headings[] = { "Service", "State",    "Reason",    "Since",     "Handoff",
						"Origin",  ">Servers", ">Capacity", "Addresses", NULL };
	struct state_context context = { view, datapath };
	cleanup_free struct service_row *rows = NULL;
	struct table *table;
	size_t count, shown;
	int error = service_list(datapath->services, state_rank, &context, &rows, &count);

	if (error)
		return error;
	printf("\n");
	if (!count) {
		printf("No service is published: all packets pass untouched.\n");
		return 0;
	}
	shown = all || count < SERVICE_LIST_SHOWN ? count : SERVICE_LIST_SHOWN;
	print_summary(rows, count);
	table = table_new(headings);
	for (size_t i = 0; i < shown; i++)
		add_service(table, view, datapath, &rows[i]);
	table_print(table, stdout);
	if (shown < count)
		printf("and %zu more: --all lists them\n", count - shown);
	print_reasons(view, datapath, rows, shown);
	print_rules(rows, shown);
	print_no_room(rows, count);
	print_no_service(&datapath->control);
	print_forgery(view, rows, count);
	return 0;
}
