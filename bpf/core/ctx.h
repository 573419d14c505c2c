/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the hook knows of a packet while it handles it: the packet itself, the results of look-ups, and the CPU's
 * working memory. This header also compiles on the host.
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
 * What the hook needs to know of a packet, in host byte order except for the flow. It has values, no pointers, so that
 * they stay good when the frame's length changes.
 */
struct packet {
	struct cookie_flow flow; /* client: the source */
	__u32 seq;
	__u32 ack;
	__u16 window;
	__u8 flags;        /* TCPHDR_* */
	__u8 header_len;   /* of TCP, with options; not checked */
	__u8 tos;          /* of IP, or traffic class */
	__u8 reserved;     /* TCP: the four bits behind the header's length, of which the last is AE */
	__u32 l3_offset;   /* of the IP header in the frame */
	__u32 l4_offset;   /* of the TCP header in the frame */
	__u32 segment_len; /* TCP header and payload, by the IP header */
	__u16 fragment;    /* of fragments only: IP_MF and the offset in units of 8 bytes (RFC 791) */
	__u8 ttl;          /* of IP, or hop limit */
	__u8 pad;
	/*
	 * The frame's destination: l2_dst_mac(), and from L2_DST_VLAN_SHIFT on SHAKEOFF_VLAN_TAG(). 0 there: no tag, or
	 * a tag that has only a priority.
	 */
	__u64 l2_dst;
};

#define L2_DST_VLAN_SHIFT 48
#define L2_DST_NONE (~0ull) /* never a frame's: a tag has 13 bits */

/* Returns a MAC address as a number, for a single comparison. */
static __always_inline __u64 l2_dst_mac(const __be16 *mac)
{
	return mac[0] | (__u32)mac[1] << 16 | (__u64)mac[2] << 32;
}

/*
 * A segment to send. Its addresses and ports are those of the segment that it replies to, swapped. reply_prepare()
 * makes ready once what all clients of the address get. Then seq, ack, tsval and tsecr may change from reply to reply.
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
	__u32 tsecr_word; /* index of the word that echoes the client's timestamp, if there is one; ours is before it */
	__be32 options[TCPOPT_SYNACK_MAX_WORDS]; /* zero behind option_words, and where the timestamps go */
	/* Set by reply_prepare(): */
	__be32 ip[3];    /* the IP header before its addresses, IPv4's checksum zero; IPv6: two words */
	__be32 tcp_head; /* the TCP header's fourth word: length, flags, window */
	__u64 ip_sum;    /* of IPv4's header, without the client's address */
	__u64 tcp_sum; /* of pseudo header and TCP header, without client's address and port, seq, ack, tsval, tsecr */
};

/* The SYN-ACK of an address for clients that offer the same options, good for one tick. */
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

/* What is known of a validated ACK beyond the packet itself. */
struct handshake {
	__u32 client_isn;
	__u32 cookie;
	__u32 tsval;
	__u32 ts_base; /* our timestamps are the kernel's clock in ms (tcp_clock_ms(), include/net/tcp.h) and this */
	__u32 snd_wnd;
	__u16 rcv_wnd;
	__u8 rcv_wscale;
	__u8 claims;       /* the claimed entry's first flags: SHAKEOFF_VALIDATED_* */
	__u32 replaced;    /* as in struct shakeoff_validated */
	__u32 unseen;      /* of cookie_final(), the upper half; with timestamps shakeoff_issued_hash() of it */
	__s32 echo_age_ms; /* of cookie_age(), with timestamps */
	struct cookie_options options;
	__u16 pad;
};

/* What the hook reads from a listening socket. */
struct listening {
	__u32 waiting;   /* in its accept queue: sk_ack_backlog */
	__u32 backlog;   /* maximum of that: sk_max_ack_backlog */
	__u32 half_open; /* in its SYN queue */
	__u8 bypass;     /* enum shakeoff_bypass: why the kernel would not take a connection for it */
	__u8 pad[3];
	struct shakeoff_socket_offer offer;
};

/*
 * The results of the last look-ups, kept for the next packet: in a flood it is nearly always for the same address. The
 * key is what recent_is_for() compares.
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
	__u64 l2_dst; /* of struct packet: the last one found to be the host's, or L2_DST_NONE */
	struct shakeoff_interface profile;
	__u32 hash_epoch;
	__u32 hashes_ready;       /* a bit for each valid hash */
	struct siphash hashes[2]; /* of cookie_init(), for hash_epoch and for the epoch before it */
	/* Listener handoff: the listening socket, as it was at listener_tick. */
	struct listening listener;
	__u64 listener_tick;          /* 0: not looked up yet */
	__u64 listener_enqueued;      /* shakeoff_service.enqueued then */
	__u64 listener_room;          /* how many more connections may wait */
	__s64 listener_low_watermark; /* with this many free positions or fewer they are shared; 0: never */
	__u64 listener_head;          /* the number of the position at its queue's head */
	__u32 listener_capacity;
	struct synack_template synack;
};

/* The time in the units that the hook needs. */
struct now {
	__u64 tick; /* jiffies when it was read */
	__u64 now_ns;
	__u64 epoch_offset_ns; /* of shakeoff_control, when it was computed */
	__u32 epoch;
	__u32 clock_ms;      /* of our timestamps: now_ns and epoch_offset_ns */
	__u32 issued_period; /* of shakeoff_issued_period() */
	__u32 reply_window;
	__u32 reply_batch; /* this and the next as in struct shakeoff_reply_budget */
	__u64 reply_salt;
};

/*
 * Working memory for one packet. Values read from a map are unknown scalars to the verifier, so the eleven possible
 * lengths of copied options merge into one state. It also saves stack.
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
	__u32 syns;         /* SYNs that this CPU has answered in floods */
	__u32 out_of_state; /* out-of-state segments that this CPU has met in floods */
	__u32 segments;     /* segments that this CPU has passed or dropped without a look-up: handle/out_of_state.h */
	struct shakeoff_source source; /* a new entry */
	__u32 learnt;                  /* new sources in the tick learnt_tick: limit/syn_rate.h */
	__u64 learnt_tick;
	__u64 wait_tick;   /* the tick of wait_rounds */
	__u32 wait_rounds; /* rounds of segments that wait for their connection: admit.bpf.c */
	__u32 pad;
	__u64 event[sizeof(struct shakeoff_event) / 8]; /* a new value for the map handshakes */
	__u16 replies[SHAKEOFF_REPLY_CELLS];            /* this CPU's, see shakeoff/synack_rate.h */
};

/* The frame of an XDP or tc context. */
#define FRAME_START(ctx) ((void *)(long)(ctx)->data)
#define FRAME_END(ctx) ((void *)(long)(ctx)->data_end)

/* No verdict yet: handling goes on. */
#define VERDICT_NONE SHAKEOFF_VERDICT_COUNT

/* A packet's service, the time, and where the rest is: looked up once. */
struct hook_ctx {
	struct shakeoff_control *control;
	struct shakeoff_service *service;
	struct scratch *scratch;
	__u32 service_id;
	__u32 frame_len;
	__u64 now_ns;
	bool allowed; /* by the ACL: no limit applies to the source */
};

#endif
