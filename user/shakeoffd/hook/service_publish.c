/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Publishes a service to the hook and the command line: its configuration and the daemon's state. */
#include <stdio.h>
#include <string.h>

#include <shakeoff/acl.h>
#include <shakeoff/source.h>
#include "shakeoffd/sys/cpus.h"
#include "shakeoffd/hook/service_internal.h"

/* --------------------------------------------------------------------------------------------------------- capacity */

uint32_t service_capacity(const struct service *service)
{
	return shakeoff_capacity(service->listen_capacity, service->config->policy.backlog);
}

/* Returns the hook's count of waiting connections: those that the daemon holds, and those in the rings. */
static uint64_t waiting(const struct service_instance *instance)
{
	int64_t count = (int64_t)(shared_get(instance->shared->enqueued) - shared_get(instance->shared->dequeued));

	return count > 0 ? (uint64_t)count : 0;
}

static uint64_t waiting_in_all(const struct service *service)
{
	uint64_t sum = service->held_from_kernel;

	for (size_t i = 0; i < service->instance_count; i++)
		sum += waiting(&service->instances[i]);
	return sum;
}

bool service_has_room(const struct service *service)
{
	return waiting_in_all(service) < service_capacity(service);
}

static void publish_queue_capacity(struct service *service)
{
	uint32_t capacity = service_capacity(service);
	uint64_t all = waiting_in_all(service);

	for (size_t i = 0; i < service->instance_count; i++) {
		struct service_instance *instance = &service->instances[i];
		uint64_t others = all - waiting(instance);
		uint32_t remaining = others < capacity ? capacity - (uint32_t)others : 0;

		/*
		 * `others` wraps if another CPU hands a connection over between the two reads. Then the others have
		 * none.
		 */
		if ((int64_t)others <= 0)
			remaining = capacity;
		if (shared_get(instance->shared->capacity) != remaining)
			shared_set(instance->shared->capacity, remaining);
	}
}

/*
 * Publishes the capacity with the listener handoff, for display only: the hook reads it from the socket. Without a
 * socket it stays the same.
 */
static void publish_listener_capacity(const struct service *service)
{
	uint32_t backlog = service->config->policy.backlog;

	if (service->listening.sockets && service->listening.backlog < backlog)
		backlog = service->listening.backlog;
	for (size_t i = 0; i < service->instance_count; i++) {
		struct shakeoff_service *shared = service->instances[i].shared;

		if (service->listening.sockets || !shared_get(shared->capacity))
			shared_set(shared->capacity, backlog ? backlog : 1);
	}
}

void service_publish_capacity(struct service *service)
{
	if (service->handoff == SHAKEOFF_HANDOFF_QUEUE)
		publish_queue_capacity(service);
	else
		publish_listener_capacity(service);
}

/* ------------------------------------------------------------------------------------------------------------ state */

static void publish_queue(const struct service *service, struct shakeoff_service *shared)
{
	shared_set(shared->listen_capacity, service->listen_capacity);
	shared_set(shared->servers, (uint16_t)service->servers);
	shared_set(shared->offer.rcv_space, service->offer.rcv_space);
	shared_set(shared->offer.window_clamp, service->offer.window_clamp);
	shared_set(shared->offer.user_mss, service->offer.user_mss);
	shared_set(shared->offer.rcv_locked, service->offer.rcv_locked);
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		shared_set(shared->offer.hop_limit[ipv6], service->offer.hop_limit[ipv6]);
		shared_set(shared->offer.tos[ipv6], service->offer.tos[ipv6]);
		shared_set(shared->offer.min_ttl[ipv6], service->offer.min_ttl[ipv6]);
	}
	shared_set(shared->syncookies, SHAKEOFF_SYNCOOKIES_ALWAYS);
	shared_set(shared->bypass, service->listening.queue_bypass);
	memcpy(shared->bypass_rule, service->listening.bypass_rule, sizeof(shared->bypass_rule));
}

static void publish_listener(const struct service *service, struct shakeoff_service *shared)
{
	const struct service_listening *listening = &service->listening;
	uint8_t syncookies = (uint8_t)service->config->policy.syncookies;

	if (listening->sockets) {
		shared_set(shared->listen_capacity, listening->backlog + 1);
		shared_set(shared->bypass, listening->bypass);
		shared_set(shared->syncookies, listening->bypass ? SHAKEOFF_SYNCOOKIES_NEVER : syncookies);
		memcpy(shared->bypass_rule, listening->bypass_rule, sizeof(shared->bypass_rule));
	}
	shared_set(shared->servers, listening->sockets < UINT16_MAX ? (uint16_t)listening->sockets : UINT16_MAX);
}

static void publish_instance(struct service *service, const struct service_instance *instance)
{
	bool queue = service->handoff == SHAKEOFF_HANDOFF_QUEUE;

	if (queue)
		publish_queue(service, instance->shared);
	else
		publish_listener(service, instance->shared);
	/*
	 * Clients still hold valid cookies of the queue handoff. The hook writes this field itself only with the
	 * listener handoff.
	 */
	if (!queue && shared_get(instance->shared->handoff) == SHAKEOFF_HANDOFF_QUEUE)
		shared_set(instance->shared->released_ns, clock_ns());
	__atomic_store_n(&instance->shared->handoff, (uint8_t)service->handoff, __ATOMIC_RELEASE);
	if (queue ? service->served : service->listening.sockets != 0)
		__atomic_fetch_or(&instance->shared->flags, SHAKEOFF_SERVICE_SERVED, __ATOMIC_RELEASE);
	else
		__atomic_fetch_and(&instance->shared->flags, ~SHAKEOFF_SERVICE_SERVED, __ATOMIC_RELEASE);
}

void service_publish(struct service *service)
{
	for (size_t i = 0; i < service->instance_count; i++)
		publish_instance(service, &service->instances[i]);
	service_publish_capacity(service);
}

/* ---------------------------------------------------------------------------------------------------- configuration */

static uint32_t interval_ns(const struct config_limit *limit)
{
	return limit->rate ? (uint32_t)(NS_PER_S / limit->rate) : 0;
}

/* Returns half of what one CPU sees of a source that is at its limit: see bpf/limit/syn_rate.h. */
static uint32_t hot_count(const struct config_limit *limit)
{
	uint64_t hot = ((uint64_t)limit->rate << SHAKEOFF_SYN_WINDOW_SHIFT) / NS_PER_S / (2 * online_cpus());

	return hot < 1 ? 1 : hot > SHAKEOFF_SYN_HOT_MAX ? SHAKEOFF_SYN_HOT_MAX : (uint32_t)hot;
}

static void publish_policy(struct shakeoff_service *shared, const struct config_policy *policy)
{
	shared_set(shared->overflow, (uint8_t)policy->overflow);
	shared_set(shared->backlog, policy->backlog);
	shared_set(shared->flood_rate, policy->flood_rate);
	shared_set(shared->source_prefix4, config_prefix4(policy));
	shared_set(shared->source_prefix6, config_prefix6(policy));
	shared_set(shared->syn_hot, hot_count(&policy->syn_limit));
	shared_set(shared->syn_burst, policy->syn_limit.burst);
	shared_set(shared->syn_interval_ns, interval_ns(&policy->syn_limit));
	shared_set(shared->accept_burst, policy->accept_limit.burst);
	shared_set(shared->accept_interval_ns, interval_ns(&policy->accept_limit));
	shared_set(shared->fair_share, (uint8_t)policy->fair_share);
}

void service_publish_config(struct service *service, struct service_instance *instance)
{
	const struct config_service *config = service->config;
	struct shakeoff_service *shared = instance->shared;
	uint32_t flags = SHAKEOFF_SERVICE_USED | (service->discovered ? SHAKEOFF_SERVICE_DISCOVERED : 0);

	if (!instance->adopted_ns)
		snprintf(shared->name, sizeof(shared->name), "%s", config->name);
	shared_set(shared->acl_scope, shakeoff_acl_scope(config->name));
	publish_policy(shared, &config->policy);
	/*
	 * A service with the listener handoff stays as it is, because it will soon be described with its sockets.
	 * Otherwise the daemon holds no connections yet; those still in the rings are counted in again when they are
	 * read.
	 */
	if (service->handoff == SHAKEOFF_HANDOFF_QUEUE || shared_get(shared->handoff) != service->handoff) {
		shared_set(shared->dequeued, shared_get(shared->enqueued));
		publish_instance(service, instance);
	}
	__atomic_fetch_or(&shared->flags, flags, __ATOMIC_RELEASE);
}
