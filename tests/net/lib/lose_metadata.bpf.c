/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A foreign program at tcx ingress, before ours: its changes to packets cost them their XDP metadata. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

/* More than fits in the tail of any buffer: the kernel moves the packet to another buffer, without its metadata. */
#define MORE 8192

__u64 had, lost;

SEC("tc")
int lose_metadata(struct __sk_buff *skb)
{
	__u32 len = skb->len;

	if (skb->data_meta == skb->data)
		return -1; /* TCX_NEXT */
	__sync_fetch_and_add(&had, 1);
	if (bpf_skb_change_tail(skb, len + MORE, 0) || bpf_skb_change_tail(skb, len, 0))
		return 2; /* TCX_DROP */
	if (skb->data_meta == skb->data)
		__sync_fetch_and_add(&lost, 1);
	return -1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
