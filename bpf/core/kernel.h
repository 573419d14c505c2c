/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's types, and constants that BTF lacks because they are macros or newer than some kernels. */
#ifndef SHAKEOFF_BPF_CORE_KERNEL_H
#define SHAKEOFF_BPF_CORE_KERNEL_H

#ifdef __bpf__
#include "vmlinux.h"
#else /* the parser is tested on the host, too */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/types.h>
#endif

#ifndef NULL
#define NULL ((void *)0)
#endif

/* include/vdso/time64.h */
#define NSEC_PER_MSEC 1000000
#define NSEC_PER_SEC 1000000000ull

/* linux/if_ether.h */
#define ETH_HLEN 14
#define ETH_ZLEN 60
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define ETH_P_8021Q 0x8100
#define ETH_P_8021AD 0x88A8

/* linux/if_vlan.h: the identifier in the VLAN tag's 16 bits (IEEE 802.1Q). */
#define VLAN_VID_MASK 0x0fff

/* linux/if_packet.h: __sk_buff.pkt_type */
#define PACKET_HOST 0
#define PACKET_MULTICAST 2

/* include/net/ip.h, include/net/inet_ecn.h, linux/ip.h */
#define IP_DF 0x4000
#define IP_MF 0x2000
#define IP_OFFSET 0x1fff
#define INET_ECN_MASK 3
#define IPDEFTTL 64

/* include/net/ipv6.h */
#define NEXTHDR_HOP 0
#define NEXTHDR_ROUTING 43
#define NEXTHDR_FRAGMENT 44
#define NEXTHDR_DEST 60

/* include/net/tcp.h: the flags of a TCP header, in its fourteenth byte (RFC 9293, section 3.1). */
#define TCPHDR_FIN 0x01
#define TCPHDR_SYN 0x02
#define TCPHDR_RST 0x04
#define TCPHDR_ACK 0x10
#define TCPHDR_ECE 0x40
#define TCPHDR_CWR 0x80

/* include/net/sock.h */
#define SOCK_RCVBUF_LOCK 2

/* linux/netfilter.h: verdicts, and a protocol family */
#define NF_DROP 0
#define NF_ACCEPT 1
#define NFPROTO_IPV4 2

/* linux/bpf.h: enum tcx_action_base (kernel 6.6), to the next program or drop; the flag of bpf_redirect() */
#define TCX_NEXT (-1)
#define TCX_DROP 2
#define BPF_F_INGRESS 1

#endif
