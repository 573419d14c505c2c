/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tc program comes and goes with the XDP program, and precedes the tc programs of others.
 *
 * link: user/datapath/?*.c user/common/process.c user/common/link.c user/common/log.c user/acl/?*.c
 * link: user/common/prefix.c user/common/text.c tests/bpf/veths.c
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "veths.h"

/* BPF_TCX_INGRESS and so on, kernel 6.6 */
#define TCX_INGRESS 46
#define TCX_EGRESS 47
#define TCX_FIRST (1u << 3)

struct tcx {
	uint32_t ids[64];
	uint32_t count;
};

static struct tcx tcx_of(const char *ifname, int hook)
{
	struct tcx tcx = { .count = 64 };

	assert_int_equal(bpf_prog_query(if_nametoindex(ifname), hook, 0, NULL, tcx.ids, &tcx.count), 0);
	return tcx;
}

static struct tcx tcx_at(const char *ifname)
{
	return tcx_of(ifname, TCX_INGRESS);
}

static struct datapath *loaded_to_admit(void)
{
	need_root();
	if (!datapath_can_admit())
		skip(); /* before 6.9 */
	return loaded();
}

/* Attaches a foreign tc program, by a link that is detached when it is closed. */
static int attach_foreign_tcx_at(const char *ifname, int hook, uint32_t flags, uint32_t *id)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
	static const struct bpf_insn instructions[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "foreign", "GPL", instructions, 2, NULL), link;
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);

	assert_true(fd >= 0);
	link = bpf_link_create(fd, if_nametoindex(ifname), hook, &options);
	assert_true(link >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	*id = info.id;
	close(fd);
	return link;
}

static int attach_foreign_tcx(const char *ifname, uint32_t *id)
{
	return attach_foreign_tcx_at(ifname, TCX_INGRESS, 0, id);
}

/* Does what `bpftool link detach` does: a pin remains. Without a link, does what `bpftool net detach` does. */
static void take_tcx_away(const char *ifname, uint32_t prog_id)
{
	int program = bpf_prog_get_fd_by_id(prog_id), link = -1;
	char path[256];

	snprintf(path, sizeof(path), "%s/%s:%u:admit-daemon", pin_directory(), ifname, if_nametoindex(ifname));
	link = bpf_obj_get(path);
	if (link >= 0)
		assert_int_equal(bpf_link_detach(link), 0);
	else
		assert_int_equal(bpf_prog_detach2(program, if_nametoindex(ifname), TCX_INGRESS), 0);
	close(link);
	close(program);
}

/* Does what `ip link` does with the object file: new maps, and no tc program. */
static struct datapath *attached_by_ip(const char *ifname)
{
	const char *build = getenv("BUILD");
	struct datapath_attachment attachment;
	struct datapath *datapath;
	char command[512];

	snprintf(command, sizeof(command), "ip link set dev %s xdpdrv obj %s/handshake.bpf.o sec xdp", ifname,
		 build ? build : "build");
	run(command);
	attachment = looked(ifname);
	assert_true(attachment.ours);
	assert_int_equal(attachment.admit_id, 0);
	succeeds(datapath_open(&attachment, &datapath));
	return datapath;
}

static void the_tc_program_comes_and_goes_with_the_xdp_program(void **state)
{
	struct datapath *datapath = loaded_to_admit();
	struct tcx tcx;

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	tcx = tcx_at("one");
	assert_int_equal(tcx.count, 1);
	assert_int_equal(looked("one").admit_id, tcx.ids[0]);
	is_pinned("one", "one", "admit-attach");
	datapath_close(datapath);
	assert_int_equal(looked("one").admit_id, tcx.ids[0]);

	succeeds(datapath_detach("one"));
	assert_int_equal(tcx_at("one").count, 0);
}

static void interfaces_that_share_a_datapath_share_its_tc_program(void **state)
{
	struct datapath *datapath = loaded_to_admit();
	struct datapath_attachment attachment;

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	datapath_close(datapath);
	attachment = looked("one");
	succeeds(datapath_open(&attachment, &datapath));
	succeeds(datapath_attach(datapath, "one.5", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_DAEMON, false));
	assert_int_not_equal(attachment.admit_id, 0);
	assert_int_equal(looked("one.5").admit_id, attachment.admit_id);
	is_pinned("one_5", "one.5", "admit-daemon");

	succeeds(datapath_detach("one"));
	assert_int_equal(tcx_at("one").count, 0);
	assert_int_equal(looked("one.5").admit_id, attachment.admit_id);
	succeeds(datapath_detach("one.5"));
	datapath_close(datapath);
}

static void tc_programs_of_others_stay_and_come_after_ours(void **state)
{
	struct datapath *datapath = loaded_to_admit();
	uint32_t foreign;
	struct tcx tcx;
	int link;

	(void)state;
	link = attach_foreign_tcx("one", &foreign);
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	tcx = tcx_at("one");
	assert_int_equal(tcx.count, 2);
	assert_int_equal(tcx.ids[0], looked("one").admit_id);
	assert_int_equal(tcx.ids[1], foreign);

	succeeds(datapath_detach("one"));
	tcx = tcx_at("one");
	assert_int_equal(tcx.count, 1);
	assert_int_equal(tcx.ids[0], foreign);
	close(link);
	datapath_close(datapath);
}

static bool admit_is_at(unsigned int ifindex, uint32_t id)
{
	return datapath_position(ifindex, DATAPATH_INGRESS, id) != DATAPATH_POSITION_GONE;
}

static void a_detached_tc_program_is_noticed_and_attached_again(void **state)
{
	struct datapath *datapath = loaded_to_admit();
	const unsigned int ifindex = if_nametoindex("one");
	uint32_t id;

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_DAEMON, false));
	id = datapath_admit_id(datapath, ifindex);
	assert_int_equal(id, looked("one").admit_id);
	assert_true(admit_is_at(ifindex, id));
	assert_false(admit_is_at(if_nametoindex("two"), id));

	take_tcx_away("one", id);
	assert_false(admit_is_at(ifindex, id));
	assert_int_equal(datapath_admit_id(datapath, ifindex), 0);

	succeeds(datapath_admit_attach(datapath, "one", DATAPATH_OWNER_DAEMON));
	assert_true(admit_is_at(ifindex, datapath_admit_id(datapath, ifindex)));
	is_pinned("one", "one", "admit-daemon");
	succeeds(datapath_detach("one"));
	assert_false(admit_is_at(ifindex, id));
	assert_false(admit_is_at(ifindex + 1000, id));
	datapath_close(datapath);
}

/* The second owner may differ from the first. */
static void goes_to_the_front(enum datapath_owner first, enum datapath_owner again)
{
	struct datapath *datapath = loaded_to_admit();
	const unsigned int ifindex = if_nametoindex("one");
	struct datapath_front front;
	uint32_t foreign, before;
	struct tcx tcx;
	int link;

	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, first, false));
	before = looked("one").admit_id;
	assert_int_equal(datapath_position(ifindex, DATAPATH_INGRESS, before), DATAPATH_POSITION_FIRST);
	link = attach_foreign_tcx_at("one", TCX_INGRESS, TCX_FIRST, &foreign);
	assert_int_equal(datapath_position(ifindex, DATAPATH_INGRESS, before), DATAPATH_POSITION_BEHIND);
	datapath_front(ifindex, DATAPATH_INGRESS, &front);
	assert_int_equal(front.id, foreign);
	assert_string_equal(front.name, "foreign");

	succeeds(datapath_admit_to_front(datapath, "one", DATAPATH_INGRESS, again));
	tcx = tcx_at("one");
	assert_int_equal(tcx.count, 2);
	assert_int_equal(tcx.ids[0], looked("one").admit_id);
	assert_int_equal(tcx.ids[1], foreign);
	assert_int_not_equal(tcx.ids[0], before);
	assert_int_equal(datapath_position(ifindex, DATAPATH_INGRESS, before), DATAPATH_POSITION_GONE);
	is_pinned("one", "one", again == DATAPATH_OWNER_DAEMON ? "admit-daemon" : "admit-attach");
	assert_int_equal(tcx_of("one", TCX_EGRESS).count, 1);

	/* It stays after the process that attached it ends, and is removed with the rest. */
	datapath_close(datapath);
	assert_int_equal(tcx_at("one").ids[0], tcx.ids[0]);
	succeeds(datapath_detach("one"));
	assert_int_equal(tcx_at("one").count, 1);
	close(link);
}

static void the_tc_program_goes_to_the_front_again(void **state)
{
	(void)state;
	goes_to_the_front(DATAPATH_OWNER_DAEMON, DATAPATH_OWNER_DAEMON);
}

static void the_tc_program_of_a_command_goes_to_the_front_again(void **state)
{
	(void)state;
	goes_to_the_front(DATAPATH_OWNER_ATTACH, DATAPATH_OWNER_DAEMON);
}

static void the_tc_program_without_a_link_goes_to_the_front_again(void **state)
{
	(void)state;
	goes_to_the_front(DATAPATH_OWNER_NETLINK, DATAPATH_OWNER_DAEMON);
}

static void the_tc_program_at_egress_goes_to_the_front_again(void **state)
{
	struct datapath *datapath = loaded_to_admit();
	uint32_t foreign, ingress;
	struct tcx tcx;
	int link;

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_DAEMON, false));
	ingress = looked("one").admit_id;
	link = attach_foreign_tcx_at("one", TCX_EGRESS, TCX_FIRST, &foreign);
	succeeds(datapath_admit_to_front(datapath, "one", DATAPATH_EGRESS, DATAPATH_OWNER_DAEMON));
	tcx = tcx_of("one", TCX_EGRESS);
	assert_int_equal(tcx.count, 2);
	assert_int_equal(tcx.ids[0], looked("one").outgoing_id);
	assert_int_equal(tcx.ids[1], foreign);
	assert_int_equal(tcx_at("one").count, 1);
	assert_int_equal(looked("one").admit_id, ingress);
	succeeds(datapath_detach("one"));
	assert_int_equal(tcx_of("one", TCX_EGRESS).count, 1);
	close(link);
	datapath_close(datapath);
}

static void a_missing_tc_program_does_not_go_to_the_front(void **state)
{
	struct datapath *datapath = loaded_to_admit();

	(void)state;
	assert_int_equal(datapath_admit_to_front(datapath, "one", DATAPATH_INGRESS, DATAPATH_OWNER_DAEMON), -ENOENT);
	assert_int_equal(tcx_at("one").count, 0);
	assert_int_equal(datapath_admit_to_front(datapath, "none", DATAPATH_INGRESS, DATAPATH_OWNER_DAEMON), -ENODEV);
	datapath_close(datapath);
}

static void a_program_of_ip_link_gets_the_tc_program_later(void **state)
{
	struct datapath *datapath = NULL;
	uint32_t id;

	(void)state;
	datapath_close(loaded_to_admit());
	datapath = attached_by_ip("one");
	succeeds(datapath_admit_attach(datapath, "one", DATAPATH_OWNER_DAEMON));
	id = looked("one").admit_id;
	assert_int_not_equal(id, 0);
	is_pinned("one", "one", "admit-daemon");
	succeeds(datapath_admit_attach(datapath, "one", DATAPATH_OWNER_DAEMON));
	assert_int_equal(looked("one").admit_id, id);
	datapath_close(datapath);
	assert_int_equal(looked("one").admit_id, id);

	succeeds(datapath_detach("one"));
	assert_int_equal(tcx_at("one").count, 0);
}

static void without_a_link_the_tc_program_stays_and_is_found_too(void **state)
{
	struct datapath *datapath = loaded_to_admit();

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_NETLINK, false));
	datapath_close(datapath);
	assert_int_not_equal(looked("one").admit_id, 0);
	succeeds(datapath_detach("one"));
	assert_int_equal(tcx_at("one").count, 0);
}

static void a_replacement_detaches_the_old_tc_program(void **state)
{
	struct datapath *old = NULL, *datapath = loaded_to_admit();

	(void)state;
	old = attached_by_ip("one");
	succeeds(datapath_admit_attach(old, "one", DATAPATH_OWNER_DAEMON));
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, true));
	assert_int_equal(looked("one").control_id, datapath_control_id(datapath));
	assert_int_equal(tcx_at("one").count, 1);
	assert_int_equal(tcx_at("one").ids[0], looked("one").admit_id);
	datapath_close(old);
	succeeds(datapath_detach("one"));
	datapath_close(datapath);
}

static void a_failed_replacement_keeps_the_tc_program(void **state)
{
	struct datapath *old = loaded_to_admit(), *datapath = loaded();
	uint32_t id;

	(void)state;
	succeeds(datapath_attach(old, "lo", DATAPATH_MODE_GENERIC, DATAPATH_OWNER_ATTACH, false));
	id = looked("lo").admit_id;
	assert_int_not_equal(id, 0);
	assert_int_equal(datapath_attach(datapath, "lo", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, true),
			 -EOPNOTSUPP);
	assert_int_equal(looked("lo").admit_id, id);
	succeeds(datapath_detach("lo"));
	assert_int_equal(tcx_at("lo").count, 0);
	datapath_close(old);
	datapath_close(datapath);
}

static void a_tc_program_without_its_xdp_program_is_no_attachment_but_detached(void **state)
{
	struct datapath *datapath = loaded_to_admit();

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_NETLINK, false));
	run("ip link set dev one xdpdrv off");
	assert_int_equal(tcx_at("one").count, 1);
	succeeds(datapath_detach("one"));
	assert_int_equal(tcx_at("one").count, 0);
	assert_int_equal(datapath_detach("one"), -ENOENT);
	datapath_close(datapath);
}

static void the_tc_program_needs_the_xdp_program_of_its_datapath(void **state)
{
	struct datapath *datapath = loaded_to_admit(), *other = loaded();

	(void)state;
	assert_int_equal(datapath_admit_attach(datapath, "none", DATAPATH_OWNER_DAEMON), -ENODEV);
	assert_int_equal(datapath_admit_attach(datapath, "one", DATAPATH_OWNER_DAEMON), -ENOENT);
	succeeds(datapath_attach(other, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	assert_int_equal(datapath_admit_attach(datapath, "one", DATAPATH_OWNER_DAEMON), -ENOENT);
	attach_foreign("one.5", XDP_FLAGS_DRV_MODE);
	assert_int_equal(datapath_admit_attach(datapath, "one.5", DATAPATH_OWNER_DAEMON), -EEXIST);
	succeeds(datapath_detach("one"));
	datapath_close(other);
	datapath_close(datapath);
}

#define test(function) cmocka_unit_test_setup_teardown(function, make_veths, remove_veths)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_tc_program_comes_and_goes_with_the_xdp_program),
		test(interfaces_that_share_a_datapath_share_its_tc_program),
		test(tc_programs_of_others_stay_and_come_after_ours),
		test(a_detached_tc_program_is_noticed_and_attached_again),
		test(the_tc_program_goes_to_the_front_again),
		test(the_tc_program_of_a_command_goes_to_the_front_again),
		test(the_tc_program_without_a_link_goes_to_the_front_again),
		test(the_tc_program_at_egress_goes_to_the_front_again),
		test(a_missing_tc_program_does_not_go_to_the_front),
		test(a_program_of_ip_link_gets_the_tc_program_later),
		test(without_a_link_the_tc_program_stays_and_is_found_too),
		test(a_replacement_detaches_the_old_tc_program),
		test(a_failed_replacement_keeps_the_tc_program),
		test(a_tc_program_without_its_xdp_program_is_no_attachment_but_detached),
		test(the_tc_program_needs_the_xdp_program_of_its_datapath),
	};

	return cmocka_run_group_tests_name("datapath: tc", tests, enter_namespace, NULL);
}
