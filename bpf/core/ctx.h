/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the hook knows of a packet while it handles it: the packet itself, what was looked up for it, and the CPU's working memory. It
 * compiles on the host, too.
 */
#ifndef SHAKEOFF_BPF_CORE_CTX_H
#define SHAKEOFF_BPF_CORE_CTX_H

#include <shakeoff/abi.h>
#include <shakeoff/route.h>
#include <shakeoff/source.h>
#include <shakeoff/synack_rate.h>
#include <shakeoff/verdict.h>

#include "lib/compiler.h"
#include "lib/cookie.h"
#include "lib/siphash.h"
#include "lib/tcpopt.h"

/*
 * What the rest of the walk needs to know of a packet, in host byte order but for the flow: values, no pointers, so that
 * they outlive a change of the frame's length.
 */
struct packet {
	struct cookie_flow flow; /* client: the source */
	__u32 seq;
	__u32 ack;
	__u16 window;
	__u8 flags;        /* TCPHDR_* */
	__u8 header_len;   /* of TCP, with options: as it says, unchecked */
	__u8 tos;          /* of IP, or traffic class */
	__u8 reserved;     /* TCP: the four bits behind the header's length, of which the last is AE */
	__u32 l3_offset;   /* of the IP header in the frame */
	__u32 l4_offset;   /* of the TCP header in the frame */
	__u32 segment_len; /* TCP header and payload, as IP says */
	__u16 fragment;    /* of a fragment alone: IP_MF and its offset in units of 8 bytes (RFC 791) */
	__u8 ttl;          /* of IP, or hop limit */
	__u8 pad;
	/* Where the frame goes, of l2_dst_mac(), and from L2_DST_VLAN_SHIFT on SHAKEOFF_VLAN_TAG(); 0 there: no tag, or one for its priority alone. */
	__u64 l2_dst;
};

#define L2_DST_VLAN_SHIFT 48
#define L2_DST_NONE (~0ull) /* no frame's: a tag has 13 bits */

/* A MAC address as a number, which is compared at once. */
static __always_inline __u64 l2_dst_mac(const __be16 *mac)
{
	return mac[0] | (__u32)mac[1] << 16 | (__u64)mac[2] << 32;
}

/*
 * A segment to send. Addresses and ports are those of the segment that it answers, turned round. What every client gets
 * from this address is made ready once by reply_prepare(): then seq, ack and tsecr can change from reply to reply.
 */
struct reply {
	__u32 seq; /* host byte order, as all up to options */
	__u32 ack;
	__u32 tsval; /* 0 without timestamps, as the next */
	__u32 tsecr;
	__u16 window;
	__u8 flags;
	__u8 ttl;
	__u8 tos; /* or traffic class */
	__u8 pad[3];
	__u32 option_words;
	__u32 tsecr_word; /* which of them echoes the client's timestamp, behind ours, if one does */
	__be32 options[TCPOPT_SYNACK_MAX_WORDS]; /* zero behind option_words, and in the timestamps' place */
	/* Made ready: */
	__be32 ip[3];    /* the IP header before its addresses, IPv4's checksum zero; IPv6: two words */
	__be32 tcp_head; /* the TCP header's fourth word: length, flags, window */
	__u64 ip_sum;    /* of IPv4's header, but for the client's address */
	__u64 tcp_sum; /* of pseudo header and TCP header, but for the client's address and port, seq, ack, tsval and tsecr */
};

/* The SYN-ACK of an address for clients that offer the same, for as long as a tick lasts. */
struct synack_template {
	__u64 tick;  /* 0: none */
	__u64 offer; /* of offer_key() */
	__u32 bits;  /* of cookie_encode() */
	__u32 epoch;
	__u32 tsval; /* our clock with the option bits, without the pair's offset */
	__u32 pad;
	__u64 offset_key[2]; /* of the epoch */
	__u64 offset_state;  /* of cookie_offset_init() */
	struct siphash hash; /* of cookie_init(), for this epoch */
	struct reply reply;
};

/* What a validated ACK tells beyond the packet itself. */
struct handshake {
	__u32 client_isn;
	__u32 cookie;
	__u32 tsval;
	__u32 ts_base; /* our timestamps are the kernel's clock in ms (tcp_clock_ms(), include/net/tcp.h) and this */
	__u32 snd_wnd;
	__u16 rcv_wnd;
	__u8 rcv_wscale;
	__u8 claims;       /* SHAKEOFF_VALIDATED_* that the claimed entry begins with */
	__u32 replaced;    /* as in struct shakeoff_validated */
	__u32 unseen;      /* of cookie_final(), the upper half; with timestamps shakeoff_issued_hash() of it */
	__s32 echo_age_ms; /* of cookie_age(), with timestamps */
	struct cookie_options options;
	__u16 pad;
};

/* What the hook reads of a listening socket. */
struct listening {
	__u32 waiting;   /* in its accept queue: sk_ack_backlog */
	__u32 backlog;   /* so many may: sk_max_ack_backlog */
	__u32 half_open; /* in its SYN queue */
	__u8 bypass;     /* enum shakeoff_bypass: why the kernel would not take a connection for it */
	__u8 pad[3];
	struct shakeoff_socket_offer offer;
};

/*
 * What was looked up last, for the next packet: in a flood it is nearly always for the same address. The key is what
 * recent_is_for() compares.
 */
struct recent {
	__u32 generation; /* of shakeoff_control when it was looked up */
	__u32 ifindex;
	__be32 address[4];
	__be16 port;
	__u8 ipv6;
	__u8 has_profile;
	__u32 service;
	__u32 address_flags; /* SHAKEOFF_ADDRESS_BYPASSED, SHAKEOFF_ADDRESS_TAGGED */
	__u32 pad;
	__u64 l2_dst; /* struct packet's, the last that was found to be the host's; or L2_DST_NONE */
	struct shakeoff_interface profile;
	__u32 hash_epoch;
	__u32 hashes_ready;       /* a bit for each of the hashes that is good */
	struct siphash hashes[2]; /* of cookie_init(), for hash_epoch and for the epoch before it */
	/* Listener handoff: its socket, as it was at this tick. */
	struct listening listener;
	__u64 listener_tick;          /* 0: not looked up yet */
	__u64 listener_enqueued;      /* shakeoff_service.enqueued then */
	__u64 listener_room;          /* so many more connections may wait */
	__s64 listener_low_watermark; /* with so many or less, positions are shared; 0: never */
	__u64 listener_head;          /* the number of the position at its queue's head */
	__u32 listener_capacity;
	struct synack_template synack;
};

/* The time in the units that are needed. */
struct now {
	__u64 tick; /* jiffies when it was read */
	__u64 now_ns;
	__u64 epoch_offset_ns; /* of shakeoff_control, when it was computed */
	__u32 epoch;
	__u32 clock_ms;      /* of our timestamps: now_ns and epoch_offset_ns */
	__u32 issued_period; /* of shakeoff_issued_period() */
	__u32 reply_window;
	__u32 reply_batch; /* these as in struct shakeoff_reply_budget */
	__u64 reply_salt;
};

/*
 * Working memory of one packet's walk. What is read from a map value has no past for the verifier: options that were
 * copied in eleven possible lengths are one state, not eleven. It also spares the stack.
 */
struct scratch {
	struct packet packet;
	struct recent recent;
	struct now now;
	__u32 options[TCPOPT_BUFFER_WORDS]; /* as tcpopt_read() wants them */
	struct tcpopt opt;
	struct shakeoff_route route;       /* to the packet's source: of route_find() */
	struct shakeoff_next_hop next_hop; /* of next_hop_find() */
	struct reply reply;
	struct handshake handshake;
	struct shakeoff_tuple tuple;
	struct shakeoff_half_open half_open;
	__u32 syns;         /* SYNs in floods that this CPU has answered */
	__u32 out_of_state; /* out-of-state segments in floods that this CPU has met */
	__u32 segments; /* segments that this CPU has let pass, or dropped, without a look at sockets: see handle/out_of_state.h */
	struct shakeoff_source source; /* one to be made */
	__u32 learnt;                  /* of sources, in the tick learnt_tick: limit/syn_rate.h */
	__u64 learnt_tick;
	__u64 wait_tick; /* rounds of segments that wait for their connection in this tick: admit.bpf.c */
	__u32 wait_rounds;
	__u32 pad;
	__u64 event[sizeof(struct shakeoff_event) / 8]; /* one to be put into the map handshakes */
	__u16 replies[SHAKEOFF_REPLY_CELLS];            /* this CPU's, see shakeoff/synack_rate.h */
};

/* The frame of a context, be it of XDP or of tc. */
#define FRAME_START(ctx) ((void *)(long)(ctx)->data)
#define FRAME_END(ctx) ((void *)(long)(ctx)->data_end)

/* No verdict yet: the walk goes on. */
#define VERDICT_NONE SHAKEOFF_VERDICT_COUNT

/* What the hook knows of a packet's service and of the moment, looked up once. */
struct hook_ctx {
	struct shakeoff_control *control;
	struct shakeoff_service *service;
	struct scratch *scratch;
	__u32 service_id;
	__u32 frame_len;
	__u64 now_ns;
	bool allowed; /* the lists say so: no limit holds for the source */
};

#endif
