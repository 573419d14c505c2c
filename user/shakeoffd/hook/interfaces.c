/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <common/array.h>
#include <common/link.h>
#include <common/log.h>
#include "shakeoffd/hook/interfaces.h"
#include "shakeoffd/hook/synack_profile.h"
#include "shakeoffd/sys/softnet.h"

#define IPV6_HOP_LIMIT 64 /* IPV6_DEFAULT_HOPLIMIT */

/* Whether something about the device itself is in the way; then it is said. */
static bool say_refusal(struct interfaces *interfaces, const char *name)
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

static int say_attach(struct interfaces *interfaces, const char *name, int error)
{
	const char *detail = datapath_detail();

	if (!topology_read(&interfaces->topology) && say_refusal(interfaces, name))
		return error;
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

/*
 * In a VRF the kernel looks sockets up for the VRF device, and binds to it what it accepts (sysctl tcp_l3mdev_accept). The
 * hook sees the packet before that, and would not find those sockets.
 */
static bool is_in_vrf(struct interface *interface)
{
	bool before = interface->in_vrf;
	struct link_entry link;

	interface->in_vrf = !link_get(interface->name, &link) && link.in_vrf;
	if (interface->in_vrf && !before)
		log_warn("interface %s belongs to a VRF: servers that listen are left to the kernel there",
			 interface->name);
	return interface->in_vrf;
}

static bool may_admit(struct interface *interface)
{
	return !is_in_vrf(interface) && datapath_can_admit();
}

static void adopt(struct interface *interface, const struct datapath_attachment *found)
{
	enum datapath_owner owner;

	memcpy(interface->name, found->ifname, sizeof(interface->name));
	memcpy(interface->configured, found->ifname, sizeof(interface->configured));
	interface->ifindex = found->ifindex;
	interface->mtu = found->mtu;
	interface->admit_id = may_admit(interface) ? found->admit_id : 0;
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
	if (say_refusal(interfaces, name))
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
		error = judge(found);
		if (error)
			return error;
		adopt(interface, found);
	}
	if (error == -ENODEV)
		log_error("interface %s: there is none of this name", name);
	else if (error == -EPERM)
		log_error("interface %s: no right to look at BPF programs: CAP_SYS_ADMIN is needed", name);
	else if (error)
		log_error("interface %s could not be looked at: %s", name, strerror(-error));
	return error;
}

/* ------------------------------------------------------------------------------------------------ the device itself */

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

/* What comes in by the member of a bond has the member's number in the hook: all know what the bond knows. */
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

/* What other devices make of it: a bond, VLAN devices above. */
static void note_device(struct interfaces *interfaces, struct interface *interface)
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

/* After everything is attached. */
static void note_devices(struct interfaces *interfaces)
{
	int error = topology_read(&interfaces->topology);

	if (error)
		log_warn_limited("the host's devices could not be listed: %s", strerror(-error));
	for (size_t i = 0; i < interfaces->count && !error; i++) {
		note_device(interfaces, &interfaces->list[i]);
		note_siblings(interfaces, &interfaces->list[i]);
	}
}

/* Attached by `ip link`, say, to what carries nothing that the hook can read. */
static bool is_unserved(struct interfaces *interfaces, const struct datapath_attachment *found)
{
	const struct link_entry *device = topology_find(&interfaces->topology, found->ifindex);
	char sentence[DEVICE_SENTENCE];

	if (!device || device_is_served(device) ||
	    !device_refuses(&interfaces->topology, device, sentence, sizeof(sentence)))
		return false;
	log_warn("interface %s", sentence);
	return true;
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

static struct interface *append(struct interfaces *interfaces)
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
		struct interface *interface = append(interfaces);

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

/* Is only listed: its program stays as it is. */
static int append_unserved(struct interfaces *interfaces, const struct datapath_attachment *found)
{
	struct interface *interface = append(interfaces);

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
		log_error("the interfaces could not be looked at: %s%s", strerror(-error),
			  error == -EPERM ? ": CAP_SYS_ADMIN is needed" : "");
	for (size_t i = 0; i < count && !error; i++) {
		struct interface *interface;

		if (!list[i].ours)
			continue;
		if (is_unserved(interfaces, &list[i])) {
			error = append_unserved(interfaces, &list[i]);
			continue;
		}
		error = judge(&list[i]);
		if (error)
			break;
		interface = append(interfaces);
		error = interface ? open_datapath(interfaces, interface, &list[i]) : -ENOMEM;
		if (!error)
			adopt(interface, &list[i]);
	}
	free(list);
	if (error || interfaces->datapath_count)
		return error;
	log_error(
		"no interface has shakeoff's program, and none is named: attach it with `shakeoff attach IFACE`, or name an "
		"interface with --interface or in the configuration");
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
		note_device(interfaces, &interfaces->list[i]);
	return 0;
}

/* ------------------------------------------------------------------------------------------------------- profiles */

/* What the hook has to know of the device that a frame comes in by: which frames are the host's, and which route leads back by it. */
static void fill_door(const struct interfaces *interfaces, const struct interface *interface, unsigned int ifindex,
		      struct shakeoff_interface *profile)
{
	const struct link_entry *device = topology_find(&interfaces->topology, ifindex);
	uint8_t macs[SHAKEOFF_MACS][6] = { 0 };
	size_t count = device ? device_macs(&interfaces->topology, device, macs, SHAKEOFF_MACS) : 0;

	profile->mac_count = count < SHAKEOFF_MACS ? (uint8_t)count : SHAKEOFF_MACS;
	memcpy(profile->macs, macs, sizeof(profile->macs));
	/* Of a VRF no routes are read: there nothing is refused for their sake. */
	profile->route_bit = interface->in_vrf ? 0 : interfaces_route_bit(interfaces, interface);
}

/* The kernel takes a frame for the member of a bond that it came in by, and only then for the bond. */
static int set_member(const struct interfaces *interfaces, const struct interface *interface, size_t datapath,
		      unsigned int member, const struct shakeoff_interface *profile)
{
	struct shakeoff_interface own = *profile;

	fill_door(interfaces, interface, member, &own);
	return datapath_interface_set(interfaces->datapaths[datapath], member, &own);
}

/* Packets may come in here whose SYN another datapath's interface answered: all of them know all interfaces. */
static int set_profile(const struct interfaces *interfaces, struct interface *interface,
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

static enum shakeoff_admits admits(const struct interface *interface)
{
	if (!interface->admit_id)
		return SHAKEOFF_ADMITS_NOTHING;
	if (interface->order[DATAPATH_INGRESS].contested)
		return SHAKEOFF_ADMITS_BEHIND;
	return interface->stalled ? SHAKEOFF_ADMITS_LOST : SHAKEOFF_ADMITS;
}

bool interface_admits(const struct interface *interface)
{
	return admits(interface) == SHAKEOFF_ADMITS;
}

static void note_macs(const struct interfaces *interfaces, struct interface *interface)
{
	const struct link_entry *device = topology_find(&interfaces->topology, interface->ifindex);
	uint8_t macs[SHAKEOFF_MACS][6];
	bool more = device && device_macs(&interfaces->topology, device, macs, SHAKEOFF_MACS) > SHAKEOFF_MACS;

	if (more && !interface->more_macs)
		log_warn("interface %s: devices above it have more MAC addresses of their own than %d: what comes for "
			 "the others of them is left to the kernel; attaching to those devices has them protected",
			 interface->name, SHAKEOFF_MACS - 1);
	interface->more_macs = more;
}

static int publish_profile(const struct interfaces *interfaces, struct interface *interface)
{
	/* For one that came since the devices were read; it is done again when they are. */
	const struct device fallback = { .mtu = interface->mtu, .mtu6 = interface->mtu, .hop_limit = IPV6_HOP_LIMIT };
	const struct device *device = devices_find(interfaces->devices, interface->ifindex);
	struct shakeoff_interface profile;
	int error;

	profile_fill(device ? device : &fallback, interfaces->sysctls, &profile);
	profile.admits = admits(interface);
	profile.in_vrf = interface->in_vrf;
	profile.vlans = interface->vlans;
	fill_door(interfaces, interface, interface->ifindex, &profile);
	/* A bond's members have MAC addresses of their own. */
	if (!memcmp(&profile, &interface->profile, sizeof(profile)) && !interface->member_count)
		return 0;
	error = set_profile(interfaces, interface, &profile);
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
	if (!error && interfaces->vlans_told && count == interfaces->vlan_count &&
	    (!count || !memcmp(keys, interfaces->vlans, count * sizeof(*keys)))) {
		free(keys);
		return 0;
	}
	for (size_t i = 0; i < interfaces->datapath_count && !error; i++)
		error = datapath_vlans_set(interfaces->datapaths[i], keys, count);
	free(interfaces->vlans);
	interfaces->vlans = keys;
	interfaces->vlan_count = count;
	interfaces->vlans_told = !error;
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
		log_error("what SYN-ACKs offer could not be told to the hook: %s", strerror(-error));
	return error;
}

/* More interfaces than bits share the last one. */
uint32_t interfaces_route_bit(const struct interfaces *interfaces, const struct interface *interface)
{
	size_t number = (size_t)(interface - interfaces->list);

	return 1u << (number < 31 ? number : 31);
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

/* At once: what is answered from now on could not be admitted, or can be again. */
static void publish_admission(struct interfaces *interfaces, struct interface *interface)
{
	struct shakeoff_interface profile = interface->profile;
	int error;

	if (!profile.mss[0] || profile.admits == admits(interface))
		return;
	interfaces->changed = true;
	profile.admits = admits(interface);
	error = set_profile(interfaces, interface, &profile);
	if (error)
		log_warn_limited("interface %s: what it offers could not be published: %s", interface->name,
				 strerror(-error));
}

static int put_admit(struct interfaces *interfaces, struct interface *interface)
{
	struct datapath *datapath = interfaces->datapaths[interface->datapath];
	int error = -EOPNOTSUPP;

	interface->admit_id = interface->outgoing_id = 0;
	if (may_admit(interface))
		error = datapath_admit_attach(datapath, interface->name, DATAPATH_OWNER_DAEMON);
	if (error == -EOPNOTSUPP)
		return error;
	interface->admit_id = error ? 0 : datapath_admit_id(datapath, interface->ifindex);
	interface->outgoing_id = interface->admit_id ? datapath_outgoing_id(datapath, interface->ifindex) : 0;
	return error;
}

static const char *front_name(const struct datapath_front *front)
{
	return *front->name ? front->name : "without a name";
}

static void put_to_front(struct interfaces *interfaces, struct interface *interface, enum datapath_hook hook)
{
	struct datapath *datapath = interfaces->datapaths[interface->datapath];
	const char *where = hook == DATAPATH_INGRESS ? "ingress" : "egress";
	struct datapath_front front;
	int error;

	interface->to_front[hook] = false;
	datapath_front(interface->ifindex, hook, &front);
	error = datapath_admit_to_front(datapath, interface->name, hook, DATAPATH_OWNER_DAEMON);
	interface->admit_id = datapath_admit_id(datapath, interface->ifindex);
	interface->outgoing_id = datapath_outgoing_id(datapath, interface->ifindex);
	interfaces->changed = true; /* the self-test has met the other program, perhaps */
	if (error)
		log_warn_limited(
			"interface %s: the tc program %s (id %u) stands before shakeoff's at %s, and that could not be changed: %s",
			interface->name, front_name(&front), front.id, where, strerror(-error));
	else
		log_warn_limited(
			"interface %s: the tc program %s (id %u) stood before shakeoff's at %s, which is first again",
			interface->name, front_name(&front), front.id, where);
}

/* Changes of what becomes of the interface's SYNs. */
static void say_admission(struct interface *interface)
{
	enum shakeoff_admits now = admits(interface), before = interface->said;
	struct datapath_front front;

	interface->said = now;
	if (now == before)
		return;
	if (now == SHAKEOFF_ADMITS_BEHIND) {
		datapath_front(interface->ifindex, DATAPATH_INGRESS, &front);
		log_warn(
			"interface %s: the tc program %s (id %u) comes back before shakeoff's each time: servers that listen are left to the "
			"kernel there until it is gone",
			interface->name, front_name(&front), front.id);
	} else if (now == SHAKEOFF_ADMITS_LOST) {
		log_warn(
			"interface %s: ACKs that are validated do not come to the tc program: servers that listen are left to the kernel "
			"there; it is tried again in %llu s",
			interface->name, (unsigned long long)(interface->flow.hold_ns / NS_PER_S));
	} else if (now == SHAKEOFF_ADMITS && before != SHAKEOFF_ADMITS_NOTHING) {
		log_info("interface %s: servers that listen are answered for again", interface->name);
	}
}

/* Puts the tc program beside the XDP program if it is not there. Without it the interface serves the queue handoff alone. */
static void admit(struct interfaces *interfaces, struct interface *interface)
{
	uint32_t before = interface->admit_id;
	bool lost = before && datapath_place(interface->ifindex, DATAPATH_INGRESS, before) == DATAPATH_PLACE_GONE;
	int error = put_admit(interfaces, interface);

	interfaces->changed |= lost || before != interface->admit_id;
	publish_admission(interfaces, interface);
	for (enum datapath_hook hook = DATAPATH_INGRESS; hook <= DATAPATH_EGRESS && interface->admit_id; hook++)
		if (interface->to_front[hook])
			put_to_front(interfaces, interface, hook);
	say_admission(interface);
	if (interface->admit_id && lost)
		log_warn_limited("interface %s: the tc program was taken away, and has been put back", interface->name);
	if (error && error != -EOPNOTSUPP) {
		const char *detail = datapath_detail();

		log_warn_limited(
			"interface %s: the tc program could not be attached, so servers that listen are left to the "
			"kernel there: %s%s%s",
			interface->name, strerror(-error), *detail ? ": " : "", detail);
	}
}

/* For `shakeoff status`, which does not read the configuration. */
static void publish_missing(const struct interfaces *interfaces)
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

static void say_mode(const struct interface *interface)
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
		int error = interface->attach ? attach(interfaces, interface) : 0;

		if (error)
			return say_attach(interfaces, interface->name, error);
		if (interface->unserved)
			continue;
		admit(interfaces, interface);
		say_mode(interface);
	}
	note_devices(interfaces); /* a bond's program has come to its members only now */
	publish_missing(interfaces);
	return interfaces_profile(interfaces);
}

/* ---------------------------------------------------------------------------------------------------- changes of links */

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

/* A new interface under an old name, such as a reconnected tunnel: it has no program. */
static void come_back(struct interfaces *interfaces, struct interface *interface, const struct link_entry *link)
{
	int error;

	forget(interfaces, interface);
	interface->ifindex = link->ifindex;
	if (!interface->detach)
		return;
	error = attach(interfaces, interface);
	if (error)
		say_attach(interfaces, interface->name, error);
	else
		log_info("interface %s is back and attached again", interface->name);
}

/* The maps of another datapath would need rings and workers: that is for a start. */
static void refuse(struct interfaces *interfaces, const struct datapath_attachment *found)
{
	if (interfaces->refused == found->control_id)
		return;
	interfaces->refused = found->control_id;
	log_warn("interface %s has a program with maps of its own: restart shakeoffd to take it up", found->ifname);
}

/* Somebody has taken the program away, or put another in its place: it is not for us to undo that. */
static void lose(struct interfaces *interfaces, struct interface *interface, const struct datapath_attachment *instead)
{
	if (interface->profile.mss[0] && instead)
		log_warn("interface %s has lost the program of this daemon: %s (id %u) is there instead",
			 interface->name, instead->prog_name, instead->prog_id);
	else if (interface->profile.mss[0])
		log_warn("interface %s has lost the program of this daemon: it was taken away", interface->name);
	forget(interfaces, interface);
	interface->detach = false;
	interface->ifindex = 0; /* no profile, until our program is there again */
	if (instead && instead->ours)
		refuse(interfaces, instead);
}

/* A renamed interface keeps its number and its program, so it stays protected under its new name. */
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
		admit(interfaces, interface);
	else if (!error || error == -ENOENT)
		lose(interfaces, interface, error ? NULL : &found);
}

bool interfaces_have(const struct interfaces *interfaces, unsigned int ifindex)
{
	for (size_t i = 0; i < interfaces->count; i++)
		if (interfaces->list[i].ifindex == ifindex)
			return true;
	return false;
}

/* With a bond's program at its members a socket is looked up as if for these. */
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

static void take_up(struct interfaces *interfaces, const struct datapath_attachment *found)
{
	struct interface *interface;

	if (is_unserved(interfaces, found)) {
		append_unserved(interfaces, found);
		return;
	}
	for (size_t i = 0; i < interfaces->datapath_count; i++) {
		if (datapath_control_id(interfaces->datapaths[i]) != found->control_id)
			continue;
		interface = append(interfaces);
		if (!interface)
			return;
		interface->datapath = i;
		adopt(interface, found);
		admit(interfaces, interface);
		interfaces->changed = true;
		log_info("interface %s: taken up, program %u in %s mode", found->ifname, found->prog_id,
			 found->native ? "native" : "generic");
		return;
	}
	refuse(interfaces, found);
}

/* Those that have got our program since. */
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

/* Without a name in the configuration an interface that is gone is nobody's any more. */
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
	note_devices(interfaces); /* what was done to them by now */
	publish_missing(interfaces);
	interfaces_profile(interfaces);
}

/* FNV-1a over what identifies the programs. */
static uint64_t sum_of_programs(const struct link_entry *links, size_t count)
{
	uint64_t hash = 14695981039346656037ull;

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < LINK_XDP_COUNT; k++)
			if (links[i].prog_id[k])
				hash = (hash ^ links[i].ifindex ^ (uint64_t)links[i].prog_id[k] << 32) *
				       1099511628211ull;
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

/* At a bond the members' hook gives to the bond's tc program. */
static void count_admissions(const struct interfaces *interfaces, const struct interface *interface,
			     struct shakeoff_admissions *sum)
{
	struct datapath *datapath = interfaces->datapaths[interface->datapath];
	struct shakeoff_admissions at;

	if (datapath_admissions(datapath, interface->ifindex, sum))
		*sum = (struct shakeoff_admissions){ 0 };
	for (size_t i = 0; i < interface->member_count; i++)
		if (!datapath_admissions(datapath, interface->members[i], &at))
			sum->claimed += at.claimed;
}

static void watch_flow(const struct interfaces *interfaces, struct interface *interface, uint64_t now_ns)
{
	struct shakeoff_admissions counted;

	count_admissions(interfaces, interface, &counted);
	/* While another stands before ours, that is the reason. */
	if (interface->order[DATAPATH_INGRESS].contested || !interface->order[DATAPATH_INGRESS].first_ns)
		interface->flow = (struct tc_flow){ .seen = counted };
	if (tc_flow_waits(&interface->flow) && softnet_dropped(&interface->dropped))
		tc_flow_excuse(&interface->flow, &counted);
	interface->stalled = tc_flow_look(&interface->flow, &counted, now_ns);
}

/* Returns whether something is to be done for which it takes privileges. */
static bool watch(struct interfaces *interfaces, struct interface *interface, uint64_t now_ns)
{
	const uint32_t ids[] = { [DATAPATH_INGRESS] = interface->admit_id, [DATAPATH_EGRESS] = interface->outgoing_id };
	bool wanted = false;

	for (enum datapath_hook hook = DATAPATH_INGRESS; hook <= DATAPATH_EGRESS; hook++) {
		enum datapath_place place = ids[hook] ? datapath_place(interface->ifindex, hook, ids[hook]) :
							DATAPATH_PLACE_FIRST;

		interface->to_front[hook] = tc_order_look(&interface->order[hook], place, now_ns);
		wanted |= interface->to_front[hook] || place == DATAPATH_PLACE_GONE;
	}
	watch_flow(interfaces, interface, now_ns);
	publish_admission(interfaces, interface);
	return wanted || interface->said != admits(interface);
}

bool interfaces_watch(struct interfaces *interfaces, uint64_t now_ns)
{
	bool wanted = false;

	for (size_t i = 0; i < interfaces->count; i++)
		if (interfaces->list[i].admit_id)
			wanted |= watch(interfaces, &interfaces->list[i], now_ns);
	return wanted;
}

void interfaces_detach(struct interfaces *interfaces, bool only_new)
{
	for (size_t i = 0; i < interfaces->count; i++) {
		struct interface *interface = &interfaces->list[i];
		struct link_entry link;
		int error;

		if (!interface->ifindex || !interface->detach || (only_new && !interface->attached_now))
			continue;
		/* It may have been renamed since the last look. */
		if (!link_get_index(interface->ifindex, &link))
			memcpy(interface->name, link.name, sizeof(interface->name));
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
	for (size_t i = 0; i < interfaces->count; i++)
		free(interfaces->list[i].members);
	topology_free(&interfaces->topology);
	free(interfaces->datapaths);
	free(interfaces->vlans);
	free(interfaces->list);
	*interfaces = (struct interfaces){ 0 };
}
