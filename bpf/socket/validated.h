/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The map of tuples whose final ACK was accepted. */
#ifndef SHAKEOFF_BPF_SOCKET_VALIDATED_H
#define SHAKEOFF_BPF_SOCKET_VALIDATED_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/byteorder.h>
#include <shakeoff/validated.h>

#include "core/ctx.h"
#include "core/maps.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "lib/cookie.h"
#include "socket/socket_filter.h"

static __always_inline void tuple_of(const struct cookie_flow *flow, struct shakeoff_tuple *tuple)
{
	if (flow->ipv6) {
		__builtin_memcpy(tuple->remote, flow->client, sizeof(tuple->remote));
		__builtin_memcpy(tuple->local, flow->server, sizeof(tuple->local));
	} else {
		tuple->remote[0] = tuple->remote[1] = tuple->local[0] = tuple->local[1] = 0;
		tuple->remote[2] = tuple->local[2] = bpf_htonl(0xffff);
		tuple->remote[3] = flow->client[0];
		tuple->local[3] = flow->server[0];
	}
	tuple->remote_port = flow->client_port;
	tuple->local_port = flow->server_port;
}

static __always_inline struct shakeoff_validated *validated_at(__u32 index)
{
	return bpf_map_lookup_elem(&validated, &index);
}

/* Returns whether the entry is the tuple's. Ports first: they are enough to distinguish nearly all tuples of a set. */
static __always_inline bool validated_is_of(const struct shakeoff_validated *entry, const struct shakeoff_tuple *tuple)
{
	__u32 differs = 0;

	if (entry->tuple.remote_port != tuple->remote_port || entry->tuple.local_port != tuple->local_port)
		return 0;
	UNROLL
	for (int word = 0; word < 4; word++)
		differs |= (entry->tuple.remote[word] ^ tuple->remote[word]) |
			   (entry->tuple.local[word] ^ tuple->local[word]);
	return !differs;
}

/* Returns the index of the tuple in scratch, or -1. A global function: see scratch_get(). */
__noinline int validated_index(__u32 set)
{
	const struct scratch *scratch = scratch_get();

	if (!scratch) /* only for the verifier */
		return -1;
	UNROLL
	for (__u32 way = 0; way < SHAKEOFF_VALIDATED_WAYS; way++) {
		const struct shakeoff_validated *entry = validated_at(set + way);

		if (entry && validated_is_of(entry, &scratch->tuple))
			return set + way;
	}
	return -1;
}

/* Returns the entry of the tuple in scratch, which is that of the flow, or NULL. */
static __always_inline struct shakeoff_validated *validated_find(const struct cookie_flow *flow)
{
	int index = validated_index(shakeoff_validated_set(filter_slot(flow)));

	return index < 0 ? NULL : validated_at(index);
}

/*
 * Claims the tuple in scratch for the handshake there. Of several CPUs with duplicates of the same ACK one succeeds.
 * seen_ns: when the earlier connection of the tuple was opened, which this one replaces; 0: there was none. A CPU that
 * looked while another one was writing may have seen the time, but not the cookie yet, so the cookie is compared, too.
 * A global function: see scratch_get().
 */
__noinline int validated_claim(__u32 service_id, __u64 seen_ns)
{
	struct shakeoff_validated *ways[SHAKEOFF_VALIDATED_WAYS], *oldest, *entry = NULL;
	const struct scratch *scratch = scratch_get();
	const struct handshake *handshake;
	__u32 set;

	if (!scratch) /* only for the verifier */
		return 0;
	handshake = &scratch->handshake;
	set = shakeoff_validated_set(filter_slot(&scratch->packet.flow));
	UNROLL
	for (__u32 way = 0; way < SHAKEOFF_VALIDATED_WAYS; way++) {
		ways[way] = validated_at(set + way);
		if (!ways[way])
			return 0;
	}
	bpf_spin_lock(&ways[0]->lock);
	oldest = ways[0];
	UNROLL
	for (int way = 0; way < SHAKEOFF_VALIDATED_WAYS; way++) {
		if (ways[way]->established_ns < oldest->established_ns)
			oldest = ways[way];
		if (validated_is_of(ways[way], &scratch->tuple))
			entry = ways[way];
	}
	if (entry && (entry->established_ns != seen_ns ||
		      (entry->cookie == handshake->cookie && entry->client_isn == handshake->client_isn &&
		       (__s64)(scratch->now.now_ns - entry->established_ns) < (__s64)SHAKEOFF_FOLLOW_NS))) {
		bpf_spin_unlock(&ways[0]->lock);
		return 0;
	}
	if (!entry)
		entry = oldest;
	entry->established_ns = scratch->now.now_ns;
	entry->tuple = scratch->tuple;
	entry->client_isn = handshake->client_isn;
	entry->cookie = handshake->cookie;
	entry->replaced = handshake->replaced;
	entry->service = service_id;
	entry->followed = 0;
	entry->flags = handshake->claims;
	bpf_spin_unlock(&ways[0]->lock);
	return 1;
}

#endif
