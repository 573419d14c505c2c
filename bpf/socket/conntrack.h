/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connection tracking's entry of a tuple's last connection.
 *
 * Connection tracking does not see the SYN that the hook answers. If it has an entry of the tuple, closed up to two
 * minutes ago, it checks the new connection's ACK against the old one's windows and finds it invalid, and firewalls
 * drop invalid packets. A SYN would have renewed the entry (tcp_conntracks and nf_conntrack_tcp_packet(),
 * net/netfilter/nf_conntrack_proto_tcp.c). Without an entry the ACK begins one, if nf_conntrack_tcp_loose is on.
 */
#ifndef SHAKEOFF_BPF_SOCKET_CONNTRACK_H
#define SHAKEOFF_BPF_SOCKET_CONNTRACK_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include "lib/compiler.h"
#include "lib/cookie.h"
#include "socket/lookup.h"

/*
 * Whether the kernel has the functions below (6.0 and later, where connection tracking is built in, or its module is
 * there).
 */
const volatile bool conntrack_is_known = 0;

/*
 * struct nf_conn and struct bpf_ct_opts of net/netfilter/nf_conntrack_bpf.c, a module: not in every kernel's vmlinux.h.
 */
struct nf_conn___opaque {
	unsigned long status;
};

struct bpf_ct_opts___any_zone {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};
_Static_assert(sizeof(struct bpf_ct_opts___any_zone) == 12, "NF_BPF_CT_OPTS_SZ, before 6.10; taken later, too");

extern struct nf_conn___opaque *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple__sz,
						  struct bpf_ct_opts___any_zone *opts, __u32 opts__sz) __ksym __weak;
extern int bpf_ct_change_timeout(struct nf_conn___opaque *ct, __u32 milliseconds) __ksym __weak;
extern void bpf_ct_release(struct nf_conn___opaque *ct) __ksym __weak;

/* Ends the flow's entry, if there is one: the flow has no connection except the one that begins. */
static __always_inline void conntrack_forget(struct __sk_buff *skb, const struct cookie_flow *flow)
{
	struct bpf_ct_opts___any_zone opts = { .netns_id = BPF_F_CURRENT_NETNS, .l4proto = IPPROTO_TCP };
	struct bpf_sock_tuple tuple = {};
	struct nf_conn___opaque *ct;

	if (!conntrack_is_known)
		return;
	if (flow->ipv6) {
		tuple_fill6(flow, &tuple);
		ct = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv6), &opts, sizeof(opts));
	} else {
		tuple_fill4(flow, &tuple);
		ct = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
	}
	if (!ct)
		return;
	bpf_ct_change_timeout(ct, 0);
	bpf_ct_release(ct);
}

#endif
