/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds out whether a server's control group filters incoming packets of its sockets: BPF programs of
 * BPF_CGROUP_INET_INGRESS, as systemd attaches them for IPAddressDeny=, IPAddressAllow= and IPIngressFilterPath=.
 * Sockets that the daemon makes are in its own control group, and would bypass these programs.
 */
#ifndef SHAKEOFFD_HOOK_CGROUP_H
#define SHAKEOFFD_HOOK_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Returns whether it does. Ignores programs that also see the daemon's sockets. Returns false if it cannot be found
 * out.
 */
bool cgroup_filters(pid_t pid);

#endif
