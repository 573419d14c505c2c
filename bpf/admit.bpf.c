// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The tc entry, at ingress: gives what the XDP program has validated to the listening socket, whose own queue the connection
 * then waits in.
 *
 *	packet -> metadata of ours? -> the listening socket -> bpf_sk_assign_tcp_reqsk() -> the kernel's TCP
 *	             |
 *	             +-> an ACK that lost its metadata on the way? -> cookie good? -> the same
 *	             +-> came by another CPU than its ACK? -> waits for the connection's socket
 *	             +-> a probe of the daemon's self-test? -> the daemon's own listening socket
 *
 * Everything else goes on as it came, to the next program and to the stack.
 *
 * And the tc entry at egress: outgoing.h.
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

/* So long after it was validated an ACK may still be on its way here, in ticks of any kernel (1 to 10 ms). */
#define ON_THEIR_WAY_TICKS 50

/* Room for Ethernet, IP and TCP headers with their options: what has to lie in one piece to be read. */
#define HEADERS_BYTES 192u

/* What the hook has said of a packet. */
enum metadata_hint {
	HINT_NONE,
	HINT_ADMIT, /* a validated ACK: *metadata is set */
	HINT_WAIT,  /* a segment that may be here before its connection */
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
 * An ACK that was validated, but whose metadata did not get here, or another segment that brings back the same cookie and is here
 * first: reads the cookie again. The window scale is for who has the listening socket.
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
 * The request goes to the listening socket that the kernel's own look-up finds: the group's choice, too (SO_REUSEPORT). recovered: the
 * window scale is not known yet.
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
 * So long after the hook saw its ACK a segment waits for the connection's socket, going round through the CPU's backlog queue: a few
 * microseconds suffice as a rule. The hook's clock goes by ticks, of 10 ms at most.
 */
#define WAIT_NS (15 * NSEC_PER_MSEC)

/*
 * An ACK that TCP or a firewall drops never brings a socket, and whoever sends such ACKs is not to keep a CPU busy: so many rounds, of a
 * microsecond or so, may all segments of a CPU make in a tick.
 */
#define WAIT_ROUNDS_A_TICK 512

/* Whether one more round may be made now. */
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
 * A segment of a connection whose ACK another CPU brings to the listening socket, or has brought there: on to its own socket, once
 * there is one. Without one it would meet the listening socket, which refuses it with RST.
 */
static __always_inline int segment_hold(struct __sk_buff *skb, const struct hook_ctx *hook,
					const struct shakeoff_validated *entry, enum metadata_hint hint)
{
	if (socket_is_there(skb, &hook->scratch->packet.flow))
		return TCX_NEXT;
	/* Signed: the entry may be younger than our clock. */
	if ((__s64)(bpf_ktime_get_ns() - entry->established_ns) > (__s64)WAIT_NS || !wait_may_go_on(hook->scratch))
		return hint == HINT_WAIT ? TCX_DROP : TCX_NEXT;
	skb->cb[0] = metadata_magic(hook->control, METADATA_WAITS);
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}

/* The ACK has got its request, from this packet's CPU or from another. */
static __always_inline int segment_follow(struct __sk_buff *skb, const struct hook_ctx *hook,
					  const struct shakeoff_validated *entry, enum metadata_hint hint)
{
	/*
	 * Behind its ACK, in order: spared the look-up. Or the ACK itself: while the place is changed two of this program stand at the hook,
	 * and both may get it.
	 */
	if (hint != HINT_WAIT && SHAKEOFF_VALIDATED_TC_CPU(entry) == bpf_get_smp_processor_id() + 1)
		return TCX_NEXT;
	return segment_hold(skb, hook, entry, hint);
}

/*
 * Claims the connection for this packet: of an ACK and a segment that brings back the same cookie, on two CPUs at the same moment,
 * one gets the request. Of two the kernel would drop the second, with its data.
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
 * An ACK on its way to the netfilter program (input.bpf.c): the first of the connection ends what connection tracking remembers of the
 * last one. When it has arrived the hint has served, and what follows is spared the look-up.
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
	if (!hook.scratch || !hook.control) /* cannot be: for the verifier */
		return TCX_NEXT;
	packet = &hook.scratch->packet;
	hint = metadata_read(skb, hook.control, &metadata);
	/* For another host (promiscuous mode, a flooding switch): the hook lets it pass untold, and the stack drops it. */
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
	if (!entry && hint != HINT_ADMIT) /* a flood of good cookies has evicted it, or the hint is another's */
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
	 * What follows is spared the look-up. Where metadata does not get here the hint stays: another tuple of the slot may be on its
	 * way, and has nothing else. Only where interfaces with and without metadata share the map can one be taken from the other:
	 * two ACKs of one slot (1 in 262,144) within microseconds.
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
