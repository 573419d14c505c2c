/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel checks before it takes in a packet or replies: is the frame for this host, and would a reply reach
 * its source?
 */
#ifndef SHAKEOFF_BPF_SOCKET_HOST_H
#define SHAKEOFF_BPF_SOCKET_HOST_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/byteorder.h>
#include <shakeoff/route.h>
#include <shakeoff/socket_filter.h>

#include "core/ctx.h"
#include "core/maps.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "lib/cookie.h"
#include "socket/offer.h"

/* Returns whether it is a MAC address of the interface, or of a device above it. mac: of l2_dst_mac(). */
static __always_inline bool mac_is_known(__u64 mac, const struct shakeoff_interface *profile)
{
	for (int i = 0; i < SHAKEOFF_MACS; i++)
		if (i < profile->mac_count && mac == l2_dst_mac(profile->macs[i]))
			return 1;
	return 0;
}

/*
 * Returns whether the frame in scratch, which came in by this interface, is for this host: by its MAC address, and by
 * its VLAN tag, for which there must be a device: vlan_do_receive(), net/8021q/vlan_core.c. Without a profile every
 * frame is taken to be. A global function: see scratch_get().
 */
__noinline int frame_is_for_host(__u32 ifindex)
{
	const struct shakeoff_interface *profile = bpf_map_lookup_elem(&interfaces, &ifindex);
	const struct scratch *scratch = scratch_get();
	__u32 vlan;

	if (!scratch) /* only for the verifier */
		return 0;
	if (!profile)
		return 1;
	if (!mac_is_known(scratch->packet.l2_dst & ((1ull << L2_DST_VLAN_SHIFT) - 1), profile))
		return 0;
	vlan = scratch->packet.l2_dst >> L2_DST_VLAN_SHIFT;
	if (!vlan)
		return 1;
	vlan = SHAKEOFF_VLAN_KEY(ifindex, vlan);
	return ifindex <= SHAKEOFF_VLAN_IFINDEX_MAX && bpf_map_lookup_elem(&vlans, &vlan) != NULL;
}

/* Returns the same for a packet whose service was found, and remembers the result with the service. */
static __always_inline bool frame_is_ours(struct scratch *scratch)
{
	const struct packet *packet = &scratch->packet;
	struct recent *recent = &scratch->recent;

	if (recent->l2_dst == packet->l2_dst)
		return 1;
	if (!frame_is_for_host(recent->ifindex))
		return 0;
	if (recent->has_profile) /* without one, a profile that appears later must be consulted */
		recent->l2_dst = packet->l2_dst;
	return 1;
}

/*
 * Returns whether the source of the packet in scratch is one of the host's own addresses. A global function: see
 * scratch_get().
 */
__noinline int source_is_own_address(void)
{
	struct shakeoff_route_key4 key4 = { .prefix_len = 32 };
	struct shakeoff_route_key6 key6 = { .prefix_len = 128 };
	const struct scratch *scratch = scratch_get();

	if (!scratch) /* only for the verifier */
		return 0;
	if (scratch->packet.flow.ipv6) {
		__builtin_memcpy(key6.address, scratch->packet.flow.client, sizeof(key6.address));
		return bpf_map_lookup_elem(&own6, &key6) != NULL;
	}
	key4.address = scratch->packet.flow.client[0];
	return bpf_map_lookup_elem(&own4, &key4) != NULL;
}

static __always_inline bool source_may_be_own(const struct cookie_flow *flow, const struct shakeoff_control *control)
{
	__u32 bit = shakeoff_own_bit(flow->ipv6 ? shakeoff_filter_fold(flow->client) : flow->client[0]);

	return control->own[(bit / 32) & (SHAKEOFF_OWN_WORDS - 1)] & 1u << (bit % 32);
}

/*
 * Returns whether the kernel may not answer the source of the packet in scratch, or not by this interface. Either the
 * source is one of the host's own addresses (a martian source: fib_validate_source(), net/ipv4/fib_frontend.c; in IPv6
 * the reply stays on the host), or routes and rp_filter refuse it. Finds the packet's route.
 */
static __always_inline bool source_is_unrouted(const struct hook_ctx *hook)
{
	const struct recent *recent = &hook->scratch->recent;
	__u32 refused;

	route_find(hook->scratch, hook->control);
	refused = hook->scratch->route.refused;
	if (refused && recent->has_profile && (refused & recent->profile.route_bit))
		return 1;
	return source_may_be_own(&hook->scratch->packet.flow, hook->control) && source_is_own_address();
}

/*
 * Fills scratch->next_hop: where the kernel would send replies to the source of the packet in scratch, whose route is
 * found, by the interface of this bit. Returns 0 if the daemon does not know. A global function: see scratch_get().
 */
__noinline int next_hop_find(__u32 route_bit)
{
	struct shakeoff_neighbour key = { .route_bit = route_bit };
	const struct shakeoff_next_hop *found;
	struct scratch *scratch = scratch_get();
	const struct cookie_flow *flow;

	if (!scratch) /* only for the verifier */
		return 0;
	flow = &scratch->packet.flow;
	if (!scratch->route.on_link) {
		__builtin_memcpy(scratch->next_hop.mac, scratch->route.mac, sizeof(scratch->next_hop.mac));
		return (scratch->route.mac[0] | scratch->route.mac[1] | scratch->route.mac[2]) != 0;
	}
	if (flow->ipv6) {
		__builtin_memcpy(key.address, flow->client, sizeof(key.address));
	} else {
		key.address[2] = bpf_htonl(0xffff);
		key.address[3] = flow->client[0];
	}
	found = bpf_map_lookup_elem(&neighbours, &key);
	if (!found)
		return 0;
	scratch->next_hop = *found;
	return 1;
}

/*
 * Returns whether SYN-ACKs go to the route's next hop. At a VRF's port, whose routes are not read, they go to the SYN's
 * sender.
 */
static __always_inline bool answers_by_route(const struct hook_ctx *hook)
{
	const struct recent *recent = &hook->scratch->recent;

	return (hook->control->flags & SHAKEOFF_ANSWER_ROUTE) && recent->has_profile && recent->profile.route_bit;
}

static __always_inline bool next_hop_is_known(const struct hook_ctx *hook)
{
	return !answers_by_route(hook) || next_hop_find(hook->scratch->recent.profile.route_bit);
}

/* Addresses the frame, by now the reply, to scratch->next_hop. A global function: see scratch_get(). */
__noinline int reply_to_next_hop(struct xdp_md *ctx)
{
	const struct scratch *scratch = scratch_get();
	__be16 *destination = FRAME_START(ctx);

	if (!scratch || (void *)(destination + 3) > FRAME_END(ctx)) /* only for the verifier */
		return 0;
	destination[0] = scratch->next_hop.mac[0];
	destination[1] = scratch->next_hop.mac[1];
	destination[2] = scratch->next_hop.mac[2];
	return 1;
}

#endif
