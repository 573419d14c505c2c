/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The daemon's part in the lists of sources: what one daemon leaves the next takes up, and expired entries are removed. The hook
 * takes no notice of those in any case; but they take room, and each costs a look-up for what lies in it.
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

/* Takes up what was left. Needs the privileges of the start, as acl_keeper_keep(). */
int acl_keeper_open(struct acl_keeper *acl_keeper, struct datapath *const *datapaths, size_t count);
void acl_keeper_close(struct acl_keeper *acl_keeper);

/* Leaves the lists of a program that hangs nowhere any more to the next one. To be called when this daemon's is detached. */
void acl_keeper_keep(const struct acl_keeper *acl_keeper);

/* Called several times a second, with CLOCK_MONOTONIC: goes on for a few milliseconds where something has expired. */
int acl_keeper_tick(struct acl_keeper *acl_keeper, uint64_t now_ns);

#endif
