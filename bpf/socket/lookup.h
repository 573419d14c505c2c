/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether the tuple has a socket, and whether a new connection may replace it. */
#ifndef SHAKEOFF_BPF_SOCKET_LOOKUP_H
#define SHAKEOFF_BPF_SOCKET_LOOKUP_H

#include "core/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>

#include "core/ctx.h"
#include "lib/compiler.h"
#include "lib/cookie.h"

enum socket_found {
	SOCKET_NONE,
	SOCKET_LISTENS,   /* only a listening socket, none for the tuple itself */
	SOCKET_EXISTS,    /* the kernel's, from SYN-SENT and NEW-SYN-RECV to LAST-ACK */
	SOCKET_TIME_WAIT, /* its old connection is over; *time_wait has the numbers that a new one must exceed */
	SOCKET_HALF_MADE, /* in repair mode (tcp(7)): the daemon is making it; not where a listening socket is wanted */
};

/* The state of a socket in TIME-WAIT. */
struct time_wait {
	__u32 rcv_nxt;
	__u32 ts_recent;
	bool replaceable; /* in TIME-WAIT proper: not FIN-WAIT-2, which the kernel keeps in the same kind of socket */
	bool timestamps;
};

/* Fields that not every kernel's configuration has. */
struct tcp_sock___optional {
	bool is_mptcp;
	void *md5sig_info;
	void *ao_info;
	__u8 save_syn : 2;
	__u8 scaling_ratio;
} __attribute__((preserve_access_index));

static __always_inline void time_wait_read(struct bpf_sock *sk, struct time_wait *time_wait)
{
	struct tcp_timewait_sock *tw = bpf_skc_to_tcp_timewait_sock(sk);

	if (!tw)
		return;
	time_wait->rcv_nxt = tw->tw_sk.__tw_common.skc_tw_rcv_nxt;
	time_wait->ts_recent = tw->tw_ts_recent;
	time_wait->timestamps = tw->tw_ts_recent_stamp != 0;
	time_wait->replaceable = tw->tw_sk.tw_substate == BPF_TCP_TIME_WAIT;
}

/*
 * Limits the MSS that a listening socket offers, or a client's, to its TCP_MAXSEG: tcp_mss_clamp(), include/net/tcp.h.
 */
static __always_inline __u16 mss_clamp(__u16 user_mss, __u16 mss)
{
	return user_mss && user_mss < mss ? user_mss : mss;
}

/*
 * Returns why only the kernel can serve the socket. bpf_sk_assign_tcp_reqsk() refuses MPTCP; no cookie carries
 * signatures.
 */
static __always_inline enum shakeoff_bypass listener_bypass(const struct tcp_sock *tcp)
{
	const struct tcp_sock___optional *optional = (const void *)tcp;

	if (bpf_core_field_exists(optional->is_mptcp) && optional->is_mptcp)
		return SHAKEOFF_BYPASS_MPTCP;
	if (bpf_core_field_exists(optional->md5sig_info) && optional->md5sig_info)
		return SHAKEOFF_BYPASS_TCP_AUTH;
	if (bpf_core_field_exists(optional->ao_info) && optional->ao_info)
		return SHAKEOFF_BYPASS_TCP_AUTH;
	if (bpf_core_field_exists(optional->save_syn) && BPF_CORE_READ_BITFIELD(optional, save_syn))
		return SHAKEOFF_BYPASS_SAVE_SYN;
	return SHAKEOFF_BYPASS_NONE;
}

/*
 * Returns the part of the receive buffer that is for data: tcp_full_space(), include/net/tcp.h. Each socket has its own
 * ratio since kernel 6.6; no earlier kernel completes handshakes for listening sockets.
 */
static __always_inline __u32 listener_rcv_space(const struct tcp_sock *tcp)
{
	const struct tcp_sock___optional *optional = (const void *)tcp;
	__u64 buffer = (__u32)tcp->inet_conn.icsk_inet.sk.sk_rcvbuf;

	return bpf_core_field_exists(optional->scaling_ratio) ? buffer * optional->scaling_ratio >> 8 : buffer / 2;
}

static __always_inline void listener_read_offer(const struct tcp_sock *tcp, struct shakeoff_socket_offer *offer)
{
	const struct inet_sock *inet = &tcp->inet_conn.icsk_inet;
	const struct ipv6_pinfo *ipv6 = NULL;

	offer->user_mss = tcp->rx_opt.user_mss;
	offer->rcv_space = listener_rcv_space(tcp);
	offer->rcv_locked = !!(BPF_CORE_READ_BITFIELD(&inet->sk, sk_userlocks) & SOCK_RCVBUF_LOCK);
	offer->window_clamp = tcp->window_clamp;
	offer->hop_limit[0] = inet->uc_ttl;
	offer->tos[0] = inet->tos;
	offer->min_ttl[0] = inet->min_ttl;
	offer->hop_limit[1] = -1;
	offer->tos[1] = offer->min_ttl[1] = 0;
	if (bpf_core_field_exists(inet->pinet6)) /* CONFIG_IPV6 */
		ipv6 = inet->pinet6;
	if (!ipv6)
		return;
	offer->hop_limit[1] = (__s16)BPF_CORE_READ_BITFIELD(ipv6, hop_limit);
	offer->tos[1] = ipv6->tclass;
	offer->min_ttl[1] = ipv6->min_hopcount;
}

static __always_inline void listener_read(struct bpf_sock *sk, struct listening *listener)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

	if (!tcp)
		return;
	listener->waiting = tcp->inet_conn.icsk_inet.sk.sk_ack_backlog;
	listener->backlog = tcp->inet_conn.icsk_inet.sk.sk_max_ack_backlog;
	listener->half_open = tcp->inet_conn.icsk_accept_queue.qlen.counter;
	listener_read_offer(tcp, &listener->offer);
	listener->bypass = listener_bypass(tcp);
}

/* Returns whether a socket is in repair mode. It cannot take segments yet: a FIN would keep it from being finished. */
static __always_inline bool socket_is_half_made(struct bpf_sock *sk)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

	return tcp && BPF_CORE_READ_BITFIELD(tcp, repair);
}

static __always_inline void tuple_fill4(const struct cookie_flow *flow, struct bpf_sock_tuple *tuple)
{
	tuple->ipv4.saddr = flow->client[0];
	tuple->ipv4.daddr = flow->server[0];
	tuple->ipv4.sport = flow->client_port;
	tuple->ipv4.dport = flow->server_port;
}

static __always_inline void tuple_fill6(const struct cookie_flow *flow, struct bpf_sock_tuple *tuple)
{
	__builtin_memcpy(tuple->ipv6.saddr, flow->client, sizeof(tuple->ipv6.saddr));
	__builtin_memcpy(tuple->ipv6.daddr, flow->server, sizeof(tuple->ipv6.daddr));
	tuple->ipv6.sport = flow->client_port;
	tuple->ipv6.dport = flow->server_port;
}

/*
 * Returns the socket that a segment of this flow meets, or NULL. The caller releases the reference. ctx: of XDP or of
 * tc.
 */
static __always_inline struct bpf_sock *socket_look_up(void *ctx, const struct cookie_flow *flow)
{
	struct bpf_sock_tuple tuple = {};

	if (flow->ipv6) {
		tuple_fill6(flow, &tuple);
		return bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	tuple_fill4(flow, &tuple);
	return bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
}

/* Looks up a segment's socket. Fills *time_wait, or *listener if it is not NULL, when it finds such a socket. */
static __always_inline enum socket_found socket_find(struct xdp_md *ctx, const struct packet *packet,
						     struct time_wait *time_wait, struct listening *listener)
{
	struct bpf_sock *sk = socket_look_up(ctx, &packet->flow);
	enum socket_found found = SOCKET_EXISTS;

	if (!sk)
		return SOCKET_NONE;
	if (sk->state == BPF_TCP_LISTEN) {
		found = SOCKET_LISTENS;
		if (listener)
			listener_read(sk, listener);
	} else if (sk->state == BPF_TCP_TIME_WAIT) {
		found = SOCKET_TIME_WAIT;
		time_wait_read(sk, time_wait);
	} else if (!listener && socket_is_half_made(sk)) {
		found = SOCKET_HALF_MADE;
	}
	bpf_sk_release(sk);
	return found;
}

/*
 * Returns whether a SYN with these numbers may replace the connection in TIME-WAIT: RFC 9293, section 3.10.7.4 with RFC
 * 6191, as tcp_timewait_state_process() decides (net/ipv4/tcp_minisocks.c). The sequence number, or the timestamp, must
 * be beyond the last one of the old connection. PAWS (RFC 7323, section 5) comes first: a SYN with an older timestamp
 * never replaces it.
 */
static __always_inline bool time_wait_yields(const struct time_wait *time_wait, __u32 isn, bool timestamps, __u32 tsval)
{
	if (!time_wait->replaceable)
		return 0;
	if (timestamps && time_wait->timestamps) {
		__s32 newer = tsval - time_wait->ts_recent;

		return newer > 0 || (newer == 0 && (__s32)(isn - time_wait->rcv_nxt) > 0);
	}
	return (__s32)(isn - time_wait->rcv_nxt) > 0;
}

#endif
