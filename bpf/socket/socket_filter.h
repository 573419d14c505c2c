/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The hook's side of the socket filter (shakeoff/socket_filter.h). */
#ifndef SHAKEOFF_BPF_SOCKET_SOCKET_FILTER_H
#define SHAKEOFF_BPF_SOCKET_SOCKET_FILTER_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/socket_filter.h>

#include "core/maps.h"
#include "lib/compiler.h"
#include "lib/cookie.h"

static __always_inline __u32 filter_slot(const struct cookie_flow *flow)
{
	if (flow->ipv6)
		return shakeoff_filter_slot(shakeoff_filter_fold(flow->client), shakeoff_filter_fold(flow->server),
					    flow->client_port, flow->server_port);
	return shakeoff_filter_slot(flow->client[0], flow->server[0], flow->client_port, flow->server_port);
}

static __always_inline struct shakeoff_filter *filter_get(__u32 which)
{
	which &= 1;
	return bpf_map_lookup_elem(&socket_filter, &which);
}

static __always_inline __u8 *filter_byte(__u32 which, __u32 slot)
{
	struct shakeoff_filter *filter = filter_get(which);

	return filter ? &filter->slots[slot & (SHAKEOFF_FILTER_BYTES - 1)] : NULL;
}

/* Returns whether the tuple may have a socket. If not, there is none to look up. */
static __always_inline bool filter_may_have(const struct cookie_flow *flow, const struct shakeoff_control *control)
{
	__u32 slot = filter_slot(flow) & (SHAKEOFF_FILTER_BYTES - 1);
	const struct shakeoff_filter *filter;

	if (!(control->flags & SHAKEOFF_FILTER_READY))
		return 1;
	filter = filter_get(control->filter_active);
	return !filter || (filter->regions[slot >> SHAKEOFF_FILTER_REGION_BITS] && filter->slots[slot]);
}

/*
 * Sets a slot's bits. Does not write bits that are set: a needless write would take the cache line from the other CPUs.
 */
static __always_inline void filter_set(struct shakeoff_filter *filter, __u32 slot, __u8 hints)
{
	__u8 *byte = &filter->slots[slot], *region = &filter->regions[slot >> SHAKEOFF_FILTER_REGION_BITS];
	__u8 before = *byte, after = before | SHAKEOFF_FILTER_SOCKET | hints;

	if (hints & SHAKEOFF_FILTER_UNCONFIRMED)
		after &= ~SHAKEOFF_FILTER_AGE;
	if (after != before)
		*byte = after;
	if (!*region)
		*region = 1;
}

/* Notes that the tuple has a socket from now on, or soon. hints: SHAKEOFF_FILTER_PENDING and so on. */
static __always_inline void filter_note(const struct cookie_flow *flow, const struct shakeoff_control *control,
					__u8 hints)
{
	/*
	 * Flags first: the daemon makes the other filter the active one before it clears BUILDING, so a CPU that sees
	 * BUILDING cleared also sees the new filter as the active one.
	 */
	__u32 flags = *(const volatile __u32 *)&control->flags;
	__u32 active = *(const volatile __u32 *)&control->filter_active;
	__u32 slot = filter_slot(flow) & (SHAKEOFF_FILTER_BYTES - 1);
	struct shakeoff_filter *filter = filter_get(active);

	if (filter)
		filter_set(filter, slot, hints);
	if (!(flags & SHAKEOFF_FILTER_BUILDING))
		return;
	filter = filter_get(active ^ 1);
	if (filter)
		filter_set(filter, slot, hints);
}

static __always_inline bool filter_has_hint(const struct cookie_flow *flow, const struct shakeoff_control *control,
					    __u8 hint)
{
	const __u8 *byte = filter_byte(control->filter_active, filter_slot(flow));

	return byte && (*byte & hint);
}

static __always_inline void filter_drop_hint(const struct cookie_flow *flow, const struct shakeoff_control *control,
					     __u8 hint)
{
	__u8 *byte = filter_byte(control->filter_active, filter_slot(flow));

	if (byte)
		*byte &= ~hint;
}

#endif
