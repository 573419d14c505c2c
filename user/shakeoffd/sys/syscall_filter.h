/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Limits the system calls of the daemon's processes (seccomp). */
#ifndef SHAKEOFFD_SYS_SYSCALL_FILTER_H
#define SHAKEOFFD_SYS_SYSCALL_FILTER_H

/*
 * Filters the daemon, in all threads: threads, files, sockets and BPF remain. No exec, no new processes, mounts,
 * modules, keyrings or tracing. Other calls fail with EPERM and the kernel's audit logs them. 0 or a negative errno.
 */
int syscall_filter_daemon(void);

/* Filters the broker (broker.h): it may use messages, and open BPF objects by id. Any other call kills it. */
int syscall_filter_broker(void);

#endif
