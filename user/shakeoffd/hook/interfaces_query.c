/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Answers questions about the interfaces and the devices above them. */
#include "shakeoffd/hook/interfaces.h"

bool interfaces_have(const struct interfaces *interfaces, unsigned int ifindex)
{
	for (size_t i = 0; i < interfaces->count; i++)
		if (interfaces->list[i].ifindex == ifindex)
			return true;
	return false;
}

/* A bond's program that runs on the bond's members looks sockets up for the members. */
bool interfaces_find_bound(const struct interfaces *interfaces, unsigned int ifindex)
{
	for (size_t i = 0; i < interfaces->count; i++) {
		const struct interface *interface = &interfaces->list[i];

		if (interface->ifindex == ifindex)
			return !interface->unserved && !interface->member_count;
	}
	return false;
}

unsigned int interfaces_only_device(const struct interfaces *interfaces)
{
	const struct interface *interface = interfaces->list;

	return interfaces->count == 1 && !interface->vlans && !interface->member_count ? interface->ifindex : 0;
}

bool interfaces_are_below_others(const struct interfaces *interfaces)
{
	const struct link_entry *device;

	for (size_t i = 0; i < interfaces->count; i++) {
		device = topology_find(&interfaces->topology, interfaces->list[i].ifindex);
		if (interfaces->list[i].vlans || (device && device->master))
			return true;
	}
	return false;
}

bool interfaces_are_bridge_ports(const struct interfaces *interfaces)
{
	bool all = interfaces->count > 0;

	for (size_t i = 0; i < interfaces->count && all; i++) {
		const struct link_entry *port = topology_find(&interfaces->topology, interfaces->list[i].ifindex);
		const struct link_entry *bridge = port ? topology_find(&interfaces->topology, port->master) : NULL;

		all = bridge && device_is_port_of(port, bridge, "bridge");
	}
	return all;
}

bool interfaces_bridge(const struct interfaces *interfaces, unsigned int ifindex)
{
	const struct link_entry *bridge = topology_find(&interfaces->topology, ifindex), *port;

	if (!bridge || interfaces_have(interfaces, ifindex))
		return false;
	for (size_t i = 0; i < interfaces->count; i++) {
		port = topology_find(&interfaces->topology, interfaces->list[i].ifindex);
		if (port && device_is_port_of(port, bridge, "bridge"))
			return true;
	}
	return false;
}

bool interfaces_tag(const struct interfaces *interfaces, unsigned int ifindex)
{
	const struct link_entry *device = topology_find(&interfaces->topology, ifindex), *below;

	for (size_t i = 0; i < interfaces->count && device; i++) {
		if (!interfaces->list[i].vlans)
			continue;
		below = topology_find(&interfaces->topology, interfaces->list[i].ifindex);
		if (below && device_is_tagged(&interfaces->topology, device, below))
			return true;
	}
	return false;
}
