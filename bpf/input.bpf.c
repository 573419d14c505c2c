// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The netfilter entry, at the end of LOCAL_IN, where a socket would get the packet. Packets that the hook has validated
 * for a service with the queue handoff go to the daemon from here. Until then the kernel has treated them as all
 * others: martians, rp_filter, routes, the firewall's chains, connection tracking.
 *
 *	packet -> a whole socket has it? -> came through the hook just before? -> ring buffer -> shakeoffd -> socket
 *	             |                                                                             |
 *	             v accept                  the interface that it came by <- shakeoff_return <- lo (packet socket)
 *
 * The tc entry at lo's egress: a frame that the daemon returns, once there is a socket, comes in again where it first
 * came in.
 */
#include "core/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "core/ring.h"
#include "packet/parse.h"
#include "socket/validated.h"
#include "limit/source.h"

/* enum values of the kernel's ip_summed (include/linux/skbuff.h) and of a socket's state (include/net/tcp_states.h) */
#define SUMMED_PARTIAL 3
#define STATE_TIME_WAIT 6
#define STATE_NEW_SYN_RECV 12

/* In skb->tc_index, which only this host can set: the daemon has returned the frame. */
#define RETURNED 0x5ac7

/*
 * Maximum time from the hook to here, for an ACK and the first flight behind it; in ticks (1 to 10 ms) for any kernel.
 */
#define ON_THEIR_WAY_NS (2 * SHAKEOFF_FOLLOW_NS)
#define ON_THEIR_WAY_TICKS 200

/*
 * struct bpf_nf_ctx of net/netfilter/nf_bpf_link.h (kernel 6.4), struct bpf_dynptr of linux/bpf.h (5.19): not in every
 * kernel's BTF.
 */
struct netfilter_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
};

struct packet_dynptr {
	__u64 opaque[2];
} __attribute__((aligned(8)));

extern int bpf_dynptr_from_skb(struct sk_buff *skb, __u64 flags, struct packet_dynptr *ptr) __ksym __weak;
extern void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym __weak; /* kernel 6.2 */

static long (*const dynptr_read)(void *to, __u32 len, const struct packet_dynptr *from, __u32 offset,
				 __u64 flags) = (void *)201; /* BPF_FUNC_dynptr_read, kernel 5.19 */

/* The mark of frames that the daemon returns. Random, so that it differs from all other marks. 0: none. */
const volatile __u32 return_mark = 0;
/* lo's: frames that the daemon returns without shakeoff_return come in there. */
const volatile __u32 loopback_ifindex = 1;

/* Reads the packet's tuple, numbers and flags, and where its TCP header is. Returns 0, or -1. */
static __always_inline int input_parse(const struct packet_dynptr *frame, __u8 family, struct packet *packet)
{
	__u8 next = IPPROTO_TCP;
	struct tcphdr tcp;

	if (family == NFPROTO_IPV4) {
		struct iphdr ip;

		if (dynptr_read(&ip, sizeof(ip), frame, 0, 0) || ip.protocol != IPPROTO_TCP)
			return -1;
		packet->flow.ipv6 = 0;
		packet->flow.client[0] = ip.saddr;
		packet->flow.server[0] = ip.daddr;
		packet->l4_offset = ip.ihl * 4;
	} else {
		struct ipv6hdr ip;

		if (dynptr_read(&ip, sizeof(ip), frame, 0, 0))
			return -1;
		packet->flow.ipv6 = 1;
		__builtin_memcpy(packet->flow.client, &ip.saddr, sizeof(packet->flow.client));
		__builtin_memcpy(packet->flow.server, &ip.daddr, sizeof(packet->flow.server));
		packet->l4_offset = sizeof(ip);
		next = ip.nexthdr;
		UNROLL
		for (int i = 0; i < MAX_EXTENSION_HEADERS; i++) {
			struct extension_header header;

			if (!is_extension(next))
				break;
			if (dynptr_read(&header, sizeof(header), frame, packet->l4_offset, 0))
				return -1;
			/* On a whole packet (RFC 6946); the kernel reassembles others later. */
			if (next == NEXTHDR_FRAGMENT) {
				if (header.fragment & bpf_htons(0xfff9))
					return -1;
				header.len = 0;
			}
			next = header.next;
			packet->l4_offset += (header.len + 1) * 8;
		}
	}
	if (next != IPPROTO_TCP || dynptr_read(&tcp, sizeof(tcp), frame, packet->l4_offset, 0))
		return -1;
	packet->flow.client_port = tcp.source;
	packet->flow.server_port = tcp.dest;
	packet->seq = bpf_ntohl(tcp.seq);
	packet->ack = bpf_ntohl(tcp.ack_seq);
	packet->flags = ((const __u8 *)&tcp)[13];
	return 0;
}

/* Counts a verdict, as the hook counts what it gives to the daemon directly. */
static __always_inline void input_count(__u32 verdict, __u32 service_id)
{
	struct shakeoff_service_counters *counters = bpf_map_lookup_elem(&service_counts, &service_id);
	__u64 *packets = bpf_map_lookup_elem(&verdicts, &verdict);

	if (packets)
		(*packets)++;
	if (!counters)
		return;
	if (verdict == SHAKEOFF_ACK_VALID)
		counters->ack_valid++;
	else if (verdict == SHAKEOFF_ACK_OVERFLOW_DROP)
		counters->overflow++;
}

static __always_inline bool input_copy(const struct packet_dynptr *frame, __u8 *to, __u32 len, __u32 size)
{
	__u32 last = len - 1;

	barrier_var(last); /* as in packet_copy() */
	return last < size && !dynptr_read(to, last + 1, frame, 0, 0);
}

#define INPUT_RESERVE(ring, frame, len, size)                                                                          \
	({                                                                                                             \
		struct shakeoff_event *event_ = bpf_ringbuf_reserve((ring), sizeof(struct shakeoff_event) + (size),    \
								    0);                                                \
		if (event_ && !input_copy((frame), event_->packet, (len), (size))) {                                   \
			bpf_ringbuf_discard(event_, 0);                                                                \
			event_ = NULL;                                                                                 \
		}                                                                                                      \
		event_;                                                                                                \
	})

/* Fills a record's header with the noted handshake, or with zeros. */
static __always_inline void input_head(struct shakeoff_event *event, const struct shakeoff_event *handshake)
{
	if (handshake)
		__builtin_memcpy(event, handshake, sizeof(*event));
	else
		__builtin_memset(event, 0, sizeof(*event));
	event->taken = 0;
}

/* Returns whether the packet opens the connection: the ACK, or a segment with the same cookie, does so once. */
static __always_inline bool input_opens(const struct packet *packet, struct shakeoff_event *handshake)
{
	return handshake && packet->seq == handshake->rcv_nxt && packet->ack == handshake->snd_nxt &&
	       (__s64)(bpf_ktime_get_ns() - handshake->time_ns) < (__s64)ON_THEIR_WAY_NS &&
	       !__sync_val_compare_and_swap(&handshake->taken, 0, 1);
}

/* Returns whether the accept queue is full. Signed: the count is briefly wrong by one for each CPU. */
static __always_inline bool queue_is_full(const struct shakeoff_service *service)
{
	return (__s64)(service->enqueued - service->dequeued) >= (__s64)service->capacity;
}

/*
 * Gives the packet to the daemon. Reserves the record before it claims, like queue_deliver_event(). Returns the verdict
 * to count.
 */
static __always_inline enum shakeoff_verdict input_take(struct sk_buff *skb, __u32 ifindex,
							const struct packet_dynptr *frame, struct scratch *scratch,
							const struct shakeoff_control *control,
							struct shakeoff_validated *entry)
{
	void *ring = ring_of(&scratch->tuple, control);
	struct shakeoff_event *event, *handshake = bpf_map_lookup_elem(&handshakes, &scratch->tuple);
	__u32 service_id = entry->service, len = skb->len;
	struct shakeoff_service *service = service_get(service_id);
	bool opens;

	if (!ring || !service)
		return SHAKEOFF_RING_FULL;
	if (len <= EVENT_SMALL_PACKET)
		event = INPUT_RESERVE(ring, frame, len, EVENT_SMALL_PACKET);
	else if (len <= EVENT_MEDIUM_PACKET)
		event = INPUT_RESERVE(ring, frame, len, EVENT_MEDIUM_PACKET);
	else
		event = INPUT_RESERVE(ring, frame, len, EVENT_LARGE_PACKET);
	if (!event)
		return SHAKEOFF_RING_FULL;
	if (!(entry->flags & SHAKEOFF_VALIDATED_TAKEN) && queue_is_full(service)) {
		bpf_ringbuf_discard(event, 0);
		return SHAKEOFF_ACK_OVERFLOW_DROP;
	}
	opens = input_opens(&scratch->packet, handshake);
	input_head(event, handshake);
	if (!opens) {
		event->type = SHAKEOFF_EVENT_SEGMENT;
		event->flags = 0;
		event->rcv_nxt = event->snd_nxt = event->rcv_wnd = event->snd_wnd = event->tsval = event->tsecr = 0;
		event->mss = event->snd_wscale = event->rcv_wscale = 0;
		event->service = service_id;
		event->time_ns = bpf_ktime_get_ns();
		event->tuple = scratch->tuple;
	}
	event->ifindex = ifindex;
	event->packet_len = len;
	event->tcp_offset = scratch->packet.l4_offset;
	event->flags |= SHAKEOFF_EVENT_INPUT;
	if (BPF_CORE_READ_BITFIELD(skb, ip_summed) == SUMMED_PARTIAL)
		event->flags |= SHAKEOFF_EVENT_PARTIAL;
	if (opens) {
		entry->flags |= SHAKEOFF_VALIDATED_TAKEN;
		now_read(&scratch->now, control);
		source_proved(service_id, service->enqueued, 1);
		__sync_fetch_and_add(&service->enqueued, 1);
		if (control->half_open) /* not earlier: the SYN-ACK is sent again until an ACK gets here */
			bpf_map_delete_elem(&half_open, &scratch->tuple);
	}
	bpf_ringbuf_submit(event, 0);
	return opens ? SHAKEOFF_ACK_VALID : SHAKEOFF_SEGMENT_QUEUED;
}

/* Returns the entry of a tuple whose ACK came through the hook just before, on its way to the daemon; or NULL. */
static __always_inline struct shakeoff_validated *input_entry(const struct scratch *scratch, bool in_time_wait)
{
	struct shakeoff_validated *entry = validated_find(&scratch->packet.flow);

	if (!entry ||
	    (entry->flags & (SHAKEOFF_VALIDATED_INPUT | SHAKEOFF_VALIDATED_CONFIRMED)) != SHAKEOFF_VALIDATED_INPUT ||
	    (__s64)(bpf_ktime_get_ns() - entry->established_ns) >= (__s64)ON_THEIR_WAY_NS)
		return NULL;
	return in_time_wait && !entry->replaced ? NULL : entry;
}

/*
 * Returns whether a socket is in repair mode (tcp(7)): the daemon is making it. A segment that it got now would be
 * refused, or would keep the daemon from finishing it. For a socket of another protocol the result means nothing; its
 * packets go on all the same, as input_parse() sees.
 */
static __always_inline bool sk_is_half_made(const struct sock *sk)
{
	const struct tcp_sock *tcp;

	if (sk->__sk_common.skc_state == STATE_NEW_SYN_RECV)
		return 0;
	tcp = bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
	return BPF_CORE_READ_BITFIELD(tcp, repair);
}

SEC("netfilter")
int shakeoff_input(struct netfilter_ctx *ctx)
{
	const struct shakeoff_control *control;
	struct shakeoff_validated *entry;
	struct sk_buff *skb = ctx->skb;
	enum shakeoff_verdict verdict;
	bool in_time_wait = 0;
	struct scratch *scratch;
	struct packet_dynptr frame;
	struct net_device *dev;
	struct sock *sk;
	__u32 ifindex;

	/* Early demultiplexing has found nearly every socket (tcp_v4_early_demux(), net/ipv4/tcp_ipv4.c). */
	sk = skb->sk;
	if (sk) {
		in_time_wait = sk->__sk_common.skc_state == STATE_TIME_WAIT;
		if (!in_time_wait && !sk_is_half_made(sk))
			return NF_ACCEPT;
	}
	control = control_get();
	if (!control || bpf_jiffies64() - control->input_tick > ON_THEIR_WAY_TICKS)
		return NF_ACCEPT;
	dev = skb->dev;
	if (!dev || skb->tc_index == RETURNED)
		return NF_ACCEPT;
	ifindex = dev->ifindex;
	if (ifindex == loopback_ifindex)
		return NF_ACCEPT;
	scratch = scratch_get();
	if (!scratch || bpf_dynptr_from_skb(skb, 0, &frame)) /* only for the verifier */
		return NF_ACCEPT;
	if (input_parse(&frame, ctx->state->pf, &scratch->packet) || (scratch->packet.flags & TCPHDR_SYN))
		return NF_ACCEPT;
	tuple_of(&scratch->packet.flow, &scratch->tuple);
	entry = input_entry(scratch, in_time_wait);
	if (!entry)
		return NF_ACCEPT;
	/*
	 * This also ends the loop of a returned frame that lost its mark. The client sends a dropped segment again;
	 * without a socket the kernel would refuse it with RST.
	 */
	if (entry->followed >= SHAKEOFF_FOLLOW_SEGMENTS)
		return NF_DROP;
	verdict = input_take(skb, ifindex, &frame, scratch, control, entry);
	if (verdict == SHAKEOFF_SEGMENT_QUEUED)
		entry->followed++;
	input_count(verdict, entry->service);
	return NF_DROP;
}

SEC("tc")
int shakeoff_return(struct __sk_buff *skb)
{
	__u32 ifindex = skb->priority;

	if (!return_mark || skb->mark != return_mark)
		return TCX_NEXT;
	skb->mark = 0;
	skb->priority = 0;
	skb->tc_index = RETURNED;
	return bpf_redirect(ifindex, BPF_F_INGRESS);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
