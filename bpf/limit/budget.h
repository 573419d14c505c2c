/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Budgets: how many packets of a kind pass to the kernel in a tenth of a second. */
#ifndef SHAKEOFF_BPF_LIMIT_BUDGET_H
#define SHAKEOFF_BPF_LIMIT_BUDGET_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>

#include "core/ctx.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "limit/source.h"

#define BUDGET_WINDOWS (NSEC_PER_SEC / SHAKEOFF_BUDGET_WINDOW_NS) /* a second */

/* Maximum number of SYNs of each kind of exception that pass in a window. */
#define EXCEPTIONS_A_WINDOW (SHAKEOFF_SYN_EXCEPTIONS / BUDGET_WINDOWS)

/*
 * Returns whether a window of a budget begins. *window: the number of the last one. Another CPU, whose clock is up to a
 * tick ahead, may be in the next window. This CPU does not set it back, or the two would give each other fresh budgets
 * until the tick is over.
 */
static __always_inline bool budget_begins(__u32 *window, __u64 now_ns)
{
	__u32 present = now_ns / SHAKEOFF_BUDGET_WINDOW_NS;

	if ((__s32)(present - *window) <= 0)
		return 0;
	*window = present;
	return 1;
}

/* Counts one more packet, if fewer than `most` have passed in the window. Returns whether it may pass. */
static __always_inline bool budget_takes(__u32 *passed, __u64 most)
{
	if (*passed >= most)
		return 0;
	__sync_fetch_and_add(passed, 1);
	return 1;
}

/*
 * Returns whether the SYN in scratch is within its service's budget. Beyond it, known and allowed sources have a second
 * budget of the same size. A global function: see scratch_get().
 */
__noinline int kernel_budget_takes(__u32 service_id, __u32 allowed)
{
	struct shakeoff_service *service = service_get(service_id);
	const struct scratch *scratch = scratch_get();

	if (!scratch || !service) /* only for the verifier */
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
 * Does the same for SYNs whose source the kernel would not answer, with a separate budget. An attacker that spoofs such
 * sources must not use up what honest clients need that only the kernel can serve. These sources are never known. A
 * global function: see scratch_get().
 */
__noinline int unrouted_budget_takes(__u32 service_id)
{
	struct shakeoff_service *service = service_get(service_id);
	const struct scratch *scratch = scratch_get();

	if (!scratch || !service) /* only for the verifier */
		return 0;
	if (budget_begins(&service->unrouted_window, scratch->now.now_ns))
		service->unrouted_syns = 0;
	/* For kernel_cookies_are_out(): the kernel may know a route after all, and answer. */
	if (budget_begins(&service->budget_window, scratch->now.now_ns))
		service->budget_syns = service->budget_known = 0;
	return budget_takes(&service->unrouted_syns, EXCEPTIONS_A_WINDOW);
}

#endif
