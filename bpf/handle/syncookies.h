/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When the hook answers SYNs to a listening socket with cookies, decided SYN by SYN.
 *
 * While idle the kernel negotiates everything itself. The hook begins to answer in a flood, or when a queue of the
 * socket has little room left. It stops when both are over (limit/surge.h).
 */
#ifndef SHAKEOFF_BPF_HANDLE_SYNCOOKIES_H
#define SHAKEOFF_BPF_HANDLE_SYNCOOKIES_H

#include "core/kernel.h"

#include <shakeoff/abi.h>

#include "core/ctx.h"
#include "lib/compiler.h"
#include "limit/queue_state.h"
#include "limit/surge.h"

/*
 * Forgets which positions the sources hold. The kernel makes the handshakes now, or did until now. Its connections get
 * no position number, so older positions can no longer be told apart.
 */
static __always_inline void positions_forget(struct shakeoff_service *service)
{
	service->positions_from = service->enqueued;
}

/* Returns whether SYNs are answered now. Ends the answering when no surge goes on. */
static __always_inline bool syncookies_active(struct shakeoff_service *service, __u64 now_ns)
{
	if (service->syncookies == SHAKEOFF_SYNCOOKIES_ALWAYS) {
		if (!service->syns.since_ns)
			service->syns.since_ns = now_ns;
		return 1;
	}
	if (!service->syns.since_ns)
		return 0;
	if (service->syncookies == SHAKEOFF_SYNCOOKIES_ADAPTIVE && in_flood(service, now_ns))
		return 1;
	service->syns.since_ns = 0;
	service->released_ns = now_ns;
	positions_forget(service);
	return 0;
}

/*
 * Returns whether ACKs may bring back our cookies though no SYN is answered: cookies that were sent before the
 * answering ended, and in a fleet those of another host, which may be in a flood.
 */
static __always_inline bool own_cookies_are_out(const struct hook_ctx *hook)
{
	const struct shakeoff_service *service = hook->service;

	if (service->released_ns && (__s64)(hook->now_ns - service->released_ns) <= (__s64)SHAKEOFF_COOKIE_LIFETIME_NS)
		return 1;
	return (hook->control->flags & SHAKEOFF_ACCEPT_NEXT_EPOCH) &&
	       service->syncookies == SHAKEOFF_SYNCOOKIES_ADAPTIVE;
}

/*
 * Returns whether ACKs may bring back cookies that the kernel has sent: before the answering began; before the daemon
 * started, which may have been long after; to SYNs that have passed by a budget; or for a socket that only the kernel
 * can serve.
 */
static __always_inline bool kernel_cookies_are_out(const struct hook_ctx *hook)
{
	__u32 window = hook->service->budget_window;

	if (hook->service->seen_bypass ||
	    (window && (__s32)((__u32)(hook->now_ns / SHAKEOFF_BUDGET_WINDOW_NS) - window) <=
			       (__s32)(SHAKEOFF_KERNEL_COOKIE_NS / SHAKEOFF_BUDGET_WINDOW_NS)))
		return 1;
	return (__s64)(hook->now_ns - hook->service->syns.since_ns) <= (__s64)SHAKEOFF_KERNEL_COOKIE_NS ||
	       (__s64)(hook->now_ns - hook->control->started_ns) <= (__s64)SHAKEOFF_KERNEL_COOKIE_NS;
}

/* Counts a SYN. Returns whether the present window has more than the service's rate allows. */
static __always_inline bool syns_exceed(struct shakeoff_service *service, __u64 now_ns)
{
	return surge_exceeds(&service->syns, SHAKEOFF_FLOOD_WINDOW_NS, now_ns, 1, service->flood_rate);
}

/* Keeps the answering going, because a queue of the listening socket has little room left. */
static __always_inline void queue_holds(__u32 service_id)
{
	surge_hold(service_id, SURGE_SYNS, SHAKEOFF_QUEUE_HOLD_NS, 0);
}

/* Examines a SYN while idle. Returns whether the answering begins with it. */
static __always_inline bool syncookies_idle_syn(const struct hook_ctx *hook, const struct recent *recent)
{
	struct shakeoff_service *service = hook->service;
	const struct listening *listener = &recent->listener;
	__u32 cause = SHAKEOFF_CAUSE_NONE;

	if (syns_exceed(service, hook->now_ns))
		cause = SHAKEOFF_CAUSE_SYN_RATE;
	else if (listener->half_open > listener->backlog / 2)
		cause = SHAKEOFF_CAUSE_SYN_QUEUE;
	else if (accept_queue_is_short(recent, (__u64)recent->listener_low_watermark * 2 / 3))
		cause = SHAKEOFF_CAUSE_ACCEPT_QUEUE;
	if (!cause)
		return 0;
	positions_forget(service);
	if (cause == SHAKEOFF_CAUSE_SYN_RATE)
		surge_extend(hook, SURGE_SYNS, service->syns.counted, service->flood_rate);
	else
		queue_holds(hook->service_id);
	service->cause = cause;
	service->activations++;
	service->syns.since_ns = hook->now_ns;
	return 1;
}

/* Counts a SYN that is answered. */
static __always_inline void syncookies_count(const struct hook_ctx *hook)
{
	struct shakeoff_service *service = hook->service;
	__u32 stands_for = 0, rate = service->flood_rate;

	if (in_flood(service, hook->now_ns))
		stands_for = surge_batch(&hook->scratch->syns, rate);
	else if (syns_exceed(service, hook->now_ns))
		stands_for = service->syns.counted;
	if (stands_for)
		surge_extend(hook, SURGE_SYNS, stands_for, rate);
}

/* Checks whether the queues of the listening socket, which was just looked up, keep the answering going. */
static __always_inline void syncookies_look(const struct hook_ctx *hook, const struct recent *recent)
{
	const struct listening *listener = &recent->listener;
	const struct shakeoff_service *service = hook->service;

	if (listener->half_open > listener->backlog / 4 ||
	    (service->syncookies == SHAKEOFF_SYNCOOKIES_ADAPTIVE && service->syns.since_ns &&
	     accept_queue_is_short(recent, recent->listener_low_watermark)))
		queue_holds(hook->service_id);
}

#endif
