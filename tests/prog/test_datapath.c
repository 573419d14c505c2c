/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The data path from user space: attached, found, shared, replaced and detached, on veth pairs in a network namespace of
 * this process. Skipped without root.
 *
 * link: user/common/datapath.c user/common/datapath_attach.c user/common/datapath_detail.c user/common/datapath_maps.c user/common/datapath_pin.c user/common/link.c user/common/log.c
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

#include "common/datapath.h"

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

/* ------------------------------------------------------------------------------------------------------------- maps */

struct walk {
	struct datapath *datapath;
	unsigned int seen, mapped;
	bool remove;
};

static int see_address(void *context, const struct in6_addr *address, uint16_t port, uint32_t service)
{
	struct walk *walk = context;

	walk->seen++;
	walk->mapped += IN6_IS_ADDR_V4MAPPED(address);
	assert_int_equal(service, port);
	if (walk->remove)
		succeeds(datapath_address_remove(walk->datapath, address, port));
	return 0;
}

static void addresses_of_both_families_are_walked_and_removed(void **state)
{
	struct datapath *datapath = loaded();
	struct walk walk = { .datapath = datapath };
	struct in6_addr v4, v6;

	(void)state;
	inet_pton(AF_INET6, "::ffff:10.9.0.1", &v4);
	inet_pton(AF_INET6, "2001:db8::1", &v6);
	for (uint16_t port = 1; port <= 300; port++) {
		succeeds(datapath_address_set(datapath, &v4, port, port));
		succeeds(datapath_address_set(datapath, &v6, port, port));
	}
	succeeds(datapath_address_set(datapath, &v6, 300, 300));
	walk.remove = true;
	succeeds(datapath_address_each(datapath, see_address, &walk));
	assert_int_equal(walk.seen, 600);
	assert_int_equal(walk.mapped, 300);

	walk.seen = 0;
	succeeds(datapath_address_each(datapath, see_address, &walk));
	assert_int_equal(walk.seen, 0);
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
	assert_true(counts[SHAKEOFF_NOT_OURS] > 0);
	assert_int_equal(sum, counts[SHAKEOFF_NOT_OURS]);

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
	struct shakeoff_key key = { 1, 2 };
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
	char path[128], command[256];
	struct stat st;

	(void)state;
	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	snprintf(path, sizeof(path), "/sys/fs/bpf/shakeoff/%llu", (unsigned long long)st.st_ino);
	succeeds(datapath_attach(datapath, "one.5", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	if (stat(path, &st)) {
		succeeds(datapath_detach("one.5"));
		datapath_close(datapath);
		skip(); /* no place to pin in this mount namespace: attached by netlink */
	}
	snprintf(command, sizeof(command), "test -e %s/one_5:%u:attach", path, if_nametoindex("one.5"));
	run(command);
	succeeds(datapath_detach("one.5"));
	assert_int_equal(stat(path, &st), -1);
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
		test(addresses_of_both_families_are_walked_and_removed),
		test(packets_are_counted_over_all_cpus),
		test(what_the_daemon_sets_can_be_set_and_removed),
		test(rings_are_made_once_and_kept_for_the_next_daemon),
		test(what_belongs_to_another_abi_is_not_opened),
		test(pins_go_with_the_program),
		test(a_directory_that_is_not_on_bpffs_is_refused),
	};

	return cmocka_run_group_tests_name("datapath", tests, enter_namespace, NULL);
}
