/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Devices that the hook can serve, and how devices are above each other. */
#ifndef SHAKEOFF_DEVICE_H
#define SHAKEOFF_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/link.h"

/* The devices of a network namespace, as link_list() gives them. */
struct topology {
	struct link_entry *list;
	size_t count;
};

int topology_read(struct topology *topology);
void topology_free(struct topology *topology);
const struct link_entry *topology_find(const struct topology *topology, unsigned int ifindex);

bool device_has_ethernet_header(const struct link_entry *device);

/* Returns whether frames of the device have an Ethernet header and reach a program that is attached to it. */
bool device_is_served(const struct link_entry *device);

/*
 * Returns whether the program cannot be attached to a device, or would see nothing there. `sentence`: why, and what to
 * attach to instead; it begins with the device's name.
 */
#define DEVICE_SENTENCE 384
bool device_refuses(const struct topology *topology, const struct link_entry *device, char *sentence, size_t size);

/*
 * Returns whether a program at this device runs for each of its members instead: a bond with a program in native mode.
 */
bool device_runs_at_members(const struct link_entry *device);

/* Returns whether a device is a port of another: of a bridge, a bond or a VRF. */
bool device_is_port_of(const struct link_entry *port, const struct link_entry *master, const char *kind);

/*
 * Returns whether VLAN devices are above a device, at any height: then a frame's tag may be beside it, where the hook
 * does not see it.
 */
bool device_has_vlans(const struct topology *topology, const struct link_entry *device);

/*
 * Returns whether frames for the addresses of a device come in at `below` with a VLAN tag: it is a VLAN device above
 * it, or a bridge, a bond or a macvlan above a VLAN device.
 */
bool device_is_tagged(const struct topology *topology, const struct link_entry *device, const struct link_entry *below);

/*
 * Returns whether packets for the addresses of a device come in at `below`: it is the same device, or above it. Those
 * of lo come in anywhere.
 */
bool device_is_reached(const struct topology *topology, const struct link_entry *device,
		       const struct link_entry *below);

/*
 * Collects the MAC addresses whose frames, coming in at a device, are for this host: first its own, then, each once,
 * those of devices above it. Fills in at most `most`; returns how many there are.
 */
size_t device_macs(const struct topology *topology, const struct link_entry *device, uint8_t (*macs)[6], size_t most);

/* Returns whether `vlan` is a VLAN device that accepts frames from `below` with its tag as the only tag. */
bool device_takes_tag(const struct topology *topology, const struct link_entry *vlan, const struct link_entry *below);

/* Returns whether frames that come in at `below` may go up to this device: it is the same device, or above it. */
bool device_is_above(const struct topology *topology, const struct link_entry *device, const struct link_entry *below);

/*
 * Returns whether a device is a member of a bond with members that have no program; `sentence` as in device_refuses().
 */
bool device_has_open_sibling(const struct topology *topology, const struct link_entry *device, char *sentence,
			     size_t size);

/*
 * Returns whether tags of VLAN devices above a device are, or may be, hidden from the hook. `sentence`: the
 * consequence, and what to do; it begins with the device's name.
 */
bool device_hides_tags(const struct topology *topology, const struct link_entry *device, char *sentence, size_t size);

#endif
