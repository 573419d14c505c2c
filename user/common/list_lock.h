/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who changes the lists of sources holds this lock, be it a command or the daemon: what two change at once would be lost.
 *
 * It is one file for the whole host, outside of the run directory: commands work without a daemon, and do not know its
 * --run-dir. A process that ends gives the lock back.
 */
#ifndef SHAKEOFF_LIST_LOCK_H
#define SHAKEOFF_LIST_LOCK_H

#include <stdbool.h>

#define LIST_LOCK_PATH "/run/shakeoff-lists.lock"

/* Takes the lock; *fd is to be closed. Without `wait` -EWOULDBLOCK where another one has it. */
int list_lock(bool wait, int *fd);

#endif
