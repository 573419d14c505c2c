/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Publishes each interface to the hook: what SYN-ACKs offer there, which frames are for the host, which VLAN tags it
 * accepts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/log.h"
#include "shakeoffd/hook/interfaces_internal.h"
#include "shakeoffd/hook/synack_profile.h"

#define IPV6_HOP_LIMIT 64 /* IPV6_DEFAULT_HOPLIMIT */

/*
 * Fills in what the hook has to know about the device that a frame comes in by: which frames are for the host, and
 * which routes lead back by it.
 */
static void fill_host(const struct interfaces *interfaces, const struct interface *interface, unsigned int ifindex,
		      struct shakeoff_interface *profile)
{
	const struct link_entry *device = topology_find(&interfaces->topology, ifindex);
	uint8_t macs[SHAKEOFF_MACS][6] = { 0 };
	size_t count = device ? device_macs(&interfaces->topology, device, macs, SHAKEOFF_MACS) : 0;

	profile->mac_count = count < SHAKEOFF_MACS ? (uint8_t)count : SHAKEOFF_MACS;
	memcpy(profile->macs, macs, sizeof(profile->macs));
	/* Routes of a VRF are not read, so nothing is refused there because of routes. */
	profile->route_bit = interface->in_vrf ? 0 : interfaces_route_bit(interfaces, interface);
}

/*
 * Publishes a profile for a member of a bond: the kernel compares a frame's MAC address with the member first, then
 * with the bond.
 */
static int set_member(const struct interfaces *interfaces, const struct interface *interface, size_t datapath,
		      unsigned int member, const struct shakeoff_interface *profile)
{
	struct shakeoff_interface own = *profile;

	fill_host(interfaces, interface, member, &own);
	return datapath_interface_set(interfaces->datapaths[datapath], member, &own);
}

/* Publishes to all datapaths, because a packet may come in here whose SYN another datapath's interface answered. */
int interfaces_set_profile(const struct interfaces *interfaces, struct interface *interface,
			   const struct shakeoff_interface *profile)
{
	int error = 0;

	for (size_t i = 0; i < interfaces->datapath_count && !error; i++) {
		error = datapath_interface_set(interfaces->datapaths[i], interface->ifindex, profile);
		for (size_t m = 0; m < interface->member_count && !error; m++)
			error = set_member(interfaces, interface, i, interface->members[m], profile);
	}
	if (!error)
		interface->profile = *profile;
	return error;
}

enum shakeoff_admits interface_admission(const struct interface *interface)
{
	if (!interface->admit_id)
		return SHAKEOFF_ADMITS_NOTHING;
	if (interface->order[DATAPATH_INGRESS].contested)
		return SHAKEOFF_ADMITS_BEHIND;
	return interface->stalled ? SHAKEOFF_ADMITS_LOST : SHAKEOFF_ADMITS;
}

bool interface_admits(const struct interface *interface)
{
	return interface_admission(interface) == SHAKEOFF_ADMITS;
}

static void note_macs(const struct interfaces *interfaces, struct interface *interface)
{
	const struct link_entry *device = topology_find(&interfaces->topology, interface->ifindex);
	uint8_t macs[SHAKEOFF_MACS][6];
	bool more = device && device_macs(&interfaces->topology, device, macs, SHAKEOFF_MACS) > SHAKEOFF_MACS;

	if (more && !interface->more_macs)
		log_warn("interface %s: devices above it have more than %d MAC addresses of their own: frames for the "
			 "others are bypassed; attach to those devices to protect them",
			 interface->name, SHAKEOFF_MACS - 1);
	interface->more_macs = more;
}

static int publish_profile(const struct interfaces *interfaces, struct interface *interface)
{
	/* For an interface that came after the devices were read; it is done again when they are. */
	const struct device fallback = { .mtu = interface->mtu, .mtu6 = interface->mtu, .hop_limit = IPV6_HOP_LIMIT };
	const struct device *device = devices_find(interfaces->devices, interface->ifindex);
	struct shakeoff_interface profile;
	int error;

	profile_fill(device ? device : &fallback, interfaces->sysctls, &profile);
	profile.admits = interface_admission(interface);
	profile.in_vrf = interface->in_vrf;
	profile.vlans = interface->vlans;
	fill_host(interfaces, interface, interface->ifindex, &profile);
	/* A bond's members have their own MAC addresses. */
	if (!memcmp(&profile, &interface->profile, sizeof(profile)) && !interface->member_count)
		return 0;
	error = interfaces_set_profile(interfaces, interface, &profile);
	if (error)
		return error;
	log_debug("interface %s: MTU %u, MSS %u and %u, hops %u and %u", interface->name, interface->mtu,
		  profile.mss[0], profile.mss[1], profile.hop_limit[0], profile.hop_limit[1]);
	return 0;
}

/* -------------------------------------------------------------------------------------------------------- VLAN tags */

static int append_vlans(const struct interfaces *interfaces, unsigned int ifindex, uint32_t **keys, size_t *count)
{
	const struct topology *topology = &interfaces->topology;
	const struct link_entry *below = topology_find(topology, ifindex);

	for (size_t i = 0; i < topology->count && below && ifindex <= SHAKEOFF_VLAN_IFINDEX_MAX; i++) {
		const struct link_entry *vlan = &topology->list[i];
		uint32_t *larger;

		if (!device_takes_tag(topology, vlan, below))
			continue;
		larger = array_grow(*keys, *count, sizeof(*larger));
		if (!larger)
			return -ENOMEM;
		*keys = larger;
		larger[(*count)++] = SHAKEOFF_VLAN_KEY(ifindex, SHAKEOFF_VLAN_TAG(vlan->vlan_provider, vlan->vlan_id));
	}
	return 0;
}

static int compare_keys(const void *a, const void *b)
{
	const uint32_t *first = a, *second = b;

	return *first < *second ? -1 : *first > *second;
}

static int publish_vlans(struct interfaces *interfaces)
{
	uint32_t *keys = NULL;
	size_t count = 0;
	int error = 0;

	for (size_t i = 0; i < interfaces->count && !error; i++) {
		const struct interface *interface = &interfaces->list[i];

		error = append_vlans(interfaces, interface->ifindex, &keys, &count);
		for (size_t m = 0; m < interface->member_count && !error; m++)
			error = append_vlans(interfaces, interface->members[m], &keys, &count);
	}
	if (count)
		qsort(keys, count, sizeof(*keys), compare_keys);
	if (!error && interfaces->vlans_published && count == interfaces->vlan_count &&
	    (!count || !memcmp(keys, interfaces->vlans, count * sizeof(*keys)))) {
		free(keys);
		return 0;
	}
	for (size_t i = 0; i < interfaces->datapath_count && !error; i++)
		error = datapath_vlans_set(interfaces->datapaths[i], keys, count);
	free(interfaces->vlans);
	interfaces->vlans = keys;
	interfaces->vlan_count = count;
	interfaces->vlans_published = !error;
	return error;
}

int interfaces_profile(struct interfaces *interfaces)
{
	int error = 0;

	for (size_t i = 0; i < interfaces->count && !error; i++) {
		if (!interfaces->list[i].ifindex || interfaces->list[i].unserved)
			continue;
		error = publish_profile(interfaces, &interfaces->list[i]);
		note_macs(interfaces, &interfaces->list[i]);
	}
	if (!error)
		error = publish_vlans(interfaces);
	if (error)
		log_error("what SYN-ACKs offer could not be published to the hook: %s", strerror(-error));
	return error;
}

/* Returns the bit of an interface. If there are more interfaces than bits, the rest share the last one. */
uint32_t interfaces_route_bit(const struct interfaces *interfaces, const struct interface *interface)
{
	size_t number = (size_t)(interface - interfaces->list);

	return 1u << (number < 31 ? number : 31);
}
