// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The tc entry at ingress: gives ACKs that the XDP program has validated to the listening socket. The connection then
 * waits in that socket's own accept queue.
 *
 *	packet -> our metadata? -> the listening socket -> bpf_sk_assign_tcp_reqsk() -> the kernel's TCP
 *	             |
 *	             +-> an ACK that lost its metadata on the way? -> cookie good? -> the same
 *	             +-> arrived on another CPU than its ACK? -> waits for the connection's socket
 *	             +-> a probe of the daemon's self-test? -> the daemon's own listening socket
 *
 * Everything else passes unchanged to the next program and to the stack.
 *
 * The tc entry at egress: handle/outgoing.h.
 */
#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include "core/clock.h"
#include "packet/options.h"
#include "socket/conntrack.h"
#include "socket/offer.h"
#include "socket/validated.h"
#include "cookie/verify.h"
#include "handle/outgoing.h"
#include "handle/probe.h"

/* Maximum time from an ACK's validation to its arrival here, in ticks (1 to 10 ms, depending on the kernel). */
#define ON_THEIR_WAY_TICKS 50

/* Room for Ethernet, IP and TCP headers with their options, which must be in one piece to be read. */
#define HEADERS_BYTES 192u

/* The hook's metadata on a packet. */
enum metadata_hint {
	HINT_NONE,
	HINT_ADMIT, /* a validated ACK: *metadata is set */
	HINT_WAIT,  /* a segment that may arrive before its connection exists */
};

static __always_inline enum metadata_hint metadata_read(struct __sk_buff *skb, const struct shakeoff_control *control,
							struct metadata *metadata)
{
	const struct metadata *raw = (void *)(long)skb->data_meta;

	if (skb->cb[0] == metadata_magic(control, METADATA_WAITS))
		return HINT_WAIT;
	if ((void *)(&raw->magic + 1) > FRAME_START(skb))
		return HINT_NONE;
	if (raw->magic == metadata_magic(control, METADATA_WAITS))
		return HINT_WAIT;
	if (raw->magic != metadata_magic(control, METADATA_MAGIC) || (void *)(raw + 1) > FRAME_START(skb))
		return HINT_NONE;
	*metadata = *raw;
	return HINT_ADMIT;
}

static __always_inline bool headers_read(struct __sk_buff *skb, struct packet *packet)
{
	__u32 wanted = skb->len < HEADERS_BYTES ? skb->len : HEADERS_BYTES;

	if (skb->data_end - skb->data < wanted && bpf_skb_pull_data(skb, wanted))
		return 0;
	barrier_var(skb); /* as in reply_build(): clang would keep skb + 80, which the verifier refuses */
	return !parse_packet(FRAME_START(skb), FRAME_END(skb), packet);
}

/*
 * Reads the cookie again, of a validated ACK whose metadata got lost, or of another segment with the same cookie that
 * arrives first. request_assign(), which has the listening socket, adds the window scale.
 */
static __always_inline bool metadata_recover(struct __sk_buff *skb, struct hook_ctx *hook,
					     const struct shakeoff_validated *entry, struct metadata *metadata)
{
	struct scratch *scratch = hook->scratch;
	const struct packet *packet = &scratch->packet;
	if ((packet->flags & (TCPHDR_SYN | TCPHDR_RST | TCPHDR_ACK)) != TCPHDR_ACK)
		return 0;
	if (entry->cookie != packet->ack - 1 || entry->client_isn != packet->seq - 1)
		return 0;
	if (service_find(scratch, hook->control, skb->ifindex) != SERVICE_FOUND || !scratch->recent.has_profile)
		return 0;
	hook->service_id = scratch->recent.service;
	hook->service = service_get(hook->service_id);
	if (!hook->service)
		return 0;
	now_read(&scratch->now, hook->control);
	hook->now_ns = scratch->now.now_ns;
	if (options_find(FRAME_START(skb), FRAME_END(skb), packet, scratch) == OPTIONS_MISSING ||
	    ack_verify(packet, hook, &scratch->opt) != COOKIE_GOOD)
		return 0;
	metadata_fill(metadata, hook->control, hook->service_id, &scratch->recent.profile, &scratch->handshake,
		      SHAKEOFF_NO_WSCALE, &scratch->opt);
	return 1;
}

/*
 * Assigns the request to the listening socket that the kernel's own look-up finds, with the group's choice
 * (SO_REUSEPORT). recovered: the window scale is not known yet.
 */
static __always_inline bool request_assign(struct __sk_buff *skb, const struct hook_ctx *hook,
					   struct metadata *metadata, bool recovered)
{
	struct scratch *scratch = hook->scratch;
	struct bpf_sock *sk = socket_look_up(skb, &scratch->packet.flow);
	bool assigned = 0;

	if (!sk)
		return 0;
	if (sk->state == BPF_TCP_LISTEN) {
		if (recovered) {
			listener_read(sk, &scratch->recent.listener);
			route_find(scratch, hook->control);
			metadata->rcv_wscale = offer_wscale(hook->service_id);
		}
		assigned = assign_to(skb, sk, metadata);
	}
	bpf_sk_release(sk);
	return assigned;
}

static __always_inline void count_admission(const struct __sk_buff *skb, const struct metadata *metadata, bool assigned)
{
	__u32 service_id = metadata->service, ifindex = skb->ifindex;
	struct shakeoff_admissions *admitted = bpf_map_lookup_elem(&admissions, &ifindex);
	struct shakeoff_service_counters *counters = bpf_map_lookup_elem(&service_counts, &service_id);
	struct shakeoff_service *service = service_get(service_id);

	if (admitted)
		__sync_fetch_and_add(&admitted->reached, 1);
	if (!counters || !service)
		return;
	if (assigned)
		counters->admitted++;
	else
		counters->unadmitted++;
	__sync_fetch_and_add(&service->dequeued, 1);
}

/*
 * How long after the hook saw the ACK a segment may wait for the connection's socket. It waits by going round through
 * the CPU's backlog queue, usually for a few microseconds. The hook's clock advances in ticks of up to 10 ms.
 */
#define WAIT_NS (15 * NSEC_PER_MSEC)

/*
 * Maximum number of rounds that all segments of a CPU may make in a tick. A round takes about a microsecond. If TCP or
 * a firewall drops an ACK, there will be no socket, and an attacker must not keep a CPU busy with such ACKs.
 */
#define WAIT_ROUNDS_A_TICK 512

/* Returns whether a segment may make one more round now. */
static __always_inline bool wait_may_go_on(struct scratch *scratch)
{
	__u64 tick = bpf_jiffies64();

	if (scratch->wait_tick != tick) {
		scratch->wait_tick = tick;
		scratch->wait_rounds = 0;
	}
	return scratch->wait_rounds++ < WAIT_ROUNDS_A_TICK;
}

static __always_inline bool socket_is_there(struct __sk_buff *skb, const struct cookie_flow *flow)
{
	struct bpf_sock *sk = socket_look_up(skb, flow);
	bool there;

	if (!sk)
		return 0;
	there = sk->state != BPF_TCP_LISTEN;
	bpf_sk_release(sk);
	return there;
}

/*
 * Holds a segment until its connection's socket exists. Another CPU brings the ACK to the listening socket, or has done
 * so. Without the connection's socket the segment would meet the listening one, which refuses it with RST.
 */
static __always_inline int segment_hold(struct __sk_buff *skb, const struct hook_ctx *hook,
					const struct shakeoff_validated *entry, enum metadata_hint hint)
{
	if (socket_is_there(skb, &hook->scratch->packet.flow))
		return TCX_NEXT;
	/* Signed: another CPU may have made the entry after our clock was read. */
	if ((__s64)(bpf_ktime_get_ns() - entry->established_ns) > (__s64)WAIT_NS || !wait_may_go_on(hook->scratch))
		return hint == HINT_WAIT ? TCX_DROP : TCX_NEXT;
	skb->cb[0] = metadata_magic(hook->control, METADATA_WAITS);
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}

/* Handles a segment whose ACK has its request already, made by this packet's CPU or by another. */
static __always_inline int segment_follow(struct __sk_buff *skb, const struct hook_ctx *hook,
					  const struct shakeoff_validated *entry, enum metadata_hint hint)
{
	/*
	 * It is behind its ACK, in order, and needs no look-up. Or it is the ACK itself: while the program's position
	 * at tc is changed, the program is attached twice, and both may get the ACK.
	 */
	if (hint != HINT_WAIT && SHAKEOFF_VALIDATED_TC_CPU(entry) == bpf_get_smp_processor_id() + 1)
		return TCX_NEXT;
	return segment_hold(skb, hook, entry, hint);
}

/*
 * Claims the connection for this packet. When an ACK and a segment with the same cookie are on two CPUs at the same
 * time, only one gets the request. The kernel would drop a second one, with its data.
 */
static __always_inline bool metadata_claim(struct shakeoff_validated *entry)
{
	__u32 before = SHAKEOFF_VALIDATED_HOOK_CPU(entry), cpu = bpf_get_smp_processor_id() + 1;

	if (__sync_val_compare_and_swap(&entry->replaced, before, before | cpu << 16) != before)
		return 0;
	entry->flags |= SHAKEOFF_VALIDATED_ADMITTED;
	return 1;
}

/*
 * Handles a packet on its way to the netfilter program (input.bpf.c). The first of the connection ends connection
 * tracking's entry for the tuple's last connection. Once the ACK has arrived there, the hint is dropped, so that later
 * segments need no look-up.
 */
static __always_inline void input_forget(struct __sk_buff *skb, const struct hook_ctx *hook,
					 struct shakeoff_validated *entry)
{
	const struct cookie_flow *flow = &hook->scratch->packet.flow;

	if (entry->flags & SHAKEOFF_VALIDATED_TAKEN) {
		filter_drop_hint(flow, hook->control, SHAKEOFF_FILTER_PENDING);
	} else if (!(entry->flags & SHAKEOFF_VALIDATED_UNTRACKED)) {
		entry->flags |= SHAKEOFF_VALIDATED_UNTRACKED;
		conntrack_forget(skb, flow);
	}
}

static __always_inline int admit_packet(struct __sk_buff *skb)
{
	struct shakeoff_validated *entry;
	struct metadata metadata;
	struct packet *packet;
	struct hook_ctx hook = {};
	enum metadata_hint hint;
	bool assigned;

	if (probe_take(skb))
		return TCX_NEXT;
	hook.scratch = scratch_get();
	hook.control = control_get();
	if (!hook.scratch || !hook.control) /* only for the verifier */
		return TCX_NEXT;
	packet = &hook.scratch->packet;
	hint = metadata_read(skb, hook.control, &metadata);
	/*
	 * For another host (promiscuous mode, a flooding switch): the hook passes it without metadata, and the stack
	 * drops it.
	 */
	if (hint == HINT_NONE && skb->pkt_type != PACKET_HOST)
		return TCX_NEXT;
	if (hint == HINT_NONE && bpf_jiffies64() - hook.control->claimed_tick > ON_THEIR_WAY_TICKS)
		return TCX_NEXT;
	if (!headers_read(skb, packet))
		return TCX_NEXT;
	if (hint == HINT_NONE && !filter_has_hint(&packet->flow, hook.control, SHAKEOFF_FILTER_PENDING))
		return TCX_NEXT;
	tuple_of(&packet->flow, &hook.scratch->tuple);
	entry = validated_find(&packet->flow);
	if (!entry && hint != HINT_ADMIT) /* a flood of good cookies has evicted it, or the hint is another tuple's */
		return hint == HINT_WAIT && !socket_is_there(skb, &packet->flow) ? TCX_DROP : TCX_NEXT;
	if (entry && (entry->flags & SHAKEOFF_VALIDATED_INPUT)) {
		input_forget(skb, &hook, entry);
		return TCX_NEXT;
	}
	if (entry && (entry->flags & SHAKEOFF_VALIDATED_ADMITTED))
		return segment_follow(skb, &hook, entry, hint);
	if (entry && hint != HINT_ADMIT && !metadata_recover(skb, &hook, entry, &metadata))
		return segment_hold(skb, &hook, entry, hint);
	if (entry && !metadata_claim(entry))
		return segment_hold(skb, &hook, entry, hint);
	/*
	 * Later segments then need no look-up. Where metadata does not get here the hint stays: another tuple of the
	 * slot may be on its way, and has only the hint. A tuple can lose its hint to another one only where interfaces
	 * with and without metadata share the map: two ACKs of one slot (1 in 262,144) within microseconds.
	 */
	if (hint == HINT_ADMIT)
		filter_drop_hint(&packet->flow, hook.control, SHAKEOFF_FILTER_PENDING);
	assigned = request_assign(skb, &hook, &metadata, hint != HINT_ADMIT);
	if (assigned)
		conntrack_forget(skb, &packet->flow);
	count_admission(skb, &metadata, assigned);
	return TCX_NEXT;
}

SEC("tc")
int shakeoff_admit(struct __sk_buff *skb)
{
	return admit_packet(skb);
}

SEC("tc")
int shakeoff_outgoing(struct __sk_buff *skb)
{
	outgoing_note(skb);
	return TCX_NEXT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
