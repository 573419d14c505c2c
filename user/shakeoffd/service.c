/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <common/log.h>
#include <shakeoffd/clock.h>
#include <shakeoffd/connection.h>
#include <shakeoffd/service.h>

/* The slots are memory shared with the hook and with the command line; each field has one writer (abi.h). */
#define shared_get(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define shared_set(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define shared_add(field, value) __atomic_fetch_add(&(field), (value), __ATOMIC_RELAXED)

#define SETTLE_MARGIN_NS (500 * NS_PER_MS)

static bool is_configured(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->service_count; i++)
		if (!strncmp(config->services[i].name, name, SHAKEOFF_NAME_LEN))
			return true;
	return false;
}

/* Slots of services that are configured no more are free again. */
static void clear_stale(struct datapath *datapath, const struct config *config)
{
	struct shakeoff_service *slots = datapath_services(datapath);

	for (uint32_t id = 0; id < SHAKEOFF_MAX_SERVICES; id++) {
		if (!(shared_get(slots[id].flags) & SHAKEOFF_SERVICE_USED) || is_configured(config, slots[id].name))
			continue;
		shared_set(slots[id].flags, 0);
		memset(&slots[id], 0, sizeof(slots[id]));
		datapath_service_counters_reset(datapath, id);
	}
}

static int find_slot(struct datapath *datapath, const char *name, struct service_slot *slot)
{
	struct shakeoff_service *slots = datapath_services(datapath);
	uint32_t free_id = SHAKEOFF_MAX_SERVICES;

	for (uint32_t id = 0; id < SHAKEOFF_MAX_SERVICES; id++) {
		bool used = shared_get(slots[id].flags) & SHAKEOFF_SERVICE_USED;

		if (used && !strncmp(slots[id].name, name, SHAKEOFF_NAME_LEN)) {
			*slot = (struct service_slot){ .shared = &slots[id], .id = id, .adopted_ns = clock_ns() };
			return 0;
		}
		if (!used && free_id == SHAKEOFF_MAX_SERVICES)
			free_id = id;
	}
	if (free_id == SHAKEOFF_MAX_SERVICES)
		return -ENOSPC;
	*slot = (struct service_slot){ .shared = &slots[free_id], .id = free_id };
	return 0;
}

/* Writes what the configuration says; the flags last, which make the slot count. */
static void fill_slot(struct service_slot *slot, const struct config_service *config)
{
	struct shakeoff_service *shared = slot->shared;

	if (!slot->adopted_ns) {
		memcpy(shared->name, config->name, sizeof(shared->name));
		shared_set(shared->capacity, config->backlog);
	}
	shared_set(shared->handoff, SHAKEOFF_HANDOFF_QUEUE);
	shared_set(shared->overflow, (uint8_t)config->overflow);
	shared_set(shared->backlog, config->backlog);
	shared_set(shared->servers, 0);
	shared_set(shared->wscale, SHAKEOFF_NO_WSCALE);
	shared_set(shared->window_max, UINT16_MAX);
	/* Nothing is held now; what is still in the rings is counted in again when it is read. */
	shared_set(shared->dequeued, shared_get(shared->enqueued));
	__atomic_fetch_or(&shared->flags, SHAKEOFF_SERVICE_USED, __ATOMIC_RELEASE);
}

/* What an earlier daemon's servers asked for holds until they have registered again. */
static void adopt(struct service *service)
{
	for (size_t i = 0; i < service->slot_count; i++) {
		const struct shakeoff_service *shared = service->slots[i].shared;
		uint32_t backlog = shared_get(shared->listen_backlog);

		if (backlog > service->listen_backlog)
			service->listen_backlog = backlog;
		if (shared_get(shared->flags) & SHAKEOFF_SERVICE_SERVED)
			service->served = true;
	}
}

static void publish(struct service *service);

static int open_service(struct service *service, const struct config_service *config, size_t index,
			struct datapath *const *datapaths, size_t count)
{
	int error;

	service->config = config;
	service->index = index;
	pthread_mutex_init(&service->lock, NULL);
	service->slots = calloc(count, sizeof(*service->slots));
	if (!service->slots)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		error = find_slot(datapaths[i], config->name, &service->slots[i]);
		if (error)
			return error;
		fill_slot(&service->slots[i], config);
		service->slot_count++;
	}
	adopt(service);
	publish(service);
	return 0;
}

int services_open(struct services *services, const struct config *config, struct datapath *const *datapaths,
		  size_t count)
{
	struct services fresh = {
		.list = calloc(config->service_count + 1, sizeof(*fresh.list)),
		.by_id = calloc(count * SHAKEOFF_MAX_SERVICES, sizeof(*fresh.by_id)),
	};
	int error = fresh.list && fresh.by_id ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !error; i++)
		clear_stale(datapaths[i], config);
	for (size_t i = 0; i < config->service_count && !error; i++) {
		struct service *service = &fresh.list[fresh.count++];

		error = open_service(service, &config->services[i], i, datapaths, count);
		for (size_t d = 0; d < service->slot_count; d++)
			fresh.by_id[d * SHAKEOFF_MAX_SERVICES + service->slots[d].id] = service;
	}
	if (error) {
		services_close(&fresh);
		return error;
	}
	*services = fresh;
	return 0;
}

void services_close(struct services *services)
{
	for (size_t i = 0; i < services->count; i++) {
		pthread_mutex_destroy(&services->list[i].lock);
		free(services->list[i].slots);
	}
	free(services->list);
	free(services->by_id);
	*services = (struct services){ 0 };
}

struct service *services_find(const struct services *services, size_t datapath, uint32_t id)
{
	return id < SHAKEOFF_MAX_SERVICES ? services->by_id[datapath * SHAKEOFF_MAX_SERVICES + id] : NULL;
}

uint32_t service_capacity(const struct service *service)
{
	uint32_t backlog = service->config->backlog;

	return service->listen_backlog && service->listen_backlog < backlog ? service->listen_backlog : backlog;
}

/* What the hook counts as waiting: what the daemon holds of it, and what is in the rings. */
static uint64_t waiting(const struct service_slot *slot)
{
	int64_t count = (int64_t)(shared_get(slot->shared->enqueued) - shared_get(slot->shared->dequeued));

	return count > 0 ? (uint64_t)count : 0;
}

static uint64_t waiting_in_all(const struct service *service)
{
	uint64_t sum = service->held_from_kernel;

	for (size_t i = 0; i < service->slot_count; i++)
		sum += waiting(&service->slots[i]);
	return sum;
}

bool service_has_room(const struct service *service)
{
	return waiting_in_all(service) < service_capacity(service);
}

static void publish_capacity(struct service *service)
{
	uint32_t capacity = service_capacity(service);
	uint64_t all = waiting_in_all(service);

	for (size_t i = 0; i < service->slot_count; i++) {
		struct service_slot *slot = &service->slots[i];
		uint64_t others = all - waiting(slot);
		uint32_t left = others < capacity ? capacity - (uint32_t)others : 0;

		/* Another CPU's handing over between the two readings makes `others` wrap: that is no other's. */
		if ((int64_t)others <= 0)
			left = capacity;
		if (shared_get(slot->shared->capacity) != left)
			shared_set(slot->shared->capacity, left);
	}
}

/* With one datapath and nothing from the kernel's handshake the capacity does not depend on what waits. */
static void publish_room(struct service *service, bool from_kernel)
{
	if (from_kernel || service->held_from_kernel || service->slot_count > 1)
		publish_capacity(service);
}

static void publish(struct service *service)
{
	for (size_t i = 0; i < service->slot_count; i++) {
		struct shakeoff_service *shared = service->slots[i].shared;

		shared_set(shared->listen_backlog, service->listen_backlog);
		shared_set(shared->servers, (uint16_t)service->servers);
		if (service->served)
			__atomic_fetch_or(&shared->flags, SHAKEOFF_SERVICE_SERVED, __ATOMIC_RELAXED);
		else
			__atomic_fetch_and(&shared->flags, ~SHAKEOFF_SERVICE_SERVED, __ATOMIC_RELAXED);
	}
	publish_capacity(service);
}

void service_set_servers(struct service *service, uint32_t servers, uint32_t backlog)
{
	service->servers = servers;
	if (backlog)
		service->listen_backlog = backlog;
	if (servers)
		service->served = true;
	publish(service);
}

void service_set_window(struct service *service, uint16_t window_max, uint8_t wscale)
{
	for (size_t i = 0; i < service->slot_count; i++) {
		shared_set(service->slots[i].shared->window_max, window_max);
		shared_set(service->slots[i].shared->wscale, wscale);
	}
}

void service_disarm(struct service *service)
{
	service->served = false;
	publish(service);
}

void service_arrived(struct service *service, int datapath, uint64_t time_ns)
{
	struct service_slot *slot;

	if (datapath == CONNECTION_FROM_KERNEL) {
		service->held_from_kernel++;
		publish_room(service, true);
		return;
	}
	slot = &service->slots[datapath];
	slot->held++;
	/* Handed over to an earlier daemon: fill_slot() has counted it out. */
	if (time_ns < slot->adopted_ns)
		shared_add(slot->shared->dequeued, -1ull);
	publish_room(service, false);
}

void service_established(struct service *service, int datapath)
{
	shared_add(service->slots[datapath].shared->established, 1);
}

static struct shakeoff_service *leave(struct service *service, int datapath)
{
	struct service_slot *slot;

	if (datapath == CONNECTION_FROM_KERNEL) {
		service->held_from_kernel--;
		publish_room(service, true);
		return service->slots[0].shared;
	}
	slot = &service->slots[datapath];
	slot->held--;
	shared_add(slot->shared->dequeued, 1);
	publish_room(service, false);
	return slot->shared;
}

void service_accepted(struct service *service, int datapath)
{
	struct shakeoff_service *shared = leave(service, datapath);

	shared_add(shared->accepted, 1);
	if (datapath == CONNECTION_FROM_KERNEL)
		shared_add(shared->from_kernel, 1);
}

void service_refused(struct service *service, int datapath, enum shakeoff_refusal reason)
{
	shared_add(leave(service, datapath)->refused[reason], 1);
}

void service_settle(struct service *service, uint64_t now_ns, uint64_t drained_ns)
{
	for (size_t i = 0; i < service->slot_count; i++) {
		struct service_slot *slot = &service->slots[i];
		uint64_t enqueued = shared_get(slot->shared->enqueued);
		uint64_t right = enqueued - slot->held;

		if (enqueued != slot->seen_enqueued || !slot->seen_ns) {
			slot->seen_enqueued = enqueued;
			slot->seen_ns = now_ns;
			continue;
		}
		if (drained_ns < slot->seen_ns + SETTLE_MARGIN_NS || shared_get(slot->shared->dequeued) == right)
			continue;
		log_info("service %s: the accept queue was counted as %lld waiting, %llu wait; corrected",
			 service->config->name, (long long)(enqueued - shared_get(slot->shared->dequeued)),
			 (unsigned long long)slot->held);
		shared_set(slot->shared->dequeued, right);
		publish_capacity(service);
	}
}
