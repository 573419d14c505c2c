/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Copies bytes of the frame to memory of our own. */
#ifndef SHAKEOFF_BPF_PACKET_COPY_H
#define SHAKEOFF_BPF_PACKET_COPY_H

#include "core/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "lib/compiler.h"

/* A driver's frame in one buffer shares a page of 4 KiB with XDP_PACKET_HEADROOM and struct skb_shared_info. */
#define ONE_BUFFER 3520

/*
 * Copies len bytes (1..size) of the frame from an offset (at most 31) on. bpf_xdp_load_bytes() came with kernel 5.18,
 * as did frames in several buffers; before, a bounded loop over the packet suffices.
 */
static __always_inline bool packet_copy(struct xdp_md *ctx, __u32 offset, __u8 *to, __u32 len, __u32 size)
{
	__u32 last = len - 1;

	/*
	 * One comparison, of the value that is then passed on, and hidden from the compiler: it would use another
	 * register for one of the bounds, and verifiers up to that of kernel 6.12 do not carry the bound over.
	 */
	barrier_var(last);
	if (last >= size)
		return 0;
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_xdp_load_bytes))
		return !bpf_xdp_load_bytes(ctx, offset, to, last + 1);

	__u8 *from = (void *)(long)ctx->data + (offset & 0x1f);
	void *end = (void *)(long)ctx->data_end;

	if (last >= ONE_BUFFER)
		return 0;
	for (__u32 i = 0; i < size && i < ONE_BUFFER; i++) {
		if (i > last)
			break;
		if ((void *)(from + i + 1) > end)
			return 0;
		to[i] = from[i];
	}
	return 1;
}

#endif
