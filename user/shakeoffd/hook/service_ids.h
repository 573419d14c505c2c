/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The slots of services in the datapaths: which are free, and which an earlier daemon left, to be found again by name.
 * A slot that goes from one service to another is zero in between, and so are its counters.
 */
#ifndef SHAKEOFFD_HOOK_SERVICE_IDS_H
#define SHAKEOFFD_HOOK_SERVICE_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"

struct slot_pool;

struct slots {
	struct datapath *const *datapaths;
	size_t count;            /* of datapaths */
	struct slot_pool *pools; /* one a datapath */
};

int slots_open(struct slots *slots, struct datapath *const *datapaths, size_t count);
void slots_close(struct slots *slots);

/* Takes the slot that an earlier daemon left under this name (*found), or a free one. -ENOSPC: there is none. */
int slots_take(struct slots *slots, size_t datapath, const char *name, uint32_t *id, bool *found);

/* Gives one back; no address may lead to it any more. */
void slots_release(struct slots *slots, size_t datapath, uint32_t id);

/* Frees what an earlier daemon left and nobody has taken; no address may lead there any more. */
void slots_sweep(struct slots *slots);

#endif
