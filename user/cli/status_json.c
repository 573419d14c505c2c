/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `shakeoff status --json`. */
#include <string.h>

#include "common/cleanup.h"
#include "cli/service_list.h"
#include "cli/status.h"

static json_t *interface_json(const struct datapath_attachment *attachment, enum interface_obstacle obstacle)
{
	json_t *object = json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:s, s:b}", "name", attachment->ifname, "ifindex",
				   (json_int_t)attachment->ifindex, "mode", attachment->native ? "native" : "generic",
				   "attached_by", status_owner_name(attachment), "mtu", (json_int_t)attachment->mtu,
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
		json_object_set_new(object, "reason", json_string(obstacle_table[obstacle].name));
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
		json_object_set_new(object, "uptime_ms", json_integer(status_uptime_ns(view, datapath) / 1000000));
		json_object_set_new(object, "no_service", json_integer(control->no_service));
		json_object_set_new(object, "no_service_uid",
				    control->no_service ? json_integer(control->no_service_uid) : json_null());
	}
	return object;
}

/* Returns the milliseconds since a time, or null: never, or not now. */
static json_t *age_json(const struct view *view, uint64_t then_ns)
{
	if (!then_ns)
		return json_null();
	return json_integer(view->now_ns > then_ns ? (view->now_ns - then_ns) / 1000000 : 0);
}

static void add_activation(json_t *object, const struct view *view, const struct shakeoff_service *service,
			   enum service_state state, struct named reason)
{
	bool active = state == STATE_FLOOD || state == STATE_ALWAYS;

	json_object_set_new(object, "reason", json_string(reason.name));
	json_object_set_new(object, "syncookies", json_string(service_syncookies_name(service)));
	json_object_set_new(object, "active", json_boolean(active));
	json_object_set_new(object, "active_age_ms", age_json(view, active ? service->syns.since_ns : 0));
	json_object_set_new(object, "surge_age_ms", age_json(view, service->syns.last_ns));
	json_object_set_new(object, "released_age_ms", age_json(view, service->released_ns));
	json_object_set_new(object, "activations", json_integer(service->activations));
	json_object_set_new(object, "cause",
			    json_string(service->cause < SHAKEOFF_CAUSE_COUNT ? cause_table[service->cause].name :
										"?"));
	json_object_set_new(object, "bypass", json_string(bypass_table[service_bypass(service)].name));
	json_object_set_new(object, "flood_rate", json_integer(service->flood_rate));
}

static json_t *out_of_state_json(const struct view *view, const struct shakeoff_service *service)
{
	bool dropped = service_drops_out_of_state(service, view->now_ns);

	return json_pack("{s:b, s:o, s:o, s:s, s:I}", "dropped", dropped, "dropped_age_ms",
			 age_json(view, dropped ? service->out_of_state.since_ns : 0), "surge_age_ms",
			 age_json(view, service->out_of_state.last_ns), "kind", service_out_of_state(service).name,
			 "times", (json_int_t)service->out_of_state_times);
}

static json_t *service_json(const struct view *view, const struct view_datapath *datapath,
			    const struct service_row *row)
{
	const struct shakeoff_service *service = row->service;
	enum service_state state = view_service_state(view, datapath, row->id);
	uint64_t forgery_ns;
	json_t *object = json_pack("{s:s, s:I, s:s, s:b, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "name",
				   service->name, "id", (json_int_t)row->id, "state", service_state_table[state].name,
				   "discovered", !!(service->flags & SHAKEOFF_SERVICE_DISCOVERED), "served",
				   !!(service->flags & SHAKEOFF_SERVICE_SERVED), "handoff",
				   service_handoff_name(service), "overflow", service_overflow_name(service), "servers",
				   (json_int_t)service->servers, "capacity", (json_int_t)service->capacity, "backlog",
				   (json_int_t)service->backlog, "listen_backlog",
				   (json_int_t)view_listen_backlog(service), "addresses",
				   view_addresses_json(datapath, row->id));

	json_object_set_new(object, "bypassed_addresses", view_bypassed_addresses_json(datapath, row->id));
	json_object_set_new(object, "bypass_rule", json_string(service->bypass_rule));
	json_object_set_new(object, "no_room", json_integer(service->no_room));
	add_activation(object, view, service, state, view_service_reason(datapath, row->id, state));
	json_object_set_new(
		object, "forgery_age_ms",
		age_json(view, service_forgery(service, view->now_ns, &forgery_ns) ? service->forgery.since_ns : 0));
	json_object_set_new(object, "out_of_state", out_of_state_json(view, service));
	return object;
}

/* Returns the object of a datapath, NULL without memory. */
static json_t *datapath_json(const struct view *view, const struct view_datapath *datapath)
{
	cleanup_free struct service_row *rows = NULL;
	json_t *services, *interfaces;
	double issued_false_positive_rate;
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
	if (datapath_issued_false_positive_rate(datapath->datapath, view->now_ns, &issued_false_positive_rate))
		issued_false_positive_rate = 0;
	return json_pack("{s:I, s:o, s:o, s:b, s:I, s:f, s:I, s:o}", "id", (json_int_t)datapath->control_id,
			 "interfaces", interfaces, "daemon", daemon_json(view, datapath), "keys_loaded",
			 !!(datapath->control.flags & SHAKEOFF_KEYS_LOADED), "epoch",
			 (json_int_t)status_epoch(view, datapath), "issued_false_positive_rate",
			 issued_false_positive_rate, "rings", (json_int_t)datapath->control.rings, "services",
			 services);
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

json_t *status_json(const struct subject *subject)
{
	json_t *interfaces = json_array(), *datapaths = json_array();
	const struct shortfalls *shortfalls = subject->data;
	const char *ifname = subject->options->ifname;
	const struct view *view = subject->view;

	for (size_t i = 0; i < view->attachment_count; i++)
		if (!ifname || !strcmp(ifname, view->attachments[i].ifname))
			json_array_append_new(interfaces, interface_json(&view->attachments[i], view->obstacles[i]));
	for (size_t i = 0; i < view->datapath_count; i++)
		json_array_append_new(datapaths, datapath_json(view, &view->datapaths[i]));
	return json_pack("{s:b, s:o, s:o, s:o}", "as_configured", !shortfalls->count, "shortfalls",
			 shortfalls_json(shortfalls), "interfaces", interfaces, "datapaths", datapaths);
}
