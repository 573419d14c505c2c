/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counts connections into and out of a service's accept queue, and corrects wrong counts. */
#include "common/log.h"
#include "shakeoffd/hook/service_internal.h"

#define SETTLE_MARGIN_NS (500 * NS_PER_MS)

/*
 * Publishes the capacity if it depends on waiting connections: with one datapath and no connection from the kernel's
 * handshake it does not.
 */
static void publish_room(struct service *service, bool from_kernel)
{
	if (from_kernel || service->held_from_kernel || service->instance_count > 1)
		service_publish_capacity(service);
}

void service_arrived(struct service *service, int datapath, uint64_t time_ns)
{
	struct service_instance *instance;

	if (datapath == CONNECTION_FROM_KERNEL) {
		service->held_from_kernel++;
		publish_room(service, true);
		return;
	}
	instance = &service->instances[datapath];
	instance->held++;
	/* The hook handed it over to an earlier daemon, and service_publish_config() has counted it out. */
	if (time_ns < instance->adopted_ns)
		shared_add(instance->shared->dequeued, -1ull);
	publish_room(service, false);
}

void service_established(struct service *service, int datapath)
{
	shared_add(service->instances[datapath].shared->established, 1);
}

static struct shakeoff_service *leave(struct service *service, int datapath)
{
	struct service_instance *instance;

	if (datapath == CONNECTION_FROM_KERNEL) {
		service->held_from_kernel--;
		publish_room(service, true);
		return service->instances[0].shared;
	}
	instance = &service->instances[datapath];
	instance->held--;
	shared_add(instance->shared->dequeued, 1);
	publish_room(service, false);
	return instance->shared;
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
	if (service->handoff != SHAKEOFF_HANDOFF_QUEUE)
		return;
	for (size_t i = 0; i < service->instance_count; i++) {
		struct service_instance *instance = &service->instances[i];
		uint64_t enqueued = shared_get(instance->shared->enqueued);
		uint64_t right = enqueued - instance->held;

		if (enqueued != instance->seen_enqueued || !instance->seen_ns) {
			instance->seen_enqueued = enqueued;
			instance->seen_ns = now_ns;
			continue;
		}
		if (drained_ns < instance->seen_ns + SETTLE_MARGIN_NS ||
		    shared_get(instance->shared->dequeued) == right)
			continue;
		log_info("service %s: the accept queue was counted as %lld waiting, %llu wait; corrected",
			 service->config->name, (long long)(enqueued - shared_get(instance->shared->dequeued)),
			 (unsigned long long)instance->held);
		shared_set(instance->shared->dequeued, right);
		service_publish_capacity(service);
	}
}

static int64_t on_the_way(const struct service_instance *instance)
{
	return (int64_t)(shared_get(instance->shared->enqueued) - shared_get(instance->shared->dequeued) -
			 instance->held);
}

/*
 * Corrects the count of an instance. A segment takes microseconds from one program to the other. So the minimum under
 * way during all of SETTLE_MARGIN_NS was lost. If the count was negative all the time, connections were counted out
 * twice. This holds even while others come and go.
 */
static void settle_instance(const struct service *service, struct service_instance *instance, uint64_t now_ns)
{
	int64_t now = on_the_way(instance), wrong;

	if (!instance->seen_ns) {
		instance->least = instance->most = now;
		instance->seen_ns = now_ns;
	}
	if (now < instance->least)
		instance->least = now;
	if (now > instance->most)
		instance->most = now;
	if (now_ns - instance->seen_ns < SETTLE_MARGIN_NS)
		return;
	wrong = instance->least > 0 ? instance->least : instance->most < 0 ? instance->most : 0;
	instance->seen_ns = 0;
	if (wrong) {
		shared_add(instance->shared->dequeued, (uint64_t)wrong);
		log_debug("service %s: %lld validated ACKs did not come to the tc program; corrected",
			  service->config->name, (long long)wrong);
	}
}

/* Returns whether nothing is under way, as is the case for most of thousands of services. */
static bool is_settled(const struct service_instance *instance)
{
	return !instance->seen_ns && shared_get(instance->shared->enqueued) == shared_get(instance->shared->dequeued);
}

bool service_settle_listening(struct service *service, uint64_t now_ns)
{
	bool watched = false;

	for (size_t i = 0; i < service->instance_count && service->handoff == SHAKEOFF_HANDOFF_LISTENER; i++) {
		if (is_settled(&service->instances[i]))
			continue;
		pthread_mutex_lock(&service->lock);
		settle_instance(service, &service->instances[i], now_ns);
		pthread_mutex_unlock(&service->lock);
		watched = true;
	}
	return watched;
}
