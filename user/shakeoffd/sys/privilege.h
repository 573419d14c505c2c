/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Capabilities: which are needed, and giving up for good what is not needed once everything is set up. */
#ifndef SHAKEOFFD_SYS_PRIVILEGE_H
#define SHAKEOFFD_SYS_PRIVILEGE_H

#include <stddef.h>

/* Says which capability is missing. 0 or -EPERM. */
int privilege_check(void);

/*
 * Leaves this process with these capabilities of those that it has, for good: not permitted, not in the bounding set, not by an
 * exec (no_new_privs, securebits); and without core dumps. Reads back what the kernel made of it. Says what failed; 0 or a
 * negative errno. For processes of one thread.
 */
int privilege_confine(const unsigned int *kept, size_t count);

/*
 * The daemon: keeps what it needs while it runs, and filters its system calls from here on. Processes that need more are forked
 * before, threads are started after it. Says what failed: the daemon must not go on then.
 */
int privilege_drop(void);

#endif
