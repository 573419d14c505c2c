/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The netfilter program at the end of LOCAL_IN, and the tc program at lo: attached while there is a daemon that takes
 * over.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "datapath/datapath_internal.h"

#include "input.skel.h"

/* Kernel 6.4 (6.6): the headers of libbpf 1.1 do not have them. */
#define PROG_TYPE_NETFILTER 32
#define ATTACH_NETFILTER 45
#define TCX_EGRESS 47
#define TCX_FIRST (1u << 3) /* as in datapath_admit.c */

/* linux/netfilter.h */
#define HOOK_LOCAL_IN 1
#define PF_IPV4 2
#define PF_IPV6 10

/*
 * Behind every chain. INT_MAX itself belongs to connection tracking, which confirms there the packets that got through
 * (nf_conntrack_proto.c), and no program may have it (bpf_nf_check_pf_and_hooks(), net/netfilter/nf_bpf_link.c). Two
 * programs cannot have the same priority.
 */
#define PRIORITY_LAST (INT_MAX - 1)
#define PRIORITIES 64

static uint32_t mark; /* the program at lo recognises its frames by it; 0: not attached */
static int returner = -1;

/* What this kernel has. It is read once because that takes milliseconds. */
static const struct features {
	bool input, tcx;
} * features(void)
{
	static struct features known;
	static bool read;
	struct btf *btf;

	if (read)
		return &known;
	read = true;
	btf = btf__load_vmlinux_btf();
	known.input = btf && btf__find_by_name_kind(btf, "bpf_nf_link_attach", BTF_KIND_FUNC) > 0 &&
		      btf__find_by_name_kind(btf, "bpf_dynptr_from_skb", BTF_KIND_FUNC) > 0;
	known.tcx = btf && btf__find_by_name_kind(btf, "tcx_link_attach", BTF_KIND_FUNC) > 0;
	btf__free(btf);
	return &known;
}

bool datapath_can_input(void)
{
	return features()->input;
}

uint32_t datapath_return_mark(void)
{
	return mark;
}

/* ------------------------------------------------------------------------------------------------------------ links */

/* The part of union bpf_attr that BPF_LINK_CREATE reads (linux/bpf.h). */
struct netfilter_link_create {
	uint32_t program, target, attach_type, flags;
	uint32_t family, hook;
	int32_t priority;
	uint32_t netfilter_flags;
};

static int link_create(int program, uint32_t family)
{
	struct netfilter_link_create attr = {
		.program = (uint32_t)program,
		.attach_type = ATTACH_NETFILTER,
		.family = family,
		.hook = HOOK_LOCAL_IN,
	};

	for (int i = 0; i < PRIORITIES; i++) {
		int fd;

		attr.priority = PRIORITY_LAST - i;
		fd = (int)syscall(__NR_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
		if (fd >= 0 || errno != EBUSY)
			return fd < 0 ? -errno : fd;
	}
	return -EBUSY;
}

static const struct input_family {
	uint32_t family;
	const char *name;
} families[2] = { { PF_IPV4, "input4" }, { PF_IPV6, "input6" } };

static void pin_name(const struct input_family *family, uint32_t control_id, char *name, size_t size)
{
	snprintf(name, size, "%s_%u", family->name, control_id);
}

void input_forget(uint32_t control_id)
{
	for (int i = 0; i < 2; i++) {
		cleanup_fd int fd = -1;
		char name[32];

		pin_name(&families[i], control_id, name, sizeof(name));
		fd = bpffs_take(name);
	}
}

/*
 * Makes the links. The program of a daemon that is gone stays until the new one is attached, so that no ACK slips
 * through in between.
 */
static int links_make(struct datapath *datapath, int program, bool *pinned)
{
	*pinned = true;
	for (int i = 0; i < 2; i++) {
		cleanup_fd int old = -1;
		char name[32];
		int fd;

		pin_name(&families[i], datapath->control_id, name, sizeof(name));
		fd = link_create(program, families[i].family);
		if (fd < 0) {
			detail_set("the netfilter program: %s", strerror(-fd));
			return fd;
		}
		old = bpffs_take(name);
		datapath->input[i] = fd;
		if (bpffs_keep(fd, name))
			*pinned = false;
	}
	return 0;
}

static void returner_attach(const struct input *object, uint32_t value)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = TCX_FIRST);

	if (returner >= 0 || !features()->tcx)
		return;
	returner = bpf_link_create(bpf_program__fd(object->progs.shakeoff_return), (int)if_nametoindex("lo"),
				   TCX_EGRESS, &options);
	if (returner >= 0)
		mark = value;
}

int datapath_input_attach(struct datapath *datapath)
{
	struct input *object;
	uint32_t value = mark;
	bool pinned;
	int result;

	detail_clear();
	if (!datapath_can_input())
		return -EOPNOTSUPP;
	object = input__open();
	if (!object)
		return -errno;
	while (!value && getrandom(&value, sizeof(value), 0) == sizeof(value))
		;
	object->rodata->return_mark = value;
	bpf_program__set_type(object->progs.shakeoff_input, PROG_TYPE_NETFILTER);
	bpf_program__set_expected_attach_type(object->progs.shakeoff_input, ATTACH_NETFILTER);
	result = object_share_maps(object->obj, datapath);
	if (!result)
		result = input__load(object);
	if (!result)
		result = links_make(datapath, bpf_program__fd(object->progs.shakeoff_input), &pinned);
	if (!result)
		returner_attach(object, value);
	input__destroy(object);
	if (result) {
		datapath_input_detach(datapath);
		return result;
	}
	if (pinned)
		__atomic_fetch_and(&datapath->control->flags, ~SHAKEOFF_INPUT_MORTAL, __ATOMIC_RELAXED);
	else
		__atomic_fetch_or(&datapath->control->flags, SHAKEOFF_INPUT_MORTAL, __ATOMIC_RELAXED);
	__atomic_fetch_or(&datapath->control->flags, SHAKEOFF_INPUT, __ATOMIC_RELEASE);
	return 0;
}

void datapath_input_detach(struct datapath *datapath)
{
	__atomic_fetch_and(&datapath->control->flags, ~(SHAKEOFF_INPUT | SHAKEOFF_INPUT_MORTAL), __ATOMIC_RELEASE);
	for (int i = 0; i < 2; i++) {
		cleanup_fd_function(&datapath->input[i]);
		datapath->input[i] = -1;
	}
	input_forget(datapath->control_id);
	bpffs_tidy();
}
