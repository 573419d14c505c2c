// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The XDP entry: how a packet is handled.
 *
 *	frame -> parse -> service? -> MAC? -> ACL? -> SYN -> flood? -> socket? -> room in the queue? -> SYN-ACK
 *	            |        |         |       |   \---> ACK -> socket? -> follows its ACK? -> cookie good?
 *	            v        v         v       v                 handoff = queue:    pass -> input.bpf.c, or ring buffer
 *	           pass     pass      pass    blocked: drop      handoff = listener: pass -> admit.bpf.c
 *
 * Steps return a verdict; one exit counts it and maps it to an XDP action.
 */
#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include "limit/acl.h"
#include "handle/fragment.h"
#include "handle/segment.h"
#include "handle/syn.h"

static __always_inline enum shakeoff_verdict handle_packet(struct xdp_md *ctx, __u32 frame_len, __u32 *service_id)
{
	struct hook_ctx hook = { .frame_len = frame_len };
	struct packet *packet;
	enum acl_result acl;
	int err;

	hook.scratch = scratch_get();
	hook.control = control_get();
	if (!hook.scratch || !hook.control) /* only for the verifier */
		return SHAKEOFF_NO_SERVICE;
	packet = &hook.scratch->packet;
	err = parse_packet(FRAME_START(ctx), FRAME_END(ctx), packet);
	if (err)
		return err == PARSE_OTHER ? SHAKEOFF_NO_SERVICE : handle_fragment(ctx, err, frame_len);
	switch (service_find(hook.scratch, hook.control, ctx->ingress_ifindex)) {
	case SERVICE_NONE: return SHAKEOFF_NO_SERVICE;
	case SERVICE_PORT_ZERO:
		return frame_is_for_host(ctx->ingress_ifindex) ? SHAKEOFF_BAD_SEGMENT : SHAKEOFF_NO_SERVICE;
	case SERVICE_FOUND: break;
	}
	if (!frame_is_ours(hook.scratch))
		return SHAKEOFF_NO_SERVICE;
	hook.service_id = *service_id = hook.scratch->recent.service;
	hook.service = service_get(*service_id);
	if (!hook.service)
		return SHAKEOFF_NO_SERVICE;
	now_read(&hook.scratch->now, hook.control);
	hook.now_ns = hook.scratch->now.now_ns;
	acl = acl_of(&hook);
	if (acl == ACL_BLOCKS)
		return SHAKEOFF_ACL_BLOCKED;
	hook.allowed = acl == ACL_ALLOWS;
	if ((packet->flags & (TCPHDR_SYN | TCPHDR_ACK)) == TCPHDR_SYN) {
		enum shakeoff_verdict verdict = handle_syn(ctx, packet, &hook);

		/*
		 * The kernel may make a socket for it. Bypassed traffic does not use the filter, so its floods must not
		 * fill it.
		 */
		if (verdict_passes(verdict) && !is_bypassed(&hook))
			filter_note(&packet->flow, hook.control, 0);
		return verdict;
	}
	return handle_segment(ctx, packet, &hook);
}

SEC("xdp")
int shakeoff_xdp(struct xdp_md *ctx)
{
	__u32 service_id = NO_SERVICE, verdict;

	verdict = handle_packet(ctx, (__u32)(ctx->data_end - ctx->data), &service_id);
	return count_verdict(verdict, service_id);
}

/*
 * Does the same for drivers that pass large packets in several buffers (kernel 5.18 and later). Headers are in the
 * first.
 */
SEC("xdp.frags")
int shakeoff_xdp_frags(struct xdp_md *ctx)
{
	__u32 service_id = NO_SERVICE, verdict;

	verdict = handle_packet(ctx, (__u32)bpf_xdp_get_buff_len(ctx), &service_id);
	return count_verdict(verdict, service_id);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
