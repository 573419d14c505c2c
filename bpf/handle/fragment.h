/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets whose TCP header cannot be read, or not in one piece: IP fragments, truncated headers, IPv6 packets with too
 * many extension headers. A packet without a port is for a service if its address has one. TCP normally avoids
 * fragmentation (RFC 9293, section 3.7.1), so few of these packets are honest. The kernel decides how fragments fit
 * together.
 */
#ifndef SHAKEOFF_BPF_HANDLE_FRAGMENT_H
#define SHAKEOFF_BPF_HANDLE_FRAGMENT_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/prefix_hash.h>
#include <shakeoff/verdict.h>

#include "core/clock.h"
#include "core/ctx.h"
#include "core/maps.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "packet/parse.h"
#include "socket/host.h"
#include "socket/service.h"
#include "limit/budget.h"

/*
 * Maximum of a 16-bit length field; longer packets have 0 there (BIG TCP: net/ipv6/ip6_offload.c, net/ipv4/af_inet.c).
 */
#define IP_LENGTH_MAX 0xffff

/*
 * Returns how many fragments to expect in a window that begins: the greatest number of the last windows, which fades to
 * an eighth in each, so that half a second after a flood it is 0. passed: windows since the one in which `last` came;
 * the others may have had none.
 */
static __always_inline __u32 fragments_expect(__u32 last, __u32 expected, __u32 passed)
{
	expected /= 8;
	if (last > expected)
		expected = last;
	return passed > 10 ? 0 : expected >> (3 * (passed - 1) & 31);
}

/* Returns whether a fragment passes, if `most` of `expected` may. lot: the same for all fragments of a packet. */
static __always_inline bool fragment_wins(__u32 lot, __u32 expected, __u32 most)
{
	return expected <= most || ((__u64)lot * expected) >> 32 < most - most / 8;
}

/*
 * Returns a salted hash of the packet that the fragment in scratch belongs to, a different one in each window. In a
 * flood all parts of a packet pass, or none, as with the kernel, whose memory has room for the whole packet or has
 * none. IPv6: the identification is the last four bytes that the parser has passed over, unless options follow the
 * fragment header.
 */
static __always_inline __u64 fragment_lots(struct xdp_md *ctx, const struct packet *packet, __u64 salt, __u32 window)
{
	__u32 offset = packet->flow.ipv6 ? packet->l4_offset - 4 : packet->l3_offset + 4;
	const __be16 *id = FRAME_START(ctx) + (offset & MAX_L4_OFFSET_MASK);
	__u64 number = packet->flow.client[0] | (__u64)window << 32;

	if (packet->flow.ipv6)
		number += (packet->flow.client[1] ^ packet->flow.client[2] * 0x9e3779b1u ^
			   packet->flow.client[3] * 0x85ebca77u) *
			  salt;
	if ((void *)(id + 2) <= FRAME_END(ctx))
		number += (id[0] | (packet->flow.ipv6 ? (__u64)id[1] << 16 : 0)) << 32;
	number *= salt | 1;
	return (number ^ number >> 32) * salt;
}

/* Counts a fragment for its prefix. Returns whether the prefix may have it in a flood. */
static __always_inline bool fragment_is_fair(const struct packet *packet, __u32 window, __u64 salt, __u32 lot,
					     __u32 most)
{
	__u64 prefix = shakeoff_prefix_number(packet->flow.ipv6, packet->flow.client);
	__u32 index = shakeoff_hash_index(prefix, salt, SHAKEOFF_FRAGMENT_CELL_BITS);
	struct shakeoff_fragment_cell *cell = bpf_map_lookup_elem(&fragment_cells, &index);

	if (!cell) /* only for the verifier */
		return 1;
	if ((__s32)(window - cell->window) > 0) {
		cell->expected = fragments_expect(cell->wanted, cell->expected, window - cell->window);
		cell->window = window;
		cell->wanted = 0;
	}
	cell->wanted++; /* without a lock, so approximate */
	most = most < SHAKEOFF_FRAGMENT_PREFIX ? 1 : most / SHAKEOFF_FRAGMENT_PREFIX;
	return fragment_wins(lot, cell->expected, most) && (cell->expected <= most ? cell->wanted <= most : 1);
}

/*
 * Returns the verdict on a fragment that may be honest: it passes within the common budget. When more come, a prefix
 * that sends many is cut to its part first. Lots decide about the rest: the first fragments of each window would be the
 * flood's.
 */
static __always_inline enum shakeoff_verdict fragment_pass(struct xdp_md *ctx, const struct packet *packet,
							   struct shakeoff_control *control, __u64 now_ns)
{
	const __u64 most = SHAKEOFF_FRAGMENT_RATE / BUDGET_WINDOWS;
	__u64 salt = control->replies.salt | 1, lots;
	__u32 before = control->fragment_window, passed;
	bool flood;

	if (budget_begins(&control->fragment_window, now_ns)) {
		passed = control->fragment_window - before;
		control->fragments_expected = fragments_expect(control->fragments_wanted, control->fragments_expected,
							       passed);
		control->fragments_fair_expected = fragments_expect(control->fragments_fair,
								    control->fragments_fair_expected, passed);
		control->fragments = control->fragments_wanted = control->fragments_fair = 0;
	}
	control->fragments_wanted++; /* without a lock, so approximate */
	flood = control->fragments_expected > most;
	lots = fragment_lots(ctx, packet, salt, control->fragment_window);
	if (!fragment_is_fair(packet, control->fragment_window, salt, lots, most) && flood)
		return SHAKEOFF_FRAG_RATE;
	control->fragments_fair++;
	if (flood && !fragment_wins(lots >> 32, control->fragments_fair_expected, most))
		return SHAKEOFF_FRAG_RATE;
	return budget_takes(&control->fragments, most) ? SHAKEOFF_FRAG_PASS : SHAKEOFF_FRAG_RATE;
}

/* Returns whether a first fragment to this port is for a bypassed service or address (bypass.h). */
static __always_inline bool fragment_is_bypassed(const struct shakeoff_control *control, __be16 port)
{
	const struct shakeoff_service *service;
	struct scratch *scratch = scratch_get();
	__u64 address;
	__u32 id;

	if (!scratch) /* only for the verifier */
		return 0;
	address = service_value(scratch, control, port);
	if (address == NO_ENDPOINT)
		return 0;
	if (address & SHAKEOFF_ADDRESS_BYPASSED)
		return 1;
	id = (__u32)address & ~SHAKEOFF_ADDRESS_FLAGS;
	service = service_get(id);
	return service && service_is_bypassed(service);
}

/*
 * Returns the verdict on a fragment. Drops forms that no fragment of a TCP segment needs, but that deceive filters (RFC
 * 1858 and RFC 3128). The first fragment has the whole header, of at least 20 bytes, so no other fragment begins within
 * these.
 */
static __always_inline enum shakeoff_verdict fragment_check(struct xdp_md *ctx, const struct packet *packet,
							    struct shakeoff_control *control, __u64 now_ns)
{
	__u32 offset = (packet->fragment & IP_OFFSET) * 8, header_len;
	void *data = FRAME_START(ctx), *end = FRAME_END(ctx);
	const struct tcphdr *tcp = data + (packet->l4_offset & MAX_L4_OFFSET_MASK);

	if (offset)
		return offset < sizeof(*tcp) ? SHAKEOFF_FRAG_TINY : fragment_pass(ctx, packet, control, now_ns);
	if ((void *)(tcp + 1) > end || packet->segment_len < sizeof(*tcp))
		return SHAKEOFF_FRAG_TINY;
	header_len = tcp->doff * 4;
	if (header_len < sizeof(*tcp) || header_len > packet->segment_len)
		return SHAKEOFF_FRAG_TINY;
	if ((((const __u8 *)tcp)[13] & TCPHDR_SYN) && !fragment_is_bypassed(control, tcp->dest))
		return SHAKEOFF_FRAG_SYN;
	return fragment_pass(ctx, packet, control, now_ns);
}

/*
 * Returns the verdict on a TCP header that is incomplete, or that is not in the first of several buffers, where drivers
 * put all but very long headers.
 */
static __always_inline enum shakeoff_verdict cut_check(struct xdp_md *ctx, const struct packet *packet, __u32 frame_len)
{
	__u32 first_buffer = ctx->data_end - ctx->data;

	if (first_buffer == frame_len)
		return SHAKEOFF_BAD_HEADER;
	return packet->flow.ipv6 && packet->l4_offset > packet->l3_offset + sizeof(struct ipv6hdr) ?
		       SHAKEOFF_IPV6_EXTHDR :
		       SHAKEOFF_NO_SERVICE;
}

/* Returns the verdict on the packet in scratch. parsed: of parse_packet(). A global function: see scratch_get(). */
__noinline int handle_fragment(struct xdp_md *ctx, int parsed, __u32 frame_len)
{
	struct scratch *scratch = scratch_get();
	struct shakeoff_control *control = control_get();
	const struct packet *packet;

	if (!scratch || !control) /* only for the verifier */
		return SHAKEOFF_NO_SERVICE;
	packet = &scratch->packet;
	if (frame_len > IP_LENGTH_MAX || service_value(scratch, control, 0) == NO_ENDPOINT)
		return parsed == PARSE_FRAGMENT ? SHAKEOFF_FRAG_PASS : SHAKEOFF_NO_SERVICE;
	if (!frame_is_for_host(ctx->ingress_ifindex))
		return SHAKEOFF_NO_SERVICE;
	now_read(&scratch->now, control);
	if (parsed == PARSE_FRAGMENT)
		return fragment_check(ctx, packet, control, scratch->now.now_ns);
	return parsed == PARSE_CHAIN ? SHAKEOFF_IPV6_EXTHDR : cut_check(ctx, packet, frame_len);
}

#endif
