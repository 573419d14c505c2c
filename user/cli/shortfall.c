/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/array.h"
#include "cli/shortfall.h"

static const struct {
	const char *name, *help;
} kinds[SHORTFALL_KIND_COUNT] = {
#define X(constant, name, help) [constant] = { name, help },
	SHORTFALLS(X)
#undef X
};

static int add(struct shortfalls *shortfalls, enum shortfall_kind kind, const char *interfaces,
	       const struct datapath_front *front)
{
	struct shortfall shortfall = { .kind = kind };

	if (front)
		shortfall.front = *front;
	snprintf(shortfall.interfaces, sizeof(shortfall.interfaces), "%s", interfaces);
	return array_append(shortfalls->list, shortfalls->count, shortfall);
}

static int find_at_daemon(const struct view *view, const struct view_datapath *datapath, const char *ifname,
			  struct shortfalls *shortfalls)
{
	const struct shakeoff_control *control = &datapath->control;
	char missing[sizeof(control->missing_name) + 1] = "";
	uint64_t age_ns;
	int error = 0;

	switch (daemon_state(control, view->now_ns, &age_ns)) {
	case DAEMON_NEVER: return add(shortfalls, SHORTFALL_DAEMON_NOT_RUNNING, datapath->interfaces, NULL);
	case DAEMON_DEAD: error = add(shortfalls, SHORTFALL_DAEMON_DEAD, datapath->interfaces, NULL); break;
	case DAEMON_ALIVE: break;
	}
	if (!error && !(control->flags & SHAKEOFF_KEYS_LOADED))
		error = add(shortfalls, SHORTFALL_NO_KEYS, datapath->interfaces, NULL);
	if (!error && control->rules_unread)
		error = add(shortfalls, SHORTFALL_RULES_UNREAD, datapath->interfaces, NULL);
	memcpy(missing, control->missing_name, sizeof(control->missing_name));
	if (!error && control->missing && !ifname)
		error = add(shortfalls, SHORTFALL_INTERFACE_MISSING, missing, NULL);
	return error;
}

static bool has_daemon(const struct view *view, uint32_t control_id)
{
	uint64_t age_ns;

	for (size_t i = 0; i < view->datapath_count; i++)
		if (view->datapaths[i].control_id == control_id)
			return daemon_state(&view->datapaths[i].control, view->now_ns, &age_ns) == DAEMON_ALIVE;
	return false;
}

/*
 * Finds the kind of a shortfall. What only a daemon provides is not a shortfall of its own when the daemon is missing.
 */
static bool find_kind(enum interface_obstacle obstacle, bool daemon, enum shortfall_kind *kind)
{
	switch (obstacle) {
	case OBSTACLE_NO_TC: *kind = SHORTFALL_NO_TC; return true;
	case OBSTACLE_TC_ORDER: *kind = SHORTFALL_TC_ORDER; return true;
	case OBSTACLE_TC_LOST: *kind = SHORTFALL_TC_LOST; return true;
	case OBSTACLE_NOT_YET: *kind = SHORTFALL_NOT_YET; return daemon;
	default: return false;
	}
}

/* Finds shortfalls at egress of an interface with a tc program at ingress. */
static int find_at_egress(const struct datapath_attachment *attachment, struct shortfalls *shortfalls)
{
	struct datapath_front front;

	if (!attachment->admit_id)
		return 0;
	if (!attachment->outgoing_id)
		return add(shortfalls, SHORTFALL_NO_TC_EGRESS, attachment->ifname, NULL);
	if (datapath_position(attachment->ifindex, DATAPATH_EGRESS, attachment->outgoing_id) !=
	    DATAPATH_POSITION_BEHIND)
		return 0;
	datapath_front(attachment->ifindex, DATAPATH_EGRESS, &front);
	return add(shortfalls, SHORTFALL_TC_ORDER_EGRESS, attachment->ifname, &front);
}

static int find_at_interface(const struct view *view, size_t i, struct shortfalls *shortfalls)
{
	const struct datapath_attachment *attachment = &view->attachments[i];
	struct datapath_front front = { 0 };
	enum shortfall_kind kind;
	int error = 0;

	if (attachment->abi != SHAKEOFF_ABI)
		return add(shortfalls, SHORTFALL_OTHER_VERSION, attachment->ifname, NULL);
	if (find_kind(view->obstacles[i], has_daemon(view, attachment->control_id), &kind)) {
		if (kind == SHORTFALL_TC_ORDER)
			datapath_front(attachment->ifindex, DATAPATH_INGRESS, &front);
		error = add(shortfalls, kind, attachment->ifname, &front);
	}
	return error ? error : find_at_egress(attachment, shortfalls);
}

int shortfalls_find(const struct view *view, const char *ifname, struct shortfalls *shortfalls)
{
	int error = 0;

	*shortfalls = (struct shortfalls){ 0 };
	for (size_t i = 0; i < view->datapath_count && !error; i++)
		error = find_at_daemon(view, &view->datapaths[i], ifname, shortfalls);
	for (size_t i = 0; i < view->attachment_count && !error; i++)
		if (view->attachments[i].ours && (!ifname || !strcmp(ifname, view->attachments[i].ifname)))
			error = find_at_interface(view, i, shortfalls);
	return error;
}

const char *shortfall_name(enum shortfall_kind kind)
{
	return kinds[kind].name;
}

void shortfall_sentence(const struct shortfall *shortfall, char *text, size_t size)
{
	int used = snprintf(text, size, "%s: %s", shortfall->interfaces, kinds[shortfall->kind].help);

	if (shortfall->front.id && used > 0 && (size_t)used < size)
		snprintf(text + used, size - used, ": %s, id %u",
			 *shortfall->front.name ? shortfall->front.name : "without a name", shortfall->front.id);
}
