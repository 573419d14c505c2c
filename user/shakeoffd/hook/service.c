/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shakeoffd/hook/service.h"
#include "shakeoffd/hook/service_internal.h"

/* Returns the handoff that a service starts with: an earlier daemon's, so that nothing changes for clients. */
static enum shakeoff_handoff first_handoff(const struct service *service, const struct shakeoff_service *stale)
{
	if (service->config->handoff != SHAKEOFF_HANDOFF_AUTO)
		return service->config->handoff;
	return stale && shared_get(stale->handoff) == SHAKEOFF_HANDOFF_LISTENER ? SHAKEOFF_HANDOFF_LISTENER :
										  SHAKEOFF_HANDOFF_QUEUE;
}

/* Adopts what an earlier daemon's servers requested, until they have registered again. */
static void adopt(struct service *service)
{
	for (size_t i = 0; i < service->instance_count && service->config->handoff != SHAKEOFF_HANDOFF_LISTENER; i++) {
		const struct shakeoff_service *shared = service->instances[i].shared;
		uint32_t capacity = shared_get(shared->listen_capacity);

		if (!service->instances[i].adopted_ns || shared_get(shared->handoff) != SHAKEOFF_HANDOFF_QUEUE)
			continue;
		if (capacity > service->listen_capacity)
			service->listen_capacity = capacity;
		if (shared_get(shared->flags) & SHAKEOFF_SERVICE_SERVED)
			service->served = true;
	}
}
static int take_service_ids(struct service *service, struct service_ids *service_ids)
{
	service->instances = calloc(service_ids->count, sizeof(*service->instances));
	if (!service->instances)
		return -ENOMEM;
	for (; service->instance_count < service_ids->count; service->instance_count++) {
		struct service_instance *instance = &service->instances[service->instance_count];
		bool found;
		int error = service_ids_take(service_ids, service->instance_count, service->config->name, &instance->id,
					     &found);

		if (error)
			return error;
		instance->shared = &datapath_services(service_ids->datapaths[service->instance_count])[instance->id];
		instance->adopted_ns = found ? clock_ns() : 0;
	}
	return 0;
}

int service_open(struct service *service, const struct config_service *config, bool discovered,
		 struct service_ids *service_ids)
{
	int error;

	*service = (struct service){
		.config = config,
		.discovered = discovered,
		.offer.hop_limit = { -1, -1 },
	};
	pthread_mutex_init(&service->lock, NULL);
	error = take_service_ids(service, service_ids);
	if (error) {
		service_release(service, service_ids);
		return error;
	}
	service->handoff = first_handoff(service,
					 service->instances[0].adopted_ns ? service->instances[0].shared : NULL);
	adopt(service);
	for (size_t i = 0; i < service->instance_count; i++)
		service_publish_config(service, &service->instances[i]);
	service_publish_capacity(service);
	return 0;
}

void service_close(struct service *service)
{
	pthread_mutex_destroy(&service->lock);
	free(service->instances);
	service->instances = NULL;
	service->instance_count = 0;
}

void service_release(struct service *service, struct service_ids *service_ids)
{
	for (size_t i = 0; i < service->instance_count; i++)
		service_ids_release(service_ids, i, service->instances[i].id);
	service_close(service);
}

int services_open(struct services *services, const struct config *config, struct service_ids *service_ids)
{
	struct services fresh = {
		.list = calloc(config->service_count + 1, sizeof(*fresh.list)),
		.by_id = calloc(service_ids->count * SHAKEOFF_MAX_SERVICES, sizeof(*fresh.by_id)),
	};
	int error = fresh.list && fresh.by_id ? 0 : -ENOMEM;

	for (size_t i = 0; i < config->service_count && !error; i++) {
		struct service *service = &fresh.list[i];

		error = service_open(service, &config->services[i], false, service_ids);
		if (error)
			break;
		service->index = i;
		fresh.count++;
		for (size_t d = 0; d < service->instance_count; d++)
			fresh.by_id[d * SHAKEOFF_MAX_SERVICES + service->instances[d].id] = service;
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
	for (size_t i = 0; i < services->count; i++)
		service_close(&services->list[i]);
	free(services->list);
	free(services->by_id);
	*services = (struct services){ 0 };
}

struct service *services_find(const struct services *services, size_t datapath, uint32_t id)
{
	return id < SHAKEOFF_MAX_SERVICES ? services->by_id[datapath * SHAKEOFF_MAX_SERVICES + id] : NULL;
}

/* Returns whether the servers belong to an untrusted user, and the listening sockets to a different user. */
static bool is_anothers(const struct service *service)
{
	return service->strangers && service->listening.sockets && service->listening.uid != service->stranger;
}

void service_set_owner(struct service *service, bool is_stranger, uint32_t uid)
{
	service->strangers = is_stranger;
	service->stranger = uid;
}

enum shakeoff_handoff service_wants(struct service *service)
{
	enum shakeoff_handoff wanted = service->config->handoff;

	pthread_mutex_lock(&service->lock);
	if (wanted == SHAKEOFF_HANDOFF_AUTO && service->served && !is_anothers(service))
		wanted = SHAKEOFF_HANDOFF_QUEUE;
	else if (wanted == SHAKEOFF_HANDOFF_AUTO)
		wanted = service->listening.sockets ? SHAKEOFF_HANDOFF_LISTENER : service->handoff;
	pthread_mutex_unlock(&service->lock);
	return wanted;
}

void service_change_handoff(struct service *service, enum shakeoff_handoff handoff)
{
	pthread_mutex_lock(&service->lock);
	service->handoff = handoff;
	/* Connections under way are counted out by the old handoff, or corrected later. */
	for (size_t i = 0; i < service->instance_count; i++)
		service->instances[i].seen_ns = 0;
	service_publish(service);
	pthread_mutex_unlock(&service->lock);
}

void service_set_listening(struct service *service, const struct service_listening *listening)
{
	bool queue_differs;

	pthread_mutex_lock(&service->lock);
	queue_differs = service->listening.queue_bypass != listening->queue_bypass ||
			strcmp(service->listening.bypass_rule, listening->bypass_rule);

	service->listening = *listening;
	if (service->handoff == SHAKEOFF_HANDOFF_LISTENER || queue_differs)
		service_publish(service);
	pthread_mutex_unlock(&service->lock);
}

/* Returns whether clients may still send cookies back. */
static bool has_cookies_out(const struct shakeoff_service *shared, uint64_t now_ns)
{
	uint64_t released_ns = shared_get(shared->released_ns);

	return shared_get(shared->syns.since_ns) || (released_ns && now_ns - released_ns < SERVICE_RETURN_NS);
}

bool service_stop_answering(struct service *service, uint64_t now_ns)
{
	bool out = false;

	pthread_mutex_lock(&service->lock);
	for (size_t i = 0; i < service->instance_count && service->handoff == SHAKEOFF_HANDOFF_LISTENER; i++) {
		out |= has_cookies_out(service->instances[i].shared, now_ns);
		shared_set(service->instances[i].shared->syncookies, SHAKEOFF_SYNCOOKIES_NEVER);
	}
	pthread_mutex_unlock(&service->lock);
	return out;
}

void service_set_servers(struct service *service, uint32_t servers, uint32_t capacity)
{
	service->servers = servers;
	if (capacity)
		service->listen_capacity = capacity;
	if (servers)
		service->served = true;
	service_publish(service);
}

void service_set_offer(struct service *service, const struct shakeoff_socket_offer *offer)
{
	service->offer = *offer;
	service_publish(service);
}

void service_disarm(struct service *service)
{
	service->served = false;
	service_publish(service);
}
