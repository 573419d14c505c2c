/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds the interfaces and their datapaths when the daemon starts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/link.h"
#include "common/log.h"
#include "shakeoffd/hook/interfaces_internal.h"

/* ---------------------------------------------------------------------------------------------- existing interfaces */

static int check_program(const struct datapath_attachment *found)
{
	if (!found->ours) {
		log_error(
			"interface %s has an XDP program that is not shakeoff's (%s, id %u): detach it, or replace it "
			"with `shakeoff attach %s --replace`",
			found->ifname, found->prog_name, found->prog_id, found->ifname);
		return -EEXIST;
	}
	if (found->abi != SHAKEOFF_ABI) {
		log_error(
			"interface %s has the program of another version of shakeoff (ABI %d, this is %d): replace it "
			"with `shakeoff attach %s --replace`",
			found->ifname, found->abi, SHAKEOFF_ABI, found->ifname);
		return -EPROTO;
	}
	return 0;
}

void interfaces_adopt(struct interface *interface, const struct datapath_attachment *found)
{
	enum datapath_owner owner;

	memcpy(interface->name, found->ifname, sizeof(interface->name));
	memcpy(interface->configured, found->ifname, sizeof(interface->configured));
	interface->ifindex = found->ifindex;
	interface->mtu = found->mtu;
	interface->admit_id = interface_may_admit(interface) ? found->admit_id : 0;
	interface->outgoing_id = interface->admit_id ? found->outgoing_id : 0;
	if (!datapath_owner(found->ifname, &owner))
		interface->detach = owner == DATAPATH_OWNER_DAEMON;
}

static int look(struct interfaces *interfaces, struct interface *interface, const char *name,
		struct datapath_attachment *found)
{
	struct link_entry link;
	int error;

	memcpy(interface->name, name, sizeof(interface->name));
	memcpy(interface->configured, name, sizeof(interface->configured));
	if (interfaces_report_refusal(interfaces, name))
		return -EOPNOTSUPP;
	error = datapath_look(name, found);
	if (error == -ENOENT) {
		interface->attach = true;
		error = link_get(name, &link);
		if (!error) {
			interface->ifindex = link.ifindex;
			interface->mtu = link.mtu;
		}
		found->control_id = 0;
	} else if (!error) {
		error = check_program(found);
		if (error)
			return error;
		interfaces_adopt(interface, found);
	}
	if (error == -ENODEV)
		log_error("interface %s: it does not exist", name);
	else if (error == -EPERM)
		log_error("interface %s: its BPF programs cannot be read without CAP_SYS_ADMIN", name);
	else if (error)
		log_error("interface %s could not be read: %s", name, strerror(-error));
	return error;
}

/* ------------------------------------------------------------------------------------------------------ datapaths */

static int report_load(int error)
{
	const char *detail = datapath_detail();

	if (error == -ENOSYS)
		log_error("this kernel is too old: shakeoff needs 5.10 or later");
	else
		log_error("the BPF program could not be loaded: %s%s%s", strerror(-error), *detail ? ": " : "", detail);
	return error;
}

static int add_datapath(struct interfaces *interfaces, struct datapath *datapath)
{
	struct datapath **larger = realloc(interfaces->datapaths, (interfaces->datapath_count + 1) * sizeof(*larger));

	if (!larger) {
		datapath_close(datapath);
		return -ENOMEM;
	}
	interfaces->datapaths = larger;
	larger[interfaces->datapath_count++] = datapath;
	return 0;
}

static int open_datapath(struct interfaces *interfaces, struct interface *interface,
			 const struct datapath_attachment *found)
{
	struct datapath *datapath;
	int error;

	for (size_t i = 0; i < interfaces->datapath_count; i++) {
		if (datapath_control_id(interfaces->datapaths[i]) == found->control_id) {
			interface->datapath = i;
			return 0;
		}
	}
	error = datapath_open(found, &datapath);
	if (error) {
		log_error("interface %s: the maps of its program could not be opened: %s", interface->name,
			  strerror(-error));
		return error;
	}
	interface->datapath = interfaces->datapath_count;
	return add_datapath(interfaces, datapath);
}

/*
 * Interfaces without a program share the existing datapath, because a SYN and its ACK may come in by different
 * interfaces.
 */
static int load_if_needed(struct interfaces *interfaces)
{
	struct datapath *datapath;
	int error;

	if (interfaces->datapath_count)
		return 0;
	error = datapath_load(&datapath);
	return error ? report_load(error) : add_datapath(interfaces, datapath);
}

struct interface *interfaces_append(struct interfaces *interfaces)
{
	struct interface *larger = reallocarray(interfaces->list, interfaces->count + 1, sizeof(*larger));

	if (!larger)
		return NULL;
	interfaces->list = larger;
	larger[interfaces->count] = (struct interface){ 0 };
	return &larger[interfaces->count++];
}

static int open_named(struct interfaces *interfaces, const struct config *config)
{
	struct datapath_attachment *found = calloc(config->interface_count + 1, sizeof(*found));
	int error = found ? 0 : -ENOMEM;

	for (size_t i = 0; i < config->interface_count && !error; i++) {
		struct interface *interface = interfaces_append(interfaces);

		error = interface ? look(interfaces, interface, config->interfaces[i], &found[i]) : -ENOMEM;
	}
	for (size_t i = 0; i < interfaces->count && !error; i++)
		if (!interfaces->list[i].attach)
			error = open_datapath(interfaces, &interfaces->list[i], &found[i]);
	if (!error)
		error = load_if_needed(interfaces);
	free(found);
	return error;
}

int interfaces_append_unserved(struct interfaces *interfaces, const struct datapath_attachment *found)
{
	struct interface *interface = interfaces_append(interfaces);

	if (!interface)
		return -ENOMEM;
	interface->unserved = true;
	interface->ifindex = found->ifindex;
	memcpy(interface->name, found->ifname, sizeof(interface->name));
	memcpy(interface->configured, found->ifname, sizeof(interface->configured));
	return 0;
}

static int open_all(struct interfaces *interfaces)
{
	struct datapath_attachment *list = NULL;
	size_t count = 0;
	int error = datapath_list(&list, &count);

	if (error)
		log_error("the interfaces could not be read: %s%s", strerror(-error),
			  error == -EPERM ? ": CAP_SYS_ADMIN is needed" : "");
	for (size_t i = 0; i < count && !error; i++) {
		struct interface *interface;

		if (!list[i].ours)
			continue;
		if (interfaces_is_unserved(interfaces, &list[i])) {
			error = interfaces_append_unserved(interfaces, &list[i]);
			continue;
		}
		error = check_program(&list[i]);
		if (error)
			break;
		interface = interfaces_append(interfaces);
		error = interface ? open_datapath(interfaces, interface, &list[i]) : -ENOMEM;
		if (!error)
			interfaces_adopt(interface, &list[i]);
	}
	free(list);
	if (error || interfaces->datapath_count)
		return error;
	log_error("no interface has shakeoff's program, and none is named: attach it with `shakeoff attach IFACE`, or "
		  "name an interface with --interface or in the configuration");
	return -ENOENT;
}

int interfaces_open(struct interfaces *interfaces, const struct config *config, const struct sysctls *sysctls,
		    const struct devices *devices)
{
	struct interfaces fresh = { .sysctls = sysctls, .devices = devices, .all = !config->interface_count };
	int error = topology_read(&fresh.topology);

	if (error)
		log_error("the host's devices could not be listed: %s", strerror(-error));
	else
		error = fresh.all ? open_all(&fresh) : open_named(&fresh, config);
	if (error) {
		interfaces_close(&fresh);
		return error;
	}
	*interfaces = fresh;
	for (size_t i = 0; i < interfaces->count; i++)
		interfaces_note_device(interfaces, &interfaces->list[i]);
	return 0;
}

void interfaces_close(struct interfaces *interfaces)
{
	for (size_t i = 0; i < interfaces->datapath_count; i++)
		datapath_close(interfaces->datapaths[i]);
	for (size_t i = 0; i < interfaces->count; i++)
		free(interfaces->list[i].members);
	topology_free(&interfaces->topology);
	free(interfaces->datapaths);
	free(interfaces->vlans);
	free(interfaces->list);
	*interfaces = (struct interfaces){ 0 };
}
