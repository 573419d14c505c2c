/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether a server's control group filters what comes in for its sockets: BPF programs of BPF_CGROUP_INET_INGRESS, as systemd's
 * IPAddressDeny=, IPAddressAllow= and IPIngressFilterPath= make them. Sockets that the daemon makes are in its own control group, and
 * would pass them by.
 */
#ifndef SHAKEOFFD_HOOK_CGROUP_H
#define SHAKEOFFD_HOOK_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

/* Not counted are programs that see the daemon's sockets, too. What cannot be found out filters nothing. */
bool cgroup_filters(pid_t pid);

#endif
