/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shakeoffd/hook/service_ids.h"

/* The id of a service of an earlier daemon. */
struct stale_slot {
	char name[SHAKEOFF_NAME_LEN];
	uint32_t id;
	bool taken;
};

struct service_id_pool {
	uint32_t free[SHAKEOFF_MAX_SERVICES]; /* a stack */
	size_t free_count;
	struct stale_slot *stale; /* sorted by name */
	size_t stale_count;
};

static int compare_names(const void *a, const void *b)
{
	const struct stale_slot *first = a, *second = b;

	return strncmp(first->name, second->name, SHAKEOFF_NAME_LEN);
}

static int pool_open(struct service_id_pool *pool, struct datapath *datapath)
{
	const struct shakeoff_service *shared = datapath_services(datapath);

	for (uint32_t id = SHAKEOFF_MAX_SERVICES; id--;) {
		if (!(__atomic_load_n(&shared[id].flags, __ATOMIC_RELAXED) & SHAKEOFF_SERVICE_USED))
			pool->free[pool->free_count++] = id;
	}
	pool->stale = calloc(SHAKEOFF_MAX_SERVICES - pool->free_count + 1, sizeof(*pool->stale));
	if (!pool->stale)
		return -ENOMEM;
	for (uint32_t id = 0; id < SHAKEOFF_MAX_SERVICES; id++) {
		struct stale_slot *stale = &pool->stale[pool->stale_count];

		if (!(__atomic_load_n(&shared[id].flags, __ATOMIC_RELAXED) & SHAKEOFF_SERVICE_USED))
			continue;
		memcpy(stale->name, shared[id].name, sizeof(stale->name));
		stale->id = id;
		pool->stale_count++;
	}
	qsort(pool->stale, pool->stale_count, sizeof(*pool->stale), compare_names);
	return 0;
}

int service_ids_open(struct service_ids *service_ids, struct datapath *const *datapaths, size_t count)
{
	struct service_ids fresh = { .datapaths = datapaths,
				     .count = count,
				     .pools = calloc(count, sizeof(*fresh.pools)) };
	int error = fresh.pools ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !error; i++)
		error = pool_open(&fresh.pools[i], datapaths[i]);
	if (error) {
		service_ids_close(&fresh);
		return error;
	}
	*service_ids = fresh;
	return 0;
}

void service_ids_close(struct service_ids *service_ids)
{
	for (size_t i = 0; i < service_ids->count && service_ids->pools; i++)
		free(service_ids->pools[i].stale);
	free(service_ids->pools);
	*service_ids = (struct service_ids){ 0 };
}

int service_ids_take(struct service_ids *service_ids, size_t datapath, const char *name, uint32_t *id, bool *found)
{
	struct service_id_pool *pool = &service_ids->pools[datapath];
	struct stale_slot key = { 0 }, *stale = NULL;

	strncpy(key.name, name, sizeof(key.name) - 1);
	if (pool->stale_count)
		stale = bsearch(&key, pool->stale, pool->stale_count, sizeof(key), compare_names);
	if (stale && !stale->taken) {
		stale->taken = true;
		*id = stale->id;
		*found = true;
		return 0;
	}
	if (!pool->free_count)
		return -ENOSPC;
	*id = pool->free[--pool->free_count];
	*found = false;
	return 0;
}

void service_ids_release(struct service_ids *service_ids, size_t datapath, uint32_t id)
{
	struct service_id_pool *pool = &service_ids->pools[datapath];
	struct shakeoff_service *shared = &datapath_services(service_ids->datapaths[datapath])[id];
	uint64_t position;

	__atomic_store_n(&shared->flags, 0, __ATOMIC_RELEASE);
	position = __atomic_load_n(&shared->enqueued, __ATOMIC_RELAXED);
	memset(shared, 0, sizeof(*shared));
	/*
	 * Positions are numbered on, so that no position that sources are remembered to hold (shakeoff/source.h) is
	 * held any more.
	 */
	shared->enqueued = shared->dequeued = shared->positions_from = position;
	datapath_service_counters_reset(service_ids->datapaths[datapath], id);
	pool->free[pool->free_count++] = id;
}

void service_ids_sweep(struct service_ids *service_ids)
{
	for (size_t i = 0; i < service_ids->count; i++) {
		struct service_id_pool *pool = &service_ids->pools[i];

		for (size_t k = 0; k < pool->stale_count; k++)
			if (!pool->stale[k].taken)
				service_ids_release(service_ids, i, pool->stale[k].id);
		free(pool->stale);
		pool->stale = NULL;
		pool->stale_count = 0;
	}
}
