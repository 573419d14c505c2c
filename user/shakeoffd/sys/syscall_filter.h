/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which system calls the daemon's processes may still make (seccomp). */
#ifndef SHAKEOFFD_SYS_SYSCALL_FILTER_H
#define SHAKEOFFD_SYS_SYSCALL_FILTER_H

/*
 * The daemon: threads, files, sockets, BPF. No exec, no other process, no mounts, modules, keyrings or tracing. Others fail with
 * EPERM and are logged by the kernel's audit. For all threads. 0 or a negative errno.
 */
int syscall_filter_daemon(void);

/* The broker (broker.h): messages, and descriptors of BPF objects by their ids. Anything else kills it. */
int syscall_filter_broker(void);

#endif
