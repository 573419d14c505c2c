/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* bpf_sk_assign_tcp_reqsk() (net/core/filter.c, kernel 6.9): the packet gets a request of a listening socket. */
#ifndef SHAKEOFF_BPF_SOCKET_SK_ASSIGN_H
#define SHAKEOFF_BPF_SOCKET_SK_ASSIGN_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/byteorder.h>

#include "core/metadata.h"
#include "lib/compiler.h"
#include "lib/cookie.h"
#include "socket/lookup.h"

/*
 * struct bpf_tcp_req_attrs of include/net/tcp.h, which older kernels' BTF lacks. Host byte order; reserved fields are
 * zero.
 */
struct request_attributes {
	__u32 rcv_tsval;
	__u32 rcv_tsecr; /* our timestamp now: the next ones go on from it, and it gives the first round-trip sample */
	__u16 mss;
	__u8 rcv_wscale; /* ours: what the SYN-ACK offered */
	__u8 snd_wscale;
	__u8 ecn_ok;
	__u8 wscale_ok;
	__u8 sack_ok;
	__u8 tstamp_ok;
	__u8 usec_ts_ok;
	__u8 reserved[3];
};
_Static_assert(sizeof(struct request_attributes) == 20, "the kernel checks the size");

extern int bpf_sk_assign_tcp_reqsk(struct __sk_buff *skb, struct sock *sk, struct request_attributes *attributes,
				   int attributes__sz) __ksym;

/* Returns the client's MSS within the socket's TCP_MAXSEG. The kernel refuses less than what every path must carry. */
static __always_inline __u16 request_mss(const struct __sk_buff *skb, const struct tcp_sock *tcp,
					 const struct metadata *metadata)
{
	__u16 least = cookie_plain_mss[skb->protocol == bpf_htons(ETH_P_IPV6)][0];
	__u16 mss = mss_clamp(tcp->rx_opt.user_mss, metadata->mss);

	return mss < least ? least : mss;
}

/* Assigns the packet a request of the listening socket sk. Returns whether the kernel accepted it. */
static __always_inline bool assign_to(struct __sk_buff *skb, struct bpf_sock *sk, const struct metadata *metadata)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	struct request_attributes attributes = {
		.ecn_ok = !!(metadata->flags & METADATA_ECN),
		.sack_ok = !!(metadata->flags & METADATA_SACK),
	};

	if (!tcp)
		return 0;
	attributes.mss = request_mss(skb, tcp, metadata);
	if (metadata->flags & METADATA_TIMESTAMPS) {
		attributes.tstamp_ok = 1;
		attributes.rcv_tsval = metadata->tsval;
		/*
		 * The time now, not when the hook handled the packet: it must be right when the packet meets the
		 * socket.
		 */
		attributes.rcv_tsecr = (__u32)(bpf_ktime_get_ns() / NSEC_PER_MSEC) + metadata->ts_base;
	}
	if (metadata->rcv_wscale != SHAKEOFF_NO_WSCALE) {
		attributes.wscale_ok = 1;
		attributes.snd_wscale = metadata->snd_wscale;
		attributes.rcv_wscale = metadata->rcv_wscale;
	}
	return !bpf_sk_assign_tcp_reqsk(skb, (struct sock *)tcp, &attributes, sizeof(attributes));
}

#endif
