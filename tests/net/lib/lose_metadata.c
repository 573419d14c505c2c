/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * lose_metadata IFACE: attaches its program before all others at tcx ingress until SIGTERM; then prints how many
 * packets had XDP metadata, and how many have lost it there.
 */
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tests/net/lib/lose_metadata.skel.h"

/* Both are newer than libbpf 1.1. */
#define TCX_INGRESS 46
#define BEFORE (1u << 3)

int main(int argc, char **argv)
{
	int ifindex = argc == 2 ? (int)if_nametoindex(argv[1]) : 0, fd, err;
	LIBBPF_OPTS(bpf_prog_attach_opts, opts, .flags = BEFORE);
	struct lose_metadata *skel;
	sigset_t signals;
	int signal;

	if (!ifindex) {
		fputs("lose_metadata IFACE\n", stderr);
		return 2;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	skel = lose_metadata__open_and_load();
	if (!skel) {
		fprintf(stderr, "lose_metadata: cannot load: %s\n", strerror(errno));
		return 1;
	}
	fd = bpf_program__fd(skel->progs.lose_metadata);
	err = bpf_prog_attach_opts(fd, ifindex, TCX_INGRESS, &opts);
	if (err) {
		fprintf(stderr, "lose_metadata: cannot attach: %s\n", strerror(-err));
		return 1;
	}
	puts("attached");
	fflush(stdout);
	sigwait(&signals, &signal);
	bpf_prog_detach2(fd, ifindex, TCX_INGRESS);
	printf("%llu %llu\n", (unsigned long long)skel->bss->had, (unsigned long long)skel->bss->lost);
	lose_metadata__destroy(skel);
	return 0;
}
