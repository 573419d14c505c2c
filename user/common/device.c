/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/device.h"

/*
 * Maximum height of devices above each other, which also ends a loop: a macvlan on a VLAN on a bond on a card has four.
 */
#define HEIGHT_MAX 8

int topology_read(struct topology *topology)
{
	struct topology fresh = { 0 };
	int error = link_list(&fresh.list, &fresh.count);

	if (error)
		return error;
	topology_free(topology);
	*topology = fresh;
	return 0;
}

void topology_free(struct topology *topology)
{
	free(topology->list);
	*topology = (struct topology){ 0 };
}

const struct link_entry *topology_find(const struct topology *topology, unsigned int ifindex)
{
	for (size_t i = 0; i < topology->count; i++)
		if (topology->list[i].ifindex == ifindex)
			return &topology->list[i];
	return NULL;
}

static bool is_kind(const struct link_entry *device, const char *kind)
{
	return !strcmp(device->kind, kind);
}

/*
 * Returns whether a device passes on the frames of the device below it, IFLA_LINK. For a veth IFLA_LINK is its peer,
 * for a tunnel the device that carries it.
 */
static bool is_stacked(const struct link_entry *device)
{
	return is_kind(device, "vlan") || is_kind(device, "macvlan") || is_kind(device, "macvtap") ||
	       is_kind(device, "ipvlan") || is_kind(device, "ipvtap");
}

bool device_has_ethernet_header(const struct link_entry *device)
{
	return device->type == ARPHRD_ETHER || device->type == ARPHRD_LOOPBACK;
}

bool device_is_served(const struct link_entry *device)
{
	return device_has_ethernet_header(device) && !is_kind(device, "vrf");
}

bool device_runs_at_members(const struct link_entry *device)
{
	return is_kind(device, "bond") && device->prog_id[LINK_XDP_DRIVER];
}

bool device_is_port_of(const struct link_entry *port, const struct link_entry *master, const char *kind)
{
	return port->master == master->ifindex && is_kind(master, kind);
}

/* ------------------------------------------------------------------------------------------------------ refusals */

/* Writes the ports of a device: "s0, s1". */
static void name_ports(const struct topology *topology, const struct link_entry *master, char *text, size_t size)
{
	size_t used = 0;

	snprintf(text, size, "it has none");
	for (size_t i = 0; i < topology->count && used < size; i++)
		if (topology->list[i].master == master->ifindex)
			used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
						 topology->list[i].name);
}

static const struct link_entry *port_with_program(const struct topology *topology, const struct link_entry *master)
{
	for (size_t i = 0; i < topology->count; i++)
		if (topology->list[i].master == master->ifindex && topology->list[i].prog_id[LINK_XDP_DRIVER])
			return &topology->list[i];
	return NULL;
}

static bool has_program(const struct link_entry *device)
{
	for (int i = 0; i < LINK_XDP_COUNT; i++)
		if (device->prog_id[i])
			return true;
	return false;
}

/*
 * Returns a device right above that has a program: dev_xdp_attach() (linux, net/core/dev.c) refuses the device below
 * it.
 */
static const struct link_entry *upper_with_program(const struct topology *topology, const struct link_entry *device)
{
	for (size_t i = 0; i < topology->count; i++) {
		const struct link_entry *upper = &topology->list[i];

		if (has_program(upper) &&
		    (device->master == upper->ifindex || (is_stacked(upper) && upper->lower == device->ifindex)))
			return upper;
	}
	return NULL;
}

static bool refuses_below(const struct topology *topology, const struct link_entry *device, char *sentence, size_t size)
{
	const struct link_entry *upper = upper_with_program(topology, device);

	if (upper && is_kind(upper, "bond"))
		snprintf(sentence, size,
			 "%s is a member of %s, whose XDP program also runs for its members, so they cannot have "
			 "their own: attach to %s alone, or detach it there and attach to each member",
			 device->name, upper->name, upper->name);
	else if (upper)
		snprintf(sentence, size,
			 "%s is below %s, which has an XDP program, so the kernel allows none here: detach it from %s "
			 "first",
			 device->name, upper->name, upper->name);
	return upper != NULL;
}

static bool refuses_bond(const struct topology *topology, const struct link_entry *device, char *sentence, size_t size)
{
	const struct link_entry *port = is_kind(device, "bond") ? port_with_program(topology, device) : NULL;
	char ports[128];

	if (!port)
		return false;
	name_ports(topology, device, ports, sizeof(ports));
	snprintf(sentence, size,
		 "%s is a bond, and its member %s has an XDP program already: attach to each member (%s), or detach "
		 "there first",
		 device->name, port->name, ports);
	return true;
}

bool device_refuses(const struct topology *topology, const struct link_entry *device, char *sentence, size_t size)
{
	char ports[128];

	if (!device_has_ethernet_header(device)) {
		snprintf(
			sentence, size,
			"%s carries packets without an Ethernet header%s%s%s, which the program cannot read: attach to "
			"the Ethernet devices of this host; packets that come in at %s go to the kernel",
			device->name, *device->kind ? " (" : "", device->kind, *device->kind ? ")" : "", device->name);
		return true;
	}
	if (is_kind(device, "vrf")) {
		name_ports(topology, device, ports, sizeof(ports));
		snprintf(sentence, size, "%s is a VRF's own device, where no packets come in: attach to its ports (%s)",
			 device->name, ports);
		return true;
	}
	/* The kernel has accepted a program that is attached already. */
	return !has_program(device) &&
	       (refuses_below(topology, device, sentence, size) || refuses_bond(topology, device, sentence, size));
}

/* --------------------------------------------------------------------------------------------------------- VLANs */

/* How frames that come in at one device get to another. */
enum way { WAY_NONE, WAY_PLAIN, WAY_TAGGED /* with a VLAN device on it */ };

static enum way find_way(const struct topology *topology, const struct link_entry *device,
			 const struct link_entry *below, enum way way, int height);

/*
 * Returns the worse of two ways, the one with a tag: replies on a tagged way would be wrong, while frames of the other
 * are only bypassed.
 */
static enum way worse(enum way a, enum way b)
{
	return a > b ? a : b;
}

static enum way find_way_through(const struct topology *topology, const struct link_entry *device,
				 const struct link_entry *below, enum way way, int height)
{
	const struct link_entry *lower = is_stacked(device) ? topology_find(topology, device->lower) : NULL;
	enum way found = lower ? find_way(topology, lower, below, way, height) : WAY_NONE;

	for (size_t i = 0; i < topology->count; i++)
		if (topology->list[i].master == device->ifindex)
			found = worse(found, find_way(topology, &topology->list[i], below, way, height));
	return found;
}

static enum way find_way(const struct topology *topology, const struct link_entry *device,
			 const struct link_entry *below, enum way way, int height)
{
	if (device->ifindex == below->ifindex)
		return way;
	if (height == HEIGHT_MAX)
		return WAY_NONE;
	return find_way_through(topology, device, below, is_kind(device, "vlan") ? WAY_TAGGED : way, height + 1);
}

bool device_is_tagged(const struct topology *topology, const struct link_entry *device, const struct link_entry *below)
{
	return find_way(topology, device, below, WAY_PLAIN, 0) == WAY_TAGGED;
}

bool device_is_reached(const struct topology *topology, const struct link_entry *device, const struct link_entry *below)
{
	/* The addresses of these devices belong to no network: their packets come in anywhere. */
	if (device->type == ARPHRD_LOOPBACK || is_kind(device, "dummy"))
		return true;
	return find_way(topology, device, below, WAY_PLAIN, 0) != WAY_NONE;
}

bool device_is_above(const struct topology *topology, const struct link_entry *device, const struct link_entry *below)
{
	return find_way(topology, device, below, WAY_PLAIN, 0) != WAY_NONE;
}

bool device_takes_tag(const struct topology *topology, const struct link_entry *vlan, const struct link_entry *below)
{
	const struct link_entry *lower = is_kind(vlan, "vlan") ? topology_find(topology, vlan->lower) : NULL;

	return lower && find_way(topology, lower, below, WAY_PLAIN, 0) == WAY_PLAIN;
}

/* ------------------------------------------------------------------------------------------------- MAC addresses */

static bool has_mac(uint8_t (*macs)[6], size_t count, const uint8_t *mac)
{
	for (size_t i = 0; i < count; i++)
		if (!memcmp(macs[i], mac, sizeof(macs[i])))
			return true;
	return false;
}

/*
 * Collects the addresses of devices above, too, because frames that the device below takes for another host's belong to
 * them. linux, net/8021q/vlan_core.c: vlan_do_receive(); drivers/net/macvlan.c: macvlan_handle_frame();
 * net/bridge/br_input.c.
 */
size_t device_macs(const struct topology *topology, const struct link_entry *device, uint8_t (*macs)[6], size_t most)
{
	size_t count = 0;

	if (!device->has_mac)
		return 0;
	memcpy(macs[count++], device->mac, sizeof(device->mac));
	for (size_t i = 0; i < topology->count; i++) {
		const struct link_entry *upper = &topology->list[i];

		if (!upper->has_mac || upper->ifindex == device->ifindex || !device_is_above(topology, upper, device) ||
		    has_mac(macs, count < most ? count : most, upper->mac))
			continue;
		if (count < most)
			memcpy(macs[count], upper->mac, sizeof(upper->mac));
		count++;
	}
	return count;
}

bool device_has_open_sibling(const struct topology *topology, const struct link_entry *device, char *sentence,
			     size_t size)
{
	const struct link_entry *bond = topology_find(topology, device->master);

	for (size_t i = 0; i < topology->count && bond && is_kind(bond, "bond"); i++) {
		const struct link_entry *sibling = &topology->list[i];

		if (sibling->master != bond->ifindex || has_program(sibling) || has_program(bond))
			continue;
		snprintf(sentence, size,
			 "%s is a member of %s, and its member %s has no program: its traffic is not protected; attach "
			 "to every member, or to %s alone",
			 device->name, bond->name, sibling->name, bond->name);
		return true;
	}
	return false;
}

static bool any_vlan(const struct topology *topology)
{
	for (size_t i = 0; i < topology->count; i++)
		if (is_kind(&topology->list[i], "vlan"))
			return true;
	return false;
}

bool device_has_vlans(const struct topology *topology, const struct link_entry *device)
{
	for (size_t i = 0; i < topology->count && any_vlan(topology); i++)
		if (device_is_tagged(topology, &topology->list[i], device))
			return true;
	return false;
}

/*
 * Returns rx-vlan-offload, as `ethtool -k` shows it: the card or the driver strips tags and passes them beside the
 * frame.
 */
static bool takes_tags_off(const struct link_entry *device)
{
	struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };
	struct ifreq request = { .ifr_data = (char *)&flags };
	cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	strcpy(request.ifr_name, device->name);
	return !ioctl(fd, SIOCETHTOOL, &request) && (flags.data & ETH_FLAG_RXVLAN);
}

/* Returns the device, or for a bond a member, that hides tags. NULL: none. */
static const struct link_entry *tag_hiding_device(const struct topology *topology, const struct link_entry *device)
{
	if (!is_kind(device, "bond"))
		return is_kind(device, "veth") || takes_tags_off(device) ? device : NULL;
	for (size_t i = 0; i < topology->count; i++) {
		const struct link_entry *member = &topology->list[i];

		if (member->master == device->ifindex && (is_kind(member, "veth") || takes_tags_off(member)))
			return member;
	}
	return NULL;
}

/* Checks a veth whatever its own offloads are: it passes on tags as its peer has made them. */
bool device_hides_tags(const struct topology *topology, const struct link_entry *device, char *sentence, size_t size)
{
	const struct link_entry *who = device_has_vlans(topology, device) ? tag_hiding_device(topology, device) : NULL;

	if (who && is_kind(who, "veth"))
		snprintf(sentence, size,
			 "%s has VLAN devices above it, and a veth may pass their tags beside the frame, where the "
			 "program does not see them: such packets pass to the kernel. To protect them, run `ethtool -K "
			 "PEER txvlan off` at its other end, or attach to the VLAN devices",
			 device->name);
	else if (who)
		snprintf(sentence, size,
			 "%s has VLAN devices above it, and %s strips their tags before the program sees them: their "
			 "addresses are bypassed. To protect them, run `ethtool -K %s rxvlan off`, or attach to the "
			 "VLAN devices",
			 device->name, who->name, who->name);
	return who != NULL;
}
