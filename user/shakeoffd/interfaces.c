/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <common/link.h>
#include <common/log.h>
#include <shakeoffd/interfaces.h>
#include <shakeoffd/profile.h>

static int say_attach(const char *name, int error)
{
	const char *detail = datapath_detail();

	log_error("interface %s: the XDP program could not be attached: %s%s%s", name, strerror(-error),
		  *detail ? ": " : "", detail);
	return error;
}

static int say_load(int error)
{
	const char *detail = datapath_detail();

	if (error == -ENOSYS)
		log_error("this kernel is too old: shakeoff needs 5.10 or later");
	else
		log_error("the BPF program could not be loaded: %s%s%s", strerror(-error), *detail ? ": " : "", detail);
	return error;
}

/* ------------------------------------------------------------------------------------------------------ looking */

static int judge(const struct datapath_attachment *found)
{
	if (!found->ours) {
		log_error(
			"interface %s has an XDP program that is not shakeoff's (%s, id %u): detach it, or replace it with "
			"`shakeoff attach %s --replace`",
			found->ifname, found->prog_name, found->prog_id, found->ifname);
		return -EEXIST;
	}
	if (found->abi != SHAKEOFF_ABI) {
		log_error(
			"interface %s has the program of another version of shakeoff (ABI %d, this is %d): replace it with "
			"`shakeoff attach %s --replace`",
			found->ifname, found->abi, SHAKEOFF_ABI, found->ifname);
		return -EPROTO;
	}
	return 0;
}

static int look(struct interface *interface, const char *name, struct datapath_attachment *found)
{
	enum datapath_owner owner;
	struct link_entry link;
	int error;

	memcpy(interface->name, name, sizeof(interface->name));
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
		error = judge(found);
		if (error)
			return error;
		interface->ifindex = found->ifindex;
		interface->mtu = found->mtu;
		if (!datapath_owner(name, &owner))
			interface->detach = owner == DATAPATH_OWNER_DAEMON;
	}
	if (error == -ENODEV)
		log_error("interface %s: there is none of this name", name);
	else if (error == -EPERM)
		log_error("interface %s: no right to look at BPF programs: CAP_SYS_ADMIN is needed", name);
	else if (error)
		log_error("interface %s could not be looked at: %s", name, strerror(-error));
	return error;
}

/* ------------------------------------------------------------------------------------------------------ datapaths */

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

/* Interfaces without a program share the datapath that is there already: a SYN and its ACK may come in by different ones. */
static int load_if_needed(struct interfaces *interfaces)
{
	struct datapath *datapath;
	int error;

	if (interfaces->datapath_count)
		return 0;
	error = datapath_load(&datapath);
	return error ? say_load(error) : add_datapath(interfaces, datapath);
}

int interfaces_open(struct interfaces *interfaces, const struct config *config)
{
	struct datapath_attachment *found = calloc(config->interface_count, sizeof(*found));
	struct interfaces fresh = { .list = calloc(config->interface_count, sizeof(*fresh.list)) };
	int error = found && fresh.list ? 0 : -ENOMEM;

	for (; fresh.count < config->interface_count && !error; fresh.count++)
		error = look(&fresh.list[fresh.count], config->interfaces[fresh.count], &found[fresh.count]);
	for (size_t i = 0; i < fresh.count && !error; i++)
		if (!fresh.list[i].attach)
			error = open_datapath(&fresh, &fresh.list[i], &found[i]);
	if (!error)
		error = load_if_needed(&fresh);
	free(found);
	if (error) {
		interfaces_close(&fresh);
		return error;
	}
	*interfaces = fresh;
	return 0;
}

/* ------------------------------------------------------------------------------------------------------- profiles */

static int publish_profile(const struct interfaces *interfaces, struct interface *interface)
{
	struct shakeoff_interface profile;
	int error;

	error = profile_ask(interface->mtu, &profile);
	if (error || !memcmp(&profile, &interface->profile, sizeof(profile)))
		return error;
	/* Packets may come in here whose SYN another datapath's interface answered: all of them know all interfaces. */
	for (size_t i = 0; i < interfaces->datapath_count && !error; i++)
		error = datapath_interface_set(interfaces->datapaths[i], interface->ifindex, &profile);
	if (error)
		return error;
	interface->profile = profile;
	log_debug("interface %s: MTU %u, MSS %u and %u, window %u (%u without timestamps), scale %u", interface->name,
		  interface->mtu, profile.mss[0], profile.mss[1], profile.window[0][1], profile.window[0][0],
		  profile.wscale);
	return 0;
}

int interfaces_profile(struct interfaces *interfaces)
{
	int error = 0;

	for (size_t i = 0; i < interfaces->count && !error; i++)
		if (interfaces->list[i].ifindex)
			error = publish_profile(interfaces, &interfaces->list[i]);
	if (error)
		log_error("a handshake over lo, to learn what the kernel offers in its SYN-ACKs, failed: %s; is lo up?",
			  strerror(-error));
	return error;
}

/* ----------------------------------------------------------------------------------------------------- attachment */

static int attach(struct interfaces *interfaces, struct interface *interface)
{
	int error = datapath_attach(interfaces->datapaths[interface->datapath], interface->name, DATAPATH_MODE_AUTO,
				    DATAPATH_OWNER_DAEMON, false);

	if (error)
		return error;
	interface->attach = false;
	interface->detach = interface->attached_now = true;
	return 0;
}

int interfaces_attach(struct interfaces *interfaces)
{
	struct datapath_attachment found;

	for (size_t i = 0; i < interfaces->count; i++) {
		struct interface *interface = &interfaces->list[i];
		int error = interface->attach ? attach(interfaces, interface) : 0;

		if (error)
			return say_attach(interface->name, error);
		if (!datapath_look(interface->name, &found))
			log_info("interface %s: program %u in %s mode", interface->name, found.prog_id,
				 found.native ? "native" : "generic");
	}
	return 0;
}

/* A new interface under an old name, such as a reconnected tunnel: it has no program. */
static void come_back(struct interfaces *interfaces, struct interface *interface, const struct link_entry *link)
{
	int error;

	for (size_t i = 0; i < interfaces->datapath_count && interface->ifindex; i++)
		datapath_interface_remove(interfaces->datapaths[i], interface->ifindex);
	interface->ifindex = link->ifindex;
	memset(&interface->profile, 0, sizeof(interface->profile));
	if (!interface->detach)
		return;
	error = attach(interfaces, interface);
	if (error)
		say_attach(interface->name, error);
	else
		log_info("interface %s is back and attached again", interface->name);
}

void interfaces_refresh(struct interfaces *interfaces)
{
	for (size_t i = 0; i < interfaces->count; i++) {
		struct interface *interface = &interfaces->list[i];
		struct link_entry link;

		if (link_get(interface->name, &link)) {
			if (interface->ifindex)
				log_warn("interface %s is gone", interface->name);
			interface->ifindex = 0;
			continue;
		}
		if (link.ifindex != interface->ifindex)
			come_back(interfaces, interface, &link);
		interface->mtu = link.mtu;
	}
	interfaces_profile(interfaces);
}

void interfaces_detach(struct interfaces *interfaces, bool only_new)
{
	for (size_t i = 0; i < interfaces->count; i++) {
		struct interface *interface = &interfaces->list[i];
		int error;

		if (!interface->ifindex || !interface->detach || (only_new && !interface->attached_now))
			continue;
		error = datapath_detach(interface->name);
		if (error && error != -ENOENT && error != -ENODEV)
			log_warn("interface %s: the XDP program could not be detached: %s", interface->name,
				 strerror(-error));
	}
}

void interfaces_close(struct interfaces *interfaces)
{
	for (size_t i = 0; i < interfaces->datapath_count; i++)
		datapath_close(interfaces->datapaths[i]);
	free(interfaces->datapaths);
	free(interfaces->list);
	*interfaces = (struct interfaces){ 0 };
}
