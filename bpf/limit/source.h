/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is remembered of sources that have proved their address (shakeoff/source.h): known sources, limits, fair shares.
 */
#ifndef SHAKEOFF_BPF_LIMIT_SOURCE_H
#define SHAKEOFF_BPF_LIMIT_SOURCE_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/byteorder.h>
#include <shakeoff/source.h>

#include "core/ctx.h"
#include "core/maps.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "lib/cookie.h"
#include "lib/fair_share.h"
#include "lib/rate.h"
#include "socket/lookup.h"
#include "limit/queue_state.h"

static __always_inline void source_key(const struct cookie_flow *flow, __u32 service_id,
				       const struct shakeoff_service *service, struct shakeoff_source_key *key)
{
	*key = (struct shakeoff_source_key){ .service = service_id, .prefix = { flow->client[0] } };
	if (flow->ipv6) {
		key->service |= SHAKEOFF_SOURCE_IPV6;
		key->prefix[1] = service->source_prefix6 == 48 ? flow->client[1] & bpf_htonl(0xffff0000) :
								 flow->client[1];
	} else if (service->source_prefix4 == 24) {
		key->prefix[0] &= bpf_htonl(0xffffff00);
	}
}

/* Turns the key of a source into that of its site. Returns whether it has one. */
static __always_inline bool source_key_site(const struct cookie_flow *flow, const struct shakeoff_service *service,
					    struct shakeoff_source_key *key)
{
	if (!flow->ipv6 || service->source_prefix6 == 48)
		return 0;
	key->service |= SHAKEOFF_SOURCE_SITE;
	key->prefix[1] &= bpf_htonl(0xffff0000);
	return 1;
}

/* Returns the source of the packet in scratch, or NULL. */
static __always_inline struct shakeoff_source *source_find(const struct scratch *scratch, __u32 service_id,
							   const struct shakeoff_service *service)
{
	struct shakeoff_source_key key;

	source_key(&scratch->packet.flow, service_id, service, &key);
	return bpf_map_lookup_elem(&sources, &key);
}

/* Returns the site of that source, or NULL. */
static __always_inline struct shakeoff_source *source_find_site(const struct scratch *scratch, __u32 service_id,
								const struct shakeoff_service *service)
{
	struct shakeoff_source_key key;

	source_key(&scratch->packet.flow, service_id, service, &key);
	return source_key_site(&scratch->packet.flow, service, &key) ? bpf_map_lookup_elem(&sources, &key) : NULL;
}

/* Returns whether the source, which may be NULL, has completed a handshake lately. */
static __always_inline bool source_knows(const struct shakeoff_source *source, __u64 now_ns)
{
	return source && (__s64)(now_ns - source->known_ns) <= (__s64)SHAKEOFF_SOURCE_KNOWN_NS;
}

/* Returns the same for the source of the packet in scratch. A global function: see scratch_get(). */
__noinline int source_is_known(__u32 service_id)
{
	const struct shakeoff_service *service = service_get(service_id);
	const struct scratch *scratch = scratch_get();

	if (!scratch || !service) /* only for the verifier */
		return 0;
	return source_knows(source_find(scratch, service_id, service), scratch->now.now_ns);
}

/*
 * Counts one more reply beyond the prefix's budget (synack_rate.h), if the source of the packet in scratch is known and
 * was sent fewer than `most` of them in this window. Returns whether it may be sent. A global function: see
 * scratch_get().
 */
__noinline int source_takes_reply(__u32 service_id, __u32 window, __u32 most)
{
	const struct shakeoff_service *service = service_get(service_id);
	const struct scratch *scratch = scratch_get();
	struct shakeoff_source *source;

	if (!scratch || !service) /* only for the verifier */
		return 0;
	source = source_find(scratch, service_id, service);
	if (!source || !source_knows(source, scratch->now.now_ns))
		return 0;
	/*
	 * Another window, but not one of the next two, in which another CPU may be. The number wraps every 73 minutes.
	 */
	if ((__u16)(source->window - window) > 2) {
		source->window = window;
		source->count = 0;
	}
	if (source->count >= most)
		return 0;
	__sync_fetch_and_add(&source->count, 1);
	return 1;
}

/*
 * Returns whether all recent connections are of one source. Signed: another CPU may have written after our clock was
 * read.
 */
static __always_inline bool source_is_alone(const struct shakeoff_service *service, __u64 now_ns)
{
	return (__s64)(now_ns - service->mixed_ns) > (__s64)SHAKEOFF_FAIR_SHARE_ALONE_NS;
}

static __always_inline void source_note_last(struct shakeoff_service *service, const struct shakeoff_source_key *key,
					     __u64 now_ns)
{
	__u32 hash = ((key->prefix[0] ^ key->prefix[1] * 0x9e3779b1u) + key->service) | 1;

	if (service->last_source == hash)
		return;
	if (service->last_source)
		service->mixed_ns = now_ns;
	service->last_source = hash;
}

enum source_result { SOURCE_ADMITTED, SOURCE_QUEUE_FULL, SOURCE_LIMITED, SOURCE_HOLDS_FAIR_SHARE };

/* Checks a source, or a site, which may be NULL, against its limit and its fair share. */
static __always_inline enum source_result source_result(const struct shakeoff_source *source,
							struct shakeoff_service *service,
							const struct queue_state *queue, __u64 now_ns, bool site)
{
	__u32 limits = site ? SHAKEOFF_SITE_LIMITS : 1; /* times those of one source */
	bool alone;

	if (!source)
		return SOURCE_ADMITTED;
	if (service->accept_interval_ns &&
	    !rate_allows(source->accepted_ns, now_ns, service->accept_interval_ns / limits,
			 service->accept_burst * limits))
		return SOURCE_LIMITED;
	alone = source_is_alone(service, now_ns);
	if (!(site ? fair_share_site_is_used_up(source, queue, alone) : fair_share_is_used_up(source, queue, alone)))
		return SOURCE_ADMITTED;
	service->fair_share_ns = now_ns;
	return SOURCE_HOLDS_FAIR_SHARE;
}

/*
 * Returns enum source_result: whether the source of the packet in scratch, whose address is proved, may have one more
 * connection. allowed: neither limit nor fair share applies to it. A global function: see scratch_get().
 */
__noinline int source_check(__u32 service_id, __u32 allowed)
{
	struct shakeoff_service *service = service_get(service_id);
	const struct scratch *scratch = scratch_get();
	enum source_result result;
	struct queue_state queue;

	if (!scratch || !service) /* only for the verifier */
		return SOURCE_ADMITTED;
	queue_state_read(scratch, service, &queue);
	if (queue.free <= 0)
		return SOURCE_QUEUE_FULL;
	if (allowed)
		return SOURCE_ADMITTED;
	result = source_result(source_find(scratch, service_id, service), service, &queue, scratch->now.now_ns, 0);
	if (result != SOURCE_ADMITTED)
		return result;
	return source_result(source_find_site(scratch, service_id, service), service, &queue, scratch->now.now_ns, 1);
}

/*
 * Returns whether the source of the SYN in scratch holds its fair share of a queue with little room. Looks only while
 * some source does: nearly always the SYN is a flood's, whose sources hold nothing. A global function: see
 * scratch_get().
 */
__noinline int source_holds_fair_share(__u32 service_id, __u32 allowed)
{
	struct shakeoff_service *service = service_get(service_id);
	const struct scratch *scratch = scratch_get();
	const struct shakeoff_source *source, *site;
	struct queue_state queue;
	bool alone;

	if (!scratch || !service) /* only for the verifier */
		return 0;
	if (allowed || !service->fair_share_ns ||
	    (__s64)(scratch->now.now_ns - service->fair_share_ns) > (__s64)SHAKEOFF_FAIR_SHARE_WATCH_NS)
		return 0;
	queue_state_read(scratch, service, &queue);
	alone = source_is_alone(service, scratch->now.now_ns);
	source = source_find(scratch, service_id, service);
	site = source_find_site(scratch, service_id, service);
	if (!(source && fair_share_is_used_up(source, &queue, alone)) &&
	    !(site && fair_share_site_is_used_up(site, &queue, alone)))
		return 0;
	service->fair_share_ns = scratch->now.now_ns;
	return 1;
}

/* Returns a new entry to fill. Not on the stack, where older verifiers refuse array indexes that vary at run time. */
static __always_inline struct shakeoff_source *source_fresh(struct scratch *scratch)
{
	scratch->source = (struct shakeoff_source){};
	return &scratch->source;
}

/*
 * Returns whether one more of the site's sources may be remembered in this turn. Counted without a lock, so
 * approximate.
 */
static __always_inline bool site_remembers(struct shakeoff_source *site, __u64 now_ns)
{
	__u16 turn = now_ns / SHAKEOFF_SOURCE_KNOWN_NS;

	if (site->window != turn) {
		site->window = turn;
		site->count = 0;
	}
	if (site->count >= SHAKEOFF_SITE_SOURCES)
		return 0;
	site->count++;
	return 1;
}

/*
 * Makes the source of the packet in scratch, or its site, known: it has proved its address. established: it got this
 * position in the accept queue. A global function: see scratch_get().
 */
__noinline int source_enter(__u32 service_id, __u64 position, __u32 established, __u32 site)
{
	struct shakeoff_service *service = service_get(service_id);
	struct shakeoff_source *known, *source, *its_site;
	__u32 limits = site ? SHAKEOFF_SITE_LIMITS : 1;
	struct scratch *scratch = scratch_get();
	struct shakeoff_source_key key;
	struct queue_state queue;
	__u64 now_ns;

	if (!scratch || !service) /* only for the verifier */
		return 0;
	now_ns = scratch->now.now_ns;
	source_key(&scratch->packet.flow, service_id, service, &key);
	if (established && !site)
		source_note_last(service, &key, now_ns);
	if (site && !source_key_site(&scratch->packet.flow, service, &key))
		return 0;
	known = bpf_map_lookup_elem(&sources, &key);
	source = known ? known : source_fresh(scratch);
	source->known_ns = now_ns;
	if (established) {
		queue_state_read(scratch, service, &queue);
		source->accepted_ns = rate_next(source->accepted_ns, now_ns, service->accept_interval_ns / limits,
						service->accept_burst * limits, 1);
		fair_share_enter(source, position, queue.capacity);
	}
	if (known)
		return 0;
	its_site = site ? NULL : source_find_site(scratch, service_id, service);
	if (!its_site || site_remembers(its_site, now_ns))
		bpf_map_update_elem(&sources, &key, source, BPF_NOEXIST);
	return 0;
}

/*
 * Notes that the source of the packet in scratch has opened a connection, with the hook or with the kernel. position:
 * the one that it got in the accept queue. A global function: see scratch_get().
 */
__noinline int source_proved(__u32 service_id, __u64 position, __u32 established)
{
	const struct scratch *scratch = scratch_get();

	if (!scratch) /* only for the verifier */
		return 0;
	if (scratch->packet.flow.ipv6)
		source_enter(service_id, position, established, 1);
	source_enter(service_id, position, established, 0);
	return 0;
}

/*
 * Looks up the socket of a sampled segment: if it is established, the source becomes known. Where the kernel makes the
 * handshakes, the hook does not see them succeed. A global function: see scratch_get().
 */
__noinline int source_look(struct xdp_md *ctx, __u32 service_id)
{
	struct scratch *scratch = scratch_get();
	struct bpf_sock *sk;
	bool established;

	if (!scratch) /* only for the verifier */
		return 0;
	sk = socket_look_up(ctx, &scratch->packet.flow);
	if (!sk)
		return 0;
	established = sk->state == BPF_TCP_ESTABLISHED;
	bpf_sk_release(sk);
	if (!established)
		return 0;
	source_proved(service_id, 0, 0);
	return 1;
}

#endif
