/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Cookie keys: four slots, one an epoch, replaced before their turn comes. */
#ifndef SHAKEOFF_KEYS_H
#define SHAKEOFF_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include <common/datapath.h>

struct keys {
	struct datapath *const *datapaths;
	size_t count;
	uint32_t *replaced_in; /* epoch of the last replacement, one a datapath */
};

/* Fills the slots of datapaths that have none yet; an adopted one keeps its keys, and with them its clients. */
int keys_open(struct keys *keys, struct datapath *const *datapaths, size_t count);
void keys_close(struct keys *keys);

/* To be called several times an epoch: replaces the key whose last cookies have expired. */
int keys_rotate(struct keys *keys, uint64_t now_ns);

#endif
