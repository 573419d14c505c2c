/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Looks after each interface's tc program: whether it is there, is first, and gets the ACKs that the hook validates. */
#include <errno.h>
#include <string.h>

#include "common/link.h"
#include "common/log.h"
#include "shakeoffd/hook/interfaces_internal.h"
#include "shakeoffd/sys/softnet.h"

/*
 * Returns whether it is in a VRF. There the kernel looks sockets up for the VRF device, and binds accepted connections
 * to it (sysctl tcp_l3mdev_accept). The hook sees the packet before that, and would not find those sockets.
 */
static bool is_in_vrf(struct interface *interface)
{
	bool before = interface->in_vrf;
	struct link_entry link;

	interface->in_vrf = !link_get(interface->name, &link) && link.in_vrf;
	if (interface->in_vrf && !before)
		log_warn("interface %s belongs to a VRF: servers that listen are bypassed there", interface->name);
	return interface->in_vrf;
}

bool interface_may_admit(struct interface *interface)
{
	return !is_in_vrf(interface) && datapath_can_admit();
}

/* Publishes the admission at once: connections answered for from now on could not be admitted, or can be again. */
static void publish_admission(struct interfaces *interfaces, struct interface *interface)
{
	struct shakeoff_interface profile = interface->profile;
	int error;

	if (!profile.mss[0] || profile.admits == interface_admission(interface))
		return;
	interfaces->changed = true;
	profile.admits = interface_admission(interface);
	error = interfaces_set_profile(interfaces, interface, &profile);
	if (error)
		log_warn_limited("interface %s: what it offers could not be published: %s", interface->name,
				 strerror(-error));
}

static int put_admit(struct interfaces *interfaces, struct interface *interface)
{
	struct datapath *datapath = interfaces->datapaths[interface->datapath];
	int error = -EOPNOTSUPP;

	interface->admit_id = interface->outgoing_id = 0;
	if (interface_may_admit(interface))
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
	interfaces->changed = true; /* the other program may have affected the self-test */
	if (error)
		log_warn_limited(
			"interface %s: the tc program %s (id %u) is before shakeoff's at %s, and that could not be "
			"changed: %s",
			interface->name, front_name(&front), front.id, where, strerror(-error));
	else
		log_warn_limited(
			"interface %s: the tc program %s (id %u) was before shakeoff's at %s, which is first again",
			interface->name, front_name(&front), front.id, where);
}

/* Logs changes in the treatment of the interface's SYNs. */
static void report_admission(struct interface *interface)
{
	enum shakeoff_admits now = interface_admission(interface), before = interface->said;
	struct datapath_front front;

	interface->said = now;
	if (now == before)
		return;
	if (now == SHAKEOFF_ADMITS_BEHIND) {
		datapath_front(interface->ifindex, DATAPATH_INGRESS, &front);
		log_warn("interface %s: the tc program %s (id %u) comes back before shakeoff's each time: servers that "
			 "listen are bypassed there until it is gone",
			 interface->name, front_name(&front), front.id);
	} else if (now == SHAKEOFF_ADMITS_LOST) {
		log_warn("interface %s: validated ACKs do not come to the tc program: servers that listen are bypassed "
			 "there; the next try is in %llu s",
			 interface->name, (unsigned long long)(interface->flow.hold_ns / NS_PER_S));
	} else if (now == SHAKEOFF_ADMITS && before != SHAKEOFF_ADMITS_NOTHING) {
		log_info("interface %s: the hook answers for servers that listen again", interface->name);
	}
}

void interfaces_admit(struct interfaces *interfaces, struct interface *interface)
{
	uint32_t before = interface->admit_id;
	bool lost = before && datapath_position(interface->ifindex, DATAPATH_INGRESS, before) == DATAPATH_POSITION_GONE;
	int error = put_admit(interfaces, interface);

	interfaces->changed |= lost || before != interface->admit_id;
	publish_admission(interfaces, interface);
	for (enum datapath_hook hook = DATAPATH_INGRESS; hook <= DATAPATH_EGRESS && interface->admit_id; hook++)
		if (interface->to_front[hook])
			put_to_front(interfaces, interface, hook);
	report_admission(interface);
	if (interface->admit_id && lost)
		log_warn_limited("interface %s: the tc program was taken away, and has been put back", interface->name);
	if (error && error != -EOPNOTSUPP) {
		const char *detail = datapath_detail();

		log_warn_limited(
			"interface %s: the tc program could not be attached, so servers that listen are bypassed "
			"there: %s%s%s",
			interface->name, strerror(-error), *detail ? ": " : "", detail);
	}
}

/* Sums up the counts of an interface. On a bond the members' hook passes ACKs to the bond's tc program. */
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
	/* While another program is first, that is the reason for missing ACKs. */
	if (interface->order[DATAPATH_INGRESS].contested || !interface->order[DATAPATH_INGRESS].first_ns)
		interface->flow = (struct tc_flow){ .seen = counted };
	if (tc_flow_waits(&interface->flow) && softnet_dropped(&interface->dropped))
		tc_flow_excuse(&interface->flow, &counted);
	interface->stalled = tc_flow_look(&interface->flow, &counted, now_ns);
}

/* Returns whether there is work that needs privileges. */
static bool watch(struct interfaces *interfaces, struct interface *interface, uint64_t now_ns)
{
	const uint32_t ids[] = { [DATAPATH_INGRESS] = interface->admit_id, [DATAPATH_EGRESS] = interface->outgoing_id };
	bool wanted = false;

	for (enum datapath_hook hook = DATAPATH_INGRESS; hook <= DATAPATH_EGRESS; hook++) {
		enum datapath_position position = ids[hook] ? datapath_position(interface->ifindex, hook, ids[hook]) :
							      DATAPATH_POSITION_FIRST;

		interface->to_front[hook] = tc_order_look(&interface->order[hook], position, now_ns);
		wanted |= interface->to_front[hook] || position == DATAPATH_POSITION_GONE;
	}
	watch_flow(interfaces, interface, now_ns);
	publish_admission(interfaces, interface);
	return wanted || interface->said != interface_admission(interface);
}

bool interfaces_watch(struct interfaces *interfaces, uint64_t now_ns)
{
	bool wanted = false;

	for (size_t i = 0; i < interfaces->count; i++)
		if (interfaces->list[i].admit_id)
			wanted |= watch(interfaces, &interfaces->list[i], now_ns);
	return wanted;
}
