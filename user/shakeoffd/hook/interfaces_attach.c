/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Attaches the programs, and detaches them. */
#include <errno.h>
#include <string.h>

#include "common/link.h"
#include "common/log.h"
#include "shakeoffd/hook/interfaces_internal.h"

int interfaces_report_attach(struct interfaces *interfaces, const char *name, int error)
{
	const char *detail = datapath_detail();

	if (!topology_read(&interfaces->topology) && interfaces_report_refusal(interfaces, name))
		return error;
	log_error("interface %s: the XDP program could not be attached: %s%s%s", name, strerror(-error),
		  *detail ? ": " : "", detail);
	return error;
}

int interfaces_attach_one(struct interfaces *interfaces, struct interface *interface)
{
	int error = datapath_attach(interfaces->datapaths[interface->datapath], interface->name, DATAPATH_MODE_AUTO,
				    DATAPATH_OWNER_DAEMON, false);

	if (error)
		return error;
	interface->attach = false;
	interface->detach = interface->attached_now = true;
	return 0;
}

void interfaces_publish_missing(const struct interfaces *interfaces)
{
	char name[IFNAMSIZ] = "";
	uint32_t count = 0;

	for (size_t i = 0; i < interfaces->count && !interfaces->all; i++) {
		const struct interface *interface = &interfaces->list[i];

		if (interface->ifindex)
			continue;
		if (!count++)
			memcpy(name, interface->configured, sizeof(name));
	}
	for (size_t i = 0; i < interfaces->datapath_count; i++) {
		struct shakeoff_control *control = datapath_control(interfaces->datapaths[i]);

		_Static_assert(sizeof(control->missing_name) == sizeof(name), "names of interfaces");
		memcpy(control->missing_name, name, sizeof(name));
		__atomic_store_n(&control->missing, count, __ATOMIC_RELEASE);
	}
}

static void report_mode(const struct interface *interface)
{
	struct datapath_attachment found;

	if (!datapath_look(interface->name, &found))
		log_info("interface %s: program %u in %s mode", interface->name, found.prog_id,
			 found.native ? "native" : "generic");
}

int interfaces_attach(struct interfaces *interfaces)
{
	for (size_t i = 0; i < interfaces->count; i++) {
		struct interface *interface = &interfaces->list[i];
		int error = interface->attach ? interfaces_attach_one(interfaces, interface) : 0;

		if (error)
			return interfaces_report_attach(interfaces, interface->name, error);
		if (interface->unserved)
			continue;
		interfaces_admit(interfaces, interface);
		report_mode(interface);
	}
	interfaces_note_devices(interfaces); /* only now a bond's program is on its members */
	interfaces_publish_missing(interfaces);
	return interfaces_profile(interfaces);
}

void interfaces_detach(struct interfaces *interfaces, bool only_new)
{
	for (size_t i = 0; i < interfaces->count; i++) {
		struct interface *interface = &interfaces->list[i];
		struct link_entry link;
		int error;

		if (!interface->ifindex || !interface->detach || (only_new && !interface->attached_now))
			continue;
		/* It may have been renamed since the devices were read. */
		if (!link_get_index(interface->ifindex, &link))
			memcpy(interface->name, link.name, sizeof(interface->name));
		error = datapath_detach(interface->name);
		if (error && error != -ENOENT && error != -ENODEV)
			log_warn("interface %s: the XDP program could not be detached: %s", interface->name,
				 strerror(-error));
	}
}
