/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Checks the capabilities that are needed, and drops the rest for good once everything is set up. */
#ifndef SHAKEOFFD_SYS_PRIVILEGE_H
#define SHAKEOFFD_SYS_PRIVILEGE_H

#include <stddef.h>

/* Returns 0, or logs which capability is missing and returns -EPERM. */
int privilege_check(void);

/*
 * Drops all capabilities of this process but these, for good: from the permitted and bounding sets, and across exec
 * (no_new_privs, securebits). Forbids core dumps. Reads back the result from the kernel. Logs what failed; 0 or a
 * negative errno. For processes of one thread.
 */
int privilege_confine(const unsigned int *kept, size_t count);

/*
 * Drops the capabilities that the daemon does not need while it runs, and filters its system calls from here on.
 * Processes that need more are forked before, threads start after it. Logs what failed: the daemon must not continue
 * then.
 */
int privilege_drop(void);

#endif
