/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Is there a socket for the tuple, and what may a new connection do to it? */
#ifndef SHAKEOFF_BPF_SOCKET_H
#define SHAKEOFF_BPF_SOCKET_H

enum socket_found {
	SOCKET_NONE,      /* none, or only a listening one */
	SOCKET_EXISTS,    /* the kernel's, from SYN-SENT and NEW-SYN-RECV to LAST-ACK */
	SOCKET_TIME_WAIT, /* its old connection is over; *time_wait says what a new one has to beat */
};

/* Of a socket in TIME-WAIT. */
struct time_wait {
	__u32 rcv_nxt;
	__u32 ts_recent;
	_Bool replaceable; /* in TIME-WAIT proper: not FIN-WAIT-2, which the kernel keeps in the same kind of socket */
	_Bool timestamps;
};

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

static __always_inline enum socket_found socket_find(struct xdp_md *ctx, const struct packet *packet,
						     struct time_wait *time_wait)
{
	const struct cookie_flow *flow = &packet->flow;
	enum socket_found found = SOCKET_EXISTS;
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;

	if (flow->ipv6) {
		__builtin_memcpy(tuple.ipv6.saddr, flow->client, sizeof(tuple.ipv6.saddr));
		__builtin_memcpy(tuple.ipv6.daddr, flow->server, sizeof(tuple.ipv6.daddr));
		tuple.ipv6.sport = flow->client_port;
		tuple.ipv6.dport = flow->server_port;
		sk = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	} else {
		tuple.ipv4.saddr = flow->client[0];
		tuple.ipv4.daddr = flow->server[0];
		tuple.ipv4.sport = flow->client_port;
		tuple.ipv4.dport = flow->server_port;
		sk = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return SOCKET_NONE;
	if (sk->state == BPF_TCP_LISTEN) {
		found = SOCKET_NONE;
	} else if (sk->state == BPF_TCP_TIME_WAIT) {
		found = SOCKET_TIME_WAIT;
		time_wait_read(sk, time_wait);
	}
	bpf_sk_release(sk);
	return found;
}

/*
 * May a SYN with these numbers replace the connection in TIME-WAIT? RFC 9293, section 3.10.7.4 with RFC 6191, as
 * tcp_timewait_state_process() decides (net/ipv4/tcp_minisocks.c): a sequence number, or a timestamp, beyond the last of
 * the old connection. PAWS (RFC 7323, section 5) comes first: an older timestamp never does.
 */
static __always_inline _Bool time_wait_yields(const struct time_wait *time_wait, __u32 isn, _Bool timestamps,
					      __u32 tsval)
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
