/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ids of services in the datapaths: free ids, and ids that an earlier daemon left, which are found again by name.
 * An id that goes from one service to another is zeroed in between, and so are its counters.
 */
#ifndef SHAKEOFFD_HOOK_SERVICE_IDS_H
#define SHAKEOFFD_HOOK_SERVICE_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"

struct service_id_pool;

struct service_ids {
	struct datapath *const *datapaths;
	size_t count;                  /* of datapaths */
	struct service_id_pool *pools; /* one per datapath */
};

int service_ids_open(struct service_ids *service_ids, struct datapath *const *datapaths, size_t count);
void service_ids_close(struct service_ids *service_ids);

/* Takes the id that an earlier daemon left under this name (*found), or a free one. -ENOSPC: there is none. */
int service_ids_take(struct service_ids *service_ids, size_t datapath, const char *name, uint32_t *id, bool *found);

/* Gives an id back. No address may lead to it any more. */
void service_ids_release(struct service_ids *service_ids, size_t datapath, uint32_t id);

/* Frees the ids that an earlier daemon left and no service has taken. No address may lead to them any more. */
void service_ids_sweep(struct service_ids *service_ids);

#endif
