/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Follows links and programs while the daemon runs: interfaces go, come back or are renamed; programs come and go. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/link.h"
#include "common/log.h"
#include "common/hash.h"
#include "shakeoffd/hook/interfaces_internal.h"

static void forget(struct interfaces *interfaces, struct interface *interface)
{
	for (size_t i = 0; i < interfaces->datapath_count && interface->ifindex; i++) {
		datapath_interface_remove(interfaces->datapaths[i], interface->ifindex);
		for (size_t m = 0; m < interface->member_count; m++)
			datapath_interface_remove(interfaces->datapaths[i], interface->members[m]);
	}
	free(interface->members);
	interface->members = NULL;
	interface->member_count = 0;
	interfaces->changed |= interface->admit_id != 0;
	interface->admit_id = interface->outgoing_id = 0;
	memset(interface->order, 0, sizeof(interface->order));
	interface->flow = (struct tc_flow){ 0 };
	interface->stalled = false;
	interface->said = SHAKEOFF_ADMITS_NOTHING;
	memset(&interface->profile, 0, sizeof(interface->profile));
}

/* Attaches to a new interface with an old name, such as a reconnected tunnel, which has no program. */
static void come_back(struct interfaces *interfaces, struct interface *interface, const struct link_entry *link)
{
	int error;

	forget(interfaces, interface);
	interface->ifindex = link->ifindex;
	if (!interface->detach)
		return;
	error = interfaces_attach_one(interfaces, interface);
	if (error)
		interfaces_report_attach(interfaces, interface->name, error);
	else
		log_info("interface %s is back and attached again", interface->name);
}

/* Refuses another datapath: its maps would need rings and workers, which only a start makes. */
static void refuse(struct interfaces *interfaces, const struct datapath_attachment *found)
{
	if (interfaces->refused == found->control_id)
		return;
	interfaces->refused = found->control_id;
	log_warn("interface %s has a program with its own maps: restart shakeoffd to use it", found->ifname);
}

/* Gives up an interface whose program another process has removed or replaced: the daemon must not undo that. */
static void lose(struct interfaces *interfaces, struct interface *interface, const struct datapath_attachment *instead)
{
	if (interface->profile.mss[0] && instead)
		log_warn("interface %s has lost the program of this daemon: %s (id %u) is there instead",
			 interface->name, instead->prog_name, instead->prog_id);
	else if (interface->profile.mss[0])
		log_warn("interface %s has lost the program of this daemon: it was taken away", interface->name);
	forget(interfaces, interface);
	interface->detach = false;
	interface->ifindex = 0; /* it has no profile until shakeoff's program is there again */
	if (instead && instead->ours)
		refuse(interfaces, instead);
}

/* Finds an interface by its number: a renamed interface keeps number and program, so it stays protected. */
static int find_again(const struct interfaces *interfaces, struct interface *interface, struct link_entry *link)
{
	if (!link_get_index(interface->ifindex, link)) {
		if (!strcmp(link->name, interface->name))
			return 0;
		if (interfaces->all || !strcmp(link->name, interface->configured))
			log_info("interface %s is called %s now, and stays protected", interface->name, link->name);
		else
			log_warn("interface %s is called %s now, and stays protected; the configuration names %s",
				 interface->name, link->name, interface->configured);
		memcpy(interface->name, link->name, sizeof(interface->name));
		return 0;
	}
	memcpy(interface->name, interface->configured, sizeof(interface->name));
	return link_get(interface->name, link);
}

static void refresh_one(struct interfaces *interfaces, struct interface *interface)
{
	struct datapath_attachment found;
	struct link_entry link;
	int error;

	if (find_again(interfaces, interface, &link)) {
		if (interface->ifindex)
			log_warn("interface %s is gone", interface->name);
		forget(interfaces, interface);
		interface->ifindex = 0;
		return;
	}
	if (interface->unserved) {
		if (datapath_look(interface->name, &found) == -ENOENT)
			interface->ifindex = 0;
		return;
	}
	if (link.ifindex != interface->ifindex)
		come_back(interfaces, interface, &link);
	interface->mtu = link.mtu;
	error = datapath_look(interface->name, &found);
	if (!error && found.ours && found.control_id == datapath_control_id(interfaces->datapaths[interface->datapath]))
		interfaces_admit(interfaces, interface);
	else if (!error || error == -ENOENT)
		lose(interfaces, interface, error ? NULL : &found);
}

static void take_up(struct interfaces *interfaces, const struct datapath_attachment *found)
{
	struct interface *interface;

	if (interfaces_is_unserved(interfaces, found)) {
		interfaces_append_unserved(interfaces, found);
		return;
	}
	for (size_t i = 0; i < interfaces->datapath_count; i++) {
		if (datapath_control_id(interfaces->datapaths[i]) != found->control_id)
			continue;
		interface = interfaces_append(interfaces);
		if (!interface)
			return;
		interface->datapath = i;
		interfaces_adopt(interface, found);
		interfaces_admit(interfaces, interface);
		interfaces->changed = true;
		log_info("interface %s: taken up, program %u in %s mode", found->ifname, found->prog_id,
			 found->native ? "native" : "generic");
		return;
	}
	refuse(interfaces, found);
}

/* Takes up interfaces that have got the program since. */
static void take_up_new(struct interfaces *interfaces)
{
	struct datapath_attachment *list;
	size_t count;

	if (datapath_list(&list, &count))
		return;
	for (size_t i = 0; i < count; i++)
		if (list[i].ours && list[i].abi == SHAKEOFF_ABI && !interfaces_have(interfaces, list[i].ifindex))
			take_up(interfaces, &list[i]);
	free(list);
}

/* Drops interfaces that are gone and not named in the configuration. */
static void drop_gone(struct interfaces *interfaces)
{
	size_t kept = 0;

	for (size_t i = 0; i < interfaces->count; i++)
		if (interfaces->list[i].ifindex)
			interfaces->list[kept++] = interfaces->list[i];
	interfaces->count = kept;
}

void interfaces_refresh(struct interfaces *interfaces)
{
	int error = topology_read(&interfaces->topology);

	if (error)
		log_warn_limited("the host's devices could not be listed: %s", strerror(-error));
	for (size_t i = 0; i < interfaces->count; i++)
		refresh_one(interfaces, &interfaces->list[i]);
	if (interfaces->all) {
		drop_gone(interfaces);
		take_up_new(interfaces);
	}
	interfaces_note_devices(interfaces); /* again, after the changes above */
	interfaces_publish_missing(interfaces);
	interfaces_profile(interfaces);
}

/* Returns FNV-1a over what identifies the programs. */
static uint64_t sum_of_programs(const struct link_entry *links, size_t count)
{
	uint64_t hash = HASH_INIT;

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < LINK_XDP_COUNT; k++)
			if (links[i].prog_id[k])
				hash = hash_update(hash_update(hash, &links[i].ifindex, sizeof(links[i].ifindex)),
						   &links[i].prog_id[k], sizeof(links[i].prog_id[k]));
	return hash;
}

bool interfaces_look(struct interfaces *interfaces)
{
	uint64_t before = interfaces->programs;
	struct link_entry *links;
	size_t count;

	if (link_list(&links, &count))
		return false;
	interfaces->programs = sum_of_programs(links, count);
	free(links);
	return interfaces->programs != before;
}
