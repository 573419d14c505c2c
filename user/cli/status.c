/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "cli/output.h"
#include "cli/service_list.h"
#include "cli/shortfall.h"
#include "cli/view.h"

static const char *owner_name(const struct datapath_attachment *attachment)
{
	enum datapath_owner owner;

	if (!attachment->ours)
		return "foreign";
	if (datapath_owner(attachment->ifname, &owner))
		return "?";
	return owner == DATAPATH_OWNER_DAEMON ? "shakeoffd" :
	       owner == DATAPATH_OWNER_ATTACH ? "shakeoff attach" :
						"netlink";
}

static bool is_other_version(const struct datapath_attachment *attachment)
{
	return attachment->ours && attachment->abi != SHAKEOFF_ABI;
}

static uint32_t epoch_now(const struct view *view, const struct view_datapath *datapath)
{
	return (view->now_ns + datapath->control.epoch_offset_ns) / SHAKEOFF_EPOCH_NS;
}

static uint64_t uptime_ns(const struct view *view, const struct view_datapath *datapath)
{
	uint64_t started = datapath->control.started_ns;

	return started && view->now_ns > started ? view->now_ns - started : 0;
}

/* ---------------------------------------------------------------------------------------- people: interfaces, daemon */

static void add_interface(struct table *table, const struct datapath_attachment *attachment,
			  enum interface_obstacle obstacle)
{
	bool ours = attachment->ours;

	table_cell(table, "%s", attachment->ifname);
	table_cell(table, "%s", attachment->native ? "native" : "generic");
	table_cell_coloured(table, ours ? COLOUR_NONE : COLOUR_WARN, "%s", owner_name(attachment));
	table_cell(table, "%" PRIu32, attachment->mtu);
	table_cell(table, "%" PRIu32, attachment->prog_id);
	if (attachment->admit_id)
		table_cell(table, "%" PRIu32, attachment->admit_id);
	else
		table_cell(table, "-");
	if (ours && !is_other_version(attachment))
		table_cell_coloured(table, obstacle ? COLOUR_WARN : COLOUR_GOOD, "%s", obstacle_column(obstacle));
	else
		table_cell(table, "-");
	if (is_other_version(attachment))
		table_cell_coloured(table, COLOUR_BAD, "%s (of another version: ABI %d)", attachment->prog_name,
				    attachment->abi);
	else
		table_cell(table, "%s", attachment->prog_name);
}

static void print_interfaces(const struct view *view, const char *ifname)
{
	static const char *const headings[] = { "Interface",   "Mode",         "Attached by", ">MTU", ">Program",
						">Tc program", "To listeners", "Name",        NULL };
	struct table *table = table_new(headings);

	for (size_t i = 0; i < view->attachment_count; i++)
		if (!ifname || !strcmp(ifname, view->attachments[i].ifname))
			add_interface(table, &view->attachments[i], view->obstacles[i]);
	table_print(table, stdout);
	table_free(table);
}

static void print_daemon(const struct view *view, const struct view_datapath *datapath)
{
	char age[TEXT_DURATION], uptime[TEXT_DURATION];
	uint64_t age_ns;

	printf("%sDaemon%s   ", colour_begin(COLOUR_BOLD), colour_end(COLOUR_BOLD));
	switch (daemon_state(&datapath->control, view->now_ns, &age_ns)) {
	case DAEMON_NEVER:
		printf("%snot running%s: nothing is answered\n", colour_begin(COLOUR_BAD), colour_end(COLOUR_BAD));
		break;
	case DAEMON_ALIVE:
		text_duration(uptime_ns(view, datapath), uptime, sizeof(uptime));
		text_duration(age_ns, age, sizeof(age));
		printf("%salive%s, pid %" PRIu32 ", up %s, last heartbeat %s ago\n", colour_begin(COLOUR_GOOD),
		       colour_end(COLOUR_GOOD), datapath->control.daemon_pid, uptime, age);
		break;
	case DAEMON_DEAD:
		text_duration(age_ns, age, sizeof(age));
		printf("%sdead%s, no heartbeat for %s, pid was %" PRIu32 "\n", colour_begin(COLOUR_BAD),
		       colour_end(COLOUR_BAD), age, datapath->control.daemon_pid);
		break;
	}
	printf("%sCookies%s  %s, epoch %" PRIu32 "\n", colour_begin(COLOUR_BOLD), colour_end(COLOUR_BOLD),
	       datapath->control.flags & SHAKEOFF_KEYS_LOADED ? "keys loaded" : "no keys: nothing is answered",
	       epoch_now(view, datapath));
}

/* ------------------------------------------------------------------------------------------------- people: services */

struct state_context {
	const struct view *view;
	const struct view_datapath *datapath;
};

static uint32_t state_rank(const void *context, uint32_t id)
{
	const struct state_context *state = context;

	return view_service_state(state->view, state->datapath, id);
}

/* "10003 services: 2 engaged, 3 left to the kernel, 9998 in peace" */
static void print_summary(const struct service_row *rows, size_t count)
{
	size_t counts[SERVICE_STATE_COUNT] = { 0 };
	const char *separator = ":";

	for (size_t i = 0; i < count; i++)
		counts[rows[i].rank]++;
	printf("%s%zu service%s%s", colour_begin(COLOUR_BOLD), count, count == 1 ? "" : "s", colour_end(COLOUR_BOLD));
	for (size_t i = 0; i < SERVICE_STATE_COUNT; i++) {
		if (!counts[i])
			continue;
		printf("%s %s%zu %s%s", separator, colour_begin(service_state_table[i].colour), counts[i],
		       service_state_table[i].summary, colour_end(service_state_table[i].colour));
		separator = ",";
	}
	printf("\n");
}

/* Strays may be dropped in any state: then it is said beside the state's own reason. */
static void add_reason(struct table *table, const struct view *view, const struct view_datapath *datapath,
		       const struct service_row *row)
{
	const struct shakeoff_service *service = row->service;
	enum service_state state = row->rank;
	const char *why = view_service_reason(datapath, row->id, state).name;

	if (state == STATE_STRAYS || !service_drops_strays(service, view->now_ns))
		table_cell(table, "%s", why);
	else
		table_cell(table, "%s%s%s", why, *why ? ", " : "", service_strays(service).name);
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
		    (service_drops_strays(rows[i].service, view->now_ns) &&
		     !strcmp(service_strays(rows[i].service).name, reason)))
			return true;
	return false;
}

static void print_reason(const struct view *view, const struct view_datapath *datapath, const struct service_row *rows,
			 size_t count, const struct service_reason *reason, const char **before)
{
	if (!any_has(view, datapath, rows, count, reason->name))
		return;
	printf("%s%s: %s\n", *before, reason->name, reason->help);
	*before = "";
}

static bool is_left(const struct view_address *address)
{
	return address->left;
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

/* What a word behind an address means, if one has it. */
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

/* What the names in the column "Why" mean, of those that occur. */
static void print_reasons(const struct view *view, const struct view_datapath *datapath, const struct service_row *rows,
			  size_t count)
{
	bool bridged = any_has(view, datapath, rows, count, left_table[SHAKEOFF_LEFT_BRIDGE].name);
	const char *before = "\n";
	char left[1024];

	for (size_t i = 1; i < SHAKEOFF_ENGAGE_CAUSE_COUNT; i++)
		print_reason(view, datapath, rows, count, &cause_table[i], &before);
	for (size_t i = 1; i < SHAKEOFF_STRAY_KIND_COUNT; i++)
		print_reason(view, datapath, rows, count, &stray_table[i], &before);
	for (size_t i = 1; i < SHAKEOFF_LEFT_COUNT; i++)
		print_reason(view, datapath, rows, count, &left_table[i], &before);
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
		"the self-test could not try whether an ACK and a SYN reach it: no route leads over an interface, it is not allowed "
		"to, or the firewall lets in neighbours, but no probe from outside; its rules alone decide",
		&before);
	snprintf(
		left, sizeof(left),
		"this address is left to the kernel. Reasons: %s; its routes cannot be followed; firewall rules look at SYN flags, "
		"or cannot be read; another user's socket listens there that only the kernel can serve (MPTCP, TCP-MD5 keys, "
		"another device)",
		left_table[bridged ? SHAKEOFF_LEFT_BRIDGE : SHAKEOFF_LEFT_NETFILTER].help);
	print_mark(datapath, is_left, "left", left, &before);
}

/* Which rule it is that leaves a service, or some of its addresses, to the kernel. */
static void print_rules(const struct service_row *rows, size_t count)
{
	const char *before = "\n";

	for (size_t i = 0; i < count; i++) {
		char rule[SHAKEOFF_RULE_LEN];

		text_printable(rows[i].service->left_rule, rule, sizeof(rule));
		if (!*rule)
			continue;
		printf("%s%s: left to the kernel because of the firewall's rules: %s\n", before, rows[i].service->name,
		       rule);
		before = "";
	}
}

static void print_guessed(const struct view *view, const struct service_row *rows, size_t count)
{
	const char *before = "\n";

	for (size_t i = 0; i < count; i++) {
		char since[TEXT_DURATION];
		uint64_t age_ns;

		if (!service_guessed(rows[i].service, view->now_ns, &age_ns))
			continue;
		text_duration(age_ns, since, sizeof(since));
		printf("%s%s: an ACK flood guesses its cookies, since %s\n", before, rows[i].service->name, since);
		before = "";
	}
}

/* A table that is full is nobody's fault, but what is missing of it has to be known. */
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
		printf("%s%s%s: %" PRIu32 " of its addresses find no room, from %s on%s\n", before,
		       colour_begin(COLOUR_BAD), service->name, service->no_room, endpoint, colour_end(COLOUR_BAD));
		before = "";
		total += service->no_room;
	}
	if (total)
		printf("The hook's table of addresses is full (%u of a family): %zu addresses and ports have no room, and stay the "
		       "kernel's\n",
		       SHAKEOFF_MAX_ADDRESSES, total);
}

/* Listening sockets for which the table of services has no room: they are in no list above. */
static void print_no_service(const struct shakeoff_control *control)
{
	if (!control->no_service)
		return;
	printf("\n%s%" PRIu32 " listening sockets are no services, and stay the kernel's%s, from port %" PRIu32
	       " on: the table of services has no room for them, or their user has a quarter of it (%u) already. Most are user %" PRIu32
	       "'s\n",
	       colour_begin(COLOUR_BAD), control->no_service, colour_end(COLOUR_BAD), control->no_service_port,
	       SHAKEOFF_MAX_SERVICES / 4, control->no_service_uid);
}

/* Interfaces at which not all is as it looks. */
static void print_devices(const struct view *view, const char *ifname)
{
	for (size_t i = 0; i < view->attachment_count; i++) {
		const struct datapath_attachment *attachment = &view->attachments[i];
		const struct link_entry *device = topology_find(&view->topology, attachment->ifindex);
		enum interface_obstacle obstacle = view->obstacles[i];
		char sentence[DEVICE_SENTENCE];

		if (!attachment->ours || is_other_version(attachment) || !device ||
		    (ifname && strcmp(ifname, attachment->ifname)))
			continue;
		if (obstacle)
			printf("%s: %s\n", attachment->ifname, obstacle_table[obstacle].help);
		if (device_hides_tags(&view->topology, device, sentence, sizeof(sentence)))
			printf("%s\n", sentence);
		if (device_has_open_sibling(&view->topology, device, sentence, sizeof(sentence)))
			printf("%s\n", sentence);
	}
}

static int print_services(const struct view *view, const struct view_datapath *datapath, bool all)
{
	static const char *const headings[] = { "Service", "State",    "Why",       "Since",     "Handoff",
						"Origin",  ">Servers", ">Capacity", "Addresses", NULL };
	struct state_context context = { view, datapath };
	cleanup_free struct service_row *rows = NULL;
	struct table *table;
	size_t count, shown;
	int error = service_list(datapath->services, state_rank, &context, &rows, &count);

	if (error)
		return command_fail("status", NULL, error);
	printf("\n");
	if (!count) {
		printf("No service is published: all packets pass untouched.\n");
		return STATUS_OK;
	}
	shown = all || count < SERVICE_LIST_SHOWN ? count : SERVICE_LIST_SHOWN;
	print_summary(rows, count);
	table = table_new(headings);
	for (size_t i = 0; i < shown; i++)
		add_service(table, view, datapath, &rows[i]);
	table_print(table, stdout);
	table_free(table);
	if (shown < count)
		printf("and %zu more: --all lists them\n", count - shown);
	print_reasons(view, datapath, rows, shown);
	print_rules(rows, shown);
	print_no_room(rows, count);
	print_no_service(&datapath->control);
	print_guessed(view, rows, count);
	return STATUS_OK;
}

static void print_shortfalls(const struct shortfalls *shortfalls)
{
	char sentence[SHORTFALL_SENTENCE];

	if (!shortfalls->count)
		return;
	printf("\n%sProtection is less than configured:%s\n", colour_begin(COLOUR_BAD), colour_end(COLOUR_BAD));
	for (size_t i = 0; i < shortfalls->count; i++) {
		shortfall_sentence(&shortfalls->list[i], sentence, sizeof(sentence));
		printf("  %s\n", sentence);
	}
}

static int print_people(const struct view *view, const struct options *options, const struct shortfalls *shortfalls)
{
	int status = STATUS_OK;

	print_interfaces(view, options->ifname);
	print_devices(view, options->ifname);
	for (size_t i = 0; i < view->datapath_count && !status; i++) {
		const struct view_datapath *datapath = &view->datapaths[i];

		printf("\n");
		if (view->datapath_count > 1)
			printf("%sDatapath of %s%s\n", colour_begin(COLOUR_BOLD), datapath->interfaces,
			       colour_end(COLOUR_BOLD));
		print_daemon(view, datapath);
		status = print_services(view, datapath, options->all);
	}
	print_shortfalls(shortfalls);
	return status;
}

/* ------------------------------------------------------------------------------------------------------------ JSON */

static json_t *interface_json(const struct datapath_attachment *attachment, enum interface_obstacle obstacle)
{
	json_t *object = json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:s, s:b}", "name", attachment->ifname, "ifindex",
				   (json_int_t)attachment->ifindex, "mode", attachment->native ? "native" : "generic",
				   "attached_by", owner_name(attachment), "mtu", (json_int_t)attachment->mtu,
				   "program_id", (json_int_t)attachment->prog_id, "program_name", attachment->prog_name,
				   "foreign", !attachment->ours);

	if (attachment->ours) {
		json_object_set_new(object, "abi", json_integer(attachment->abi));
		json_object_set_new(object, "datapath", json_integer(attachment->control_id));
		json_object_set_new(object, "admit_id",
				    attachment->admit_id ? json_integer(attachment->admit_id) : json_null());
		json_object_set_new(object, "outgoing_id",
				    attachment->outgoing_id ? json_integer(attachment->outgoing_id) : json_null());
		json_object_set_new(object, "admits", json_boolean(!obstacle));
		json_object_set_new(object, "why", json_string(obstacle_table[obstacle].name));
	}
	return object;
}

static json_t *daemon_json(const struct view *view, const struct view_datapath *datapath)
{
	static const char *const names[] = {
		[DAEMON_NEVER] = "not running",
		[DAEMON_ALIVE] = "alive",
		[DAEMON_DEAD] = "dead",
	};
	uint64_t age_ns;
	enum daemon_state state = daemon_state(&datapath->control, view->now_ns, &age_ns);
	const struct shakeoff_control *control = &datapath->control;
	json_t *object = json_pack("{s:s, s:b}", "state", names[state], "alive", state == DAEMON_ALIVE);

	if (state != DAEMON_NEVER) {
		json_object_set_new(object, "pid", json_integer(datapath->control.daemon_pid));
		json_object_set_new(object, "heartbeat_age_ms", json_integer(age_ns / 1000000));
		json_object_set_new(object, "uptime_ms", json_integer(uptime_ns(view, datapath) / 1000000));
		json_object_set_new(object, "no_service", json_integer(control->no_service));
		json_object_set_new(object, "no_service_uid",
				    control->no_service ? json_integer(control->no_service_uid) : json_null());
	}
	return object;
}

/* Milliseconds since, or null: never, or not now. */
static json_t *age_json(const struct view *view, uint64_t then_ns)
{
	if (!then_ns)
		return json_null();
	return json_integer(view->now_ns > then_ns ? (view->now_ns - then_ns) / 1000000 : 0);
}

static void add_engagement(json_t *object, const struct view *view, const struct shakeoff_service *service,
			   enum service_state state, struct service_reason reason)
{
	bool engaged = state == STATE_FLOOD || state == STATE_ALWAYS;

	json_object_set_new(object, "why", json_string(reason.name));
	json_object_set_new(object, "engage", json_string(service_engage_name(service)));
	json_object_set_new(object, "engaged", json_boolean(engaged));
	json_object_set_new(object, "engaged_age_ms", age_json(view, engaged ? service->engaged_ns : 0));
	json_object_set_new(object, "pressure_age_ms", age_json(view, service->pressure_ns));
	json_object_set_new(object, "released_age_ms", age_json(view, service->released_ns));
	json_object_set_new(object, "engagements", json_integer(service->engagements));
	json_object_set_new(
		object, "cause",
		json_string(service->cause < SHAKEOFF_ENGAGE_CAUSE_COUNT ? cause_table[service->cause].name : "?"));
	json_object_set_new(object, "left", json_string(left_table[service_left(service)].name));
	json_object_set_new(object, "engage_rate", json_integer(service->engage_rate));
}

static json_t *strays_json(const struct view *view, const struct shakeoff_service *service)
{
	bool dropped = service_drops_strays(service, view->now_ns);

	return json_pack("{s:b, s:o, s:o, s:s, s:I}", "dropped", dropped, "dropped_age_ms",
			 age_json(view, dropped ? service->strays_ns : 0), "pressure_age_ms",
			 age_json(view, service->strays_pressure_ns), "kind", service_strays(service).name, "times",
			 (json_int_t)service->strays_times);
}

static json_t *service_json(const struct view *view, const struct view_datapath *datapath,
			    const struct service_row *row)
{
	const struct shakeoff_service *service = row->service;
	enum service_state state = view_service_state(view, datapath, row->id);
	uint64_t guessed_ns;
	json_t *object = json_pack("{s:s, s:I, s:s, s:b, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "name",
				   service->name, "id", (json_int_t)row->id, "state", service_state_table[state].name,
				   "discovered", !!(service->flags & SHAKEOFF_SERVICE_DISCOVERED), "served",
				   !!(service->flags & SHAKEOFF_SERVICE_SERVED), "handoff",
				   service_handoff_name(service), "overflow", service_overflow_name(service), "servers",
				   (json_int_t)service->servers, "capacity", (json_int_t)service->capacity, "backlog",
				   (json_int_t)service->backlog, "listen_backlog",
				   (json_int_t)view_listen_backlog(service), "addresses",
				   view_addresses_json(datapath, row->id));

	json_object_set_new(object, "left_addresses", view_left_addresses_json(datapath, row->id));
	json_object_set_new(object, "left_rule", json_string(service->left_rule));
	json_object_set_new(object, "no_room", json_integer(service->no_room));
	add_engagement(object, view, service, state, view_service_reason(datapath, row->id, state));
	json_object_set_new(object, "guessed_age_ms",
			    age_json(view,
				     service_guessed(service, view->now_ns, &guessed_ns) ? service->guessed_ns : 0));
	json_object_set_new(object, "strays", strays_json(view, service));
	return object;
}

/* NULL without memory. */
static json_t *datapath_json(const struct view *view, const struct view_datapath *datapath)
{
	cleanup_free struct service_row *rows = NULL;
	json_t *services, *interfaces;
	double asked_share;
	size_t count;

	if (service_list(datapath->services, NULL, NULL, &rows, &count))
		return NULL;
	services = json_array();
	interfaces = json_array();
	for (size_t i = 0; i < view->attachment_count; i++)
		if (view->attachments[i].ours && view->attachments[i].control_id == datapath->control_id)
			json_array_append_new(interfaces, json_string(view->attachments[i].ifname));
	for (size_t i = 0; i < count; i++)
		json_array_append_new(services, service_json(view, datapath, &rows[i]));
	if (datapath_asked_share(datapath->datapath, view->now_ns, &asked_share))
		asked_share = 0;
	return json_pack("{s:I, s:o, s:o, s:b, s:I, s:f, s:I, s:o}", "id", (json_int_t)datapath->control_id,
			 "interfaces", interfaces, "daemon", daemon_json(view, datapath), "keys_loaded",
			 !!(datapath->control.flags & SHAKEOFF_KEYS_LOADED), "epoch",
			 (json_int_t)epoch_now(view, datapath), "asked_share", asked_share, "rings",
			 (json_int_t)datapath->control.rings, "services", services);
}

static json_t *shortfalls_json(const struct shortfalls *shortfalls)
{
	json_t *array = json_array();

	for (size_t i = 0; i < shortfalls->count; i++) {
		const struct shortfall *shortfall = &shortfalls->list[i];
		char sentence[SHORTFALL_SENTENCE];

		shortfall_sentence(shortfall, sentence, sizeof(sentence));
		json_array_append_new(
			array, json_pack("{s:s, s:s, s:s, s:I, s:s}", "name", shortfall_name(shortfall->kind),
					 "interfaces", shortfall->interfaces, "help", sentence, "program_id",
					 (json_int_t)shortfall->front.id, "program_name", shortfall->front.name));
	}
	return array;
}

static int print_json(const struct view *view, const char *ifname, const struct shortfalls *shortfalls)
{
	json_t *interfaces = json_array(), *datapaths = json_array();

	for (size_t i = 0; i < view->attachment_count; i++)
		if (!ifname || !strcmp(ifname, view->attachments[i].ifname))
			json_array_append_new(interfaces, interface_json(&view->attachments[i], view->obstacles[i]));
	for (size_t i = 0; i < view->datapath_count; i++)
		json_array_append_new(datapaths, datapath_json(view, &view->datapaths[i]));
	return json_print(json_pack("{s:b, s:o, s:o, s:o}", "as_configured", !shortfalls->count, "shortfalls",
				    shortfalls_json(shortfalls), "interfaces", interfaces, "datapaths", datapaths));
}

static int status(const struct options *options)
{
	struct shortfalls shortfalls = { 0 };
	struct view view;
	int result = view_open(&view, "status", options->ifname);

	if (!result && shortfalls_find(&view, options->ifname, &shortfalls))
		result = command_fail("status", NULL, -ENOMEM);
	else if (!result)
		result = options->json ? print_json(&view, options->ifname, &shortfalls) :
					 print_people(&view, options, &shortfalls);
	else if (view.attachment_count && !options->ifname && !options->json)
		print_interfaces(&view, NULL); /* what is there instead */
	if (!result && shortfalls.count)
		result = STATUS_FAILURE;
	free(shortfalls.list);
	view_close(&view);
	return result;
}

const struct command command_status = {
	.name = "status",
	.arguments = "[--all] [--json] [--bpffs DIR] [IFACE]",
	.summary = "Show interfaces, the daemon and the services",
	.help = "Reads the maps of what is attached: the daemon need not run. Foreign XDP programs are listed as such.\n"
		"\n"
		"What a service's state means:\n"
		"  peace               no flood: the kernel makes the handshakes; since the last flood, if there was one\n"
		"  engaged             SYNs are answered with cookies at the hook: since a flood began, or always\n"
		"  dropping strays     peace, but for segments that belong to no connection, of which there are too many\n"
		"  left to the kernel  only the kernel can make its handshakes: every SYN passes\n"
		"  unserved            nobody listens: its packets are left to the kernel\n"
		"  not protected       nothing that comes in is answered: Why says what is in the way\n"
		"  no room             the hook's table of addresses is full\n"
		"  no address          no address of this host leads to it\n"
		"  waiting for a server, waiting for keys, no tc program, daemon down\n"
		"\n"
		"Services in a flood come first, those in peace last, and configured services before discovered ones.\n"
		"Without --all at most 50 are listed. To listeners: whether the tc program, which gives connections to\n"
		"listening sockets, works there.\n"
		"\n"
		"Exit status: 0: everything is as configured; 1: protection is less than configured, or nothing is attached,\n"
		"and the last lines say why: the daemon does not run or stands still, there are no keys, the firewall's rules\n"
		"cannot be read, an interface of the configuration or a program is missing or of another version, another tc\n"
		"program stands before shakeoff's, or validated ACKs do not come to it; 2: wrong arguments. Services that are\n"
		"left to the kernel are no shortfall. With --json: as_configured, shortfalls.\n",
	.options = OPTION_ALL | OPTION_JSON | OPTION_BPFFS | OPTION_INTERFACE,
	.run = status,
};
