/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When SYNs to a listening socket are answered with cookies, decided SYN by SYN; and what a flood is, for services that
 * are always answered for.
 *
 * In peace the kernel negotiates everything itself, and every SYN is counted. In a flood only every 32nd of a CPU is, for 32:
 * so that the CPUs do not fight for the counter's cache line. Counts and times are written without a lock; what gets lost
 * in a race is made up for in the next window.
 */
#ifndef SHAKEOFF_BPF_ENGAGE_H
#define SHAKEOFF_BPF_ENGAGE_H

#define ENGAGE_BATCH 32

/* Below this rate one batch alone would be too many for a window of half of it. */
#define ENGAGE_BATCH_RATE (4 * ENGAGE_BATCH * (1000000000 / SHAKEOFF_ENGAGE_WINDOW_NS))

/* Counts SYNs; returns whether the present window has more than `rate` SYNs a second allow. */
static __always_inline _Bool window_exceeds(struct shakeoff_service *service, __u64 now_ns, __u32 syns, __u32 rate)
{
	__u64 allowed = (__u64)rate * (SHAKEOFF_ENGAGE_WINDOW_NS / NSEC_PER_MSEC) / 1000;

	if (now_ns - service->window_ns >= SHAKEOFF_ENGAGE_WINDOW_NS) {
		service->window_ns = now_ns;
		service->window_syns = syns;
		return syns > allowed;
	}
	__sync_fetch_and_add(&service->window_syns, syns);
	return service->window_syns > allowed;
}

static __always_inline void engage_pressed(struct shakeoff_service *service, __u64 now_ns)
{
	if (service->pressure_ns != now_ns) /* the clock goes by ticks: a few writes a tick */
		service->pressure_ns = now_ns;
}

/* Whether the service is under a flood, or was until a moment ago. */
static __always_inline _Bool in_flood(const struct shakeoff_service *service, __u64 now_ns)
{
	/* Signed: another CPU may have written after our clock was read. */
	return service->pressure_ns && (__s64)(now_ns - service->pressure_ns) <= (__s64)SHAKEOFF_ENGAGE_HOLD_NS;
}

/* Whether SYNs are answered now. Ends what has been without pressure for long enough. */
static __always_inline _Bool engaged(struct shakeoff_service *service, __u64 now_ns)
{
	if (service->engage == SHAKEOFF_ENGAGE_ALWAYS) {
		if (!service->engaged_ns)
			service->engaged_ns = now_ns;
		return 1;
	}
	if (!service->engaged_ns)
		return 0;
	if (service->engage == SHAKEOFF_ENGAGE_AUTO && in_flood(service, now_ns))
		return 1;
	service->engaged_ns = 0;
	service->released_ns = now_ns;
	return 0;
}

/*
 * Whether ACKs may bring back cookies though no SYN is answered: those of ours that were sent before the answering ended, and in a
 * fleet those of another host, which may be in a flood.
 */
static __always_inline _Bool cookies_are_left(const struct walk *walk)
{
	const struct shakeoff_service *service = walk->service;

	if (service->released_ns && (__s64)(walk->now_ns - service->released_ns) <= (__s64)SHAKEOFF_COOKIE_LIFETIME_NS)
		return 1;
	return (walk->control->flags & SHAKEOFF_ACCEPT_NEXT_EPOCH) && service->engage == SHAKEOFF_ENGAGE_AUTO;
}

/*
 * Whether ACKs may bring back cookies that the kernel has sent: before the answering began, or before the daemon started, which
 * may have been long after.
 */
static __always_inline _Bool kernel_cookies_are_out(const struct walk *walk)
{
	return (__s64)(walk->now_ns - walk->service->engaged_ns) <= (__s64)SHAKEOFF_KERNEL_COOKIE_NS ||
	       (__s64)(walk->now_ns - walk->control->started_ns) <= (__s64)SHAKEOFF_KERNEL_COOKIE_NS;
}

/* A SYN in peace. Returns whether it begins the answering. */
static __always_inline _Bool engage_peace_syn(struct shakeoff_service *service, const struct listening *listener,
					      __u64 now_ns)
{
	__u32 cause = SHAKEOFF_CAUSE_NONE;

	if (window_exceeds(service, now_ns, 1, service->engage_rate))
		cause = SHAKEOFF_CAUSE_SYN_RATE;
	else if (listener->half_open > listener->backlog / 2)
		cause = SHAKEOFF_CAUSE_SYN_QUEUE;
	if (!cause)
		return 0;
	engage_pressed(service, now_ns);
	service->cause = cause;
	service->engagements++;
	service->engaged_ns = now_ns;
	return 1;
}

/* A SYN that is answered. */
static __always_inline void engage_count(struct shakeoff_service *service, struct scratch *scratch, __u64 now_ns)
{
	__u32 batch = 1, rate = service->engage_rate;

	if (in_flood(service, now_ns)) {
		if (rate >= ENGAGE_BATCH_RATE)
			batch = ENGAGE_BATCH;
		if (++scratch->syns % batch)
			return;
		rate /= 2;
	}
	if (window_exceeds(service, now_ns, batch, rate))
		engage_pressed(service, now_ns);
}

/* The listening socket was looked at: does its SYN queue keep us? */
static __always_inline void engage_look(struct shakeoff_service *service, const struct listening *listener,
					__u64 now_ns)
{
	if (listener->half_open > listener->backlog / 4)
		engage_pressed(service, now_ns);
}

/* A SYN that only the kernel can answer: passes within the budget. */
static __always_inline enum shakeoff_verdict syn_to_kernel(struct shakeoff_service *service, __u64 now_ns,
							   enum shakeoff_verdict verdict)
{
	__u64 allowed = (__u64)service->syn_budget * (SHAKEOFF_BUDGET_WINDOW_NS / NSEC_PER_MSEC) / 1000;
	__u32 window = now_ns / SHAKEOFF_BUDGET_WINDOW_NS;

	if (service->budget_window != window) {
		service->budget_window = window;
		service->budget_syns = 0;
	}
	if (service->budget_syns >= allowed)
		return SHAKEOFF_SYN_BUDGET;
	__sync_fetch_and_add(&service->budget_syns, 1);
	return verdict;
}

#endif
