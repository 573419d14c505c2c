// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The tc entry, at ingress: gives what the XDP program has validated to the listening socket, whose own queue the connection
 * then waits in.
 *
 *	packet -> metadata of ours? -> the listening socket -> bpf_sk_assign_tcp_reqsk() -> the kernel's TCP
 *	             |
 *	             +-> an ACK that lost its metadata on the way? -> cookie good? -> the same
 *	             +-> a probe of the daemon's self-test? -> the daemon's own listening socket
 *
 * Everything else goes on as it came, to the next program and to the stack.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#ifndef NULL
#define NULL ((void *)0)
#endif

#include <shakeoff/abi.h>
#include <shakeoff/byteorder.h>
#include <shakeoff/filter.h>
#include <shakeoff/list.h>
#include <shakeoff/source.h>
#include <shakeoff/validated.h>

#include "cookie.h"
#include "maps.h"

#include "admission.h"
#include "parse.h"
#include "walk.h"

#include "assign.h"
#include "epoch.h"
#include "filter.h"
#include "judge.h"
#include "options.h"
#include "service.h"
#include "socket.h"
#include "validated.h"

#include "conntrack.h"
#include "probe.h"

/* So long after it was validated an ACK may still be on its way here, in ticks of any kernel (1 to 10 ms). */
#define ON_THEIR_WAY_TICKS 50

/* Room for Ethernet, IP and TCP headers with their options: what has to lie in one piece to be read. */
#define HEADERS_BYTES 192u

static __always_inline _Bool admission_read(struct __sk_buff *skb, struct admission *admission)
{
	const struct admission *metadata = (void *)(long)skb->data_meta;

	if ((void *)(metadata + 1) > FRAME_START(skb) || metadata->magic != ADMISSION_MAGIC)
		return 0;
	*admission = *metadata;
	return 1;
}

static __always_inline _Bool headers_read(struct __sk_buff *skb, struct packet *packet)
{
	__u32 wanted = skb->len < HEADERS_BYTES ? skb->len : HEADERS_BYTES;

	if (skb->data_end - skb->data < wanted && bpf_skb_pull_data(skb, wanted))
		return 0;
	asm volatile("" : "+r"(skb)); /* as in reply_build(): clang would keep skb + 80, which the verifier refuses */
	return !parse_packet(FRAME_START(skb), FRAME_END(skb), packet);
}

/* An ACK that was validated, but whose metadata did not get here: reads the cookie again. */
static __always_inline _Bool admission_recover(struct __sk_buff *skb, struct walk *walk,
					       const struct shakeoff_validated *entry, struct admission *admission)
{
	struct scratch *scratch = walk->scratch;
	const struct packet *packet = &scratch->packet;
	const struct shakeoff_interface *profile = &scratch->recent.profile;
	const struct opening *opening = &scratch->opening;
	__u8 rcv_wscale;

	if ((packet->flags & (TCP_FLAG_SYN | TCP_FLAG_RST | TCP_FLAG_ACK)) != TCP_FLAG_ACK)
		return 0;
	if (entry->cookie != packet->ack - 1 || entry->client_isn != packet->seq - 1)
		return 0;
	if (service_find(scratch, walk->control, skb->ifindex) != SERVICE_FOUND || !scratch->recent.has_profile)
		return 0;
	walk->service_id = scratch->recent.service;
	walk->service = bpf_map_lookup_elem(&service_state, &walk->service_id);
	if (!walk->service)
		return 0;
	moment_read(&scratch->moment, walk->control);
	if (options_find(FRAME_START(skb), FRAME_END(skb), packet, scratch) == OPTIONS_MISSING ||
	    ack_judge(packet, walk, &scratch->opt) != COOKIE_GOOD)
		return 0;
	rcv_wscale = service_wscale(walk->service, profile, &opening->options);
	admission_fill(admission, walk->service_id, profile, &opening->options, rcv_wscale, &scratch->opt);
	return 1;
}

/* The request goes to the listening socket that the kernel's own look-up finds: the group's choice, too (SO_REUSEPORT). */
static __always_inline _Bool request_assign(struct __sk_buff *skb, const struct cookie_flow *flow,
					    const struct admission *admission)
{
	struct bpf_sock *sk = socket_look_up(skb, flow);
	_Bool assigned = 0;

	if (!sk)
		return 0;
	if (sk->state == BPF_TCP_LISTEN)
		assigned = assign_to(skb, sk, admission);
	bpf_sk_release(sk);
	return assigned;
}

static __always_inline void count_admission(const struct admission *admission, _Bool assigned)
{
	__u32 service_id = admission->service;
	struct shakeoff_service_counters *counters = bpf_map_lookup_elem(&service_counts, &service_id);
	struct shakeoff_service *service = bpf_map_lookup_elem(&service_state, &service_id);

	if (!counters || !service)
		return;
	if (assigned)
		counters->admitted++;
	else
		counters->unadmitted++;
	__sync_fetch_and_add(&service->dequeued, 1);
}

static __always_inline void admit_packet(struct __sk_buff *skb)
{
	struct shakeoff_validated *entry;
	struct admission admission;
	struct packet *packet;
	struct walk walk = {};
	_Bool told, assigned;
	__u32 zero = 0;

	if (probe_take(skb))
		return;
	walk.scratch = bpf_map_lookup_elem(&scratches, &zero);
	walk.control = bpf_map_lookup_elem(&shakeoff_v6, &zero);
	if (!walk.scratch || !walk.control) /* cannot be: for the verifier */
		return;
	packet = &walk.scratch->packet;
	told = admission_read(skb, &admission);
	if (!told && bpf_jiffies64() - walk.control->claimed_tick > ON_THEIR_WAY_TICKS)
		return;
	if (!headers_read(skb, packet))
		return;
	if (!told && !filter_has_hint(&packet->flow, walk.control, SHAKEOFF_FILTER_PENDING))
		return;
	tuple_of(&packet->flow, &walk.scratch->tuple);
	entry = validated_find(&packet->flow);
	if (entry ? entry->flags & SHAKEOFF_VALIDATED_ADMITTED :
		    !told) /* a flood of good cookies may have evicted it */
		return;
	if (!told && !admission_recover(skb, &walk, entry, &admission))
		return;
	if (entry)
		entry->flags |= SHAKEOFF_VALIDATED_ADMITTED;
	/*
	 * What follows is spared the look-up. Where metadata does not get here the hint stays: another tuple of the slot may be on its
	 * way, and has nothing else. Only where interfaces with and without metadata share the map can one be taken from the other:
	 * two ACKs of one slot (1 in 262,144) within microseconds.
	 */
	if (told)
		filter_drop_hint(&packet->flow, walk.control, SHAKEOFF_FILTER_PENDING);
	assigned = request_assign(skb, &packet->flow, &admission);
	if (assigned)
		conntrack_forget(skb, &packet->flow);
	count_admission(&admission, assigned);
}

SEC("tc")
int shakeoff_admit(struct __sk_buff *skb)
{
	admit_packet(skb);
	return TCX_NEXT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
