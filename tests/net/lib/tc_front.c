/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tc_front IFACE ingress
 * egress pass
 * next
 * drop-marked [insist]: a foreign program, before all others at a tcx hook, until SIGTERM. pass: packets go to the
 * stack, and no later program sees them; next: later programs see them; drop-marked: drops packets with XDP metadata,
 * and lets later programs see the rest. insist: whenever another is first, it moves to the front again. Prints
 * "attached", and at the end how often it moved.
 *
 * tc_front IFACE ingress
 * egress count: how many programs are attached there. tc_front IFACE ingress
 * egress first: the first one's name. tc_front IFACE egress remove NAME: detaches a program that is attached there
 * without a link.
 */
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

/* Newer than libbpf 1.1. */
#define TCX_INGRESS 46
#define TCX_EGRESS 47
#define BEFORE (1u << 3)
#define TCX_NEXT -1
#define TCX_PASS 0
#define TCX_DROP 2

#define PROGRAMS_MAX 64
#define LOOK_NS 20000000

#define INSN(c, d, s, o, i)                                                                                            \
	{                                                                                                              \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)                                    \
	}
#define RETURN(value) INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, value), INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define LOAD_FIELD(reg, field) INSN(BPF_LDX | BPF_MEM | BPF_W, reg, 1, offsetof(struct __sk_buff, field), 0)

static int fail(const char *what)
{
	fprintf(stderr, "tc_front: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int load(const char *what)
{
	const struct bpf_insn pass[] = { RETURN(TCX_PASS) }, next[] = { RETURN(TCX_NEXT) };
	const struct bpf_insn drop_marked[] = {
		LOAD_FIELD(2, data_meta), LOAD_FIELD(3, data), INSN(BPF_JMP | BPF_JEQ | BPF_X, 2, 3, 2, 0),
		RETURN(TCX_DROP),         RETURN(TCX_NEXT),
	};

	if (!strcmp(what, "pass"))
		return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "in_front", "GPL", pass, 2, NULL);
	if (!strcmp(what, "next"))
		return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "in_front", "GPL", next, 2, NULL);
	if (!strcmp(what, "drop-marked"))
		return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "in_front", "GPL", drop_marked, 7, NULL);
	errno = EINVAL;
	return -1;
}

static void info_of(int program, struct bpf_prog_info *info)
{
	uint32_t size = sizeof(*info);

	memset(info, 0, sizeof(*info));
	if (program < 0 || bpf_obj_get_info_by_fd(program, info, &size))
		fail("cannot look at a program");
}

static uint32_t programs_at(int ifindex, int hook, uint32_t ids[PROGRAMS_MAX])
{
	uint32_t count = PROGRAMS_MAX;

	if (bpf_prog_query(ifindex, hook, 0, NULL, ids, &count))
		fail("cannot list programs");
	return count;
}

static void attach(int program, int ifindex, int hook)
{
	LIBBPF_OPTS(bpf_prog_attach_opts, opts, .flags = BEFORE);

	if (bpf_prog_attach_opts(program, ifindex, hook, &opts))
		fail("cannot attach");
}

/* Stays until a signal comes. */
static void stay(int program, int ifindex, int hook, bool insist)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	struct bpf_prog_info own;
	unsigned int times = 1;
	uint32_t ids[PROGRAMS_MAX];
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	info_of(program, &own);
	attach(program, ifindex, hook);
	puts("attached");
	fflush(stdout);
	while (sigtimedwait(&signals, NULL, &pause) != SIGTERM) {
		if (!insist || (programs_at(ifindex, hook, ids) && ids[0] == own.id))
			continue;
		bpf_prog_detach2(program, ifindex, hook);
		attach(program, ifindex, hook);
		times++;
	}
	bpf_prog_detach2(program, ifindex, hook);
	printf("%u\n", times);
}

static void remove_named(int ifindex, int hook, const char *name)
{
	uint32_t ids[PROGRAMS_MAX], count = programs_at(ifindex, hook, ids);

	for (uint32_t i = 0; i < count; i++) {
		int program = bpf_prog_get_fd_by_id(ids[i]);
		struct bpf_prog_info info;

		info_of(program, &info);
		if (!strcmp(info.name, name) && bpf_prog_detach2(program, ifindex, hook))
			fail("cannot detach");
		close(program);
	}
}

static void print_first(int ifindex, int hook)
{
	uint32_t ids[PROGRAMS_MAX];
	struct bpf_prog_info info;

	if (!programs_at(ifindex, hook, ids))
		return;
	info_of(bpf_prog_get_fd_by_id(ids[0]), &info);
	puts(info.name);
}

int main(int argc, char **argv)
{
	int ifindex = argc >= 4 ? (int)if_nametoindex(argv[1]) : 0, hook, program;
	uint32_t ids[PROGRAMS_MAX];

	if (!ifindex || argc > 5) {
		fputs("tc_front IFACE ingress|egress pass|next|drop-marked|count|first|remove [insist|NAME]\n", stderr);
		return 2;
	}
	hook = strcmp(argv[2], "egress") ? TCX_INGRESS : TCX_EGRESS;
	if (!strcmp(argv[3], "count")) {
		printf("%u\n", programs_at(ifindex, hook, ids));
	} else if (!strcmp(argv[3], "first")) {
		print_first(ifindex, hook);
	} else if (!strcmp(argv[3], "remove") && argc == 5) {
		remove_named(ifindex, hook, argv[4]);
	} else {
		program = load(argv[3]);
		if (program < 0)
			fail(argv[3]);
		stay(program, ifindex, hook, argc == 5);
	}
	return 0;
}
