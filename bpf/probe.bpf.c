// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The two ends of the self-test (shakeoff/probe.h): one program writes the probes into frames that the kernel receives,
 * the other takes them at the daemon's listening sockets.
 */
#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/byteorder.h>
#include <shakeoff/probe.h>

#include "lib/bytes.h"
#include "lib/csum.h"

#define ETH_TYPE_OFFSET 12

#define TCP_CHECK 16 /* offsets in the TCP header */
#define TCP_SEQ 4
#define TCP_OFFSET_AND_FLAGS 12
#define SYN bpf_htons(0x0002)
#define RST bpf_htons(0x0004)

/* Offsets of the addresses in the IP headers, source and destination together; length of TCP's ports to flags. */
#define ADDRESSES4 12
#define ADDRESSES6 8
#define NUMBERS_LEN 14

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SHAKEOFF_PROBE_MAX);
	__type(key, __u32);
	__type(value, struct shakeoff_probe_frame);
} probe_frames SEC(".maps");

/* Set before each series of runs. One CPU runs the XDP program, one run after the other. */
__u32 first_seq; /* of the first frame; host byte order */
__u32 frame_count;
__u32 resets_from; /* the run that writes the first RST */
__u32 next_run;

static __always_inline __u32 tcp_offset(const struct shakeoff_probe_frame *probe)
{
	return *(const __be16 *)&probe->frame[ETH_TYPE_OFFSET] == bpf_htons(ETH_P_IP) ? SHAKEOFF_PROBE_TCP4 :
											SHAKEOFF_PROBE_TCP6;
}

/*
 * Makes the probe a segment of a client that gives the connection up: an RST with ACK, or after a SYN an RST with the
 * next sequence number. That one also ends a request that the SYN made where something diverted it (TPROXY). Checksum:
 * RFC 1624, equation 3.
 */
static __always_inline void make_reset(__u8 *tcp)
{
	__be16 *word = (__be16 *)(tcp + TCP_OFFSET_AND_FLAGS);
	__u16 *check = (__u16 *)(tcp + TCP_CHECK);
	__be32 *seq = (__be32 *)(tcp + TCP_SEQ);
	__be32 next = *word & SYN ? bpf_htonl(bpf_ntohl(*seq) + 1) : *seq;
	__be16 reset = (*word & ~SYN) | RST;

	*check = csum_fold((__u64)(__u16) ~*check + (__u16) ~*word + reset + (__u32) ~*seq + next);
	*word = reset;
	*seq = next;
}

/*
 * Writes one frame a run: first all probes, later an RST for each. The frame's memory still holds an earlier frame, so
 * every byte is written.
 */
SEC("xdp")
int probe_send(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 run = next_run++, index;
	const struct shakeoff_probe_frame *probe;

	index = run < resets_from ? run : run - resets_from;
	if (index >= frame_count || data + SHAKEOFF_PROBE_FRAME_LEN > end)
		return XDP_DROP;
	probe = bpf_map_lookup_elem(&probe_frames, &index);
	if (!probe)
		return XDP_DROP;
	__builtin_memcpy(data, probe->frame, SHAKEOFF_PROBE_FRAME_LEN);
	if (run >= resets_from)
		make_reset(data + tcp_offset(probe));
	return XDP_PASS;
}

/* Returns whether `len` bytes of the packet are those of the frame: as it was sent, not redirected by NAT. */
static __always_inline bool is_unchanged(struct __sk_buff *skb, __u32 offset, const __u8 *expected, __u32 len,
					 __u32 from)
{
	__u8 bytes[32];

	return !bpf_skb_load_bytes_relative(skb, offset, bytes, len, from) && same_bytes(bytes, expected, len);
}

static __always_inline bool is_probe(struct __sk_buff *skb, const struct shakeoff_probe_frame *probe)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return is_unchanged(skb, ADDRESSES4, &probe->frame[ETH_HLEN + ADDRESSES4], 8, BPF_HDR_START_NET);
	return is_unchanged(skb, ADDRESSES6, &probe->frame[ETH_HLEN + ADDRESSES6], 32, BPF_HDR_START_NET);
}

/* Notes a probe's arrival. Drops every packet, so that the socket neither replies nor makes a connection. */
SEC("socket")
int probe_arrive(struct __sk_buff *skb)
{
	struct shakeoff_probe_frame *probe;
	__u8 numbers[NUMBERS_LEN] __attribute__((aligned(4)));
	__u32 index;

	if (bpf_skb_load_bytes(skb, 0, numbers, sizeof(numbers)))
		return 0;
	index = bpf_ntohl(*(__be32 *)&numbers[TCP_SEQ]) - first_seq;
	probe = index < frame_count ? bpf_map_lookup_elem(&probe_frames, &index) : NULL;
	if (probe && is_probe(skb, probe) && same_bytes(numbers, &probe->frame[tcp_offset(probe)], NUMBERS_LEN))
		probe->arrived = 1;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
