/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether checksums are right (verify-checksums), of what would be answered or accepted. The kernel checks what it gets: so
 * what is longer than a frame of Ethernet, or lies in several buffers, is left to it.
 */
#ifndef SHAKEOFF_BPF_PACKET_CHECKSUM_H
#define SHAKEOFF_BPF_PACKET_CHECKSUM_H

#define CHECKSUM_MAX_WORDS (1480 / 4)
#define IPV4_MAX_WORDS 15

/* Adds `words` words, at most `max`. Returns 0, or -1 if they are not all there. */
static __always_inline int checksum_words(void *data, void *end, __u32 words, __u32 max, __u64 *sum)
{
	const __u32 *word = data;

	for (__u32 i = 0; i < max && i < words; i++) {
		/* clang would check one copy of the pointer, and load from another, which the verifier takes for unchecked. */
		asm volatile("" : "+r"(word));
		if ((void *)(word + 1) > end)
			return -1;
		*sum += *word++;
	}
	return 0;
}

/* Adds the last bytes of a segment that is no whole number of words, as if a zero followed (RFC 9293, section 3.1). */
static __always_inline int checksum_tail(const __u8 *tail, void *end, __u32 bytes, __u64 *sum)
{
	if (bytes & 2) {
		if ((void *)(tail + 2) > end)
			return -1;
		*sum += *(const __u16 *)tail;
		tail += 2;
	}
	if (bytes & 1) {
		if ((void *)(tail + 1) > end)
			return -1;
		*sum += to_be16((__u16)*tail << 8);
	}
	return 0;
}

static __always_inline __u64 checksum_pseudo_header(const struct packet *packet)
{
	const struct cookie_flow *flow = &packet->flow;
	__u64 sum = (__u64)flow->client[0] + flow->server[0] + to_be32(IPPROTO_TCP + packet->segment_len);

	if (!flow->ipv6)
		return sum;
	return csum_words(csum_words(sum, flow->client + 1, 3), flow->server + 1, 3);
}

static __always_inline _Bool ipv4_checksum_is_wrong(struct xdp_md *ctx, const struct packet *packet)
{
	__u32 words = (packet->l4_offset - packet->l3_offset) / 4;
	__u64 sum = 0;

	return !checksum_words(FRAME_START(ctx) + (packet->l3_offset & 0x1f), FRAME_END(ctx), words, IPV4_MAX_WORDS,
			       &sum) &&
	       csum_fold(sum);
}

static __always_inline _Bool tcp_checksum_is_wrong(struct xdp_md *ctx, const struct packet *packet)
{
	__u32 words = packet->segment_len / 4, bytes = packet->segment_len % 4;
	__u64 sum = checksum_pseudo_header(packet);
	void *data = FRAME_START(ctx) + (packet->l4_offset & MAX_L4_OFFSET_MASK), *end = FRAME_END(ctx);

	if (words > CHECKSUM_MAX_WORDS || (words == CHECKSUM_MAX_WORDS && bytes) ||
	    checksum_words(data, end, words, CHECKSUM_MAX_WORDS, &sum))
		return 0;
	words &= 0x1ff; /* for the verifier */
	if (checksum_tail(data + words * 4, end, bytes, &sum))
		return 0;
	return csum_fold(sum);
}

/* Of the packet in scratch, whose lengths fit. A global function: see scratch_get(). */
__noinline int checksum_is_wrong(struct xdp_md *ctx)
{
	const struct scratch *scratch = scratch_get();

	if (!scratch) /* cannot be: for the verifier */
		return 0;
	if (!scratch->packet.flow.ipv6 && ipv4_checksum_is_wrong(ctx, &scratch->packet))
		return 1;
	return tcp_checksum_is_wrong(ctx, &scratch->packet);
}

static __always_inline _Bool checksum_fails(struct xdp_md *ctx, const struct walk *walk)
{
	return (walk->control->flags & SHAKEOFF_VERIFY_CHECKSUMS) && checksum_is_wrong(ctx);
}

#endif
