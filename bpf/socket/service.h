/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which service a packet is for, and whether the service is being served. */
#ifndef SHAKEOFF_BPF_SOCKET_SERVICE_H
#define SHAKEOFF_BPF_SOCKET_SERVICE_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/route.h>

#include "core/ctx.h"
#include "core/maps.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "lib/cookie.h"

/* Returns NULL, or the map's value for this address and a port. */
static __always_inline __u32 *service_look_up(const struct cookie_flow *flow, __be16 port)
{
	if (flow->ipv6) {
		struct shakeoff_address6 key = { .port = port };

		__builtin_memcpy(key.address, flow->server, sizeof(key.address));
		return bpf_map_lookup_elem(&addresses6, &key);
	}
	struct shakeoff_address4 key = { .address = flow->server[0], .port = port };

	return bpf_map_lookup_elem(&addresses4, &key);
}

/* Instead of the map's value: there is none. */
#define NO_ENDPOINT (1ull << 32)

/*
 * Returns the value for the packet in scratch and this port, if its address is in a prefix that is the host's own as a
 * whole; or NO_ENDPOINT. The prefix's first address stands for all that are not in the map themselves. A global
 * function: see scratch_get().
 */
__noinline __u64 service_in_prefix(__u32 port)
{
	struct shakeoff_route_key4 key4 = { .prefix_len = 32 };
	struct shakeoff_route_key6 key6 = { .prefix_len = 128 };
	const struct scratch *scratch = scratch_get();
	struct cookie_flow first = {};
	const __u32 *service;

	if (!scratch) /* only for the verifier */
		return NO_ENDPOINT;
	first.ipv6 = scratch->packet.flow.ipv6;
	if (first.ipv6) {
		const struct own6 *own;

		__builtin_memcpy(key6.address, scratch->packet.flow.server, sizeof(key6.address));
		own = bpf_map_lookup_elem(&own6, &key6);
		if (!own)
			return NO_ENDPOINT;
		__builtin_memcpy(first.server, own->first, sizeof(first.server));
	} else {
		const __be32 *own;

		key4.address = scratch->packet.flow.server[0];
		own = bpf_map_lookup_elem(&own4, &key4);
		if (!own)
			return NO_ENDPOINT;
		first.server[0] = *own;
	}
	service = service_look_up(&first, port);
	return service ? *service : NO_ENDPOINT;
}

/*
 * Returns the value for the packet in scratch and a port, or NO_ENDPOINT. Other traffic costs one look-up on most
 * hosts.
 */
static __always_inline __u64 service_value(const struct scratch *scratch, const struct shakeoff_control *control,
					   __be16 port)
{
	const __u32 *service = service_look_up(&scratch->packet.flow, port);

	if (service)
		return *service;
	return control->own_prefixes ? service_in_prefix(port) : NO_ENDPOINT;
}

static __always_inline bool recent_is_for(const struct recent *recent, const struct cookie_flow *flow, __u32 ifindex,
					  __u32 generation)
{
	if (!generation || recent->generation != generation || recent->ifindex != ifindex ||
	    recent->address[0] != flow->server[0] || recent->port != flow->server_port || recent->ipv6 != flow->ipv6)
		return 0;
	return !flow->ipv6 || (recent->address[1] == flow->server[1] && recent->address[2] == flow->server[2] &&
			       recent->address[3] == flow->server[3]);
}

enum service_found {
	SERVICE_NONE,
	SERVICE_FOUND,
	SERVICE_PORT_ZERO, /* the address is protected, but no socket can have this port */
};

/*
 * Finds the service and the interface's profile for the packet in scratch, from the last look-up or by a new one.
 * Leaves them in scratch->recent.
 */
static __always_inline enum service_found service_find(struct scratch *scratch, const struct shakeoff_control *control,
						       __u32 ifindex)
{
	const struct cookie_flow *flow = &scratch->packet.flow;
	struct recent *recent = &scratch->recent;
	const struct shakeoff_interface *profile;
	/* Read before the look-ups, so that the next packet sees a change that comes after them. */
	__u32 generation = control->generation;
	__u64 service;

	if (recent_is_for(recent, flow, ifindex, generation))
		return SERVICE_FOUND;
	service = service_value(scratch, control, flow->server_port);
	if (service == NO_ENDPOINT)
		return SERVICE_NONE;
	if (service & SHAKEOFF_ADDRESS_ITSELF)
		return SERVICE_PORT_ZERO;
	recent->generation = generation;
	recent->ifindex = ifindex;
	__builtin_memcpy(recent->address, flow->server, sizeof(recent->address));
	recent->port = flow->server_port;
	recent->ipv6 = flow->ipv6;
	recent->service = (__u32)service & ~SHAKEOFF_ADDRESS_FLAGS;
	recent->address_flags = (__u32)service & (SHAKEOFF_ADDRESS_BYPASSED | SHAKEOFF_ADDRESS_TAGGED);
	recent->hashes_ready = 0;
	recent->listener_tick = 0;
	recent->synack.tick = 0;
	profile = bpf_map_lookup_elem(&interfaces, &ifindex);
	recent->has_profile = profile != NULL;
	recent->l2_dst = profile ? l2_dst_mac(profile->macs[0]) :
				   L2_DST_NONE; /* nearly all frames are for the interface's own */
	if (profile)
		recent->profile = *profile;
	if (!profile || !profile->vlans) /* no tag is missing here */
		recent->address_flags &= ~SHAKEOFF_ADDRESS_TAGGED;
	return SERVICE_FOUND;
}

/*
 * Returns whether the service is bypassed (bypass.h). It is not if everything is bypassed because of the host's kernel
 * or a sysctl: then the hook is there to drop out-of-state segments when there are many.
 */
static __always_inline bool service_is_bypassed(const struct shakeoff_service *service)
{
	return service->syncookies == SHAKEOFF_SYNCOOKIES_NEVER && service->bypass != SHAKEOFF_BYPASS_NONE &&
	       service->bypass != SHAKEOFF_BYPASS_KERNEL && service->bypass != SHAKEOFF_BYPASS_SYNCOOKIES;
}

/* Returns whether connections go to the listening socket, and not to the daemon. */
static __always_inline bool by_listener(const struct hook_ctx *hook)
{
	return hook->service->handoff == SHAKEOFF_HANDOFF_LISTENER;
}

enum service_health {
	SERVICE_SERVED,      /* SYNs are answered */
	SERVICE_DAEMON_DOWN, /* the daemon may come back: no SYN is answered, ACKs are still validated */
	SERVICE_NO_SERVER,   /* no server, or no daemon for longer than a cookie lives: the kernel handles everything */
};

static __always_inline enum service_health service_health(const struct shakeoff_service *service,
							  const struct shakeoff_control *control, __u64 now_ns)
{
	__u64 heartbeat = control->heartbeat_ns;
	__u64 silence = now_ns - heartbeat;

	if (!(service->flags & SHAKEOFF_SERVICE_SERVED) || !heartbeat)
		return SERVICE_NO_SERVER;
	/*
	 * Signed: another CPU may have written the heartbeat after our clock was read. Unsigned, that is 584 years of
	 * silence.
	 */
	if ((__s64)silence <= (__s64)SHAKEOFF_HEARTBEAT_TIMEOUT_NS)
		return SERVICE_SERVED;
	if (silence <= SHAKEOFF_HEARTBEAT_TIMEOUT_NS + SHAKEOFF_COOKIE_LIFETIME_NS)
		return SERVICE_DAEMON_DOWN;
	return SERVICE_NO_SERVER;
}

#endif
