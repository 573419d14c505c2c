/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * first_cookie IFACE SECONDS: watches the hook's counters as fast as one CPU can, and prints as JSON when the first SYN
 * was answered with a cookie, on CLOCK_MONOTONIC, and how many had passed to the kernel until then.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <shakeoff/abi.h>
#include <shakeoff/verdict.h>

static __u64 now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* Returns the map of that name of the XDP program on an interface, or -1. */
static int open_map(int ifindex, const char *name)
{
	struct bpf_prog_info prog = {};
	__u32 prog_id = 0, size = sizeof(prog), ids[64], i;
	int prog_fd;

	if (bpf_xdp_query_id(ifindex, 0, &prog_id) || !prog_id)
		return -1;
	prog.nr_map_ids = 64;
	prog.map_ids = (__u64)(unsigned long)ids;
	prog_fd = bpf_prog_get_fd_by_id(prog_id);
	if (prog_fd < 0 || bpf_obj_get_info_by_fd(prog_fd, &prog, &size))
		return -1;
	for (i = 0; i < prog.nr_map_ids && i < 64; i++) {
		struct bpf_map_info map = {};
		int fd = bpf_map_get_fd_by_id(ids[i]);

		size = sizeof(map);
		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &map, &size) && !strcmp(map.name, name))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

static __u64 count(int map, __u32 verdict)
{
	int cpus = libbpf_num_possible_cpus(), cpu;
	__u64 values[cpus > 0 ? cpus : 1], sum = 0;

	if (bpf_map_lookup_elem(map, &verdict, values))
		return 0;
	for (cpu = 0; cpu < cpus; cpu++)
		sum += values[cpu];
	return sum;
}

int main(int argc, char **argv)
{
	int map = argc == 3 ? open_map((int)if_nametoindex(argv[1]), "verdicts") : -1;
	__u64 end, cookies, idle;

	if (map < 0) {
		fputs("first_cookie IFACE SECONDS: IFACE has our program\n", stderr);
		return 2;
	}
	cookies = count(map, SHAKEOFF_SYNACK_SENT);
	idle = count(map, SHAKEOFF_SYN_IDLE);
	end = now() + strtod(argv[2], NULL) * 1e9;
	puts("watching");
	fflush(stdout);
	while (now() < end) {
		if (count(map, SHAKEOFF_SYNACK_SENT) == cookies)
			continue;
		printf("{\"cookie_ns\": %llu, \"passed_to_the_kernel\": %llu}\n", (unsigned long long)now(),
		       (unsigned long long)(count(map, SHAKEOFF_SYN_IDLE) - idle));
		return 0;
	}
	fputs("first_cookie: there was none\n", stderr);
	return 1;
}
