/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <common/log.h>
#include <shakeoff/acl.h>
#include <shakeoff/source.h>
#include "shakeoffd/sys/clock.h"
#include "shakeoffd/queue/connection.h"
#include "shakeoffd/sys/cpus.h"
#include "shakeoffd/hook/service.h"

/* The slots are memory shared with the hook and with the command line; each field has one writer (abi.h). */
#define shared_get(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define shared_set(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define shared_add(field, value) __atomic_fetch_add(&(field), (value), __ATOMIC_RELAXED)

#define SETTLE_MARGIN_NS (500 * NS_PER_MS)

static void publish_slot(struct service *service, const struct service_slot *slot);
static void publish_capacity(struct service *service);

/* Starts as an earlier daemon left it, so that nothing changes for the clients in between. */
static enum shakeoff_handoff first_handoff(const struct service *service, const struct shakeoff_service *left)
{
	if (service->config->handoff != SHAKEOFF_HANDOFF_AUTO)
		return service->config->handoff;
	return left && shared_get(left->handoff) == SHAKEOFF_HANDOFF_LISTENER ? SHAKEOFF_HANDOFF_LISTENER :
										SHAKEOFF_HANDOFF_QUEUE;
}

/* What an earlier daemon's servers asked for holds until they have registered again. */
static void adopt(struct service *service)
{
	for (size_t i = 0; i < service->slot_count && service->config->handoff != SHAKEOFF_HANDOFF_LISTENER; i++) {
		const struct shakeoff_service *shared = service->slots[i].shared;
		uint32_t places = shared_get(shared->listen_places);

		if (!service->slots[i].adopted_ns || shared_get(shared->handoff) != SHAKEOFF_HANDOFF_QUEUE)
			continue;
		if (places > service->listen_places)
			service->listen_places = places;
		if (shared_get(shared->flags) & SHAKEOFF_SERVICE_SERVED)
			service->served = true;
	}
}

static uint32_t interval_ns(const struct config_limit *limit)
{
	return limit->rate ? (uint32_t)(NS_PER_S / limit->rate) : 0;
}

/* Half of what one CPU sees of a source that is at its limit: see bpf/limit/syn_rate.h. */
static uint32_t hot_count(const struct config_limit *limit)
{
	uint64_t hot = ((uint64_t)limit->rate << SHAKEOFF_SYN_WINDOW_SHIFT) / NS_PER_S / (2 * online_cpus());

	return hot < 1 ? 1 : hot > SHAKEOFF_SYN_HOT_MAX ? SHAKEOFF_SYN_HOT_MAX : (uint32_t)hot;
}

static void publish_policy(struct shakeoff_service *shared, const struct config_policy *policy)
{
	shared_set(shared->overflow, (uint8_t)policy->overflow);
	shared_set(shared->backlog, policy->backlog);
	shared_set(shared->engage_rate, policy->engage_rate);
	shared_set(shared->source_prefix4, config_prefix4(policy));
	shared_set(shared->source_prefix6, config_prefix6(policy));
	shared_set(shared->syn_hot, hot_count(&policy->syn_limit));
	shared_set(shared->syn_burst, policy->syn_limit.burst);
	shared_set(shared->syn_interval_ns, interval_ns(&policy->syn_limit));
	shared_set(shared->accept_burst, policy->accept_limit.burst);
	shared_set(shared->accept_interval_ns, interval_ns(&policy->accept_limit));
	shared_set(shared->fair_share, (uint8_t)policy->fair_share);
}

/* Writes what the configuration says; the flags last, which make the slot count. */
static void fill_slot(struct service *service, struct service_slot *slot)
{
	const struct config_service *config = service->config;
	struct shakeoff_service *shared = slot->shared;
	uint32_t flags = SHAKEOFF_SERVICE_USED | (service->discovered ? SHAKEOFF_SERVICE_DISCOVERED : 0);

	if (!slot->adopted_ns)
		snprintf(shared->name, sizeof(shared->name), "%s", config->name);
	shared_set(shared->list_scope, shakeoff_list_scope(config->name));
	publish_policy(shared, &config->policy);
	/*
	 * A service with the listener handoff goes on as it is: it is described when its sockets are known, in a moment. Otherwise
	 * nothing is held now; what is still in the rings is counted in again when it is read.
	 */
	if (service->handoff == SHAKEOFF_HANDOFF_QUEUE || shared_get(shared->handoff) != service->handoff) {
		shared_set(shared->dequeued, shared_get(shared->enqueued));
		publish_slot(service, slot);
	}
	__atomic_fetch_or(&shared->flags, flags, __ATOMIC_RELEASE);
}

static int take_slots(struct service *service, struct slots *slots)
{
	service->slots = calloc(slots->count, sizeof(*service->slots));
	if (!service->slots)
		return -ENOMEM;
	for (; service->slot_count < slots->count; service->slot_count++) {
		struct service_slot *slot = &service->slots[service->slot_count];
		bool found;
		int error = slots_take(slots, service->slot_count, service->config->name, &slot->id, &found);

		if (error)
			return error;
		slot->shared = &datapath_services(slots->datapaths[service->slot_count])[slot->id];
		slot->adopted_ns = found ? clock_ns() : 0;
	}
	return 0;
}

int service_open(struct service *service, const struct config_service *config, bool discovered, struct slots *slots)
{
	int error;

	*service = (struct service){
		.config = config,
		.discovered = discovered,
		.offer.hop_limit = { -1, -1 },
	};
	pthread_mutex_init(&service->lock, NULL);
	error = take_slots(service, slots);
	if (error) {
		service_release(service, slots);
		return error;
	}
	service->handoff = first_handoff(service, service->slots[0].adopted_ns ? service->slots[0].shared : NULL);
	adopt(service);
	for (size_t i = 0; i < service->slot_count; i++)
		fill_slot(service, &service->slots[i]);
	publish_capacity(service);
	return 0;
}

void service_close(struct service *service)
{
	pthread_mutex_destroy(&service->lock);
	free(service->slots);
	service->slots = NULL;
	service->slot_count = 0;
}

void service_release(struct service *service, struct slots *slots)
{
	for (size_t i = 0; i < service->slot_count; i++)
		slots_release(slots, i, service->slots[i].id);
	service_close(service);
}

int services_open(struct services *services, const struct config *config, struct slots *slots)
{
	struct services fresh = {
		.list = calloc(config->service_count + 1, sizeof(*fresh.list)),
		.by_id = calloc(slots->count * SHAKEOFF_MAX_SERVICES, sizeof(*fresh.by_id)),
	};
	int error = fresh.list && fresh.by_id ? 0 : -ENOMEM;

	for (size_t i = 0; i < config->service_count && !error; i++) {
		struct service *service = &fresh.list[i];

		error = service_open(service, &config->services[i], false, slots);
		if (error)
			break;
		service->index = i;
		fresh.count++;
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

uint32_t service_capacity(const struct service *service)
{
	return shakeoff_capacity(service->listen_places, service->config->policy.backlog);
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

static void publish_queue_capacity(struct service *service)
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

/* With the listener handoff it is for display: the hook asks the socket. Without one it stays as it was. */
static void publish_listener_capacity(const struct service *service)
{
	uint32_t backlog = service->config->policy.backlog;

	if (service->listening.sockets && service->listening.backlog < backlog)
		backlog = service->listening.backlog;
	for (size_t i = 0; i < service->slot_count; i++) {
		struct shakeoff_service *shared = service->slots[i].shared;

		if (service->listening.sockets || !shared_get(shared->capacity))
			shared_set(shared->capacity, backlog ? backlog : 1);
	}
}

static void publish_capacity(struct service *service)
{
	if (service->handoff == SHAKEOFF_HANDOFF_QUEUE)
		publish_queue_capacity(service);
	else
		publish_listener_capacity(service);
}

/* With one datapath and nothing from the kernel's handshake the capacity does not depend on what waits. */
static void publish_room(struct service *service, bool from_kernel)
{
	if (from_kernel || service->held_from_kernel || service->slot_count > 1)
		publish_capacity(service);
}

static void publish_queue(const struct service *service, struct shakeoff_service *shared)
{
	shared_set(shared->listen_places, service->listen_places);
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
	shared_set(shared->engage, SHAKEOFF_ENGAGE_ALWAYS);
	shared_set(shared->left, service->listening.queue_left);
	memcpy(shared->left_rule, service->listening.left_rule, sizeof(shared->left_rule));
}

static void publish_listener(const struct service *service, struct shakeoff_service *shared)
{
	const struct service_listening *listening = &service->listening;
	uint8_t engage = (uint8_t)service->config->policy.engage;

	if (listening->sockets) {
		shared_set(shared->listen_places, listening->backlog + 1);
		shared_set(shared->left, listening->left);
		shared_set(shared->engage, listening->left ? SHAKEOFF_ENGAGE_NEVER : engage);
		memcpy(shared->left_rule, listening->left_rule, sizeof(shared->left_rule));
	}
	shared_set(shared->servers, listening->sockets < UINT16_MAX ? (uint16_t)listening->sockets : UINT16_MAX);
}

static void publish_slot(struct service *service, const struct service_slot *slot)
{
	bool queue = service->handoff == SHAKEOFF_HANDOFF_QUEUE;

	if (queue)
		publish_queue(service, slot->shared);
	else
		publish_listener(service, slot->shared);
	/* Cookies of the queue handoff are out, and good. The hook itself writes this field with the listener handoff alone. */
	if (!queue && shared_get(slot->shared->handoff) == SHAKEOFF_HANDOFF_QUEUE)
		shared_set(slot->shared->released_ns, clock_ns());
	__atomic_store_n(&slot->shared->handoff, (uint8_t)service->handoff, __ATOMIC_RELEASE);
	if (queue ? service->served : service->listening.sockets != 0)
		__atomic_fetch_or(&slot->shared->flags, SHAKEOFF_SERVICE_SERVED, __ATOMIC_RELEASE);
	else
		__atomic_fetch_and(&slot->shared->flags, ~SHAKEOFF_SERVICE_SERVED, __ATOMIC_RELEASE);
}

static void publish(struct service *service)
{
	for (size_t i = 0; i < service->slot_count; i++)
		publish_slot(service, &service->slots[i]);
	publish_capacity(service);
}

/* Whether the servers are a stranger's, and the listening sockets are not. */
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
	/* What is on its way at this moment is counted out as before, or corrected later. */
	for (size_t i = 0; i < service->slot_count; i++)
		service->slots[i].seen_ns = 0;
	publish(service);
	pthread_mutex_unlock(&service->lock);
}

void service_set_listening(struct service *service, const struct service_listening *listening)
{
	bool queue_differs;

	pthread_mutex_lock(&service->lock);
	queue_differs = service->listening.queue_left != listening->queue_left ||
			strcmp(service->listening.left_rule, listening->left_rule);

	service->listening = *listening;
	if (service->handoff == SHAKEOFF_HANDOFF_LISTENER || queue_differs)
		publish(service);
	pthread_mutex_unlock(&service->lock);
}

/* Whether clients may be about to bring a cookie back. */
static bool has_cookies_out(const struct shakeoff_service *shared, uint64_t now_ns)
{
	uint64_t released_ns = shared_get(shared->released_ns);

	return shared_get(shared->engaged_ns) || (released_ns && now_ns - released_ns < SERVICE_RETURN_NS);
}

bool service_stop_answering(struct service *service, uint64_t now_ns)
{
	bool out = false;

	pthread_mutex_lock(&service->lock);
	for (size_t i = 0; i < service->slot_count && service->handoff == SHAKEOFF_HANDOFF_LISTENER; i++) {
		out |= has_cookies_out(service->slots[i].shared, now_ns);
		shared_set(service->slots[i].shared->engage, SHAKEOFF_ENGAGE_NEVER);
	}
	pthread_mutex_unlock(&service->lock);
	return out;
}

void service_set_servers(struct service *service, uint32_t servers, uint32_t places)
{
	service->servers = servers;
	if (places)
		service->listen_places = places;
	if (servers)
		service->served = true;
	publish(service);
}

void service_set_offer(struct service *service, const struct shakeoff_socket_offer *offer)
{
	service->offer = *offer;
	publish(service);
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
		publish_capacity(service);
	}
}

static int64_t on_the_way(const struct service_slot *slot)
{
	return (int64_t)(shared_get(slot->shared->enqueued) - shared_get(slot->shared->dequeued) - slot->held);
}

/*
 * A segment takes microseconds from one program to the other. So what was never fewer, or never more, than so many for all of
 * that time is not on its way: those were lost, or counted out twice. That holds even while others come and go.
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

/* Of thousands of services few have anything on the way. */
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
