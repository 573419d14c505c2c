/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
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

#include "veths.h"

void run(const char *command)
{
	if (system(command))
		fail_msg("failed: %s", command);
}

int enter_namespace(void **state)
{
	(void)state;
	if (geteuid())
		return 0;
	return unshare(CLONE_NEWNET);
}

int make_veths(void **state)
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

int remove_veths(void **state)
{
	(void)state;
	if (!geteuid())
		run("ip link del one; ip link del one.5");
	return 0;
}

void need_root(void)
{
	if (geteuid())
		skip();
}

void succeeds(int result)
{
	if (result)
		fail_msg("%s (%s)", strerror(-result), datapath_detail());
}

struct datapath *loaded(void)
{
	struct datapath *datapath = NULL;

	need_root();
	succeeds(datapath_load(&datapath));
	return datapath;
}

struct datapath_attachment looked(const char *ifname)
{
	struct datapath_attachment attachment;

	succeeds(datapath_look(ifname, &attachment));
	return attachment;
}

void attach_foreign(const char *ifname, uint32_t flags)
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

const char *pin_directory(void)
{
	static char path[128];
	struct stat st;

	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	snprintf(path, sizeof(path), "/sys/fs/bpf/shakeoff/%llu", (unsigned long long)st.st_ino);
	return path;
}

void is_pinned(const char *name, const char *ifname, const char *owner)
{
	char path[256];

	if (access(pin_directory(), F_OK))
		return;
	snprintf(path, sizeof(path), "%s/%s:%u:%s", pin_directory(), name, if_nametoindex(ifname), owner);
	assert_int_equal(access(path, F_OK), 0);
}
