/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One frame a run, sent from an interface. Frames of a live test run come back from the page pool with the bytes that
 * the receiver wrote into them, so each is written from its first to its last byte.
 *
 * The layout of a frame is constant when the program is loaded: the verifier removes the code that its kind does not
 * need.
 */
#include <vmlinux.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flood.h"

const volatile struct flood_frame frames[2];
const volatile bool pairs; /* two kinds of frames alternately, with the same random numbers; otherwise only the first */
const volatile __u32 out_ifindex;
const volatile bool ipv6;
const volatile bool narrow; /* all sources are in one prefix */
const volatile __u64 rate;  /* frames a second, 0: no pacing */

/* One CPU runs this program, one run after the other. */
__u64 random_state;
__u64 start_ns;
__u64 sent;
struct flood_numbers last;

static __always_inline __u64 next_random(void)
{
	__u64 x = random_state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	random_state = x;
	return x * 0x2545f4914f6cdd1dull;
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline bool too_early(void)
{
	if (!start_ns)
		start_ns = bpf_ktime_get_ns();
	return rate && sent * 1000000000ull >= (bpf_ktime_get_ns() - start_ns) * rate;
}

/* The check at the top is the only one: lengths and offsets are numbers that the verifier knows. */
static __always_inline int fill(const volatile struct flood_frame *frame, void *data, void *end)
{
	__u32 len = frame->len, i;

	if (data + len > end)
		return -1;
#pragma unroll
	for (i = 0; i < FLOOD_FRAME_MAX / 8; i++) {
		__u64 *to = (__u64 *)data + i;

		if (i * 8 + 8 <= len) {
			*to = frame->words[i];
		} else if (i * 8 < len) {
			__u16 *half = (__u16 *)to;
			__u64 word = frame->words[i];

			/* Frames are a whole number of 16-bit words: 1 to 3 remain. */
			half[0] = word;
			if (i * 8 + 4 <= len)
				half[1] = word >> 16;
			if (i * 8 + 6 <= len)
				half[2] = word >> 32;
		}
	}
	return 0;
}

/* Writes a field, if the frame has it. Returns the amount that it adds to the checksum. */
static __always_inline __u32 put32(void *data, __u32 offset, __u32 value)
{
	if (!offset)
		return 0;
	*(__u32 *)(data + offset) = value;
	return value;
}

static __always_inline __u32 put16(void *data, __u32 offset, __u16 value)
{
	if (!offset)
		return 0;
	*(__u16 *)(data + offset) = value;
	return value;
}

static __always_inline __u64 put_source(const volatile struct flood_frame *frame, void *data,
					const struct flood_numbers *numbers)
{
	if (!frame->source)
		return 0;
	if (ipv6)
		return (__u64)put32(data, frame->source, narrow ? 0 : numbers->second >> 32) +
		       put32(data, frame->source + 4, numbers->first) + put32(data, frame->source + 8, numbers->second);
	return put32(data, frame->source,
		     bpf_htonl(FLOOD_PREFIX4 | ((__u32)numbers->first & ~(narrow ? FLOOD_NARROW_MASK4 : FLOOD_MASK4))));
}

static __always_inline int frame_write(const volatile struct flood_frame *frame, void *data, void *end,
				       const struct flood_numbers *numbers)
{
	__u64 sum;

	if (fill(frame, data, end))
		return -1;
	sum = put_source(frame, data, numbers);
	if (frame->ip_check)
		put16(data, frame->ip_check, fold(frame->ip_sum + sum + put16(data, frame->ip_id, numbers->second)));
	put32(data, frame->fragment, numbers->second);

	/* No privileged port, never 0. */
	sum += put16(data, frame->port, (numbers->second >> 48) | bpf_htons(1024));
	sum += put32(data, frame->seq, numbers->first >> 32);
	sum += put32(data, frame->ack, numbers->third >> 32);
	sum += put32(data, frame->tsval, numbers->second >> 16);
	sum += put32(data, frame->tsecr, numbers->third);
	put16(data, frame->tcp_check, fold(frame->tcp_sum + sum));
	return 0;
}

/* A random ACK number that a receiver checks takes as many random bits as all other fields together. */
static __always_inline void draw(struct flood_numbers *numbers)
{
	numbers->first = next_random();
	numbers->second = next_random();
	numbers->third = frames[0].ack ? next_random() : 0;
}

SEC("xdp")
int flood(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct flood_numbers numbers;
	int err;

	if (too_early())
		return XDP_DROP;
	if (pairs && sent % 2) {
		numbers = last;
		err = frame_write(&frames[1], data, end, &numbers);
	} else {
		draw(&numbers);
		if (pairs)
			last = numbers;
		err = frame_write(&frames[0], data, end, &numbers);
	}
	if (err)
		return XDP_DROP;
	sent++;
	return bpf_redirect(out_ifindex, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
