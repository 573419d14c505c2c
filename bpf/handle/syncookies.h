/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When SYNs to a listening socket are answered with cookies, decided SYN by SYN.
 *
 * While idle the kernel negotiates everything itself. A flood, or a queue of the socket that gets short, begins the answering; it ends
 * when both are over (limit/surge.h).
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
 * The kernel makes the handshakes now, or did until now: it gives positions away that have no number, so that those of before are not
 * to be told from them.
 */
static __always_inline void positions_forget(struct shakeoff_service *service)
{
	service->positions_from = service->enqueued;
}

/* Whether SYNs are answered now. Ends what has been without a surge for long enough. */
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
 * Whether ACKs may bring back cookies though no SYN is answered: those of ours that were sent before the answering ended, and in a
 * fleet those of another host, which may be in a flood.
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
 * Whether ACKs may bring back cookies that the kernel has sent: before the answering began, before the daemon started, which may have
 * been long after, to SYNs that have passed by a budget, or for a socket that only it can serve.
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

/* Keeps the answering up, as a queue of the listening socket is short. */
static __always_inline void queue_holds(__u32 service_id)
{
	surge_hold(service_id, SURGE_SYNS, SHAKEOFF_QUEUE_HOLD_NS, 0);
}

/* A SYN while idle. Returns whether it begins the answering. */
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

/* A SYN that is answered. */
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

/* The listening socket was looked at: do its queues keep us? */
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
