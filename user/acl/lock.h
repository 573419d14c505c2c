/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who changes the lists of sources holds this lock, be it a command or the daemon: what two change at once would be lost.
 *
 * It is one file for the whole host, outside of the run directory: commands work without a daemon, and do not know its
 * --run-dir. A process that ends gives the lock back.
 */
#ifndef SHAKEOFF_ACL_LOCK_H
#define SHAKEOFF_ACL_LOCK_H

#include <stdint.h>

#define ACL_LOCK_PATH "/run/shakeoff-acl.lock"

/* How long a command waits: the longest change, a load of millions, takes half a minute on a busy host. */
#define ACL_LOCK_PATIENCE_MS 60000

/*
 * Takes the lock; *fd is to be closed. -EWOULDBLOCK: another one has had it all the time. Nobody waits for ever: it may be a
 * command that was stopped with ^Z.
 */
int acl_lock(uint32_t patience_ms, int *fd);

#endif
