/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hook makes the same checks as the kernel before it accepts a packet: whether the frame is for this host, and
 * whether a reply would reach its source. A packet that the kernel would refuse passes untouched.
 *
 * link: tests/bpf/harness*.c tests/bpf/acl_fixture.c user/datapath/?*.c user/common/process.c user/common/link.c
 * link: user/common/log.c user/acl/?*.c user/common/prefix.c user/common/text.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include "harness.h"
#include "acl_fixture.h"

static const struct segment syn = LINUX_SYN, syn6 = LINUX_SYN6;

static const struct shakeoff_route nowhere = { .id = 1, .refused = SHAKEOFF_ROUTE_REFUSED_ALL };

/* ----------------------------------------------------------------------------------------------------------- frames */

/* Frames of every kind: to a service, to a protected address, a fragment. */
static const struct segment kinds[] = {
	LINUX_SYN,
	LINUX_SYN6,
	{ .flags = ACK },
	{ .from = "2001:db8:7::7", .flags = ACK },
	{ .flags = RST },
	{ .flags = 0 },
	{ .flags = SYN | ACK },
	{ .flags = SYN, .zero_dport = true },
	{ .flags = SYN, .doff = 15 },
	{ .flags = SYN, .fragment = FRAGMENT_MF },
	{ .flags = ACK, .ip_header_words = 15 },
	{ .from = "127.0.0.1", .flags = SYN },
};

static void frames_for_another_mac_address_pass(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct segment segment = kinds[i];

		assert_int_not_equal(run_segment(&segment, NULL), SHAKEOFF_NO_SERVICE);
		segment.other_mac = true;
		assert_verdict(&segment, SHAKEOFF_NO_SERVICE);
		segment.tags = 1;
		assert_verdict(&segment, SHAKEOFF_NO_SERVICE);
	}
}

static void they_pass_when_the_ack_is_good(void **state)
{
	struct client client;

	(void)state;
	client_connect(&client, &syn);
	client.ack.other_mac = true;
	assert_verdict(&client.ack, SHAKEOFF_NO_SERVICE);
	expect_no_event();
	client.ack.other_mac = false;
	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
}

static void they_pass_when_the_source_is_blocked(void **state)
{
	struct segment segment = LINUX_SYN;

	(void)state;
	acl_fixture_add("block 198.51.100.7\n");
	assert_verdict(&segment, SHAKEOFF_ACL_BLOCKED);
	segment.other_mac = true;
	assert_verdict(&segment, SHAKEOFF_NO_SERVICE);
}

static void they_do_not_make_the_service_active(void **state)
{
	struct segment segment = LINUX_SYN;

	(void)state;
	segment.other_mac = true;
	for (int i = 0; i < 100; i++)
		assert_verdict(&segment, SHAKEOFF_NO_SERVICE);
	assert_int_equal(harness.service->syns.counted, 0);
}

static void mac_addresses_of_devices_above_belong_to_the_host(void **state)
{
	struct shakeoff_interface profile = interface_default();
	struct segment segment = LINUX_SYN;

	(void)state;
	segment.other_mac = true;
	profile.mac_count = SHAKEOFF_MACS;
	memset(&profile.macs[1], 0, sizeof(profile.macs) - sizeof(profile.macs[0]));
	memcpy(profile.macs[SHAKEOFF_MACS - 1], frame_other_mac, sizeof(frame_other_mac));
	interface_set(&profile);
	assert_verdict(&segment, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	profile.mac_count = SHAKEOFF_MACS - 1;
	interface_set(&profile);
	assert_verdict(&segment, SHAKEOFF_NO_SERVICE);
}

static void a_changed_mac_address_is_seen(void **state)
{
	struct shakeoff_interface profile = interface_default();
	struct segment other = LINUX_SYN;

	(void)state;
	other.other_mac = true;
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	memcpy(profile.macs[0], frame_other_mac, sizeof(frame_other_mac));
	interface_set(&profile);
	assert_verdict(&syn, SHAKEOFF_NO_SERVICE);
	assert_verdict(&other, SHAKEOFF_SYNACK_SENT);
}

static void an_interface_without_a_mac_address_is_bypassed(void **state)
{
	struct shakeoff_interface profile = interface_default();

	(void)state;
	profile.mac_count = 0;
	memset(profile.macs, 0, sizeof(profile.macs));
	interface_set(&profile);
	assert_verdict(&syn, SHAKEOFF_NO_SERVICE);
	assert_verdict(&syn6, SHAKEOFF_NO_SERVICE);
}

static void only_tags_of_vlans_that_the_host_has_are_answered(void **state)
{
	struct segment segment = LINUX_SYN;
	__u32 key = SHAKEOFF_VLAN_KEY(harness.ifindex, SHAKEOFF_VLAN_TAG(false, 101));
	const uint8_t there = 1;

	(void)state;
	segment.tags = 1;
	assert_verdict(&segment, SHAKEOFF_SYNACK_SENT);
	segment.vlan = 101;
	assert_verdict(&segment, SHAKEOFF_NO_SERVICE);
	segment.provider_tag = true;
	assert_verdict(&segment, SHAKEOFF_NO_SERVICE);
	segment.provider_tag = false;
	assert_int_equal(bpf_map_update_elem(harness.vlans, &key, &there, BPF_ANY), 0);
	assert_verdict(&segment, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&segment, SHAKEOFF_SYNACK_SENT);
	assert_int_equal(bpf_map_delete_elem(harness.vlans, &key), 0);
	generation_raise();
	assert_verdict(&segment, SHAKEOFF_NO_SERVICE);
}

/* A packet without a port, or to port 0, may have come in by another interface than the last look-up's. */
static void a_tag_seen_on_a_fragment_is_looked_up_again(void **state)
{
	const struct segment others[] = { { .flags = ACK, .fragment = 185, .tags = 1, .vlan = 101 },
					  { .flags = ACK, .zero_dport = true, .tags = 1, .vlan = 101 } };
	struct segment segment = LINUX_SYN;
	__u32 key = SHAKEOFF_VLAN_KEY(harness.ifindex, SHAKEOFF_VLAN_TAG(false, 101));
	const uint8_t there = 1;

	(void)state;
	segment.tags = 1;
	segment.vlan = 101;
	for (size_t i = 0; i < COUNT(others); i++) {
		assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
		assert_int_equal(bpf_map_update_elem(harness.vlans, &key, &there, BPF_ANY), 0);
		assert_verdict(&others[i], i ? SHAKEOFF_BAD_SEGMENT : SHAKEOFF_FRAG_PASS);
		assert_int_equal(bpf_map_delete_elem(harness.vlans, &key), 0);
		assert_verdict(&segment, SHAKEOFF_NO_SERVICE);
	}
}

static void a_tag_of_vlan_0_needs_no_vlan_device(void **state)
{
	struct segment segment = LINUX_SYN;

	(void)state;
	segment.tags = 1;
	segment.priority_tag = true;
	assert_verdict(&segment, SHAKEOFF_SYNACK_SENT);
}

/* ---------------------------------------------------------------------------------------------------------- sources */

static void the_hosts_own_addresses_are_not_clients(void **state)
{
	struct client client, client6;

	(void)state;
	client_connect(&client, &syn);
	client_connect(&client6, &syn6);
	own_set("198.51.100.7", true);
	own_set("2001:db8:7::7", true);
	assert_verdict(&syn, SHAKEOFF_SYN_UNROUTED);
	assert_verdict(&syn6, SHAKEOFF_SYN_UNROUTED);
	assert_verdict(&client.ack, SHAKEOFF_ACK_UNROUTED);
	assert_verdict(&client6.ack, SHAKEOFF_ACK_UNROUTED);
	expect_no_event();
	own_set("198.51.100.7", false);
	own_set("2001:db8:7::7", false);
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&syn6, SHAKEOFF_SYNACK_SENT);
}

static void addresses_of_an_own_prefix_are_not_clients(void **state)
{
	(void)state;
	own_set("198.51.100.0/24", true);
	own_set("2001:db8:7::/64", true);
	assert_verdict(&syn, SHAKEOFF_SYN_UNROUTED);
	assert_verdict(&syn6, SHAKEOFF_SYN_UNROUTED);
	own_set("198.51.100.0/24", false);
	own_set("2001:db8:7::/64", false);
}

/* With every bit set, each source is looked up. */
static void a_source_with_the_bit_of_an_own_address_is_a_client(void **state)
{
	(void)state;
	memset(harness.control->own, 0xff, sizeof(harness.control->own));
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&syn6, SHAKEOFF_SYNACK_SENT);
}

static void the_bit_of_an_address_alone_is_enough(void **state)
{
	__u32 bit = shakeoff_own_bit(inet_addr("198.51.100.7"));

	(void)state;
	own_set("198.51.100.7", true);
	memset(harness.control->own, 0, sizeof(harness.control->own));
	harness.control->own[bit / 32] = 1u << bit % 32;
	assert_verdict(&syn, SHAKEOFF_SYN_UNROUTED);
	own_set("198.51.100.7", false);
}

static void without_a_route_back_the_kernel_decides(void **state)
{
	struct client client, client6;

	(void)state;
	client_connect(&client, &syn);
	client_connect(&client6, &syn6);
	route_set("198.51.0.0/16", &nowhere);
	route_set("2001:db8::/32", &nowhere);
	assert_verdict(&syn, SHAKEOFF_SYN_UNROUTED);
	assert_verdict(&syn6, SHAKEOFF_SYN_UNROUTED);
	assert_verdict(&client.ack, SHAKEOFF_ACK_UNROUTED);
	assert_verdict(&client6.ack, SHAKEOFF_ACK_UNROUTED);
	expect_no_event();
}

static void a_longer_prefix_may_lead_back(void **state)
{
	const struct shakeoff_route back = { .id = 2 };
	struct segment neighbour = LINUX_SYN;

	(void)state;
	route_set("0.0.0.0/0", &nowhere);
	route_set("198.51.100.0/24", &back);
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	neighbour.from = "198.51.101.7";
	assert_verdict(&neighbour, SHAKEOFF_SYN_UNROUTED);
}

/* The trie is not looked up; it has another result here. */
static void a_client_of_a_plain_prefix_needs_no_look_up(void **state)
{
	struct shakeoff_plain_routes *plain = &harness.control->plain;
	struct segment other = LINUX_SYN;

	(void)state;
	route_set("0.0.0.0/0", &nowhere);
	route_set("::/0", &nowhere);
	plain->v4[SHAKEOFF_PLAIN4 - 1].address = inet_addr("198.51.100.0");
	plain->v4[SHAKEOFF_PLAIN4 - 1].mask = inet_addr("255.255.255.0");
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	other.from = "198.51.101.7";
	assert_verdict(&other, SHAKEOFF_SYN_UNROUTED);
	plain->v4[SHAKEOFF_PLAIN4 - 1].mask = 0;
	assert_verdict(&syn, SHAKEOFF_SYN_UNROUTED);
	plain->v6[SHAKEOFF_PLAIN6 - 1].address[0] = htonl(0x20010db8);
	plain->v6[SHAKEOFF_PLAIN6 - 1].mask[0] = UINT32_MAX;
	plain->v6[SHAKEOFF_PLAIN6 - 1].address[1] = htonl(0x00070000);
	plain->v6[SHAKEOFF_PLAIN6 - 1].mask[1] = htonl(0xffff0000);
	assert_verdict(&syn6, SHAKEOFF_SYNACK_SENT);
	plain->v6[SHAKEOFF_PLAIN6 - 1].address[1] = htonl(0x00080000);
	assert_verdict(&syn6, SHAKEOFF_SYN_UNROUTED);
}

static void a_route_refused_at_another_interface_is_used_here(void **state)
{
	const struct shakeoff_route elsewhere = { .id = 1, .refused = 0xfffffffe }, here = { .id = 2, .refused = 1 };

	(void)state;
	route_set("198.51.100.0/24", &elsewhere);
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	route_set("198.51.100.0/24", &here);
	assert_verdict(&syn, SHAKEOFF_SYN_UNROUTED);
}

static void a_bypassed_listening_socket_gets_syns_without_a_route_back(void **state)
{
	(void)state;
	route_set("198.51.0.0/16", &nowhere);
	service_listens(SHAKEOFF_SYNCOOKIES_NEVER);
	assert_verdict(&syn, SHAKEOFF_SYN_BYPASS);
}

/* Does what budget_spend() does, for the budget of such SYNs alone. */
static void unrouted_budget_spend(bool spent)
{
	harness.service->unrouted_window = spent ? (__u32)(monotonic_ns() / SHAKEOFF_BUDGET_WINDOW_NS) + 100000 : 0;
	harness.service->unrouted_syns = spent ? UINT32_MAX : 0;
}

static void a_flood_of_syns_without_a_route_back_is_bounded(void **state)
{
	(void)state;
	route_set("198.51.0.0/16", &nowhere);
	unrouted_budget_spend(true);
	assert_verdict(&syn, SHAKEOFF_SYN_UNROUTED_RATE);
	unrouted_budget_spend(false);
	assert_verdict(&syn, SHAKEOFF_SYN_UNROUTED);
	own_set("2001:db8:7::7", true);
	unrouted_budget_spend(true);
	assert_verdict(&syn6, SHAKEOFF_SYN_UNROUTED_RATE);
	own_set("2001:db8:7::7", false);
	assert_verdict(&syn6, SHAKEOFF_SYNACK_SENT);
}

/* Clients that only the kernel can answer: their next hop is not known yet. */
static void the_budget_of_clients_without_a_next_hop_is_separate(void **state)
{
	(void)state;
	harness.control->flags |= SHAKEOFF_ANSWER_ROUTE;
	route_set("2001:db8::/32", &nowhere);
	budget_spend(true);
	assert_verdict(&syn6, SHAKEOFF_SYN_UNROUTED);
	assert_verdict(&syn, SHAKEOFF_SYN_UNROUTED_RATE);
	budget_spend(false);
	unrouted_budget_spend(true);
	assert_verdict(&syn6, SHAKEOFF_SYN_UNROUTED_RATE);
	assert_verdict(&syn, SHAKEOFF_SYN_UNROUTED);
}

/* --------------------------------------------------------------------------------------------------- answer = route */

static const uint8_t gateway_mac[6] = { 0x02, 0, 0, 0, 0, 0x09 };

static void answers_by_route(const struct segment *segment, const uint8_t *mac)
{
	struct frame out;

	assert_int_equal(run_segment(segment, &out), SHAKEOFF_SYNACK_SENT);
	assert_memory_equal(out.bytes, mac, 6);
	assert_memory_equal(out.bytes + 6, frame_host_mac, 6);
}

static void syn_acks_go_to_the_gateway_that_the_route_names(void **state)
{
	struct shakeoff_route route = { .id = 1 };

	(void)state;
	harness.control->flags |= SHAKEOFF_ANSWER_ROUTE;
	assert_verdict(&syn, SHAKEOFF_SYN_UNROUTED);
	memcpy(route.mac, gateway_mac, sizeof(route.mac));
	route_set("0.0.0.0/0", &route);
	route_set("::/0", &route);
	answers_by_route(&syn, gateway_mac);
	answers_by_route(&syn6, gateway_mac);
	route.refused = 1;
	route_set("198.51.100.0/24", &route);
	assert_verdict(&syn, SHAKEOFF_SYN_UNROUTED);
}

static void at_a_port_of_a_vrf_routes_are_ignored(void **state)
{
	struct shakeoff_interface profile = interface_default();

	(void)state;
	profile.route_bit = 0;
	interface_set(&profile);
	harness.control->flags |= SHAKEOFF_ANSWER_ROUTE;
	route_set("0.0.0.0/0", &nowhere);
	answers_by_route(&syn, frame_client_mac);
}

static void on_the_link_syn_acks_go_to_the_client_itself(void **state)
{
	const struct shakeoff_route route = { .id = 1, .on_link = 1 };
	struct shakeoff_neighbour four = { .address = { 0, 0, htonl(0xffff), inet_addr("198.51.100.7") },
					   .route_bit = 1 };
	struct shakeoff_neighbour six = { .route_bit = 1 }, elsewhere = four;
	struct shakeoff_next_hop hop = { 0 };

	(void)state;
	harness.control->flags |= SHAKEOFF_ANSWER_ROUTE;
	route_set("198.51.100.0/24", &route);
	route_set("2001:db8:7::/64", &route);
	assert_int_equal(inet_pton(AF_INET6, "2001:db8:7::7", six.address), 1);
	memcpy(hop.mac, gateway_mac, sizeof(hop.mac));
	elsewhere.route_bit = 2;
	assert_int_equal(bpf_map_update_elem(harness.neighbours, &elsewhere, &hop, BPF_ANY), 0);
	assert_verdict(&syn, SHAKEOFF_SYN_UNROUTED);
	assert_verdict(&syn6, SHAKEOFF_SYN_UNROUTED);
	assert_int_equal(bpf_map_update_elem(harness.neighbours, &four, &hop, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(harness.neighbours, &six, &hop, BPF_ANY), 0);
	answers_by_route(&syn, gateway_mac);
	answers_by_route(&syn6, gateway_mac);
	bpf_map_delete_elem(harness.neighbours, &elsewhere);
	bpf_map_delete_elem(harness.neighbours, &four);
	bpf_map_delete_elem(harness.neighbours, &six);
}

/* ----------------------------------------------------------------------------------------------------- own prefixes */

static void address_set(const char *text, uint16_t port, __u32 value, bool there)
{
	struct shakeoff_address4 key = { .address = inet_addr(text), .port = htons(port) };

	if (there)
		assert_int_equal(bpf_map_update_elem(harness.addresses4, &key, &value, BPF_ANY), 0);
	else
		bpf_map_delete_elem(harness.addresses4, &key);
	generation_raise();
}

static void every_address_of_an_own_prefix_has_its_service(void **state)
{
	struct segment segment = LINUX_SYN, fragment = { .flags = SYN, .fragment = FRAGMENT_MF };

	(void)state;
	segment.to = fragment.to = "203.0.113.9";
	address_set("203.0.113.0", 80, SERVICE, true);
	address_set("203.0.113.0", 0, SHAKEOFF_ADDRESS_ITSELF, true);
	assert_verdict(&segment, SHAKEOFF_NO_SERVICE);
	own_set("203.0.113.0/24", true);
	assert_verdict(&segment, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&fragment, SHAKEOFF_FRAG_SYN);
	segment.dport = 81;
	assert_verdict(&segment, SHAKEOFF_NO_SERVICE);
	segment.dport = 80;
	segment.to = "203.0.114.9";
	assert_verdict(&segment, SHAKEOFF_NO_SERVICE);
	segment.to = "203.0.113.9";
	address_set("203.0.113.9", 80, 9, true); /* a separate address, for a service that has no server */
	harness.service_id = 9;
	assert_verdict(&segment, SHAKEOFF_SYN_NO_SERVER);
	harness.service_id = SERVICE;
	address_set("203.0.113.9", 80, 9, false);
	own_set("203.0.113.0/24", false);
	assert_verdict(&segment, SHAKEOFF_NO_SERVICE);
	address_set("203.0.113.0", 80, SERVICE, false);
	address_set("203.0.113.0", 0, 0, false);
}

static void every_address_of_an_own_ipv6_prefix_has_its_service(void **state)
{
	struct shakeoff_address6 key = { .port = htons(80) };
	struct segment segment = LINUX_SYN6;
	__u32 service = SERVICE;

	(void)state;
	segment.to = "2001:db8:77::1:2:3:4";
	assert_int_equal(inet_pton(AF_INET6, "2001:db8:77::", key.address), 1);
	assert_int_equal(bpf_map_update_elem(harness.addresses6, &key, &service, BPF_ANY), 0);
	assert_verdict(&segment, SHAKEOFF_NO_SERVICE);
	own_set("2001:db8:77::/64", true);
	segment.to = "2001:db8:77::1:2:3";
	assert_verdict(&segment, SHAKEOFF_SYNACK_SENT);
	own_set("2001:db8:77::/64", false);
	assert_verdict(&segment, SHAKEOFF_NO_SERVICE);
	bpf_map_delete_elem(harness.addresses6, &key);
}

static int start(void **state)
{
	return harness_start(state) || acl_fixture_start() ? -1 : 0;
}

static int stop(void **state)
{
	acl_fixture_stop();
	return harness_stop(state);
}

static int reset(void **state)
{
	acl_fixture_reset();
	return harness_reset(state);
}

#define TEST(function) cmocka_unit_test_setup(function, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_for_another_mac_address_pass),
		TEST(they_pass_when_the_ack_is_good),
		TEST(they_pass_when_the_source_is_blocked),
		TEST(they_do_not_make_the_service_active),
		TEST(mac_addresses_of_devices_above_belong_to_the_host),
		TEST(a_changed_mac_address_is_seen),
		TEST(an_interface_without_a_mac_address_is_bypassed),
		TEST(only_tags_of_vlans_that_the_host_has_are_answered),
		TEST(a_tag_seen_on_a_fragment_is_looked_up_again),
		TEST(a_tag_of_vlan_0_needs_no_vlan_device),
		TEST(the_hosts_own_addresses_are_not_clients),
		TEST(addresses_of_an_own_prefix_are_not_clients),
		TEST(a_source_with_the_bit_of_an_own_address_is_a_client),
		TEST(the_bit_of_an_address_alone_is_enough),
		TEST(without_a_route_back_the_kernel_decides),
		TEST(a_longer_prefix_may_lead_back),
		TEST(a_client_of_a_plain_prefix_needs_no_look_up),
		TEST(a_route_refused_at_another_interface_is_used_here),
		TEST(a_bypassed_listening_socket_gets_syns_without_a_route_back),
		TEST(a_flood_of_syns_without_a_route_back_is_bounded),
		TEST(the_budget_of_clients_without_a_next_hop_is_separate),
		TEST(syn_acks_go_to_the_gateway_that_the_route_names),
		TEST(at_a_port_of_a_vrf_routes_are_ignored),
		TEST(on_the_link_syn_acks_go_to_the_client_itself),
		TEST(every_address_of_an_own_prefix_has_its_service),
		TEST(every_address_of_an_own_ipv6_prefix_has_its_service),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
