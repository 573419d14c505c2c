/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <inttypes.h>
#include <string.h>

#include "common/text.h"
#include "shakeoff/output.h"
#include "shakeoff/view.h"

static const char *const handoff_names[] = {
	[SHAKEOFF_HANDOFF_AUTO] = "auto",
	[SHAKEOFF_HANDOFF_LISTENER] = "listener",
	[SHAKEOFF_HANDOFF_QUEUE] = "queue",
};

static const char *handoff_name(const struct shakeoff_service *service)
{
	return service->handoff <= SHAKEOFF_HANDOFF_QUEUE ? handoff_names[service->handoff] : "?";
}

static const char *overflow_name(const struct shakeoff_service *service)
{
	return service->overflow == SHAKEOFF_OVERFLOW_RESET ? "reset" : "drop";
}

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

/* What a service does at the moment, in the words of the person who looks after it. */
static const char *state_name(const struct view *view, const struct view_datapath *datapath,
			      const struct shakeoff_service *service, enum colour *colour)
{
	uint64_t age_ns;

	*colour = COLOUR_WARN;
	if (view_daemon(view, datapath, &age_ns) != VIEW_DAEMON_ALIVE) {
		*colour = COLOUR_BAD;
		return "daemon down";
	}
	if (!(service->flags & SHAKEOFF_SERVICE_SERVED) || !service->servers)
		return "waiting for a server";
	if (!(datapath->control.flags & SHAKEOFF_KEYS_LOADED))
		return "waiting for keys";
	*colour = COLOUR_GOOD;
	return "serving";
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

/* ---------------------------------------------------------------------------------------------------------- people */

static void print_interfaces(const struct view *view, const char *ifname)
{
	static const char *const headings[] = { "Interface", "Mode", "Attached by", ">MTU", ">Program", "Name", NULL };
	struct table *table = table_new(headings);

	for (size_t i = 0; i < view->attachment_count; i++) {
		const struct datapath_attachment *attachment = &view->attachments[i];

		if (ifname && strcmp(ifname, attachment->ifname))
			continue;
		table_cell(table, "%s", attachment->ifname);
		table_cell(table, "%s", attachment->native ? "native" : "generic");
		table_cell_coloured(table, attachment->ours ? COLOUR_NONE : COLOUR_WARN, "%s", owner_name(attachment));
		table_cell(table, "%" PRIu32, attachment->mtu);
		table_cell(table, "%" PRIu32, attachment->prog_id);
		if (is_other_version(attachment))
			table_cell_coloured(table, COLOUR_BAD, "%s (of another version: ABI %d)", attachment->prog_name,
					    attachment->abi);
		else
			table_cell(table, "%s", attachment->prog_name);
	}
	table_print(table, stdout);
	table_free(table);
}

static void print_daemon(const struct view *view, const struct view_datapath *datapath)
{
	char age[TEXT_DURATION], uptime[TEXT_DURATION];
	uint64_t age_ns;

	printf("%sDaemon%s   ", colour_begin(COLOUR_BOLD), colour_end(COLOUR_BOLD));
	switch (view_daemon(view, datapath, &age_ns)) {
	case VIEW_DAEMON_NEVER: printf("%snot running%s\n", colour_begin(COLOUR_BAD), colour_end(COLOUR_BAD)); break;
	case VIEW_DAEMON_ALIVE:
		text_duration(uptime_ns(view, datapath), uptime, sizeof(uptime));
		text_duration(age_ns, age, sizeof(age));
		printf("%salive%s, pid %" PRIu32 ", up %s, last heartbeat %s ago\n", colour_begin(COLOUR_GOOD),
		       colour_end(COLOUR_GOOD), datapath->control.daemon_pid, uptime, age);
		break;
	case VIEW_DAEMON_DEAD:
		text_duration(age_ns, age, sizeof(age));
		printf("%sdead%s, no heartbeat for %s, pid was %" PRIu32 "\n", colour_begin(COLOUR_BAD),
		       colour_end(COLOUR_BAD), age, datapath->control.daemon_pid);
		break;
	}
	printf("%sCookies%s  %s, epoch %" PRIu32 "\n", colour_begin(COLOUR_BOLD), colour_end(COLOUR_BOLD),
	       datapath->control.flags & SHAKEOFF_KEYS_LOADED ? "keys loaded" : "no keys: nothing is answered",
	       epoch_now(view, datapath));
}

static void add_service(struct table *table, const struct view *view, const struct view_datapath *datapath, uint32_t id)
{
	const struct shakeoff_service *service = &datapath->services[id];
	enum colour colour;
	const char *state = state_name(view, datapath, service, &colour);
	char addresses[320];

	view_addresses(datapath, id, addresses, sizeof(addresses));
	table_cell(table, "%s", service->name);
	table_cell_coloured(table, colour, "%s", state);
	table_cell(table, "%s", handoff_name(service));
	table_cell(table, "%s", overflow_name(service));
	table_cell(table, "%u", service->servers);
	table_cell(table, "%" PRIu32, service->capacity);
	table_cell(table, "%s", addresses);
}

static void print_services(const struct view *view, const struct view_datapath *datapath)
{
	static const char *const headings[] = { "Service",  "State",     "Handoff",   "Overflow",
						">Servers", ">Capacity", "Addresses", NULL };
	struct table *table = table_new(headings);
	bool any = false;

	for (uint32_t i = 0; i < SHAKEOFF_MAX_SERVICES; i++) {
		if (!view_service_used(datapath, i))
			continue;
		add_service(table, view, datapath, i);
		any = true;
	}
	printf("\n");
	if (any)
		table_print(table, stdout);
	else
		printf("No service is published: all packets pass untouched.\n");
	table_free(table);
}

static int print_people(const struct view *view, const char *ifname)
{
	print_interfaces(view, ifname);
	for (size_t i = 0; i < view->datapath_count; i++) {
		const struct view_datapath *datapath = &view->datapaths[i];

		printf("\n");
		if (view->datapath_count > 1)
			printf("%sDatapath of %s%s\n", colour_begin(COLOUR_BOLD), datapath->interfaces,
			       colour_end(COLOUR_BOLD));
		print_daemon(view, datapath);
		print_services(view, datapath);
	}
	return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------------------ JSON */

static json_t *interface_json(const struct datapath_attachment *attachment)
{
	json_t *object = json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:s, s:b}", "name", attachment->ifname, "ifindex",
				   (json_int_t)attachment->ifindex, "mode", attachment->native ? "native" : "generic",
				   "attached_by", owner_name(attachment), "mtu", (json_int_t)attachment->mtu,
				   "program_id", (json_int_t)attachment->prog_id, "program_name", attachment->prog_name,
				   "foreign", !attachment->ours);

	if (attachment->ours) {
		json_object_set_new(object, "abi", json_integer(attachment->abi));
		json_object_set_new(object, "datapath", json_integer(attachment->control_id));
	}
	return object;
}

static json_t *daemon_json(const struct view *view, const struct view_datapath *datapath)
{
	static const char *const names[] = {
		[VIEW_DAEMON_NEVER] = "not running",
		[VIEW_DAEMON_ALIVE] = "alive",
		[VIEW_DAEMON_DEAD] = "dead",
	};
	uint64_t age_ns;
	enum view_daemon state = view_daemon(view, datapath, &age_ns);
	json_t *object = json_pack("{s:s, s:b}", "state", names[state], "alive", state == VIEW_DAEMON_ALIVE);

	if (state != VIEW_DAEMON_NEVER) {
		json_object_set_new(object, "pid", json_integer(datapath->control.daemon_pid));
		json_object_set_new(object, "heartbeat_age_ms", json_integer(age_ns / 1000000));
		json_object_set_new(object, "uptime_ms", json_integer(uptime_ns(view, datapath) / 1000000));
	}
	return object;
}

static json_t *service_json(const struct view *view, const struct view_datapath *datapath, uint32_t id)
{
	const struct shakeoff_service *service = &datapath->services[id];
	enum colour colour;

	return json_pack("{s:s, s:I, s:s, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "name", service->name, "id",
			 (json_int_t)id, "state", state_name(view, datapath, service, &colour), "served",
			 !!(service->flags & SHAKEOFF_SERVICE_SERVED), "handoff", handoff_name(service), "overflow",
			 overflow_name(service), "servers", (json_int_t)service->servers, "capacity",
			 (json_int_t)service->capacity, "backlog", (json_int_t)service->backlog, "listen_backlog",
			 (json_int_t)service->listen_backlog, "addresses", view_addresses_json(datapath, id));
}

static json_t *datapath_json(const struct view *view, const struct view_datapath *datapath)
{
	json_t *services = json_array(), *interfaces = json_array();

	for (size_t i = 0; i < view->attachment_count; i++)
		if (view->attachments[i].ours && view->attachments[i].control_id == datapath->control_id)
			json_array_append_new(interfaces, json_string(view->attachments[i].ifname));
	for (uint32_t i = 0; i < SHAKEOFF_MAX_SERVICES; i++)
		if (view_service_used(datapath, i))
			json_array_append_new(services, service_json(view, datapath, i));
	return json_pack("{s:I, s:o, s:o, s:b, s:I, s:I, s:o}", "id", (json_int_t)datapath->control_id, "interfaces",
			 interfaces, "daemon", daemon_json(view, datapath), "keys_loaded",
			 !!(datapath->control.flags & SHAKEOFF_KEYS_LOADED), "epoch",
			 (json_int_t)epoch_now(view, datapath), "rings", (json_int_t)datapath->control.rings,
			 "services", services);
}

static int print_json(const struct view *view, const char *ifname)
{
	json_t *interfaces = json_array(), *datapaths = json_array();

	for (size_t i = 0; i < view->attachment_count; i++)
		if (!ifname || !strcmp(ifname, view->attachments[i].ifname))
			json_array_append_new(interfaces, interface_json(&view->attachments[i]));
	for (size_t i = 0; i < view->datapath_count; i++)
		json_array_append_new(datapaths, datapath_json(view, &view->datapaths[i]));
	return json_print(json_pack("{s:o, s:o}", "interfaces", interfaces, "datapaths", datapaths));
}

static int status(const struct options *options)
{
	struct view view;
	int result = view_open(&view, "status", options->ifname);

	if (!result)
		result = options->json ? print_json(&view, options->ifname) : print_people(&view, options->ifname);
	else if (view.attachment_count && !options->ifname && !options->json)
		print_interfaces(&view, NULL); /* what is there instead */
	view_close(&view);
	return result;
}

const struct command command_status = {
	.name = "status",
	.arguments = "[--json] [--bpffs DIR] [IFACE]",
	.summary = "Show interfaces, the daemon and the services",
	.help = "Reads the maps of what is attached: the daemon need not run. Foreign XDP programs are listed as such.\n",
	.options = OPTION_JSON | OPTION_BPFFS | OPTION_INTERFACE,
	.run = status,
};
