/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which devices allow programs, and through which devices frames with VLAN tags arrive, in hosts made by hand.
 *
 * link: user/common/device.c user/common/link.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <net/if_arp.h>

#include "common/device.h"

/*
 *	br0 -- eth3.9 -- eth3
 *	mac0 -- bond0.10 -- bond0 -- eth0, eth1
 *	blue (VRF) -- eth2, tun0, wlan0 (without a kind)
 */
enum { ETH0 = 1, ETH1, ETH2, ETH3, BOND0, BOND0_10, MAC0, BLUE, TUN0, ETH3_9, BR0, PEER };

static struct link_entry host[PEER];
static const struct topology topology = { host, PEER };

static struct link_entry *put(unsigned int ifindex, const char *name, const char *kind)
{
	struct link_entry *device = &host[ifindex - 1];

	*device = (struct link_entry){ .ifindex = ifindex, .type = ARPHRD_ETHER, .up = true };
	snprintf(device->name, sizeof(device->name), "%s", name);
	snprintf(device->kind, sizeof(device->kind), "%s", kind);
	return device;
}

static int begin(void **state)
{
	(void)state;
	put(ETH0, "eth0", "")->master = BOND0;
	put(ETH1, "eth1", "")->master = BOND0;
	put(ETH2, "eth2", "")->master = BLUE;
	put(ETH3, "eth3", "");
	put(BOND0, "bond0", "bond");
	put(BOND0_10, "bond0.10", "vlan")->lower = BOND0;
	put(MAC0, "mac0", "macvlan")->lower = BOND0_10;
	put(BLUE, "blue", "vrf");
	put(TUN0, "tun0", "tun")->type = ARPHRD_NONE;
	put(ETH3_9, "eth3.9", "vlan")->lower = ETH3;
	host[ETH3_9 - 1].master = BR0;
	put(BR0, "br0", "bridge");
	put(PEER, "veth0", "veth")->lower = ETH3_9; /* its peer, not a device below it */
	return 0;
}

static struct link_entry *device(unsigned int ifindex)
{
	return &host[ifindex - 1];
}

/* Returns the error for a device; "": programs can be attached to it. */
static const char *refusal(unsigned int ifindex)
{
	static char sentence[DEVICE_SENTENCE];

	sentence[0] = '\0';
	return device_refuses(&topology, device(ifindex), sentence, sizeof(sentence)) ? sentence : "";
}

static void ethernet_devices_are_served(void **state)
{
	(void)state;
	for (unsigned int ifindex = 1; ifindex <= PEER; ifindex++) {
		if (ifindex == TUN0 || ifindex == BLUE)
			continue;
		assert_string_equal(refusal(ifindex), "");
		assert_true(device_is_served(device(ifindex)));
	}
	device(ETH3)->type = ARPHRD_LOOPBACK;
	assert_string_equal(refusal(ETH3), "");
}

static void devices_without_an_ethernet_header_are_refused_with_their_kind(void **state)
{
	(void)state;
	assert_non_null(strstr(refusal(TUN0), "tun0 "));
	assert_non_null(strstr(refusal(TUN0), "(tun)"));
	assert_false(device_is_served(device(TUN0)));
	device(ETH3)->type = ARPHRD_INFINIBAND;
	assert_non_null(strstr(refusal(ETH3), "without an Ethernet header,"));
}

static void a_vrfs_own_device_is_refused_with_its_ports(void **state)
{
	(void)state;
	assert_non_null(strstr(refusal(BLUE), "(eth2)"));
	assert_false(device_is_served(device(BLUE)));
}

static void no_program_is_allowed_below_a_device_with_a_program(void **state)
{
	(void)state;
	device(BOND0)->prog_id[LINK_XDP_DRIVER] = 7;
	assert_true(device_runs_at_members(device(BOND0)));
	assert_non_null(strstr(refusal(ETH1), "eth1 is a member of bond0"));
	assert_string_equal(refusal(BOND0), "");
	device(BR0)->prog_id[LINK_XDP_GENERIC] = 8;
	assert_non_null(strstr(refusal(ETH3_9), "below br0"));
	assert_string_equal(refusal(ETH3), "");
	device(ETH3_9)->prog_id[LINK_XDP_GENERIC] = 9;
	assert_non_null(strstr(refusal(ETH3), "below eth3.9"));
	/* It was there first. */
	assert_string_equal(refusal(ETH3_9), "");
}

static void a_bond_whose_member_has_a_program_is_refused_with_its_members(void **state)
{
	(void)state;
	device(ETH1)->prog_id[LINK_XDP_DRIVER] = 7;
	assert_non_null(strstr(refusal(BOND0), "its member eth1 "));
	assert_non_null(strstr(refusal(BOND0), "(eth0, eth1)"));
	assert_string_equal(refusal(ETH0), "");
}

static void addresses_above_a_vlan_device_are_tagged(void **state)
{
	(void)state;
	assert_true(device_is_tagged(&topology, device(BOND0_10), device(BOND0)));
	assert_true(device_is_tagged(&topology, device(BOND0_10), device(ETH1)));
	assert_true(device_is_tagged(&topology, device(MAC0), device(ETH0)));
	assert_true(device_is_tagged(&topology, device(BR0), device(ETH3)));
	assert_false(device_is_tagged(&topology, device(BOND0), device(ETH0)));
	assert_false(device_is_tagged(&topology, device(ETH0), device(ETH0)));
	assert_false(device_is_tagged(&topology, device(MAC0), device(ETH3)));
	/* At the VLAN device itself, and above it, the tag is gone. */
	assert_false(device_is_tagged(&topology, device(BOND0_10), device(BOND0_10)));
	assert_false(device_is_tagged(&topology, device(MAC0), device(BOND0_10)));
	assert_false(device_is_tagged(&topology, device(PEER), device(ETH3)));
}

static void packets_arrive_through_the_devices_below(void **state)
{
	(void)state;
	assert_true(device_is_reached(&topology, device(ETH3), device(ETH3)));
	assert_true(device_is_reached(&topology, device(MAC0), device(ETH1)));
	assert_true(device_is_reached(&topology, device(BR0), device(ETH3)));
	assert_true(device_is_reached(&topology, device(BLUE), device(ETH2)));
	assert_false(device_is_reached(&topology, device(ETH1), device(ETH0)));
	assert_false(device_is_reached(&topology, device(TUN0), device(ETH3)));
	assert_false(device_is_reached(&topology, device(ETH3), device(BR0)));
	/* An address that belongs to no particular network. */
	device(PEER)->type = ARPHRD_LOOPBACK;
	assert_true(device_is_reached(&topology, device(PEER), device(ETH3)));
}

static void a_bonds_member_without_a_program_is_named(void **state)
{
	char sentence[DEVICE_SENTENCE] = "";

	(void)state;
	device(ETH0)->prog_id[LINK_XDP_DRIVER] = 7;
	assert_true(device_has_open_sibling(&topology, device(ETH0), sentence, sizeof(sentence)));
	assert_non_null(strstr(sentence, "its member eth1 has no program"));
	device(ETH1)->prog_id[LINK_XDP_DRIVER] = 8;
	assert_false(device_has_open_sibling(&topology, device(ETH0), sentence, sizeof(sentence)));
	assert_false(device_has_open_sibling(&topology, device(ETH2), sentence, sizeof(sentence)));
	assert_false(device_has_open_sibling(&topology, device(ETH3), sentence, sizeof(sentence)));
}

static void a_device_has_vlans_above_it_at_any_height(void **state)
{
	const bool expected[PEER] = { [ETH0 - 1] = true, [ETH1 - 1] = true, [ETH3 - 1] = true, [BOND0 - 1] = true };

	(void)state;
	for (unsigned int ifindex = 1; ifindex <= PEER; ifindex++)
		assert_int_equal(device_has_vlans(&topology, device(ifindex)), expected[ifindex - 1]);
}

static void a_circle_of_devices_ends(void **state)
{
	(void)state;
	device(BOND0)->master = BOND0_10;
	assert_true(device_is_tagged(&topology, device(BOND0_10), device(ETH0)));
	assert_false(device_is_tagged(&topology, device(MAC0), device(ETH3)));
}

static void give_mac(unsigned int ifindex, uint8_t last)
{
	device(ifindex)->has_mac = true;
	device(ifindex)->mac[5] = last;
}

static void frames_for_devices_above_belong_to_the_host(void **state)
{
	uint8_t macs[3][6];

	(void)state;
	assert_int_equal(device_macs(&topology, device(ETH0), macs, 3), 0);
	give_mac(ETH0, 1);
	give_mac(ETH1, 9); /* beside it */
	give_mac(BOND0, 1);
	give_mac(BOND0_10, 1);
	assert_int_equal(device_macs(&topology, device(ETH0), macs, 3), 1);
	assert_int_equal(macs[0][5], 1);
	give_mac(MAC0, 2);
	assert_int_equal(device_macs(&topology, device(ETH0), macs, 3), 2);
	assert_int_equal(macs[0][5], 1);
	assert_int_equal(macs[1][5], 2);
	assert_int_equal(device_macs(&topology, device(ETH0), macs, 1), 2);
	give_mac(PEER, 3); /* a veth's peer is elsewhere */
	give_mac(ETH3, 4);
	assert_int_equal(device_macs(&topology, device(ETH3), macs, 3), 1);
	give_mac(BR0, 5);
	assert_int_equal(device_macs(&topology, device(ETH3), macs, 3), 2);
}

static void a_vlan_device_takes_its_tag_from_the_device_below(void **state)
{
	(void)state;
	assert_true(device_takes_tag(&topology, device(BOND0_10), device(ETH0)));
	assert_true(device_takes_tag(&topology, device(BOND0_10), device(BOND0)));
	assert_false(device_takes_tag(&topology, device(BOND0_10), device(ETH3)));
	assert_false(device_takes_tag(&topology, device(MAC0), device(ETH0)));
	assert_true(device_takes_tag(&topology, device(ETH3_9), device(ETH3)));
	assert_false(device_takes_tag(&topology, device(ETH3_9), device(ETH3_9)));
	strcpy(device(MAC0)->kind, "vlan"); /* a tag behind another */
	assert_false(device_takes_tag(&topology, device(MAC0), device(ETH0)));
}

static void a_veth_may_hide_tags(void **state)
{
	char sentence[DEVICE_SENTENCE] = "";

	(void)state;
	assert_false(device_hides_tags(&topology, device(PEER), sentence, sizeof(sentence)));
	strcpy(device(ETH3)->kind, "veth");
	assert_true(device_hides_tags(&topology, device(ETH3), sentence, sizeof(sentence)));
	assert_non_null(strstr(sentence, "txvlan off"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
	const struct CMUnitTest tests[] = {
		TEST(ethernet_devices_are_served),
		TEST(devices_without_an_ethernet_header_are_refused_with_their_kind),
		TEST(a_vrfs_own_device_is_refused_with_its_ports),
		TEST(no_program_is_allowed_below_a_device_with_a_program),
		TEST(a_bond_whose_member_has_a_program_is_refused_with_its_members),
		TEST(addresses_above_a_vlan_device_are_tagged),
		TEST(packets_arrive_through_the_devices_below),
		TEST(a_bonds_member_without_a_program_is_named),
		TEST(a_device_has_vlans_above_it_at_any_height),
		TEST(a_circle_of_devices_ends),
		TEST(frames_for_devices_above_belong_to_the_host),
		TEST(a_vlan_device_takes_its_tag_from_the_device_below),
		TEST(a_veth_may_hide_tags),
	};

	return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
