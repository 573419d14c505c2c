/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How full a service's accept queue is: the listening socket's, or the daemon's. */
#ifndef SHAKEOFF_BPF_LIMIT_QUEUE_STATE_H
#define SHAKEOFF_BPF_LIMIT_QUEUE_STATE_H

#include "core/kernel.h"

#include <shakeoff/abi.h>
#include <shakeoff/source.h>

#include "core/clock.h"
#include "core/ctx.h"
#include "lib/compiler.h"
#include "lib/fair_share.h"

static __always_inline __s64 queue_low_watermark(const struct shakeoff_service *service, __u32 capacity)
{
	return service->fair_share && capacity >= SHAKEOFF_FAIR_SHARE_CAPACITY_MIN ? SHAKEOFF_LOW_WATERMARK(capacity) :
										     0;
}

/*
 * Returns how many more connections may wait for a listening socket, less those that the hook has let through since the
 * socket was looked up.
 */
static __always_inline __s64 listener_free(const struct recent *recent, const struct shakeoff_service *service)
{
	return recent->listener_room - (service->enqueued - recent->listener_enqueued);
}

/*
 * Measures how many more connections may wait, besides those in the socket's accept queue and those on their way there
 * from the hook.
 */
static __always_inline void listener_measure(struct recent *recent, const struct shakeoff_service *service)
{
	const struct listening *listener = &recent->listener;
	/*
	 * sk_acceptq_is_full(), include/net/sock.h: one more than listen() was given. The service's `backlog` is exact.
	 */
	__u32 capacity = listener->backlog < service->backlog ? listener->backlog + 1 : service->backlog;
	__u64 enqueued = service->enqueued, taken = listener->waiting;
	__s64 on_their_way = enqueued - service->dequeued;

	if (on_their_way > 0)
		taken += on_their_way;
	recent->listener_enqueued = enqueued;
	recent->listener_room = taken < capacity ? capacity - taken : 0;
	recent->listener_low_watermark = queue_low_watermark(service, capacity);
	recent->listener_capacity = capacity;
	/* More may wait than the hook has let through: the rest came by the kernel's own handshake. */
	recent->listener_head = enqueued > taken ? enqueued - taken : 0;
}

/* After this time without a look-up a group may have a socket that is full from before. */
#define GROUP_UNKNOWN_NS (NSEC_PER_SEC / 10)

/*
 * Notes when a socket of a group (SO_REUSEPORT) is half full. The kernel chooses a socket for each client, and the
 * remembered one does not show how full the others are. So for the hold time after one was half full, every SYN's own
 * socket is looked up. Only ACKs fill a socket through the hook, and these look it up before.
 */
static __always_inline void group_look(struct shakeoff_service *service, const struct recent *recent, __u64 now_ns)
{
	if (service->servers <= 1)
		return;
	/* Rounded up, so that the connection that takes the last position notes it, too. */
	if (recent->listener_room <= (recent->listener_capacity + 1) / 2)
		time_note(&service->short_ns, now_ns);
	else if ((__s64)(now_ns - service->looked_ns) > (__s64)GROUP_UNKNOWN_NS &&
		 !shakeoff_surge_lasts(service->short_ns, now_ns))
		service->short_ns = now_ns - SHAKEOFF_FLOOD_HOLD_NS +
				    GROUP_UNKNOWN_NS; /* until every socket has been met */
	time_note(&service->looked_ns, now_ns);
}

static __always_inline bool group_is_short(const struct hook_ctx *hook)
{
	return hook->service->servers > 1 && shakeoff_surge_lasts(hook->service->short_ns, hook->now_ns);
}

/*
 * Returns whether the accept queue, if the hook shares it fairly, has room for at most `free` more connections. With
 * listener_low_watermark that is when a quarter is taken. While the kernel makes the handshakes, it fills the queue
 * without regard to sources.
 */
static __always_inline bool accept_queue_is_short(const struct recent *recent, __s64 free)
{
	return recent->listener_low_watermark && (__s64)recent->listener_room <= free;
}

/* Reads the state of a service's accept queue, as the packet in scratch finds it. */
static __always_inline void queue_state_read(const struct scratch *scratch, const struct shakeoff_service *service,
					     struct queue_state *queue)
{
	const struct recent *recent = &scratch->recent;

	if (service->handoff == SHAKEOFF_HANDOFF_LISTENER) {
		queue->head = shakeoff_listener_head(service, recent->listener_head);
		queue->free = listener_free(recent, service);
		queue->low_watermark = recent->listener_low_watermark;
		queue->capacity = recent->listener_capacity;
	} else {
		queue->head = service->dequeued;
		queue->free = service->capacity - (service->enqueued - service->dequeued);
		queue->low_watermark = queue_low_watermark(service, service->capacity);
		queue->capacity = shakeoff_capacity(service->listen_capacity, service->backlog);
	}
}

#endif
