/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The daemon's part in the lists of sources: hands the lists of one daemon on to the next, and removes expired entries.
 * The hook ignores expired entries anyway, but they take room, and each costs a look-up for the addresses inside it.
 */
#ifndef SHAKEOFFD_HOOK_ACL_H
#define SHAKEOFFD_HOOK_ACL_H

#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"

struct acl_keeper_datapath;

struct acl_keeper {
	struct datapath *const *datapaths;
	size_t count;
	struct acl_keeper_datapath *states; /* one a datapath */
};

/* Restores the lists that were left. Needs the privileges of the start, as acl_keeper_keep() does. */
int acl_keeper_open(struct acl_keeper *acl_keeper, struct datapath *const *datapaths, size_t count);
void acl_keeper_close(struct acl_keeper *acl_keeper);

/*
 * Leaves the lists of a program that is no longer attached to the next daemon. Call it when this daemon's program is
 * detached.
 */
void acl_keeper_keep(const struct acl_keeper *acl_keeper);

/* Works for a few milliseconds if an entry has expired. Call it several times a second, with CLOCK_MONOTONIC. */
int acl_keeper_tick(struct acl_keeper *acl_keeper, uint64_t now_ns);

#endif
