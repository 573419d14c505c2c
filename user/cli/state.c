/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/state.h"

const struct service_state_info service_state_table[SERVICE_STATE_COUNT] = {
#define X(constant, name, summary, colour) [constant] = { name, summary, colour },
	SERVICE_STATES(X)
#undef X
};

const struct named obstacle_table[OBSTACLE_COUNT] = {
#define X(constant, name, column, help) [constant] = { name, help },
	INTERFACE_OBSTACLES(X)
#undef X
};

const struct named reason_no_room = {
	"no_room",
	"the hook's table of addresses is full: low ports come first; `exclude =` leaves out ports that need no "
	"protection",
};
const struct named reason_no_address = { "no_address", "no address of this host belongs to it" };
const struct named reason_elsewhere = {
	"elsewhere",
	"its address is on a device that shakeoff is not attached to: its traffic is not protected",
};
const struct named reason_tag_hidden = {
	"vlan",
	"a VLAN device's address: frames whose tag the hook does not see pass to the kernel",
};

const char *obstacle_column(enum interface_obstacle obstacle)
{
	static const char *const columns[OBSTACLE_COUNT] = {
#define X(constant, name, column, help) [constant] = column,
		INTERFACE_OBSTACLES(X)
#undef X
	};

	return columns[obstacle];
}

static uint64_t age(uint64_t now_ns, uint64_t then_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

enum daemon_state daemon_state(const struct shakeoff_control *control, uint64_t now_ns, uint64_t *age_ns)
{
	*age_ns = control->heartbeat_ns ? age(now_ns, control->heartbeat_ns) : 0;
	if (!control->heartbeat_ns)
		return DAEMON_NEVER;
	return *age_ns > SHAKEOFF_HEARTBEAT_TIMEOUT_NS ? DAEMON_DEAD : DAEMON_ALIVE;
}

/*
 * Returns whether a service is in a flood. The hook becomes idle with the first packet after the hold time: without a
 * packet it has not noticed the end yet.
 */
static bool in_flood(const struct shakeoff_service *service, uint64_t now_ns)
{
	return service->syns.since_ns && shakeoff_surge_lasts(service->syns.last_ns, now_ns);
}

bool service_drops_out_of_state(const struct shakeoff_service *service, uint64_t now_ns)
{
	return service->out_of_state.since_ns && shakeoff_surge_lasts(service->out_of_state.last_ns, now_ns);
}

struct named service_out_of_state(const struct shakeoff_service *service)
{
	return service->out_of_state_kind < SHAKEOFF_NO_SOCKET_KIND_COUNT ?
		       no_socket_table[service->out_of_state_kind] :
		       (struct named){ "?", "" };
}

/*
 * Returns whether a service lacks its daemon. A stopped daemon has withdrawn its addresses; a dead one leaves listening
 * sockets protected.
 */
static bool lacks_daemon(const struct shakeoff_service *service, const struct shakeoff_control *control,
			 uint64_t now_ns)
{
	uint64_t age_ns;
	enum daemon_state state = daemon_state(control, now_ns, &age_ns);

	return state == DAEMON_NEVER || (state == DAEMON_DEAD && service->handoff != SHAKEOFF_HANDOFF_LISTENER);
}

enum shakeoff_bypass service_bypass(const struct shakeoff_service *service)
{
	uint32_t bypass = service->bypass ? service->bypass : service->seen_bypass;

	/* All its endpoints are bypassed; the hook's findings about a listening socket do not matter here. */
	if (service->handoff == SHAKEOFF_HANDOFF_QUEUE)
		return service->bypass < SHAKEOFF_BYPASS_COUNT ? service->bypass : SHAKEOFF_BYPASS_NONE;
	/* The hook found it at a socket that is gone. */
	if (service->syncookies != SHAKEOFF_SYNCOOKIES_NEVER && !service->servers)
		return SHAKEOFF_BYPASS_NONE;
	return bypass < SHAKEOFF_BYPASS_COUNT ? bypass : SHAKEOFF_BYPASS_NONE;
}

enum service_state service_state(const struct shakeoff_service *service, const struct shakeoff_control *control,
				 bool admits, uint64_t now_ns)
{
	bool listener = service->handoff == SHAKEOFF_HANDOFF_LISTENER;

	if (lacks_daemon(service, control, now_ns))
		return STATE_DAEMON_DOWN;
	if (!(service->flags & SHAKEOFF_SERVICE_SERVED))
		return STATE_NO_SERVER;
	if (!service->servers)
		return listener ? STATE_NO_SERVER : STATE_WAITING;
	if (service_bypass(service) != SHAKEOFF_BYPASS_NONE)
		return STATE_BYPASSED;
	if (!(control->flags & SHAKEOFF_KEYS_LOADED))
		return STATE_NO_KEYS;
	if (listener && !admits)
		return STATE_NO_TC;
	if (service->syncookies == SHAKEOFF_SYNCOOKIES_ALWAYS)
		return STATE_ALWAYS;
	if (in_flood(service, now_ns))
		return STATE_FLOOD;
	return service_drops_out_of_state(service, now_ns) ? STATE_OUT_OF_STATE : STATE_IDLE;
}

enum service_state service_state_there(enum service_state state, const struct shakeoff_service *service,
				       const struct service_presence *presence)
{
	bool listener = service->handoff == SHAKEOFF_HANDOFF_LISTENER;

	switch (state) {
	case STATE_NO_TC:
	case STATE_FLOOD:
	case STATE_OUT_OF_STATE:
	case STATE_ALWAYS:
	case STATE_IDLE: break;
	default: return state;
	}
	if (listener ? presence->obstacle != OBSTACLE_NONE : !presence->answers)
		return presence->obstacle == OBSTACLE_NO_TC && listener ? STATE_NO_TC : STATE_UNPROTECTED;
	if (!presence->addresses)
		return service->no_room ? STATE_NO_ROOM : STATE_NO_ADDRESS;
	if (presence->elsewhere == presence->addresses)
		return STATE_ELSEWHERE;
	if (presence->hides_tags && presence->tagged == presence->addresses && listener)
		return STATE_TAG_HIDDEN;
	return state;
}

struct named service_reason_there(const struct shakeoff_service *service, enum service_state state,
				  enum interface_obstacle obstacle)
{
	switch (state) {
	case STATE_NO_TC:
	case STATE_UNPROTECTED: return obstacle_table[obstacle];
	case STATE_NO_ROOM: return reason_no_room;
	case STATE_NO_ADDRESS: return reason_no_address;
	case STATE_ELSEWHERE: return reason_elsewhere;
	case STATE_TAG_HIDDEN: return reason_tag_hidden;
	default: return service_reason(service, state);
	}
}

struct named service_reason(const struct shakeoff_service *service, enum service_state state)
{
	switch (state) {
	case STATE_ALWAYS: return (struct named){ "always", "" };
	case STATE_BYPASSED: return bypass_table[service_bypass(service)];
	case STATE_FLOOD:
		if (service->cause < SHAKEOFF_CAUSE_COUNT)
			return cause_table[service->cause];
		break;
	case STATE_OUT_OF_STATE: return service_out_of_state(service);
	default: break;
	}
	return (struct named){ "", "" };
}

bool service_since(const struct shakeoff_service *service, enum service_state state, uint64_t now_ns, uint64_t *age_ns)
{
	uint64_t since = 0;

	if (state == STATE_FLOOD)
		since = service->syns.since_ns;
	else if (state == STATE_OUT_OF_STATE)
		since = service->out_of_state.since_ns;
	else if (state == STATE_IDLE && service->syns.since_ns)
		since = service->syns.last_ns + SHAKEOFF_FLOOD_HOLD_NS;
	else if (state == STATE_IDLE)
		since = service->released_ns;
	if (!since)
		return false;
	*age_ns = age(now_ns, since);
	return true;
}

/* As in the hook, it ends with the hold time; the hook notices that later. */
bool service_forgery(const struct shakeoff_service *service, uint64_t now_ns, uint64_t *age_ns)
{
	if (!service->forgery.since_ns || !shakeoff_surge_lasts(service->forgery.last_ns, now_ns))
		return false;
	*age_ns = age(now_ns, service->forgery.since_ns);
	return true;
}

const char *service_handoff_name(const struct shakeoff_service *service)
{
	switch (service->handoff) {
	case SHAKEOFF_HANDOFF_LISTENER: return "listener";
	case SHAKEOFF_HANDOFF_QUEUE: return "queue";
	default: return "?";
	}
}

const char *service_overflow_name(const struct shakeoff_service *service)
{
	return service->overflow == SHAKEOFF_OVERFLOW_RESET ? "reset" : "drop";
}

const char *service_syncookies_name(const struct shakeoff_service *service)
{
	switch (service->syncookies) {
	case SHAKEOFF_SYNCOOKIES_ALWAYS: return "always";
	case SHAKEOFF_SYNCOOKIES_ADAPTIVE: return "adaptive";
	case SHAKEOFF_SYNCOOKIES_NEVER: return "never";
	default: return "?";
	}
}
