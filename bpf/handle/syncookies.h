/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When SYNs to a listening socket are answered with cookies, decided SYN by SYN; and what a flood is, for services that
 * are always answered for.
 *
 * While idle the kernel negotiates everything itself, and every SYN is counted. In a flood only every 32nd of a CPU is, for 32:
 * so that the CPUs do not fight for the counter's cache line. Counts and times are written without a lock; what gets lost
 * in a race is made up for in the next window.
 *
 * One window with too many SYNs begins a flood. Windows do not keep it going, or a burst of a few milliseconds every ten seconds would:
 * an average does (surge_by()).
 */
#ifndef SHAKEOFF_BPF_HANDLE_SYNCOOKIES_H
#define SHAKEOFF_BPF_HANDLE_SYNCOOKIES_H

#define FLOOD_BATCH 32

#define FLOOD_WINDOWS_PER_SECOND (1000000000 / SHAKEOFF_FLOOD_WINDOW_NS)

/* Below this rate a batch is too coarse: one alone would be too many for a window of half of it. */
#define FLOOD_BATCH_RATE (4 * FLOOD_BATCH * FLOOD_WINDOWS_PER_SECOND)

/* Counts events in a window of this length; returns whether it has more than `rate` events a second allow. */
static __always_inline bool window_counts(__u64 *start_ns, __u64 *counted, __u64 length_ns, __u64 now_ns, __u32 events,
					  __u32 rate)
{
	__u64 allowed = rate * (length_ns / NSEC_PER_MSEC) / 1000;

	/* Signed: another CPU may have begun it after our clock was read. */
	if ((__s64)(now_ns - *start_ns) >= (__s64)length_ns) {
		*start_ns = now_ns;
		*counted = events;
		return events > allowed;
	}
	__sync_fetch_and_add(counted, events);
	return *counted > allowed;
}

/* Counts SYNs; returns whether the present window has more than `rate` SYNs a second allow. */
static __always_inline bool window_exceeds(struct shakeoff_service *service, __u64 now_ns, __u32 syns, __u32 rate)
{
	return window_counts(&service->window_ns, &service->window_syns, SHAKEOFF_FLOOD_WINDOW_NS, now_ns, syns, rate);
}

/* For how many the present packet stands in a flood, of which *seen is this CPU's count; 0: it is not counted. */
static __always_inline __u32 batch_of(__u32 *seen, __u32 rate)
{
	if (rate < FLOOD_BATCH_RATE)
		return 1;
	return ++*seen % FLOOD_BATCH ? 0 : FLOOD_BATCH;
}

/* Notes that there is a surge. */
static __always_inline void surge(__u64 *surge_ns, __u64 now_ns)
{
	if (*surge_ns != now_ns) /* the clock goes by ticks: a few writes a tick */
		*surge_ns = now_ns;
}

enum surge { SURGE_SYNS, SURGE_OUT_OF_STATE, SURGE_FORGERY };

static __always_inline __u64 *surge_of(struct shakeoff_service *service, enum surge which)
{
	return which == SURGE_SYNS         ? &service->surge_ns :
	       which == SURGE_OUT_OF_STATE ? &service->out_of_state_surge_ns :
					     &service->forgery_surge_ns;
}

/*
 * Notes a surge that lasts for so long from now, on top of what is left of an earlier surge if `adds`: shakeoff_is_surging() says yes
 * until then. A leaky bucket, full after the hold time. Two CPUs that write at the same moment may lose what one of them adds: in a
 * flood that needs more than one CPU the bucket is full all the same. which: enum surge. A global function: see scratch_get().
 */
__noinline int surge_for(__u32 service_id, __u32 which, __u64 for_ns, __u32 adds)
{
	struct shakeoff_service *service = bpf_map_lookup_elem(&service_state, &service_id);
	const struct scratch *scratch = scratch_get();
	__u64 *surge_ns, now_ns, until_ns;
	__s64 remaining = 0;

	if (!scratch || !service) /* cannot be: for the verifier */
		return 0;
	now_ns = scratch->now.now_ns;
	surge_ns = surge_of(service, which);
	if (*surge_ns)
		remaining = *surge_ns + SHAKEOFF_FLOOD_HOLD_NS - now_ns;
	if (remaining < 0)
		remaining = 0;
	if (adds)
		for_ns += remaining;
	if (for_ns > SHAKEOFF_FLOOD_HOLD_NS)
		for_ns = SHAKEOFF_FLOOD_HOLD_NS;
	until_ns = now_ns - SHAKEOFF_FLOOD_HOLD_NS + for_ns;
	/* Signed: another CPU, whose clock is a tick ahead, may have filled the bucket. A few writes a tick: it is full then. */
	if (!*surge_ns || (__s64)(until_ns - *surge_ns) > 0)
		*surge_ns = until_ns;
	return 0;
}

/*
 * Events that came at a rate at which they are a flood, or while one lasts: each of them keeps it for as long as half that rate would
 * take to send it. So a flood goes on while its average over the hold time is half the rate, and a short burst ends it as soon.
 */
static __always_inline void surge_by(const struct hook_ctx *hook, enum surge which, __u64 events, __u32 rate)
{
	__u64 surge_ns = *surge_of(hook->service, which);

	/* Full, by what this tick has brought already: there is nothing to add. */
	if (surge_ns && (__s64)(surge_ns - hook->now_ns) >= 0)
		return;
	surge_for(hook->service_id, which, rate ? events * (2 * NSEC_PER_SEC) / rate : SHAKEOFF_FLOOD_HOLD_NS, 1);
}

/* A queue of the listening socket is short. */
static __always_inline void surge_queue(__u32 service_id)
{
	surge_for(service_id, SURGE_SYNS, SHAKEOFF_QUEUE_HOLD_NS, 0);
}

/* Whether what began at *since_ns goes on (0: it has not begun). Ends what has been without a surge for long enough. */
static __always_inline bool surge_lasts(__u64 *since_ns, __u64 surge_ns, __u64 now_ns)
{
	if (!*since_ns)
		return 0;
	if (shakeoff_is_surging(surge_ns, now_ns))
		return 1;
	*since_ns = 0;
	return 0;
}

/* Whether the service is under a flood of SYNs, or was until a moment ago. */
static __always_inline bool in_flood(const struct shakeoff_service *service, __u64 now_ns)
{
	return shakeoff_is_surging(service->surge_ns, now_ns);
}

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
		if (!service->active_ns)
			service->active_ns = now_ns;
		return 1;
	}
	if (!service->active_ns)
		return 0;
	if (service->syncookies == SHAKEOFF_SYNCOOKIES_ADAPTIVE && in_flood(service, now_ns))
		return 1;
	service->active_ns = 0;
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
	return (__s64)(hook->now_ns - hook->service->active_ns) <= (__s64)SHAKEOFF_KERNEL_COOKIE_NS ||
	       (__s64)(hook->now_ns - hook->control->started_ns) <= (__s64)SHAKEOFF_KERNEL_COOKIE_NS;
}

/*
 * Whether the accept queue that the hook is to share has `free` left or less: `low_watermark` of them when a quarter is taken. While idle
 * the kernel fills it, and asks nobody whose turn it is.
 */
static __always_inline bool accept_queue_is_short(const struct recent *recent, __s64 places)
{
	return recent->listener_low_watermark && (__s64)recent->listener_room <= places;
}

/* A SYN while idle. Returns whether it begins the answering. */
static __always_inline bool syncookies_idle_syn(const struct hook_ctx *hook, const struct recent *recent)
{
	struct shakeoff_service *service = hook->service;
	const struct listening *listener = &recent->listener;
	__u32 cause = SHAKEOFF_CAUSE_NONE;

	if (window_exceeds(service, hook->now_ns, 1, service->flood_rate))
		cause = SHAKEOFF_CAUSE_SYN_RATE;
	else if (listener->half_open > listener->backlog / 2)
		cause = SHAKEOFF_CAUSE_SYN_QUEUE;
	else if (accept_queue_is_short(recent, (__u64)recent->listener_low_watermark * 2 / 3))
		cause = SHAKEOFF_CAUSE_ACCEPT_QUEUE;
	if (!cause)
		return 0;
	positions_forget(service);
	if (cause == SHAKEOFF_CAUSE_SYN_RATE)
		surge_by(hook, SURGE_SYNS, service->window_syns, service->flood_rate);
	else
		surge_queue(hook->service_id);
	service->cause = cause;
	service->activations++;
	service->active_ns = hook->now_ns;
	return 1;
}

/* A SYN that is answered. */
static __always_inline void syncookies_count(const struct hook_ctx *hook)
{
	struct shakeoff_service *service = hook->service;
	__u32 stands_for = 0, rate = service->flood_rate;

	if (in_flood(service, hook->now_ns))
		stands_for = batch_of(&hook->scratch->syns, rate);
	else if (window_exceeds(service, hook->now_ns, 1, rate))
		stands_for = service->window_syns;
	if (stands_for)
		surge_by(hook, SURGE_SYNS, stands_for, rate);
}

/* The listening socket was looked at: do its queues keep us? */
static __always_inline void syncookies_look(const struct hook_ctx *hook, const struct recent *recent)
{
	const struct listening *listener = &recent->listener;
	const struct shakeoff_service *service = hook->service;

	if (listener->half_open > listener->backlog / 4 ||
	    (service->syncookies == SHAKEOFF_SYNCOOKIES_ADAPTIVE && service->active_ns &&
	     accept_queue_is_short(recent, recent->listener_low_watermark)))
		surge_queue(hook->service_id);
}

#define BUDGET_WINDOWS (NSEC_PER_SEC / SHAKEOFF_BUDGET_WINDOW_NS) /* a second */

/* How many SYNs of each kind of exception may pass in a window. */
#define EXCEPTIONS_A_WINDOW (SHAKEOFF_SYN_EXCEPTIONS / BUDGET_WINDOWS)

/*
 * Whether a window of a budget begins; *window: the number of the last one. Another CPU, whose clock is up to a tick ahead, may be
 * in the next: nobody takes it back there, or the two would give each other fresh budgets until the tick is over.
 */
static __always_inline bool budget_begins(__u32 *window, __u64 now_ns)
{
	__u32 present = now_ns / SHAKEOFF_BUDGET_WINDOW_NS;

	if ((__s32)(present - *window) <= 0)
		return 0;
	*window = present;
	return 1;
}

/* Whether one more may pass, of which `most` may in a window. */
static __always_inline bool budget_takes(__u32 *passed, __u64 most)
{
	if (*passed >= most)
		return 0;
	__sync_fetch_and_add(passed, 1);
	return 1;
}

/*
 * Whether the SYN in scratch is within its service's budget; beyond it known and allowed sources have as much again. A global
 * function: see scratch_get().
 */
__noinline int kernel_budget_takes(__u32 service_id, __u32 allowed)
{
	struct shakeoff_service *service = bpf_map_lookup_elem(&service_state, &service_id);
	const struct scratch *scratch = scratch_get();

	if (!scratch || !service) /* cannot be: for the verifier */
		return 0;
	if (budget_begins(&service->budget_window, scratch->now.now_ns))
		service->budget_syns = service->budget_known = 0;
	if (budget_takes(&service->budget_syns, EXCEPTIONS_A_WINDOW))
		return 1;
	if (service->budget_known >= EXCEPTIONS_A_WINDOW || !(allowed || source_is_known(service_id)))
		return 0;
	return budget_takes(&service->budget_known, EXCEPTIONS_A_WINDOW);
}

/*
 * The same for SYNs whose source the kernel would not answer, with a budget of their own: whoever sends in the name of such sources is not
 * to spend what honest clients need that only the kernel can serve. None of these sources is known. A global function: see scratch_get().
 */
__noinline int unrouted_budget_takes(__u32 service_id)
{
	struct shakeoff_service *service = bpf_map_lookup_elem(&service_state, &service_id);
	const struct scratch *scratch = scratch_get();

	if (!scratch || !service) /* cannot be: for the verifier */
		return 0;
	if (budget_begins(&service->unrouted_window, scratch->now.now_ns))
		service->unrouted_syns = 0;
	/* For kernel_cookies_are_out(): the kernel may know better, and answer one. */
	if (budget_begins(&service->budget_window, scratch->now.now_ns))
		service->budget_syns = service->budget_known = 0;
	return budget_takes(&service->unrouted_syns, EXCEPTIONS_A_WINDOW);
}

#endif
