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

struct lists_datapath;

struct lists {
	struct datapath *const *datapaths;
	size_t count;
	struct lists_datapath *states; /* one a datapath */
};

/* Takes up what was left. Needs the privileges of the start, as lists_keep(). */
int lists_open(struct lists *lists, struct datapath *const *datapaths, size_t count);
void lists_close(struct lists *lists);

/* Leaves the lists of a program that hangs nowhere any more to the next one. To be called when this daemon's is detached. */
void lists_keep(const struct lists *lists);

/* Called several times a second, with CLOCK_MONOTONIC: goes on for a few milliseconds where something has expired. */
int lists_tick(struct lists *lists, uint64_t now_ns);

#endif
