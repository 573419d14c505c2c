/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The data path from user space: attached, found, shared, replaced and detached, on veth pairs in a network namespace of
 * this process. Skipped without root.
 *
 * link: user/datapath/?*.c
 * link: user/common/process.c user/common/link.c user/common/log.c user/acl/?*.c user/common/prefix.c user/common/text.c
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <shakeoff/validated.h>

#include "acl/store.h"

static void run(const char *command)
{
	if (system(command))
		fail_msg("failed: %s", command);
}

static int enter_namespace(void **state)
{
	(void)state;
	if (geteuid())
		return 0;
	return unshare(CLONE_NEWNET);
}

static int make_veths(void **state)
{
	(void)state;
	if (geteuid())
		return 0;
	run("ip link set lo up");
	run("ip link add one type veth peer name two");
	run("ip link add one.5 type veth peer name four");
	run("for i in one two one.5 four; do ip link set $i up; done");
	return 0;
}

static int remove_veths(void **state)
{
	(void)state;
	if (!geteuid())
		run("ip link del one; ip link del one.5");
	return 0;
}

static void need_root(void)
{
	if (geteuid())
		skip();
}

static void succeeds(int result)
{
	if (result)
		fail_msg("%s (%s)", strerror(-result), datapath_detail());
}

static struct datapath *loaded(void)
{
	struct datapath *datapath = NULL;

	need_root();
	succeeds(datapath_load(&datapath));
	return datapath;
}

static struct datapath_attachment looked(const char *ifname)
{
	struct datapath_attachment attachment;

	succeeds(datapath_look(ifname, &attachment));
	return attachment;
}

/* A program that lets everything pass, and is not ours. */
static void attach_foreign(const char *ifname, uint32_t flags)
{
	static const struct bpf_insn instructions[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "foreign", "GPL", instructions, 2, NULL);

	assert_true(fd >= 0);
	succeeds(bpf_xdp_attach(if_nametoindex(ifname), fd, flags, NULL));
	close(fd);
}

/* ------------------------------------------------------------------------------------------------- attach, find, detach */

static void what_is_attached_is_found_by_its_interface(void **state)
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

static void where_the_driver_cannot_auto_is_generic(void **state)
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

/* ----------------------------------------------------------------------------------------------------- foreign programs */

static void a_foreign_program_is_left_alone(void **state)
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

static void a_foreign_program_is_replaced_when_asked_for(void **state)
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

/* -------------------------------------------------------------------------------------------------- the tc program */

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

/* Where this namespace's links are pinned. */
static const char *pin_directory(void)
{
	static char path[128];
	struct stat st;

	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	snprintf(path, sizeof(path), "/sys/fs/bpf/shakeoff/%llu", (unsigned long long)st.st_ino);
	return path;
}

/* Unless there is no place to pin in this mount namespace: attached without a link. */
static void is_pinned(const char *name, const char *ifname, const char *owner)
{
	char path[256];

	if (access(pin_directory(), F_OK))
		return;
	snprintf(path, sizeof(path), "%s/%s:%u:%s", pin_directory(), name, if_nametoindex(ifname), owner);
	assert_int_equal(access(path, F_OK), 0);
}

/* A tc program of somebody else, by a link that goes when it is closed. */
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

/* What `bpftool link detach` does: a pin stays. Without a link as `bpftool net detach` does. */
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

/* What `ip link` does with the object file: fresh maps, and no tc program. */
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

static void a_tc_program_that_was_taken_away_is_missed_and_put_back(void **state)
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

/* By who may be another than who put it there at first. */
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

	/* It stays without the one that put it there, and goes with the rest. */
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

static void what_is_not_there_does_not_go_to_the_front(void **state)
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

static void a_replacement_takes_the_old_tc_program_away(void **state)
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

static void a_replacement_that_fails_leaves_the_tc_program(void **state)
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

static void the_tc_program_wants_the_xdp_program_of_its_datapath(void **state)
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

/* ------------------------------------------------------------------------------------------------------------- maps */

struct hook_ctx {
	struct datapath *datapath;
	unsigned int seen, mapped;
	bool remove;
};

static int see_address(void *context, const struct in6_addr *address, uint16_t port, uint32_t service)
{
	struct hook_ctx *iter = context;

	iter->seen++;
	iter->mapped += IN6_IS_ADDR_V4MAPPED(address);
	assert_int_equal(service, port);
	if (iter->remove)
		succeeds(datapath_address_remove(iter->datapath, address, port));
	return 0;
}

static void addresses_of_both_families_are_iterated_and_removed(void **state)
{
	struct datapath *datapath = loaded();
	struct hook_ctx iter = { .datapath = datapath };
	struct in6_addr v4, v6;

	(void)state;
	inet_pton(AF_INET6, "::ffff:10.9.0.1", &v4);
	inet_pton(AF_INET6, "2001:db8::1", &v6);
	for (uint16_t port = 1; port <= 300; port++) {
		succeeds(datapath_address_set(datapath, &v4, port, port));
		succeeds(datapath_address_set(datapath, &v6, port, port));
	}
	succeeds(datapath_address_set(datapath, &v6, 300, 300));
	iter.remove = true;
	succeeds(datapath_address_each(datapath, see_address, &iter));
	assert_int_equal(iter.seen, 600);
	assert_int_equal(iter.mapped, 300);

	iter.seen = 0;
	succeeds(datapath_address_each(datapath, see_address, &iter));
	assert_int_equal(iter.seen, 0);
	assert_int_equal(datapath_address_remove(datapath, &v4, 1), -ENOENT);
	datapath_close(datapath);
}

static void packets_are_counted_over_all_cpus(void **state)
{
	struct shakeoff_service_counters counters = { .syn = 1 };
	uint64_t counts[SHAKEOFF_VERDICT_COUNT], sum = 0;
	struct datapath *datapath = loaded();

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	run("ip link set two down; ip link set two up; sleep 0.5; "
	    "ping -c 3 -i 0.1 -W 1 -I two ff02::1 >/dev/null 2>&1 || true");
	succeeds(datapath_verdicts(datapath, counts));
	for (int i = 0; i < SHAKEOFF_VERDICT_COUNT; i++)
		sum += counts[i];
	assert_true(counts[SHAKEOFF_NO_SERVICE] > 0);
	assert_int_equal(sum, counts[SHAKEOFF_NO_SERVICE]);

	succeeds(datapath_service_counters_reset(datapath, 3));
	succeeds(datapath_service_counters(datapath, 3, &counters));
	assert_int_equal(counters.syn, 0);
	assert_int_equal(datapath_service_counters(datapath, SHAKEOFF_MAX_SERVICES, &counters), -ENOENT);
	succeeds(datapath_detach("one"));
	datapath_close(datapath);
}

static void what_the_daemon_sets_can_be_set_and_removed(void **state)
{
	struct shakeoff_interface interface = { .mss = { 1460, 1440 } };
	struct shakeoff_tuple tuple = { .local_port = htons(80) };
	struct shakeoff_epoch_key key = { .cookie = { 1, 2 }, .offset = { 3, 4 } };
	struct shakeoff_validated entry;
	struct datapath *datapath = loaded();

	(void)state;
	succeeds(datapath_interface_set(datapath, 7, &interface));
	succeeds(datapath_interface_remove(datapath, 7));
	assert_int_equal(datapath_interface_remove(datapath, 7), -ENOENT);
	succeeds(datapath_key_set(datapath, SHAKEOFF_KEY_SLOTS - 1, &key));
	assert_int_equal(datapath_key_set(datapath, SHAKEOFF_KEY_SLOTS, &key), -E2BIG);
	assert_int_equal(datapath_validated_get(datapath, &tuple, &entry), -ENOENT);
	assert_int_equal(datapath_validated_forget(datapath, &tuple), -ENOENT);
	datapath_services(datapath)[SHAKEOFF_MAX_SERVICES - 1].capacity = 1;
	datapath_close(datapath);
}

/* The map of this name that the program on an interface works on. */
static int map_of(const char *ifname, const char *name)
{
	int program = bpf_prog_get_fd_by_id(looked(ifname).prog_id), found = -1;
	uint32_t ids[64];
	struct bpf_prog_info info = { .map_ids = (uintptr_t)ids, .nr_map_ids = 64 };
	uint32_t size = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(program, &info, &size), 0);
	for (uint32_t i = 0; i < info.nr_map_ids && found < 0; i++) {
		int map = bpf_map_get_fd_by_id(ids[i]);
		struct bpf_map_info map_info = { 0 };

		size = sizeof(map_info);
		assert_int_equal(bpf_obj_get_info_by_fd(map, &map_info, &size), 0);
		if (!strcmp(map_info.name, name))
			found = map;
		else
			close(map);
	}
	close(program);
	assert_true(found >= 0);
	return found;
}

static void a_validated_tuple_is_found_and_forgotten_alone(void **state)
{
	struct shakeoff_tuple tuple = { .remote = { 0, 0, htonl(0xffff), 1 }, .local = { 0, 0, htonl(0xffff), 2 } };
	struct shakeoff_validated entry = { .established_ns = 1, .tuple = tuple, .cookie = 7 };
	__u32 first = shakeoff_validated_set(shakeoff_filter_tuple_slot(&tuple)),
	      last = first + SHAKEOFF_VALIDATED_WAYS - 1;
	struct datapath *datapath = loaded();
	int map;

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	map = map_of("one", "validated");
	assert_int_equal(bpf_map_update_elem(map, &last, &entry, BPF_ANY), 0);
	entry.tuple.remote_port = htons(1); /* of another tuple, in the same set */
	assert_int_equal(bpf_map_update_elem(map, &first, &entry, BPF_ANY), 0);
	entry = (struct shakeoff_validated){ 0 };
	succeeds(datapath_validated_get(datapath, &tuple, &entry));
	assert_int_equal(entry.cookie, 7);
	succeeds(datapath_validated_forget(datapath, &tuple));
	assert_int_equal(datapath_validated_get(datapath, &tuple, &entry), -ENOENT);
	assert_int_equal(bpf_map_lookup_elem(map, &first, &entry), 0);
	assert_int_equal(entry.established_ns, 1);
	close(map);
	succeeds(datapath_detach("one"));
	datapath_close(datapath);
}

struct half_open_iter {
	uint64_t sum;
	size_t count;
	bool even; /* take these out */
};

static bool half_open_seen(void *context, const struct shakeoff_tuple *tuple, const struct shakeoff_half_open *entry)
{
	struct half_open_iter *iter = context;

	assert_int_equal(tuple->remote[3], entry->rcv_nxt);
	iter->sum += entry->rcv_nxt;
	iter->count++;
	return iter->even && entry->rcv_nxt % 2 == 0;
}

static void every_half_open_connection_is_seen_once_and_taken_out_if_wanted(void **state)
{
	struct datapath *datapath = loaded();
	struct half_open_iter iter = { .even = true };
	int map;

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	assert_true(datapath_half_open_is_empty(datapath));
	succeeds(datapath_half_open_each(datapath, half_open_seen, &iter));
	assert_int_equal(iter.count, 0);
	map = map_of("one", "half_open");
	for (uint32_t i = 1; i <= 1000; i++) {
		struct shakeoff_tuple tuple = { .remote[3] = i };
		struct shakeoff_half_open entry = { .rcv_nxt = i };

		assert_int_equal(bpf_map_update_elem(map, &tuple, &entry, BPF_NOEXIST), 0);
	}
	assert_false(datapath_half_open_is_empty(datapath));
	succeeds(datapath_half_open_each(datapath, half_open_seen, &iter));
	assert_int_equal(iter.count, 1000);
	assert_int_equal(iter.sum, 1000 * 1001 / 2);
	iter = (struct half_open_iter){ 0 };
	succeeds(datapath_half_open_each(datapath, half_open_seen, &iter));
	assert_int_equal(iter.count, 500);
	close(map);
	succeeds(datapath_detach("one"));
	datapath_close(datapath);
}

static void ignore_event(void *context, const struct shakeoff_event *event)
{
	(void)context;
	(void)event;
}

static void rings_are_made_once_and_kept_for_the_next_daemon(void **state)
{
	struct datapath *datapath = loaded(), *again;
	struct datapath_attachment attachment;
	struct datapath_ring *ring = NULL;
	uint32_t actual = 0;

	(void)state;
	assert_int_equal(datapath_rings_prepare(datapath, 0, &actual), -EINVAL);
	assert_int_equal(datapath_rings_prepare(datapath, SHAKEOFF_MAX_RINGS + 1, &actual), -EINVAL);
	succeeds(datapath_rings_prepare(datapath, 2, &actual));
	assert_int_equal(actual, 2);
	datapath_control(datapath)->rings = actual;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_DAEMON, false));
	datapath_close(datapath);

	attachment = looked("one");
	succeeds(datapath_open(&attachment, &again));
	succeeds(datapath_rings_prepare(again, 3, &actual));
	assert_int_equal(actual, 2);
	succeeds(datapath_ring_open(again, 1, ignore_event, NULL, &ring));
	assert_true(datapath_ring_fd(ring) >= 0);
	assert_int_equal(datapath_ring_consume(ring), 0);
	datapath_ring_close(ring);
	assert_int_equal(datapath_ring_open(again, 2, ignore_event, NULL, &ring), -ENOENT);
	datapath_close(again);
	succeeds(datapath_detach("one"));
}

static void what_belongs_to_another_abi_is_not_opened(void **state)
{
	struct datapath *datapath = loaded(), *again = NULL;
	struct datapath_attachment attachment;

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	attachment = looked("one");
	attachment.abi++;
	assert_int_equal(datapath_open(&attachment, &again), -EPROTO);
	assert_null(again);
	succeeds(datapath_detach("one"));
	datapath_close(datapath);
}

/* ------------------------------------------------------------------------------------------------------------ pins */

static void pins_go_with_the_program(void **state)
{
	struct datapath *datapath = loaded();

	(void)state;
	succeeds(datapath_attach(datapath, "one.5", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	if (access(pin_directory(), F_OK)) {
		succeeds(datapath_detach("one.5"));
		datapath_close(datapath);
		skip(); /* no place to pin in this mount namespace: attached by netlink */
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

/* That it is the only one, too. */
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

static void the_acl_is_kept_for_one_program_and_no_more(void **state)
{
	struct datapath *datapath = loaded(), *next = loaded(), *last = loaded();
	int result;

	(void)state;
	succeeds(datapath_acl_keep(datapath));
	assert_int_equal(datapath_acl_restore(next), 0);
	list_one(datapath, "2001:db8::/32");
	result = datapath_acl_keep(datapath);
	datapath_close(datapath);
	if (result != -EOPNOTSUPP) { /* no place to pin in this mount namespace */
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

static void a_program_with_an_acl_of_its_own_keeps_it(void **state)
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
		test(what_is_attached_is_found_by_its_interface),
		test(an_interface_that_is_not_there_is_enodev),
		test(it_stays_attached_when_the_descriptors_are_closed),
		test(two_interfaces_share_a_datapath),
		test(jumbo_frames_get_the_program_for_several_buffers),
		test(where_the_driver_cannot_auto_is_generic),
		test(a_link_of_netlink_is_found_and_detached),
		test(a_foreign_program_is_left_alone),
		test(a_foreign_program_is_replaced_when_asked_for),
		test(a_replacement_that_fails_puts_the_foreign_program_back),
		test(the_tc_program_comes_and_goes_with_the_xdp_program),
		test(interfaces_that_share_a_datapath_share_its_tc_program),
		test(tc_programs_of_others_stay_and_come_after_ours),
		test(a_tc_program_that_was_taken_away_is_missed_and_put_back),
		test(the_tc_program_goes_to_the_front_again),
		test(the_tc_program_of_a_command_goes_to_the_front_again),
		test(the_tc_program_without_a_link_goes_to_the_front_again),
		test(the_tc_program_at_egress_goes_to_the_front_again),
		test(what_is_not_there_does_not_go_to_the_front),
		test(a_program_of_ip_link_gets_the_tc_program_later),
		test(without_a_link_the_tc_program_stays_and_is_found_too),
		test(a_replacement_takes_the_old_tc_program_away),
		test(a_replacement_that_fails_leaves_the_tc_program),
		test(a_tc_program_without_its_xdp_program_is_no_attachment_but_detached),
		test(the_tc_program_wants_the_xdp_program_of_its_datapath),
		test(addresses_of_both_families_are_iterated_and_removed),
		test(packets_are_counted_over_all_cpus),
		test(what_the_daemon_sets_can_be_set_and_removed),
		test(a_validated_tuple_is_found_and_forgotten_alone),
		test(every_half_open_connection_is_seen_once_and_taken_out_if_wanted),
		test(rings_are_made_once_and_kept_for_the_next_daemon),
		test(what_belongs_to_another_abi_is_not_opened),
		test(pins_go_with_the_program),
		test(the_acl_is_kept_for_one_program_and_no_more),
		test(a_program_with_an_acl_of_its_own_keeps_it),
		test(pins_of_an_interface_that_is_gone_are_removed),
		test(a_directory_that_is_not_on_bpffs_is_refused),
	};

	return cmocka_run_group_tests_name("datapath", tests, enter_namespace, NULL);
}
