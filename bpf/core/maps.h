/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps of abi.h. None is pinned: `ip link` would share them between interfaces and network namespaces. */
#ifndef SHAKEOFF_BPF_CORE_MAPS_H
#define SHAKEOFF_BPF_CORE_MAPS_H

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct shakeoff_filter);
} socket_filter SEC(".maps");

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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shakeoff_control);
} shakeoff_v7 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SHAKEOFF_MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct shakeoff_service);
} service_state SEC(".maps");

/* Hash tables are not preallocated: most hosts use a few of the elements. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_ADDRESSES);
	__type(key, struct shakeoff_address4);
	__type(value, __u32);
} addresses4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_ADDRESSES);
	__type(key, struct shakeoff_address6);
	__type(value, __u32);
} addresses6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_INTERFACES);
	__type(key, __u32);
	__type(value, struct shakeoff_interface);
} interfaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_INTERFACES);
	__type(key, __u32);
	__type(value, struct shakeoff_admissions);
} admissions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_VLANS);
	__type(key, __u32);
	__type(value, __u8);
} vlans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_NEIGHBOURS);
	__type(key, struct shakeoff_neighbour);
	__type(value, struct shakeoff_next_hop);
} neighbours SEC(".maps");

struct own6 {
	__be32 first[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_OWN);
	__type(key, struct shakeoff_route_key4);
	__type(value, __be32);
} own4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_OWN);
	__type(key, struct shakeoff_route_key6);
	__type(value, struct own6);
} own6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_ROUTES);
	__type(key, struct shakeoff_route_key4);
	__type(value, struct shakeoff_route);
} routes4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_ROUTES);
	__type(key, struct shakeoff_route_key6);
	__type(value, struct shakeoff_route);
} routes6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHAKEOFF_KEY_SLOTS);
	__type(key, __u32);
	__type(value, struct shakeoff_epoch_key);
} cookie_keys SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SHAKEOFF_VERDICT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} verdicts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SHAKEOFF_MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct shakeoff_service_counters);
} service_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); /* for the elements' alignment: nobody may map a lock */
	__uint(max_entries, SHAKEOFF_MAX_VALIDATED);
	__type(key, __u32);
	__type(value, struct shakeoff_validated);
} validated SEC(".maps");

/* Not preallocated: with syncookies = adaptive alone it stays empty. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_HALF_OPEN);
	__type(key, struct shakeoff_tuple);
	__type(value, struct shakeoff_half_open);
} half_open SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shakeoff_reply_cells);
} reply_cells SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHAKEOFF_FRAGMENT_CELLS);
	__type(key, __u32);
	__type(value, struct shakeoff_fragment_cell);
} fragment_cells SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHAKEOFF_MAX_SOURCES);
	__type(key, struct shakeoff_source_key);
	__type(value, struct shakeoff_source);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHAKEOFF_MAX_SYN_SOURCES);
	__type(key, struct shakeoff_source_key);
	__type(value, __u64);
} syn_sources SEC(".maps");

/* Of SYNs, for limit.h: a CPU's counts, in rows as large as an element may be. */
#define SYN_COUNT_BITS 15
#define SYN_COUNTS 8192
#define SYN_COUNT_ROWS ((1u << SYN_COUNT_BITS) / SYN_COUNTS)

struct syn_counts {
	__u16 cells[SYN_COUNTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SYN_COUNT_ROWS);
	__type(key, __u32);
	__type(value, struct syn_counts);
} syn_counts SEC(".maps");

/*
 * The ACL of sources: of two elements one is in use. Made by user space, and empty until something is listed. Sizes instead of
 * types: clang 14 leaves types that are only named by an inner map undefined in the BTF.
 */
struct acl_trie4 {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct shakeoff_acl_key4));
	__uint(value_size, sizeof(struct shakeoff_acl_entry));
};

struct acl_trie6 {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct shakeoff_acl_key6));
	__uint(value_size, sizeof(struct shakeoff_acl_entry));
};

struct acl_filter {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SHAKEOFF_ACL_BLOCKS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct shakeoff_acl_block));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct acl_trie4);
} acl4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct acl_trie6);
} acl6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct acl_filter);
} acl_filters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2 * SHAKEOFF_ISSUED_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} issued SEC(".maps");

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
	__u32 segments; /* segments that this CPU has let pass, or dropped, without a look at sockets: see out_of_state.h */
	struct shakeoff_source source; /* one to be made */
	__u32 learnt;                  /* of sources, in the tick learnt_tick: limit.h */
	__u64 learnt_tick;
	__u64 wait_tick; /* rounds of segments that wait for their connection in this tick: admit.bpf.c */
	__u32 wait_rounds;
	__u32 pad;
	__u64 event[sizeof(struct shakeoff_event) / 8]; /* one to be put into the map handshakes */
	__u16 replies[SHAKEOFF_REPLY_CELLS];            /* this CPU's, see shakeoff/reply.h */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/*
 * Never NULL. Functions that are not static are verified once, on their own, where static ones are followed again from
 * every call; until kernel 5.12 they take nothing but ctx and numbers, so they find their working memory by themselves.
 */
static __always_inline struct scratch *scratch_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

/* Not deleted from, but by age: a handshake that has been taken still tells where its frames came from. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHAKEOFF_MAX_HANDSHAKES);
	__type(key, struct shakeoff_tuple);
	__type(value, struct shakeoff_event);
} handshakes SEC(".maps");

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SHAKEOFF_RING_BYTES);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SHAKEOFF_MAX_RINGS);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

#endif
