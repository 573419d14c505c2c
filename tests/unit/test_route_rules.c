/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tables, and their order, in which the kernel looks up the route of a SYN-ACK, from policy rules in messages made
 * by hand.
 *
 * link: user/shakeoffd/route/route_rules.c
 */
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <netinet/in.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>

#include "shakeoffd/route/route_rules.h"

static _Alignas(struct nlmsghdr) char buffer[1024];
static struct route_rules rules;

static struct nlmsghdr *rule(uint32_t priority, uint32_t table)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct fib_rule_hdr *message;

	header->nlmsg_type = RTM_NEWRULE;
	message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	message->family = AF_INET;
	message->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(header, FRA_PRIORITY, priority);
	mnl_attr_put_u32(header, FRA_TABLE, table);
	mnl_attr_put_u32(header, FRA_SUPPRESS_PREFIXLEN, UINT32_MAX); /* the kernel sends this for every rule */
	mnl_attr_put_u8(header, FRA_PROTOCOL, RTPROT_KERNEL);
	return header;
}

static struct fib_rule_hdr *head(struct nlmsghdr *header)
{
	return mnl_nlmsg_get_payload(header);
}

static void take(const struct nlmsghdr *header)
{
	route_rules_add(&rules, header);
}

static void usual(void)
{
	take(rule(32766, RT_TABLE_MAIN));
	take(rule(32767, RT_TABLE_DEFAULT));
}

static int begin(void **state)
{
	(void)state;
	rules = (struct route_rules){ 0 };
	take(rule(0, RT_TABLE_LOCAL));
	return 0;
}

static int rank(uint32_t table)
{
	return route_rules_rank(&rules, table, 24);
}

static bool other(uint32_t table)
{
	uint32_t priority;

	return route_rules_have_other(&rules, table, &priority);
}

static void the_kernels_own_rules_are_an_order(void **state)
{
	(void)state;
	usual();
	assert_int_equal(rank(RT_TABLE_LOCAL), 0);
	assert_int_equal(rank(RT_TABLE_MAIN), 1);
	assert_int_equal(rank(RT_TABLE_DEFAULT), 2);
	assert_int_equal(rank(100), ROUTE_NOT_LOOKED_UP);
	assert_false(other(100));
}

/* For example Tailscale's. */
static void a_rule_for_everything_adds_a_table_to_the_order(void **state)
{
	(void)state;
	take(rule(5270, 52));
	usual();
	assert_int_equal(rank(52), 1);
	assert_int_equal(rank(RT_TABLE_MAIN), 2);
	assert_false(other(52));
}

static void a_rule_for_some_packets_makes_a_table_for_some(void **state)
{
	struct nlmsghdr *header = rule(100, 100);
	uint32_t priority;

	(void)state;
	head(header)->src_len = 32;
	mnl_attr_put_u32(header, FRA_SRC, 1);
	take(header);
	header = rule(101, 101);
	mnl_attr_put_u32(header, FRA_FWMARK, 7);
	mnl_attr_put_u32(header, FRA_FWMASK, UINT32_MAX);
	take(header);
	usual();
	assert_int_equal(rank(RT_TABLE_MAIN), 1);
	assert_true(other(100) && other(101));
	assert_true(route_rules_have_other(&rules, 101, &priority));
	assert_int_equal(priority, 101);
}

static void a_rule_that_no_synack_meets_does_not_count(void **state)
{
	struct nlmsghdr *header = rule(100, 100);

	(void)state;
	mnl_attr_put_strz(header, FRA_IIFNAME, "eth0");
	take(header);
	header = rule(101, 101);
	mnl_attr_put_u8(header, FRA_IP_PROTO, IPPROTO_UDP);
	take(header);
	header = rule(1000, 0);
	mnl_attr_put_u8(header, FRA_L3MDEV, 1);
	take(header);
	header = rule(102, 0);
	head(header)->action = FR_ACT_UNREACHABLE;
	mnl_attr_put_u8(header, FRA_L3MDEV, 1);
	take(header);
	header = rule(103, 103);
	mnl_attr_put_strz(header, FRA_IIFNAME, "lo"); /* everything that the host sends */
	take(header);
	usual();
	assert_false(other(100) || other(101) || other(0));
	assert_int_equal(rank(103), 1);
	assert_int_equal(rank(RT_TABLE_MAIN), 2);
}

static void a_rule_that_refuses_is_noted(void **state)
{
	const uint8_t actions[] = { FR_ACT_BLACKHOLE, FR_ACT_UNREACHABLE, FR_ACT_PROHIBIT };

	(void)state;
	for (size_t i = 0; i < sizeof(actions); i++) {
		struct nlmsghdr *header = rule(200, 0);

		rules = (struct route_rules){ 0 };
		mnl_attr_put_u32(header, FRA_SRC, 1);
		head(header)->action = actions[i];
		take(header);
		usual();
		assert_true(rules.refuse);
		assert_int_equal(rules.refuse_priority, 200);
		assert_int_equal(rank(RT_TABLE_MAIN), 0);
	}
}

static void an_inverted_rule_is_for_some_packets(void **state)
{
	struct nlmsghdr *header = rule(100, 100);

	(void)state;
	head(header)->flags = FIB_RULE_INVERT;
	mnl_attr_put_strz(header, FRA_IIFNAME, "eth0");
	take(header);
	assert_true(other(100));
}

/* WireGuard's: main, except its default route. */
static void a_rule_may_exclude_short_prefixes(void **state)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct fib_rule_hdr *message;

	(void)state;
	header->nlmsg_type = RTM_NEWRULE;
	message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	message->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(header, FRA_TABLE, RT_TABLE_MAIN);
	mnl_attr_put_u32(header, FRA_SUPPRESS_PREFIXLEN, 0);
	take(header);
	take(rule(200, 200));
	usual();
	assert_int_equal(route_rules_rank(&rules, RT_TABLE_MAIN, 24), 1);
	assert_int_equal(route_rules_rank(&rules, RT_TABLE_MAIN, 0), 3);
	assert_int_equal(rank(200), 2);
}

static void too_many_rules_are_noted(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < ROUTE_LOOKUPS_MAX + 1; i++)
		take(rule(i, 1000 + i));
	assert_true(rules.overflow);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_kernels_own_rules_are_an_order),
		TEST(a_rule_for_everything_adds_a_table_to_the_order),
		TEST(a_rule_for_some_packets_makes_a_table_for_some),
		TEST(a_rule_that_no_synack_meets_does_not_count),
		TEST(a_rule_that_refuses_is_noted),
		TEST(an_inverted_rule_is_for_some_packets),
		TEST(a_rule_may_exclude_short_prefixes),
		TEST(too_many_rules_are_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
