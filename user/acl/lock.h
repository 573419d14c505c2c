/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The lock for changes of the ACL of sources. Commands and the daemon hold it while they change the ACL, because one of
 * two simultaneous changes would be lost.
 *
 * It is one file for the whole host, outside of the run directory: commands work without a daemon, and do not know its
 * --run-dir. The lock is released when the process ends.
 */
#ifndef SHAKEOFF_ACL_LOCK_H
#define SHAKEOFF_ACL_LOCK_H

#include <stdint.h>

#define ACL_LOCK_PATH "/run/shakeoff-acl.lock"

/* How long a command waits: the longest change, a load of millions of entries, takes half a minute on a busy host. */
#define ACL_LOCK_PATIENCE_MS 60000

/*
 * Takes the lock; the caller closes *fd. -EWOULDBLOCK: another process held it all the time. The wait is limited
 * because the holder may be a command that was stopped with ^Z.
 */
int acl_lock(uint32_t patience_ms, int *fd);

#endif
