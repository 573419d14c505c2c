/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The data path from user space: attached, found, shared, replaced and detached.
 *
 * link: user/datapath/?*.c user/common/process.c user/common/link.c user/common/log.c user/acl/?*.c
 * link: user/common/prefix.c user/common/text.c tests/bpf/veths.c
 */
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "acl/store.h"
#include "veths.h"

/* --------------------------------------------------------------------------------------------- attach, find, detach */

static void an_attached_program_is_found_by_its_interface(void **state)
{
	struct datapath *datapath = loaded();
	struct datapath_attachment attachment;
	enum datapath_owner owner;

	(void)state;
	assert_int_equal(datapath_look("one", &attachment), -ENOENT);
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	attachment = looked("one");
	assert_true(attachment.ours);
	assert_true(attachment.native);
	assert_int_equal(attachment.abi, SHAKEOFF_ABI);
	assert_int_equal(attachment.ifindex, if_nametoindex("one"));
	assert_int_equal(attachment.mtu, 1500);
	assert_string_equal(attachment.ifname, "one");
	assert_int_equal(attachment.control_id, datapath_control_id(datapath));
	succeeds(datapath_owner("one", &owner));
	assert_int_equal(owner, DATAPATH_OWNER_ATTACH);

	succeeds(datapath_detach("one"));
	assert_int_equal(datapath_look("one", &attachment), -ENOENT);
	assert_int_equal(datapath_detach("one"), -ENOENT);
	datapath_close(datapath);
}

static void an_interface_that_is_not_there_is_enodev(void **state)
{
	struct datapath *datapath = loaded();
	struct datapath_attachment attachment;

	(void)state;
	assert_int_equal(datapath_look("none", &attachment), -ENODEV);
	assert_int_equal(datapath_look("", &attachment), -ENODEV);
	assert_int_equal(datapath_look("a-name-of-seventeen", &attachment), -ENODEV);
	assert_int_equal(datapath_detach("none"), -ENODEV);
	assert_int_equal(datapath_attach(datapath, "none", DATAPATH_MODE_AUTO, DATAPATH_OWNER_ATTACH, false), -ENODEV);
	datapath_close(datapath);
}

static void it_stays_attached_when_the_descriptors_are_closed(void **state)
{
	struct datapath *datapath = loaded(), *again;
	struct datapath_attachment attachment;

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_DAEMON, false));
	datapath_control(datapath)->started_ns = 4711;
	datapath_close(datapath);

	attachment = looked("one");
	succeeds(datapath_open(&attachment, &again));
	assert_int_equal(datapath_control(again)->started_ns, 4711);
	datapath_close(again);
	succeeds(datapath_detach("one"));
}

static void two_interfaces_share_a_datapath(void **state)
{
	struct datapath *datapath = loaded();
	struct datapath_attachment *list;
	size_t count;

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	succeeds(datapath_attach(datapath, "one.5", DATAPATH_MODE_GENERIC, DATAPATH_OWNER_DAEMON, false));
	succeeds(datapath_list(&list, &count));
	assert_int_equal(count, 2);
	assert_int_equal(list[0].control_id, list[1].control_id);
	assert_true(looked("one").native);
	assert_false(looked("one.5").native);
	free(list);
	succeeds(datapath_detach("one"));
	succeeds(datapath_detach("one.5"));
	datapath_close(datapath);
}

static void jumbo_frames_get_the_program_for_several_buffers(void **state)
{
	struct datapath *datapath = loaded();

	(void)state;
	run("ip link set one mtu 9000; ip link set two mtu 9000");
	if (datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false)) {
		datapath_close(datapath);
		skip(); /* before 5.18 */
	}
	assert_true(looked("one").native);
	assert_int_equal(looked("one").control_id, datapath_control_id(datapath));
	succeeds(datapath_detach("one"));
	datapath_close(datapath);
}

static void auto_is_generic_without_support_of_the_driver(void **state)
{
	struct datapath *datapath = loaded();

	(void)state;
	assert_int_equal(datapath_attach(datapath, "lo", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false),
			 -EOPNOTSUPP);
	succeeds(datapath_attach(datapath, "lo", DATAPATH_MODE_AUTO, DATAPATH_OWNER_ATTACH, false));
	assert_false(looked("lo").native);
	succeeds(datapath_detach("lo"));
	datapath_close(datapath);
}

static void a_link_of_netlink_is_found_and_detached(void **state)
{
	struct datapath *datapath = loaded();
	enum datapath_owner owner;

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_NETLINK, false));
	succeeds(datapath_owner("one", &owner));
	assert_int_equal(owner, DATAPATH_OWNER_NETLINK);
	succeeds(datapath_detach("one"));
	datapath_close(datapath);
}

/* ------------------------------------------------------------------------------------------------- foreign programs */

static void a_foreign_program_is_not_replaced(void **state)
{
	struct datapath *datapath = loaded();
	enum datapath_owner owner;

	(void)state;
	attach_foreign("one", XDP_FLAGS_DRV_MODE);
	assert_false(looked("one").ours);
	assert_string_equal(looked("one").prog_name, "foreign");
	assert_int_equal(datapath_attach(datapath, "one", DATAPATH_MODE_AUTO, DATAPATH_OWNER_ATTACH, false), -EEXIST);
	assert_int_equal(datapath_detach("one"), -EEXIST);
	assert_int_equal(datapath_owner("one", &owner), -EEXIST);
	assert_string_equal(looked("one").prog_name, "foreign");
	datapath_close(datapath);
}

static void a_foreign_program_is_replaced_on_request(void **state)
{
	struct datapath *datapath = loaded();

	(void)state;
	attach_foreign("one", XDP_FLAGS_SKB_MODE);
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, true));
	assert_true(looked("one").ours);
	assert_true(looked("one").native);
	succeeds(datapath_detach("one"));
	datapath_close(datapath);
}

static void a_replacement_that_fails_puts_the_foreign_program_back(void **state)
{
	struct datapath *datapath = loaded();

	(void)state;
	attach_foreign("lo", XDP_FLAGS_SKB_MODE);
	assert_int_equal(datapath_attach(datapath, "lo", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, true),
			 -EOPNOTSUPP);
	assert_string_equal(looked("lo").prog_name, "foreign");
	run("ip link set dev lo xdpgeneric off");
	datapath_close(datapath);
}

#define test(function) cmocka_unit_test_setup_teardown(function, make_veths, remove_veths)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(an_attached_program_is_found_by_its_interface),
		test(an_interface_that_is_not_there_is_enodev),
		test(it_stays_attached_when_the_descriptors_are_closed),
		test(two_interfaces_share_a_datapath),
		test(jumbo_frames_get_the_program_for_several_buffers),
		test(auto_is_generic_without_support_of_the_driver),
		test(a_link_of_netlink_is_found_and_detached),
		test(a_foreign_program_is_not_replaced),
		test(a_foreign_program_is_replaced_on_request),
		test(a_replacement_that_fails_puts_the_foreign_program_back),
	};

	return cmocka_run_group_tests_name("datapath: attach", tests, enter_namespace, NULL);
}
