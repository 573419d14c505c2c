/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The entry for segments without SYN, and SYN-ACKs: chooses by handoff. */
#ifndef SHAKEOFF_BPF_HANDLE_SEGMENT_H
#define SHAKEOFF_BPF_HANDLE_SEGMENT_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/verdict.h>

#include "core/ctx.h"
#include "socket/service.h"
#include "handle/listener.h"
#include "handle/queue.h"

static __noinline enum shakeoff_verdict handle_segment(struct xdp_md *ctx, const struct packet *packet,
						       const struct hook_ctx *hook)
{
	return by_listener(hook) ? listener_segment(ctx, packet, hook) : queue_segment(ctx, packet, hook);
}

#endif
