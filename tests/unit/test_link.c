/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The properties of an interface from rtnetlink, in messages made by hand.
 *
 * link: user/common/link.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>

#include "common/link.h"

static _Alignas(struct nlmsghdr) char buffer[1024];

static struct nlmsghdr *message(void)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info;

	header->nlmsg_type = RTM_NEWLINK;
	info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->ifi_index = 7;
	mnl_attr_put_strz(header, IFLA_IFNAME, "eth0");
	mnl_attr_put_u32(header, IFLA_MTU, 9000);
	return header;
}

static struct link_entry parsed(const struct nlmsghdr *header)
{
	struct link_entry entry;

	memset(&entry, 0xff, sizeof(entry));
	link_parse(header, &entry);
	return entry;
}

/* kind: its own; slave_kind: its master's. */
static struct nlmsghdr *with_kinds(const char *kind, const char *slave_kind)
{
	struct nlmsghdr *header = message();
	struct nlattr *nest = mnl_attr_nest_start(header, IFLA_LINKINFO);

	if (kind)
		mnl_attr_put_strz(header, IFLA_INFO_KIND, kind);
	if (slave_kind)
		mnl_attr_put_strz(header, IFLA_INFO_SLAVE_KIND, slave_kind);
	mnl_attr_nest_end(header, nest);
	return header;
}

static void an_interface_has_its_name_and_mtu(void **state)
{
	struct link_entry entry = parsed(message());

	(void)state;
	assert_int_equal(entry.ifindex, 7);
	assert_string_equal(entry.name, "eth0");
	assert_int_equal(entry.mtu, 9000);
	assert_false(entry.in_vrf);
	for (int i = 0; i < LINK_XDP_COUNT; i++)
		assert_int_equal(entry.prog_id[i], 0);
}

static void each_hook_has_its_program(void **state)
{
	struct nlmsghdr *header = message();
	struct nlattr *nest = mnl_attr_nest_start(header, IFLA_XDP);
	struct link_entry entry;

	(void)state;
	mnl_attr_put_u32(header, IFLA_XDP_DRV_PROG_ID, 11);
	mnl_attr_put_u32(header, IFLA_XDP_SKB_PROG_ID, 12);
	mnl_attr_nest_end(header, nest);
	entry = parsed(header);
	assert_int_equal(entry.prog_id[LINK_XDP_DRIVER], 11);
	assert_int_equal(entry.prog_id[LINK_XDP_GENERIC], 12);
	assert_int_equal(entry.prog_id[LINK_XDP_OFFLOAD], 0);
}

static void a_port_of_a_vrf_is_known(void **state)
{
	(void)state;
	assert_true(parsed(with_kinds("veth", "vrf")).in_vrf);
	assert_true(parsed(with_kinds(NULL, "vrf")).in_vrf);
	assert_false(parsed(with_kinds("vrf", NULL)).in_vrf);
	assert_false(parsed(with_kinds("veth", "bridge")).in_vrf);
	assert_false(parsed(with_kinds("veth", "vrfs")).in_vrf);
	assert_false(parsed(with_kinds("veth", NULL)).in_vrf);
}

static void its_kind_and_its_related_devices_are_known(void **state)
{
	struct nlmsghdr *header = with_kinds("vlan", "bridge");
	struct link_entry entry;

	(void)state;
	mnl_attr_put_u32(header, IFLA_MASTER, 3);
	mnl_attr_put_u32(header, IFLA_LINK, 2);
	((struct ifinfomsg *)mnl_nlmsg_get_payload(header))->ifi_type = ARPHRD_ETHER;
	((struct ifinfomsg *)mnl_nlmsg_get_payload(header))->ifi_flags = IFF_UP | IFF_RUNNING;
	entry = parsed(header);
	assert_string_equal(entry.kind, "vlan");
	assert_int_equal(entry.master, 3);
	assert_int_equal(entry.lower, 2);
	assert_int_equal(entry.type, ARPHRD_ETHER);
	assert_true(entry.up);
	/* The number belongs to another network namespace, for example of a veth's peer. */
	mnl_attr_put_u32(header, IFLA_LINK_NETNSID, 0);
	assert_int_equal(parsed(header).lower, 0);
	((struct ifinfomsg *)mnl_nlmsg_get_payload(header))->ifi_flags = IFF_UP;
	assert_false(parsed(header).up);
}

/* Reads the kernel's attributes of a member: drivers/net/bonding/bond_netlink.c, bond_fill_slave_info(). */
static bool is_inactive(const char *master, uint8_t member_state)
{
	struct nlmsghdr *header = message();
	struct nlattr *nest = mnl_attr_nest_start(header, IFLA_LINKINFO), *data;

	mnl_attr_put_strz(header, IFLA_INFO_SLAVE_KIND, master);
	data = mnl_attr_nest_start(header, IFLA_INFO_SLAVE_DATA);
	mnl_attr_put_u8(header, IFLA_BOND_SLAVE_STATE, member_state);
	mnl_attr_nest_end(header, data);
	mnl_attr_nest_end(header, nest);
	return parsed(header).inactive;
}

static void an_inactive_member_of_a_bond_is_known(void **state)
{
	(void)state;
	assert_true(is_inactive("bond", 1));
	assert_false(is_inactive("bond", 0));
	assert_false(is_inactive("bridge", 1)); /* IFLA_BRPORT_STATE has the same number */
}

static void a_kind_without_a_terminator_is_ignored(void **state)
{
	struct nlmsghdr *header = message();
	struct nlattr *nest = mnl_attr_nest_start(header, IFLA_LINKINFO);

	(void)state;
	mnl_attr_put(header, IFLA_INFO_SLAVE_KIND, 3, "vrf");
	mnl_attr_nest_end(header, nest);
	assert_false(parsed(header).in_vrf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interface_has_its_name_and_mtu),
		cmocka_unit_test(each_hook_has_its_program),
		cmocka_unit_test(a_port_of_a_vrf_is_known),
		cmocka_unit_test(its_kind_and_its_related_devices_are_known),
		cmocka_unit_test(an_inactive_member_of_a_bond_is_known),
		cmocka_unit_test(a_kind_without_a_terminator_is_ignored),
	};

	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
