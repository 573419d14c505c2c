/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counts connections in and out of a service's accept queue, and corrects what was counted wrong. */
#include "common/log.h"
#include "shakeoffd/hook/service_internal.h"

#define SETTLE_MARGIN_NS (500 * NS_PER_MS)

/*
 * Publishes the capacity if it depends on what waits: with one datapath and nothing from the kernel's handshake it does
 * not.
 */
static void publish_room(struct service *service, bool from_kernel)
{
	if (from_kernel || service->held_from_kernel || service->slot_count > 1)
		service_publish_capacity(service);
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
	/* Handed over to an earlier daemon: service_publish_config() has counted it out. */
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
	if (service->handoff != SHAKEOFF_HANDOFF_QUEUE)
		return;
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
		service_publish_capacity(service);
	}
}

static int64_t on_the_way(const struct service_slot *slot)
{
	return (int64_t)(shared_get(slot->shared->enqueued) - shared_get(slot->shared->dequeued) - slot->held);
}

/*
 * Corrects the count of a slot. A segment takes microseconds from one program to the other. The least that was on the
 * way in all of SETTLE_MARGIN_NS cannot be on its way still: it was lost. A negative count all the time was counted out
 * twice. That holds even while others come and go.
 */
static void settle_slot(const struct service *service, struct service_slot *slot, uint64_t now_ns)
{
	int64_t now = on_the_way(slot), wrong;

	if (!slot->seen_ns) {
		slot->least = slot->most = now;
		slot->seen_ns = now_ns;
	}
	if (now < slot->least)
		slot->least = now;
	if (now > slot->most)
		slot->most = now;
	if (now_ns - slot->seen_ns < SETTLE_MARGIN_NS)
		return;
	wrong = slot->least > 0 ? slot->least : slot->most < 0 ? slot->most : 0;
	slot->seen_ns = 0;
	if (wrong) {
		shared_add(slot->shared->dequeued, (uint64_t)wrong);
		log_debug("service %s: %lld validated ACKs did not come to the tc program; corrected",
			  service->config->name, (long long)wrong);
	}
}

/* Returns whether nothing is on the way: so it is with most of thousands of services. */
static bool is_settled(const struct service_slot *slot)
{
	return !slot->seen_ns && shared_get(slot->shared->enqueued) == shared_get(slot->shared->dequeued);
}

bool service_settle_listening(struct service *service, uint64_t now_ns)
{
	bool watched = false;

	for (size_t i = 0; i < service->slot_count && service->handoff == SHAKEOFF_HANDOFF_LISTENER; i++) {
		if (is_settled(&service->slots[i]))
			continue;
		pthread_mutex_lock(&service->lock);
		settle_slot(service, &service->slots[i], now_ns);
		pthread_mutex_unlock(&service->lock);
		watched = true;
	}
	return watched;
}
