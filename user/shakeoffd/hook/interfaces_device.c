/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the host's devices mean for an interface: obstacles, a bond's members, VLAN devices above it. */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "shakeoffd/hook/interfaces_internal.h"

bool interfaces_report_refusal(struct interfaces *interfaces, const char *name)
{
	char sentence[DEVICE_SENTENCE];

	for (size_t i = 0; i < interfaces->topology.count; i++) {
		const struct link_entry *device = &interfaces->topology.list[i];

		if (strcmp(device->name, name) ||
		    !device_refuses(&interfaces->topology, device, sentence, sizeof(sentence)))
			continue;
		log_error("interface %s", sentence);
		return true;
	}
	return false;
}

static bool same_members(const struct interface *interface, const unsigned int *members, size_t count)
{
	return count == interface->member_count &&
	       (!count || !memcmp(members, interface->members, count * sizeof(*members)));
}

static bool is_member(const unsigned int *members, size_t count, unsigned int ifindex)
{
	for (size_t i = 0; i < count; i++)
		if (members[i] == ifindex)
			return true;
	return false;
}

/*
 * Finds a bond's members. The hook sees the number of the member by which a packet came in, so all members get the
 * bond's profile.
 */
static void follow_members(struct interfaces *interfaces, struct interface *interface, const struct link_entry *device)
{
	const struct topology *topology = &interfaces->topology;
	unsigned int *members = calloc(topology->count + 1, sizeof(*members));
	size_t count = 0;

	if (!members)
		return;
	for (size_t i = 0; i < topology->count && device_runs_at_members(device); i++)
		if (topology->list[i].master == device->ifindex)
			members[count++] = topology->list[i].ifindex;
	if (same_members(interface, members, count)) {
		free(members);
		return;
	}
	for (size_t d = 0; d < interfaces->datapath_count; d++) {
		for (size_t i = 0; i < interface->member_count; i++)
			if (!is_member(members, count, interface->members[i]))
				datapath_interface_remove(interfaces->datapaths[d], interface->members[i]);
	}
	free(interface->members);
	interface->members = members;
	interface->member_count = count;
}

void interfaces_note_device(struct interfaces *interfaces, struct interface *interface)
{
	const struct link_entry *device = topology_find(&interfaces->topology, interface->ifindex);
	char sentence[DEVICE_SENTENCE];
	bool hides_tags;

	if (!device || !interface->ifindex)
		return;
	interfaces->changed |= interface->inactive != device->inactive;
	interface->inactive = device->inactive;
	interface->vlans = device_has_vlans(&interfaces->topology, device);
	hides_tags = device_hides_tags(&interfaces->topology, device, sentence, sizeof(sentence));
	if (hides_tags && !interface->hides_tags)
		log_warn("interface %s", sentence);
	interface->hides_tags = hides_tags;
	follow_members(interfaces, interface, device);
}

static void note_siblings(struct interfaces *interfaces, struct interface *interface)
{
	const struct link_entry *device = topology_find(&interfaces->topology, interface->ifindex);
	char sentence[DEVICE_SENTENCE];
	bool open = device && device_has_open_sibling(&interfaces->topology, device, sentence, sizeof(sentence));

	if (open && !interface->open_sibling)
		log_warn("interface %s", sentence);
	interface->open_sibling = open;
}

void interfaces_note_devices(struct interfaces *interfaces)
{
	int error = topology_read(&interfaces->topology);

	if (error)
		log_warn_limited("the host's devices could not be listed: %s", strerror(-error));
	for (size_t i = 0; i < interfaces->count && !error; i++) {
		interfaces_note_device(interfaces, &interfaces->list[i]);
		note_siblings(interfaces, &interfaces->list[i]);
	}
}

bool interfaces_is_unserved(struct interfaces *interfaces, const struct datapath_attachment *found)
{
	const struct link_entry *device = topology_find(&interfaces->topology, found->ifindex);
	char sentence[DEVICE_SENTENCE];

	if (!device || device_is_served(device) ||
	    !device_refuses(&interfaces->topology, device, sentence, sizeof(sentence)))
		return false;
	log_warn("interface %s", sentence);
	return true;
}
