/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The pins of the data path on bpffs, and the lists that are kept by them.
 *
 * link: user/datapath/?*.c user/common/process.c user/common/link.c user/common/log.c user/acl/?*.c
 * link: user/common/prefix.c user/common/text.c tests/bpf/veths.c
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "acl/store.h"
#include "veths.h"

static void pins_go_with_the_program(void **state)
{
	struct datapath *datapath = loaded();

	(void)state;
	succeeds(datapath_attach(datapath, "one.5", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	if (access(pin_directory(), F_OK)) {
		succeeds(datapath_detach("one.5"));
		datapath_close(datapath);
		skip(); /* no bpffs for pins in this mount namespace: attached by netlink */
	}
	is_pinned("one_5", "one.5", "attach");
	succeeds(datapath_detach("one.5"));
	assert_int_equal(access(pin_directory(), F_OK), -1);
	datapath_close(datapath);
}

static void list_one(struct datapath *datapath, const char *text)
{
	struct acl_entry entry = { 0 };
	char wrong[256];

	assert_int_equal(prefix_read(text, &entry.prefix, wrong, sizeof(wrong)), 0);
	succeeds(datapath_acl_set(datapath, &entry, NULL));
}

/* Returns whether the ACL has this one entry and no other. */
static bool has_acl_entries(struct datapath *datapath, const char *text)
{
	char found[PREFIX_TEXT] = "";
	struct acl list = { 0 };

	succeeds(datapath_acl_read(datapath, &list));
	if (list.count == 1)
		prefix_write(&list.entries[0].prefix, found, sizeof(found));
	acl_free(&list);
	return !strcmp(found, text);
}

static void the_acl_is_kept_for_one_program_only(void **state)
{
	struct datapath *datapath = loaded(), *next = loaded(), *last = loaded();
	int result;

	(void)state;
	succeeds(datapath_acl_keep(datapath));
	assert_int_equal(datapath_acl_restore(next), 0);
	list_one(datapath, "2001:db8::/32");
	result = datapath_acl_keep(datapath);
	datapath_close(datapath);
	if (result != -EOPNOTSUPP) { /* no bpffs for pins in this mount namespace */
		succeeds(result);
		assert_int_equal(datapath_acl_restore(next), 1);
		assert_true(has_acl_entries(next, "2001:db8::/32"));
		assert_int_equal(access(pin_directory(), F_OK), -1);
		assert_int_equal(datapath_acl_restore(last), 0);
		assert_false(datapath_acl_in_use(last));
	}
	datapath_close(next);
	datapath_close(last);
	if (result)
		skip();
}

static void a_program_that_has_an_acl_keeps_it(void **state)
{
	struct datapath *datapath = loaded(), *next = loaded();

	(void)state;
	list_one(datapath, "192.0.2.1");
	list_one(next, "192.0.2.2");
	if (!datapath_acl_keep(datapath)) {
		assert_int_equal(datapath_acl_restore(next), 0);
		assert_int_equal(access(pin_directory(), F_OK), -1);
	}
	assert_true(has_acl_entries(next, "192.0.2.2"));
	datapath_close(datapath);
	datapath_close(next);
}

static void pins_of_an_interface_that_is_gone_are_removed(void **state)
{
	struct datapath *datapath = loaded();

	(void)state;
	succeeds(datapath_attach(datapath, "one.5", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_DAEMON, false));
	run("ip link del one.5; ip link add one.5 type veth peer name four; ip link set one.5 up; ip link set four up");
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_DAEMON, false));
	succeeds(datapath_detach("one"));
	assert_int_equal(access(pin_directory(), F_OK), -1);
	datapath_close(datapath);
}

static void a_directory_that_is_not_on_bpffs_is_refused(void **state)
{
	struct datapath *datapath = loaded();

	(void)state;
	assert_int_equal(datapath_set_bpffs("relative"), -EINVAL);
	succeeds(datapath_set_bpffs("/tmp/shakeoff"));
	assert_int_equal(datapath_attach(datapath, "one", DATAPATH_MODE_AUTO, DATAPATH_OWNER_ATTACH, false), -ENOTDIR);
	assert_non_null(strstr(datapath_detail(), "/tmp/shakeoff is not on a BPF file system"));
	succeeds(datapath_set_bpffs(NULL));
	datapath_close(datapath);
}

#define test(function) cmocka_unit_test_setup_teardown(function, make_veths, remove_veths)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(pins_go_with_the_program),
		test(the_acl_is_kept_for_one_program_only),
		test(a_program_that_has_an_acl_keeps_it),
		test(pins_of_an_interface_that_is_gone_are_removed),
		test(a_directory_that_is_not_on_bpffs_is_refused),
	};

	return cmocka_run_group_tests_name("datapath: pins", tests, enter_namespace, NULL);
}
