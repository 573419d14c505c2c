/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/clock.h"
#include "shakeoffd/hook/resend.h"
#include "shakeoffd/sys/packet_socket.h"
#include "shakeoffd/hook/synack_frame.h"

/* The counts of each service, by its id. */
struct half_open_counts {
	uint32_t seen[SHAKEOFF_MAX_SERVICES];
	uint32_t published[SHAKEOFF_MAX_SERVICES];
};

struct iter {
	struct half_open *half_open;
	struct datapath *datapath;
	struct shakeoff_service *services;
	struct half_open_counts *counts;
	uint64_t now_ns;
	unsigned int frames; /* may still be sent in this iteration */
	size_t remaining;    /* entries that stay */
};

/* -------------------------------------------------------------------------------------------------------- schedule */

static uint64_t retry_ns(uint64_t answered_ns, unsigned int retry)
{
	return answered_ns + ((1ull << retry) - 1) * NS_PER_S;
}

bool half_open_is_due(uint64_t answered_ns, uint64_t from_ns, uint64_t to_ns, unsigned int retries)
{
	for (unsigned int retry = 1; retry <= retries; retry++) {
		uint64_t when_ns = retry_ns(answered_ns, retry);

		if (when_ns > from_ns && when_ns <= to_ns)
			return true;
	}
	return false;
}

bool half_open_is_over(uint64_t answered_ns, uint64_t now_ns, unsigned int retries)
{
	return now_ns >= retry_ns(answered_ns, retries);
}

/* Reduces the retries as the kernel does when its SYN queue fills: from a quarter on three (7 s), from half on one. */
unsigned int half_open_retries(unsigned int configured, uint32_t half_open)
{
	unsigned int most = SHAKEOFF_SYNACK_RETRIES_MAX;

	if (half_open > SHAKEOFF_SERVICE_HALF_OPEN / 2)
		most = 1;
	else if (half_open > SHAKEOFF_SERVICE_HALF_OPEN / 4)
		most = 3;
	return configured < most ? configured : most;
}

/* -------------------------------------------------------------------------------------------------------- iteration */

static void repeat(struct iter *iter, struct shakeoff_service *service, const struct shakeoff_half_open *entry)
{
	uint8_t frame[sizeof(entry->frame)];
	int error;

	iter->frames--;
	memcpy(frame, entry->frame, entry->frame_len);
	/* The hook's timestamp clock counts whole milliseconds. */
	synack_frame_later(frame, entry->frame_len,
			   (uint32_t)(iter->now_ns / NS_PER_MS - entry->answered_ns / NS_PER_MS));
	error = packet_send(iter->half_open->fd, entry->ifindex, frame, entry->frame_len);
	if (error)
		log_warn_limited("a SYN-ACK could not be sent again: %s", strerror(-error));
	else
		__atomic_fetch_add(&service->repeated, 1, __ATOMIC_RELAXED);
}

/*
 * Returns whether the hook would still answer there, for the same service: since then the program may have been
 * detached, the address removed, or the service stopped.
 */
static bool is_answered_for(const struct iter *iter, const struct shakeoff_tuple *tuple,
			    const struct shakeoff_half_open *entry)
{
	struct shakeoff_interface profile;
	struct in6_addr local;
	uint32_t service;

	memcpy(&local, tuple->local, sizeof(local));
	return !datapath_interface_get(iter->datapath, entry->ifindex, &profile) &&
	       !datapath_address_get(iter->datapath, &local, ntohs(tuple->local_port), &service) &&
	       (service & ~(SHAKEOFF_ADDRESS_TAGGED | SHAKEOFF_ADDRESS_UNTESTED)) == entry->service;
}

/* Decides about a repetition that is due. Returns whether the entry has to be dropped instead. */
static bool give_up(struct iter *iter, const struct shakeoff_tuple *tuple, const struct shakeoff_half_open *entry)
{
	return !prefix_budget_take(&iter->half_open->budget, tuple->remote, iter->now_ns) ||
	       !is_answered_for(iter, tuple, entry);
}

static bool in_flood(const struct shakeoff_service *service, uint64_t now_ns)
{
	return shakeoff_surge_lasts(__atomic_load_n(&service->syns.last_ns, __ATOMIC_RELAXED), now_ns);
}

/* Returns whether the entry can be removed. */
static bool visit(void *context, const struct shakeoff_tuple *tuple, const struct shakeoff_half_open *entry)
{
	struct iter *iter = context;
	struct shakeoff_service *service;
	unsigned int retries;

	if (entry->service >= SHAKEOFF_MAX_SERVICES || entry->frame_len > sizeof(entry->frame))
		return true;
	service = &iter->services[entry->service];
	if (!(__atomic_load_n(&service->flags, __ATOMIC_RELAXED) & SHAKEOFF_SERVICE_SERVED) ||
	    in_flood(service, iter->now_ns))
		return true;
	retries = half_open_retries(iter->half_open->retries, iter->counts->published[entry->service]);
	if (iter->frames && half_open_is_due(entry->answered_ns, iter->half_open->looked_ns, iter->now_ns, retries)) {
		if (give_up(iter, tuple, entry))
			return true;
		repeat(iter, service, entry);
	}
	if (half_open_is_over(entry->answered_ns, iter->now_ns, retries))
		return true;
	iter->counts->seen[entry->service]++;
	iter->remaining++;
	return false;
}

static void publish(struct half_open_counts *counts, struct shakeoff_service *services)
{
	for (size_t i = 0; i < SHAKEOFF_MAX_SERVICES; i++)
		if (counts->seen[i] != counts->published[i])
			__atomic_store_n(&services[i].half_open, counts->seen[i], __ATOMIC_RELAXED);
	memcpy(counts->published, counts->seen, sizeof(counts->published));
}

/*
 * Lowers the flag before an iteration. The hook raises it after it has added an entry, so an entry added meanwhile is
 * seen by this iteration, or raises the flag again.
 */
static void lower_flag(struct datapath *datapath)
{
	struct shakeoff_control *control = datapath_control(datapath);

	__atomic_store_n(&control->half_open, 0, __ATOMIC_SEQ_CST);
	if (!datapath_half_open_is_empty(datapath))
		__atomic_store_n(&control->half_open, 1, __ATOMIC_SEQ_CST);
}

static int iterate_datapath(struct iter *iter)
{
	int error;

	if (!__atomic_load_n(&datapath_control(iter->datapath)->half_open, __ATOMIC_RELAXED))
		return 0;
	memset(iter->counts->seen, 0, sizeof(iter->counts->seen));
	iter->remaining = 0;
	error = datapath_half_open_each(iter->datapath, visit, iter);
	if (error)
		return error;
	publish(iter->counts, iter->services);
	if (!iter->remaining)
		lower_flag(iter->datapath);
	return 0;
}

int half_open_tick(struct half_open *half_open, uint64_t now_ns)
{
	struct iter iter = { .half_open = half_open, .now_ns = now_ns, .frames = HALF_OPEN_FRAMES_A_TICK };
	int error = 0;

	for (size_t i = 0; i < half_open->datapath_count && !error; i++) {
		iter.datapath = half_open->datapaths[i];
		iter.services = datapath_services(iter.datapath);
		iter.counts = &half_open->counts[i];
		error = iterate_datapath(&iter);
	}
	half_open->looked_ns = now_ns;
	return error;
}

/* --------------------------------------------------------------------------------------------------- open and close */

/* Keeps an earlier daemon's counts until the first iteration, which is made whatever the flag is. */
static void adopt(struct half_open *half_open, size_t index)
{
	const struct shakeoff_service *services = datapath_services(half_open->datapaths[index]);

	for (size_t i = 0; i < SHAKEOFF_MAX_SERVICES; i++)
		half_open->counts[index].published[i] = __atomic_load_n(&services[i].half_open, __ATOMIC_RELAXED);
	__atomic_store_n(&datapath_control(half_open->datapaths[index])->half_open, 1, __ATOMIC_RELAXED);
}

void half_open_set_retries(struct half_open *half_open, unsigned int retries)
{
	half_open->retries = retries < SHAKEOFF_SYNACK_RETRIES_MAX ? retries : SHAKEOFF_SYNACK_RETRIES_MAX;
	for (size_t i = 0; i < half_open->datapath_count; i++) {
		struct shakeoff_control *control = datapath_control(half_open->datapaths[i]);

		if (retries)
			__atomic_fetch_or(&control->flags, SHAKEOFF_RESENDS, __ATOMIC_RELAXED);
		else
			__atomic_fetch_and(&control->flags, ~SHAKEOFF_RESENDS, __ATOMIC_RELAXED);
	}
}

int half_open_open(struct half_open *half_open, struct datapath **datapaths, size_t datapath_count,
		   unsigned int retries, uint64_t now_ns)
{
	struct half_open fresh = {
		.datapaths = datapaths,
		.datapath_count = datapath_count,
		.looked_ns = now_ns,
	};
	int error = prefix_budget_open(&fresh.budget);

	if (error)
		return error;
	fresh.fd = packet_socket_open();
	if (fresh.fd < 0)
		return fresh.fd;
	fresh.counts = calloc(datapath_count, sizeof(*fresh.counts));
	if (!fresh.counts) {
		close(fresh.fd);
		return -ENOMEM;
	}
	for (size_t i = 0; i < datapath_count; i++)
		adopt(&fresh, i);
	half_open_set_retries(&fresh, retries);
	*half_open = fresh;
	return 0;
}

void half_open_close(struct half_open *half_open)
{
	if (!half_open->datapaths)
		return;
	close(half_open->fd);
	free(half_open->counts);
	*half_open = (struct half_open){ 0 };
}
