/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Endpoints that plain segments cannot reach because of IPsec policies, from messages made by hand.
 *
 * link: user/shakeoffd/firewall/xfrm.c user/common/netlink_dump.c
 */
#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shakeoffd/firewall/xfrm.h"

static _Alignas(struct nlmsghdr) char buffer[1024];
static struct xfrm_policies policies;

static int setup(void **state)
{
	(void)state;
	free(policies.list);
	policies = (struct xfrm_policies){ .notices = -1 };
	return 0;
}

/* Makes an inbound policy for TCP to an address and port, with one template that is required. */
static struct nlmsghdr *policy(int family, const char *address, uint8_t prefix_len, uint16_t port)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct xfrm_userpolicy_info *info;

	header->nlmsg_type = XFRM_MSG_NEWPOLICY;
	info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->dir = XFRM_POLICY_IN;
	info->action = XFRM_POLICY_ALLOW;
	info->sel.family = (uint16_t)family;
	info->sel.prefixlen_d = prefix_len;
	info->sel.proto = IPPROTO_TCP;
	info->sel.dport = htons(port);
	info->sel.dport_mask = port ? 0xffff : 0;
	assert_int_equal(inet_pton(family, address, &info->sel.daddr), 1);
	return header;
}

static struct xfrm_userpolicy_info *info_of(struct nlmsghdr *header)
{
	return mnl_nlmsg_get_payload(header);
}

static struct nlmsghdr *template(struct nlmsghdr *header, uint8_t optional)
{
	struct xfrm_user_tmpl list[2] = { { .optional = 1 }, { .optional = optional } };

	mnl_attr_put(header, XFRMA_TMPL, sizeof(list), list);
	return header;
}

static bool requires(const char *address, uint16_t port)
{
	struct in6_addr mapped = { 0 };

	if (strchr(address, ':')) {
		assert_int_equal(inet_pton(AF_INET6, address, &mapped), 1);
	} else {
		mapped.s6_addr[10] = mapped.s6_addr[11] = 0xff;
		assert_int_equal(inet_pton(AF_INET, address, &mapped.s6_addr[12]), 1);
	}
	return xfrm_requires(&policies, &mapped, port);
}

static void a_required_template_bypasses_its_endpoint(void **state)
{
	(void)state;
	assert_int_equal(xfrm_add(&policies, template(policy(AF_INET, "10.9.0.1", 32, 443), 0)), 0);
	assert_true(requires("10.9.0.1", 443));
	assert_false(requires("10.9.0.1", 80));
	assert_false(requires("10.9.0.2", 443));
	assert_false(requires("2001:db8::1", 443));
}

static void prefixes_and_any_port(void **state)
{
	(void)state;
	xfrm_add(&policies, template(policy(AF_INET, "10.9.8.0", 21, 0), 0));
	assert_true(requires("10.9.15.255", 1));
	assert_false(requires("10.9.16.0", 1));
	xfrm_add(&policies, template(policy(AF_INET6, "2001:db8:4::", 47, 0), 0));
	assert_true(requires("2001:db8:5::1", 80));
	assert_false(requires("2001:db8:6::1", 80));
}

static void a_policy_for_one_family_does_not_cover_the_other(void **state)
{
	(void)state;
	xfrm_add(&policies, template(policy(AF_INET6, "::", 0, 0), 0));
	assert_true(requires("2001:db8::1", 80));
	assert_false(requires("10.9.0.1", 80));
	setup(state);
	xfrm_add(&policies, template(policy(AF_INET, "0.0.0.0", 0, 0), 0));
	assert_true(requires("10.9.0.1", 80));
	assert_false(requires("2001:db8::1", 80));
}

static void policies_that_plain_segments_pass_bypass_nothing(void **state)
{
	struct nlmsghdr *header;

	(void)state;
	xfrm_add(&policies, policy(AF_INET, "10.9.0.1", 32, 0));
	xfrm_add(&policies, template(policy(AF_INET, "10.9.0.1", 32, 0), 1));
	header = template(policy(AF_INET, "10.9.0.1", 32, 0), 0);
	info_of(header)->dir = XFRM_POLICY_OUT;
	xfrm_add(&policies, header);
	header = template(policy(AF_INET, "10.9.0.1", 32, 0), 0);
	info_of(header)->dir = XFRM_POLICY_FWD;
	xfrm_add(&policies, header);
	header = template(policy(AF_INET, "10.9.0.1", 32, 0), 0);
	info_of(header)->sel.proto = IPPROTO_UDP;
	xfrm_add(&policies, header);
	header = template(policy(AF_INET, "10.9.0.1", 32, 0), 0);
	mnl_attr_put_u32(header, XFRMA_IF_ID, 7);
	xfrm_add(&policies, header);
	assert_int_equal(policies.count, 0);
}

static void a_policy_that_blocks_needs_no_template(void **state)
{
	struct nlmsghdr *header = policy(AF_INET, "10.9.0.1", 32, 0);

	(void)state;
	info_of(header)->action = XFRM_POLICY_BLOCK;
	info_of(header)->sel.proto = 0;
	xfrm_add(&policies, header);
	assert_true(requires("10.9.0.1", 80));
}

static void truncated_messages_are_ignored(void **state)
{
	struct nlmsghdr *header = template(policy(AF_INET, "10.9.0.1", 32, 0), 0);

	(void)state;
	header->nlmsg_len = NLMSG_HDRLEN + sizeof(struct xfrm_userpolicy_info) - 1;
	assert_int_equal(xfrm_add(&policies, header), 0);
	header = template(policy(AF_INET, "10.9.0.1", 200, 0), 0); /* no prefix is this long */
	xfrm_add(&policies, header);
	assert_false(requires("10.9.0.1", 80));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_required_template_bypasses_its_endpoint, setup),
		cmocka_unit_test_setup(prefixes_and_any_port, setup),
		cmocka_unit_test_setup(a_policy_for_one_family_does_not_cover_the_other, setup),
		cmocka_unit_test_setup(policies_that_plain_segments_pass_bypass_nothing, setup),
		cmocka_unit_test_setup(a_policy_that_blocks_needs_no_template, setup),
		cmocka_unit_test_setup(truncated_messages_are_ignored, setup),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(policies.list);
	return failed;
}
