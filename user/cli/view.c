/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "cli/view.h"

/* ------------------------------------------------------------------------------------------------------- addresses */

static int compare_addresses(const void *first, const void *second)
{
	const struct view_address *a = first, *b = second;
	int order = memcmp(&a->address, &b->address, sizeof(a->address));

	return order ? order : (int)a->port - (int)b->port;
}

static int add_address(void *context, const struct in6_addr *address, uint16_t port, uint32_t value)
{
	struct view_datapath *datapath = context;

	if (value & SHAKEOFF_ADDRESS_ITSELF)
		return 0;
	return array_append(datapath->addresses, datapath->address_count,
			    (struct view_address){
				    .address = *address,
				    .port = port,
				    .bypassed = value & SHAKEOFF_ADDRESS_BYPASSED,
				    .tagged = value & SHAKEOFF_ADDRESS_TAGGED,
				    .untested = value & SHAKEOFF_ADDRESS_UNTESTED,
				    .service = value & ~SHAKEOFF_ADDRESS_FLAGS,
			    });
}

const struct shakeoff_service *view_service_at(const struct view_datapath *datapath, const struct in6_addr *address,
					       uint16_t port)
{
	struct view_address wanted = { .address = *address, .port = port };
	const struct view_address *found;

	if (!datapath->address_count)
		return NULL;
	found = bsearch(&wanted, datapath->addresses, datapath->address_count, sizeof(wanted), compare_addresses);
	return found && found->service < SHAKEOFF_MAX_SERVICES ? &datapath->services[found->service] : NULL;
}

static int compare_services(const void *first, const void *second)
{
	const struct view_address *a = *(const struct view_address *const *)first;
	const struct view_address *b = *(const struct view_address *const *)second;

	return a->service != b->service ? (a->service > b->service) - (a->service < b->service) :
					  compare_addresses(a, b);
}

static int sort_addresses(struct view_datapath *datapath)
{
	if (!datapath->address_count)
		return 0;
	datapath->by_service = calloc(datapath->address_count, sizeof(*datapath->by_service));
	if (!datapath->by_service)
		return -ENOMEM;
	qsort(datapath->addresses, datapath->address_count, sizeof(*datapath->addresses), compare_addresses);
	for (size_t i = 0; i < datapath->address_count; i++)
		datapath->by_service[i] = &datapath->addresses[i];
	qsort(datapath->by_service, datapath->address_count, sizeof(*datapath->by_service), compare_services);
	return 0;
}

size_t view_addresses_of(const struct view_datapath *datapath, uint32_t service,
			 const struct view_address *const **first)
{
	size_t low = 0, high = datapath->address_count, end;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (datapath->by_service[middle]->service < service)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < datapath->address_count && datapath->by_service[end]->service == service; end++)
		continue;
	*first = datapath->by_service + low;
	return end - low;
}

void view_addresses(const struct view_datapath *datapath, uint32_t service, char *text, size_t size)
{
	const struct view_address *const *list;
	size_t count = view_addresses_of(datapath, service, &list), used = 0;

	const struct shakeoff_service *of = &datapath->services[service];
	bool none_yet = of->no_room || of->bypass || !(of->flags & SHAKEOFF_SERVICE_SERVED);

	snprintf(text, size, none_yet ? "none" : "none of this host's");
	for (size_t i = 0; i < count; i++) {
		char endpoint[TEXT_ENDPOINT + sizeof(" (elsewhere)")];

		text_endpoint(&list[i]->address, list[i]->port, endpoint, TEXT_ENDPOINT);
		if (list[i]->bypassed)
			strcat(endpoint, " (bypassed)");
		else if (list[i]->elsewhere)
			strcat(endpoint, " (elsewhere)");
		else if (list[i]->tagged)
			strcat(endpoint, " (tagged)");
		else if (list[i]->untested)
			strcat(endpoint, " (untested)");
		if (used + 1 + strlen(endpoint) + sizeof(" and 65536 more") > size) {
			snprintf(text + used, size - used, " and %zu more", count - i);
			break;
		}
		used += snprintf(text + used, size - used, "%s%s", used ? " " : "", endpoint);
	}
}

static json_t *addresses_json(const struct view_datapath *datapath, uint32_t service, bool only_bypassed)
{
	const struct view_address *const *list;
	size_t count = view_addresses_of(datapath, service, &list);
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++) {
		char endpoint[TEXT_ENDPOINT];

		if (only_bypassed && !list[i]->bypassed)
			continue;
		text_endpoint(&list[i]->address, list[i]->port, endpoint, sizeof(endpoint));
		json_array_append_new(array, json_string(endpoint));
	}
	return array;
}

json_t *view_addresses_json(const struct view_datapath *datapath, uint32_t service)
{
	return addresses_json(datapath, service, false);
}

json_t *view_bypassed_addresses_json(const struct view_datapath *datapath, uint32_t service)
{
	return addresses_json(datapath, service, true);
}

/* -------------------------------------------------------------------------------------------------------- datapaths */

/* Copies the state: daemon and hook go on writing, and every printed line must show the same values. */
static int copy_state(struct view_datapath *datapath)
{
	int result;

	datapath->services = calloc(SHAKEOFF_MAX_SERVICES, sizeof(*datapath->services));
	if (!datapath->services)
		return -ENOMEM;
	datapath->control = *datapath_control(datapath->datapath);
	memcpy(datapath->services, datapath_services(datapath->datapath),
	       SHAKEOFF_MAX_SERVICES * sizeof(*datapath->services));
	for (size_t i = 0; i < SHAKEOFF_MAX_SERVICES; i++)
		datapath->services[i].name[SHAKEOFF_NAME_LEN - 1] = '\0';

	result = datapath_address_each(datapath->datapath, add_address, datapath);
	return result ? result : sort_addresses(datapath);
}

static void name_interface(struct view_datapath *datapath, const char *ifname)
{
	size_t used = strlen(datapath->interfaces);

	snprintf(datapath->interfaces + used, sizeof(datapath->interfaces) - used, "%s%s", used ? ", " : "", ifname);
}

static struct view_datapath *find_datapath(struct view *view, uint32_t control_id)
{
	for (size_t i = 0; i < view->datapath_count; i++)
		if (view->datapaths[i].control_id == control_id)
			return &view->datapaths[i];
	return NULL;
}

/* A new daemon attaches to its interfaces within this time. */
#define TAKE_UP_NS 5000000000ull

/* Returns why the hook has no profile of an interface. */
static enum interface_obstacle why_unknown(const struct view_datapath *datapath)
{
	uint64_t age_ns, now_ns = clock_ns(), started_ns = datapath->control.started_ns;

	return daemon_state(&datapath->control, now_ns, &age_ns) == DAEMON_ALIVE && now_ns - started_ns > TAKE_UP_NS ?
		       OBSTACLE_NOT_NAMED :
		       OBSTACLE_NOT_YET;
}

/* Returns whether the hook knows the members of a bond that runs its program. */
static bool knows_members(const struct view *view, const struct view_datapath *datapath,
			  const struct link_entry *device)
{
	struct shakeoff_interface profile;

	for (size_t i = 0; i < view->topology.count && device_runs_at_members(device); i++)
		if (view->topology.list[i].master == device->ifindex &&
		    datapath_interface_get(datapath->datapath, view->topology.list[i].ifindex, &profile))
			return false;
	return true;
}

static enum interface_obstacle find_obstacle(const struct view *view, struct view_datapath *datapath,
					     const struct datapath_attachment *attachment)
{
	const struct link_entry *device = topology_find(&view->topology, attachment->ifindex);
	struct shakeoff_interface profile;
	char sentence[DEVICE_SENTENCE];
	bool known = !datapath_interface_get(datapath->datapath, attachment->ifindex, &profile);

	if (device && !device_is_served(device))
		return device_has_ethernet_header(device) ? OBSTACLE_VRF_DEVICE : OBSTACLE_NO_ETHERNET;
	known = known && (!device || knows_members(view, datapath, device));
	datapath->answers |= known && (!device || device->up);
	datapath->hides_tags |= device && device_hides_tags(&view->topology, device, sentence, sizeof(sentence));
	if (!datapath_can_admit())
		return OBSTACLE_KERNEL;
	if (device && device->in_vrf)
		return OBSTACLE_VRF;
	if (!known)
		return why_unknown(datapath);
	if (!attachment->admit_id)
		return OBSTACLE_NO_TC;
	if (profile.admits == SHAKEOFF_ADMITS_BEHIND ||
	    datapath_position(attachment->ifindex, DATAPATH_INGRESS, attachment->admit_id) == DATAPATH_POSITION_BEHIND)
		return OBSTACLE_TC_ORDER;
	if (profile.admits == SHAKEOFF_ADMITS_LOST)
		return OBSTACLE_TC_LOST;
	if (!profile.admits)
		return OBSTACLE_NOT_YET;
	return device && !device->up ? OBSTACLE_DOWN : OBSTACLE_NONE;
}

static int add_datapath(struct view *view, const struct datapath_attachment *attachment,
			enum interface_obstacle *obstacle)
{
	struct view_datapath *datapath = find_datapath(view, attachment->control_id);
	int result;

	if (!datapath) {
		datapath = &view->datapaths[view->datapath_count];
		datapath->control_id = attachment->control_id;
		result = datapath_open(attachment, &datapath->datapath);
		if (result)
			return result;
		view->datapath_count++;
		result = copy_state(datapath);
		if (result)
			return result;
	}
	name_interface(datapath, attachment->ifname);
	*obstacle = find_obstacle(view, datapath, attachment);
	datapath->works |= *obstacle == OBSTACLE_NONE;
	if (*obstacle > datapath->obstacle)
		datapath->obstacle = *obstacle;
	return 0;
}

/* Returns whether packets for a device's addresses come in at an interface of the datapath. */
static bool comes_in(const struct view *view, const struct view_datapath *datapath, const struct link_entry *device)
{
	for (size_t i = 0; i < view->attachment_count; i++) {
		const struct datapath_attachment *attachment = &view->attachments[i];
		const struct link_entry *below = topology_find(&view->topology, attachment->ifindex);

		if (attachment->ours && attachment->control_id == datapath->control_id && below &&
		    device_is_served(below) && device_is_reached(&view->topology, device, below))
			return true;
	}
	return false;
}

/* Marks all endpoints of an address. They are sorted by address, so its ports are adjacent. */
static void mark_elsewhere(struct view_datapath *datapath, const struct in6_addr *address, bool elsewhere)
{
	struct view_address first = { .address = *address };
	size_t low = 0, high = datapath->address_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_addresses(&datapath->addresses[middle], &first) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < datapath->address_count && IN6_ARE_ADDR_EQUAL(&datapath->addresses[low].address, address); low++)
		datapath->addresses[low].elsewhere = elsewhere;
}

static bool map_address(const struct sockaddr *of, struct in6_addr *address)
{
	static const struct in6_addr mapped = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

	if (!of || (of->sa_family != AF_INET && of->sa_family != AF_INET6))
		return false;
	*address = of->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)(const void *)of)->sin6_addr : mapped;
	if (of->sa_family == AF_INET)
		memcpy(&address->s6_addr[12], &((const struct sockaddr_in *)(const void *)of)->sin_addr, 4);
	return true;
}

/*
 * Finds addresses on other devices. Of an address on several devices one that works is enough, so those are checked
 * last.
 */
static void find_elsewhere(const struct view *view, struct view_datapath *datapath)
{
	struct ifaddrs *list;
	struct in6_addr address;

	if (getifaddrs(&list))
		return;
	for (int works = 0; works < 2; works++) {
		for (const struct ifaddrs *each = list; each; each = each->ifa_next) {
			const struct link_entry *device = topology_find(&view->topology,
									if_nametoindex(each->ifa_name));

			if (device && map_address(each->ifa_addr, &address) &&
			    comes_in(view, datapath, device) == works)
				mark_elsewhere(datapath, &address, !works);
		}
	}
	freeifaddrs(list);
}

static bool is_wanted(const struct view *view, const struct datapath_attachment *attachment, const char *ifname)
{
	if (!attachment->ours || attachment->abi != SHAKEOFF_ABI || !ifname)
		return attachment->ours && attachment->abi == SHAKEOFF_ABI;
	/* If one interface is named, all interfaces that share its datapath. */
	for (size_t i = 0; i < view->attachment_count; i++)
		if (!strcmp(view->attachments[i].ifname, ifname))
			return view->attachments[i].control_id == attachment->control_id;
	return false;
}

/* Reports why there is nothing to show. */
static int fail_nothing(const struct view *view, const char *what, const char *ifname)
{
	const struct datapath_attachment *there = NULL;
	struct datapath_attachment ignored;

	for (size_t i = 0; i < view->attachment_count; i++)
		if (!ifname || !strcmp(view->attachments[i].ifname, ifname))
			there = &view->attachments[i];
	if (ifname && datapath_look(ifname, &ignored) == -ENODEV)
		return command_fail(what, ifname, -ENODEV);

	if (there && there->ours)
		log_error(
			"%s: the program at %s belongs to another version of shakeoff (ABI %d, this is %d); `shakeoff "
			"attach --replace %s` attaches this version's program",
			what, there->ifname, there->abi, SHAKEOFF_ABI, there->ifname);
	else if (there && ifname)
		log_error("%s: %s has an XDP program that is not shakeoff's (%s, id %u)", what, ifname,
			  there->prog_name, there->prog_id);
	else if (ifname)
		log_error("%s: shakeoff is not attached to %s: run `shakeoff attach %s` or start shakeoffd", what,
			  ifname, ifname);
	else
		log_error(
			"%s: shakeoff is not attached to any interface of this network namespace: run `shakeoff attach "
			"IFACE` or start shakeoffd",
			what);
	return STATUS_FAILURE;
}

int view_open(struct view *view, const char *what, const char *ifname)
{
	int result;

	*view = (struct view){ 0 };
	if (!privileges_suffice(what))
		return STATUS_FAILURE;
	result = datapath_list(&view->attachments, &view->attachment_count);
	if (result)
		return command_fail(what, NULL, result);
	view->datapaths = calloc(view->attachment_count + 1, sizeof(*view->datapaths));
	view->obstacles = calloc(view->attachment_count + 1, sizeof(*view->obstacles));
	if (!view->datapaths || !view->obstacles)
		return command_fail(what, NULL, -ENOMEM);
	result = topology_read(&view->topology);
	if (result)
		return command_fail(what, NULL, result);

	for (size_t i = 0; i < view->attachment_count; i++) {
		const struct datapath_attachment *attachment = &view->attachments[i];

		view->obstacles[i] = OBSTACLE_NO_TC;
		if (!is_wanted(view, attachment, ifname))
			continue;
		result = add_datapath(view, attachment, &view->obstacles[i]);
		if (result && result != -ENOENT) /* detached in the meantime */
			return command_fail(what, attachment->ifname, result);
	}
	for (size_t i = 0; i < view->datapath_count; i++)
		find_elsewhere(view, &view->datapaths[i]);
	view->now_ns = clock_ns();
	return view->datapath_count ? STATUS_OK : fail_nothing(view, what, ifname);
}

void view_close(struct view *view)
{
	for (size_t i = 0; i < view->datapath_count; i++) {
		free(view->datapaths[i].by_service);
		free(view->datapaths[i].addresses);
		free(view->datapaths[i].services);
		datapath_close(view->datapaths[i].datapath);
	}
	free(view->datapaths);
	free(view->obstacles);
	topology_free(&view->topology);
	free(view->attachments);
	*view = (struct view){ 0 };
}

/* --------------------------------------------------------------------------------------------------------- meanings */

uint32_t view_listen_backlog(const struct shakeoff_service *service)
{
	return service->listen_capacity ? service->listen_capacity - 1 : 0;
}

uint32_t view_waiting(const struct shakeoff_service *service)
{
	int64_t waiting = (int64_t)(service->enqueued - service->dequeued);

	return waiting > 0 ? waiting : 0;
}

enum service_state view_service_state(const struct view *view, const struct view_datapath *datapath, uint32_t service)
{
	const struct shakeoff_service *of = &datapath->services[service];
	enum service_state state = service_state(of, &datapath->control, datapath->works, view->now_ns);
	const struct view_address *const *list;
	struct service_presence presence = {
		.obstacle = datapath->works ? OBSTACLE_NONE : datapath->obstacle,
		.answers = datapath->answers,
		.hides_tags = datapath->hides_tags,
		.addresses = view_addresses_of(datapath, service, &list),
	};

	for (size_t i = 0; i < presence.addresses; i++) {
		presence.tagged += list[i]->tagged;
		presence.elsewhere += list[i]->elsewhere;
	}
	return service_state_there(state, of, &presence);
}

struct named view_service_reason(const struct view_datapath *datapath, uint32_t service, enum service_state state)
{
	return service_reason_there(&datapath->services[service], state, datapath->obstacle);
}
