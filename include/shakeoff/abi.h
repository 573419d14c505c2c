/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF programs and user space share: maps, keys, values, events.
 *
 * Rules: fixed-width types, explicit padding (always zero), sizes asserted. Values are in host byte order unless their
 * type says __be16/__be32. Times are CLOCK_MONOTONIC in nanoseconds (bpf_ktime_get_ns()). No map is pinned: user space
 * finds the program of an interface by netlink and its maps by id, and knows them by their names (maps.h).
 */
#ifndef SHAKEOFF_ABI_H
#define SHAKEOFF_ABI_H

#ifndef __VMLINUX_H__
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#endif

#include <shakeoff/issued.h>
#include <shakeoff/synack_rate.h>
#include <shakeoff/route.h>
#include <shakeoff/verdict.h>

/*
 * The name of the control map ends in the number of this ABI: a program whose control map has another number is one of
 * ours from another version, and is refused rather than misread. Raise it with every change below.
 */
#define SHAKEOFF_ABI 8
#define SHAKEOFF_CONTROL_PREFIX "shakeoff_v"
#define SHAKEOFF_STRING_OF(x) #x
#define SHAKEOFF_STRING(x) SHAKEOFF_STRING_OF(x)

/* The name of the control map; those of the others are in maps.h. */
#define SHAKEOFF_MAP_CONTROL SHAKEOFF_CONTROL_PREFIX SHAKEOFF_STRING(SHAKEOFF_ABI)

#define SHAKEOFF_MAX_SERVICES 16384  /* configured ones, and a discovered listening socket each */
#define SHAKEOFF_MAX_ADDRESSES 65536 /* of one family: addresses of the host times ports */
#define SHAKEOFF_MAX_INTERFACES 256
#define SHAKEOFF_MAX_VLANS 16384
#define SHAKEOFF_MAX_NEIGHBOURS 16384
#define SHAKEOFF_MAX_OWN 65536 /* of one family: the host's own addresses, and prefixes that are its own as a whole */
#define SHAKEOFF_MAX_RINGS 64
#define SHAKEOFF_MAX_HANDSHAKES 16384 /* validated ACKs that the kernel's input path has not let through yet */
#define SHAKEOFF_RING_BYTES (8u << 20)
#define SHAKEOFF_MAX_HALF_OPEN (1u << 15)
#define SHAKEOFF_SERVICE_HALF_OPEN (1u << 13) /* about so many of one service */
#define SHAKEOFF_RULE_LEN 64                  /* of a firewall's rule, with its NUL */
#define SHAKEOFF_NAME_LEN 48                  /* of a service, with its NUL; an IPv6 address and port fit */

/*
 * Cookies. An epoch is 64 s: epoch = (now + shakeoff_control.epoch_offset_ns) / SHAKEOFF_EPOCH_NS, 32 bits of it. A
 * cookie is good in its own epoch and in the next: for 64 to 128 s.
 */
#define SHAKEOFF_EPOCH_NS 64000000000ull
#define SHAKEOFF_COOKIE_LIFETIME_NS (2 * SHAKEOFF_EPOCH_NS)
#define SHAKEOFF_KEY_SLOTS 4

/*
 * SYN-ACKs are sent again as often as sysctl net.ipv4.tcp_synack_retries says: after 1, 3, 7, 15, 31 and 63 s. The next
 * would be later than their cookies are good.
 */
#define SHAKEOFF_SYNACK_RETRIES_MAX 6

/* A daemon whose last heartbeat is older than this is dead; it beats several times as often. */
#define SHAKEOFF_HEARTBEAT_TIMEOUT_NS 2000000000ull
#define SHAKEOFF_HEARTBEAT_PERIOD_NS 200000000ull

/* For so long after its final ACK was accepted, segments of a tuple without a socket follow that ACK to the daemon. */
#define SHAKEOFF_FOLLOW_NS 100000000ull

/* And so many of them, more than any first flight has: so a client alone cannot fill a ring. */
#define SHAKEOFF_FOLLOW_SEGMENTS 64

/* A window scale that was not negotiated. A real one is 0..14 (RFC 7323, section 2.3). */
#define SHAKEOFF_NO_WSCALE 15

/*
 * syncookies = adaptive. The SYNs of a service are counted in windows of this length; where a window has more than the service's
 * flood_rate allows, or the listening socket's SYN queue is half full, the hook answers with cookies from that very SYN on. It
 * goes on while the SYNs of the hold time make half that rate on average: each adds the time that half the rate takes to send it, up to
 * the hold time. A SYN queue a quarter full, or an accept queue, keeps it for a second at a time.
 */
#define SHAKEOFF_FLOOD_WINDOW_NS 10000000ull
#define SHAKEOFF_FLOOD_HOLD_NS 10000000000ull
#define SHAKEOFF_QUEUE_HOLD_NS 1000000000ull
#define SHAKEOFF_FLOOD_RATE_DEFAULT 20000 /* SYNs a second */

/*
 * A surge: more events of a kind than a rate, counted in windows. last_ns goes on with its events; the surge lasts for the hold time
 * (SHAKEOFF_FLOOD_HOLD_NS) from then on.
 */
struct shakeoff_surge {
	__u64 since_ns;  /* when it began; 0: there is none */
	__u64 last_ns;   /* the hold time before it ends; 0: there was none */
	__u64 window_ns; /* start of the present window */
	__u64 counted;   /* events in it */
};
_Static_assert(sizeof(struct shakeoff_surge) == 32, "half a cache line");

/* Whether the hold time from last_ns on is not over. Signed: another CPU may have written last_ns after now_ns was read. */
static inline __attribute__((always_inline)) bool shakeoff_surge_lasts(__u64 last_ns, __u64 now_ns)
{
	return last_ns && (__s64)(now_ns - last_ns) <= (__s64)SHAKEOFF_FLOOD_HOLD_NS;
}

/*
 * SYNs a second, to a service that is answered for, which pass because only the kernel can do what they ask for: TCP-AO, and segments
 * that are smaller than a cookie can say. As many again, counted for themselves, whose source the kernel would not answer.
 */
#define SHAKEOFF_SYN_EXCEPTIONS 20000u
#define SHAKEOFF_BUDGET_WINDOW_NS 100000000ull

/*
 * For so long after activation, ACKs with a cookie of the kernel's own are let through: TCP_SYNCOOKIE_VALID, include/net/tcp.h,
 * in which the kernel accepts them.
 */
#define SHAKEOFF_KERNEL_COOKIE_NS 120000000000ull

enum shakeoff_handoff {
	SHAKEOFF_HANDOFF_AUTO,
	SHAKEOFF_HANDOFF_LISTENER,
	SHAKEOFF_HANDOFF_QUEUE,
};

/* When the hook answers SYNs of a service with cookies. */
enum shakeoff_syncookies {
	SHAKEOFF_SYNCOOKIES_ALWAYS,
	SHAKEOFF_SYNCOOKIES_ADAPTIVE, /* listener handoff only: while there is a flood */
	SHAKEOFF_SYNCOOKIES_NEVER,    /* only the kernel can: see shakeoff_service.bypass */
};

/* Why a service is bypassed. X(CONSTANT, name, help) */
/* clang-format off */
#define SHAKEOFF_BYPASS_REASONS(X)                                                                                       \
	X(BYPASS_NONE, "", "it is not")                                                                                   \
	X(BYPASS_MPTCP, "mptcp", "an MPTCP socket: the kernel cannot complete handshakes of others for it")              \
	X(BYPASS_TCP_AUTH, "tcp_auth", "a socket with TCP-MD5 or TCP-AO keys")                                           \
	X(BYPASS_NETFILTER, "netfilter", "an ACK without a SYN, or a SYN, does not reach it: firewall rules, NAT or IPsec")      \
	X(BYPASS_SYNCOOKIES, "syncookies", "sysctl net.ipv4.tcp_syncookies is 0")                                        \
	X(BYPASS_KERNEL, "kernel", "this kernel has no bpf_sk_assign_tcp_reqsk: it came with 6.9")                       \
	X(BYPASS_DEVICE, "device", "a socket bound to a device that shakeoff is not attached to")                        \
	X(BYPASS_SAVE_SYN, "save_syn", "a socket with TCP_SAVE_SYN: only the kernel keeps its clients' SYNs for it")     \
	X(BYPASS_ROUTE, "route", "what routes say of SYN-ACKs cannot be followed: policy rules, or too many routes")      \
	X(BYPASS_BRIDGE, "bridge", "reached through a bridge that gives packets to netfilter (bridge-nf-call-iptables): attach to the bridge itself") \
	X(BYPASS_SYN_RULES, "syn_rules", "firewall rules look at SYNs, which they do not see while the hook answers, or count packets of the queue handoff; or they cannot be read (syn-rules = ignore answers all the same)")
/* clang-format on */

enum shakeoff_bypass {
#define X(constant, name, help) SHAKEOFF_##constant,
	SHAKEOFF_BYPASS_REASONS(X)
#undef X
		SHAKEOFF_BYPASS_COUNT
};

/* Why the hook began to answer for a service with syncookies = adaptive. X(CONSTANT, name, help) */
/* clang-format off */
#define SHAKEOFF_CAUSES(X)                                                                                      \
	X(CAUSE_NONE, "", "it has not")                                                                                \
	X(CAUSE_SYN_RATE, "syn_rate", "more SYNs a second than flood-rate")                                           \
	X(CAUSE_SYN_QUEUE, "syn_queue", "the listening socket's SYN queue was half full")                              \
	X(CAUSE_ACCEPT_QUEUE, "accept_queue", "its accept queue was half full, which the hook can share fairly")
/* clang-format on */

enum shakeoff_cause {
#define X(constant, name, help) SHAKEOFF_##constant,
	SHAKEOFF_CAUSES(X)
#undef X
		SHAKEOFF_CAUSE_COUNT
};

/*
 * Out-of-state segments: segments without SYN, or SYN-ACKs, for a service, that belong to no socket of the host. Where the hook answers no SYNs
 * they pass, and the kernel refuses them with RST, as long as they are few: they are counted in windows as SYNs are, with the same
 * rate and the same hold time. Beyond it they are dropped. X(CONSTANT, name, help): what came when it began.
 */
/* clang-format off */
#define SHAKEOFF_NO_SOCKET_KINDS(X)                                                                                        \
	X(NO_SOCKET_NONE, "", "it has not")                                                                                \
	X(NO_SOCKET_ACK, "no_socket_ack", "more ACKs of no connection than flood-rate")                                       \
	X(NO_SOCKET_FIN, "no_socket_fin", "more FINs of no connection than flood-rate")                                       \
	X(NO_SOCKET_RST, "no_socket_rst", "more RSTs of no connection than flood-rate")                                       \
	X(NO_SOCKET_SYNACK, "no_socket_synack", "more SYN-ACKs of no handshake than flood-rate")                        \
	X(NO_SOCKET_INVALID, "no_socket_invalid", "more segments that no TCP sends than flood-rate")
/* clang-format on */

enum shakeoff_no_socket_kind {
#define X(constant, name, help) SHAKEOFF_##constant,
	SHAKEOFF_NO_SOCKET_KINDS(X)
#undef X
		SHAKEOFF_NO_SOCKET_KIND_COUNT
};

/*
 * An attacker tries to forge cookies of a service when more invalid ACKs a second come in a window of this length, and while they are half as
 * many on average over the hold time. At this rate 2^-26.9 is a forged connection in 35 hours.
 */
#define SHAKEOFF_FORGERY_RATE 1000u
#define SHAKEOFF_FORGERY_WINDOW_NS 100000000ull

/* After so long, cookies that were sent before the forgery began have come back, or are expected no more. */
#define SHAKEOFF_FORGERY_WARM_NS 2000000000ull

/*
 * IP fragments of TCP a second that pass to protected addresses. The kernel puts them together, and its memory for those that wait for
 * the rest (net.ipv4.ipfrag_high_thresh, net.ipv6.ip6frag_high_thresh) bounds what a flood of less can do, as without us.
 */
#define SHAKEOFF_FRAGMENT_RATE 10000u

/* While more come: this part of it is a prefix's (/24, IPv6 /48). */
#define SHAKEOFF_FRAGMENT_PREFIX 8u
#define SHAKEOFF_FRAGMENT_CELL_BITS 10
#define SHAKEOFF_FRAGMENT_CELLS (1u << SHAKEOFF_FRAGMENT_CELL_BITS)

/* Of the prefixes that share it by a salted hash. */
struct shakeoff_fragment_cell {
	__u32 window; /* number of the window (SHAKEOFF_BUDGET_WINDOW_NS) */
	__u32 wanted; /* fragments in it */
	__u32 expected;
	__u32 pad;
};

/* What a full accept queue does with SYNs and final ACKs: as tcp_abort_on_overflow 0 and 1. */
enum shakeoff_overflow {
	SHAKEOFF_OVERFLOW_DROP,
	SHAKEOFF_OVERFLOW_RESET,
};

/* shakeoff_control.flags */
#define SHAKEOFF_KEYS_LOADED 0x1u /* every slot of cookie_keys holds a key: answering may begin */
#define SHAKEOFF_ACCEPT_NEXT_EPOCH                                                                                     \
	0x2u /* keys are shared by hosts whose clocks differ: cookies of the next epoch are good */
#define SHAKEOFF_FILTER_READY 0x8u     /* socket_filter[filter_active] knows every socket of a service */
#define SHAKEOFF_FILTER_BUILDING 0x10u /* note new connections in the other one as well */
#define SHAKEOFF_RESENDS 0x20u         /* SYN-ACKs are sent again: sysctl net.ipv4.tcp_synack_retries is not 0 */
#define SHAKEOFF_ROUTES4 0x40u         /* routes4 is not empty */
#define SHAKEOFF_ROUTES6 0x80u         /* routes6 is not empty */
#define SHAKEOFF_ANSWER_ROUTE                                                                                          \
	0x400u /* SYN-ACKs go to the next hop of the route to the client, not to the SYN's sender */
#define SHAKEOFF_KEEP_TIME_WAIT 0x4u /* this kernel cannot remove a TIME-WAIT socket: its SYNs are the kernel's */
/*
 * Queue handoff: validated ACKs, and what follows them, pass the kernel's input path and are given to the daemon at its end, behind
 * the firewall, by the netfilter program (bpf/input.bpf.c, kernel 6.4 and later). Without it the hook gives them to the daemon itself.
 */
#define SHAKEOFF_INPUT 0x100u
#define SHAKEOFF_INPUT_MORTAL 0x200u /* the netfilter program goes with the daemon: nothing could be pinned */

/*
 * The keys, for who looks: the hook does not read this. fingerprint: of the master secret that the key of a slot was derived
 * from, never of the key itself; 0: the key is random. epoch: which one it was made for; a slot whose turn came without a new
 * key (the daemon is dead) keeps its old one.
 */
struct shakeoff_key_state {
	__u64 fingerprint[SHAKEOFF_KEY_SLOTS];
	__u32 epoch[SHAKEOFF_KEY_SLOTS];
	__u32 rotations_asked; /* written by `shakeoff key rotate`: raised to ask for new random keys */
	__u32 rotations_made;  /* the number that was last granted */
	__u32 rotated_from;    /* the epoch whose key was the first new one then */
	__u32 newest; /* the newest epoch that there has been: a fleet's never go back by more than one from it */
};
_Static_assert(sizeof(struct shakeoff_key_state) == 64, "beside the cache line that the hook reads");

/*
 * The host's own addresses as sources: packets of them do not come in by a wire. Nearly all of a flood's sources are told from them by
 * a bit; the others are looked for in own4 and own6. IPv6: the exclusive or of the address's words.
 */
#define SHAKEOFF_OWN_WORDS 8

static inline __attribute__((always_inline)) __u32 shakeoff_own_bit(__u32 address)
{
	return (address * 0x9e3779b1u) >> 24; /* 32 * SHAKEOFF_OWN_WORDS of them; Knuth, TAOCP 3, section 6.4 */
}

/* Written by the daemon, but for the fields that say otherwise, and read by the hook. */
struct shakeoff_control {
	__u64 heartbeat_ns;    /* time of the last heartbeat; 0: no daemon has run, or it stopped cleanly */
	__u64 epoch_offset_ns; /* what to add to CLOCK_MONOTONIC before dividing by SHAKEOFF_EPOCH_NS */
	__u32 flags;           /* SHAKEOFF_KEYS_LOADED ... */
	__u32 rings;           /* rings in use: ring = hash of the tuple % rings; 0: no daemon has run */
	__u32 daemon_pid;      /* for display; in the daemon's PID namespace */
	__u32 filter_active;   /* which socket_filter is read: 0 or 1 */
	__u64 started_ns;      /* when the present daemon started, for display */
	__u32 generation;      /* raised after every change of addresses, interfaces and keys; 0: there has been none */
	__u32 half_open;       /* 0: nothing is in the map half_open. Set by the hook, taken back by the daemon */
	__u64 claimed_tick;    /* written by the hook: jiffies when an ACK was last given to the tc program */
	__u32 acl; /* SHAKEOFF_ACL_* of acl.h; 0: nothing is listed. Written by who changes the lists, as the next field */
	__u32 acl_expire_s; /* no entry expires before this second, rounded up; 0: none expires. For the daemon */
	struct shakeoff_key_state keys;
	struct shakeoff_reply_budget replies;

	__u32 fragment_window;    /* written by the hook: number of the present window (SHAKEOFF_BUDGET_WINDOW_NS) */
	__u32 fragments;          /* likewise: let pass in it */
	__u32 fragments_expected; /* likewise: so many may come in it, as in those before */
	__u32 fragments_wanted;   /* written by the hook: so many came in the present window */

	__u64 tsval_secret
		[2];      /* shakeoff_epoch_key.offset of random keys, for the next daemon. The hook does not read it */
	__u64 input_tick; /* written by the hook: jiffies when a segment was last given to the kernel's input path */
	/* For `shakeoff status`: interfaces of the configuration that have no program of this daemon's, and the first of them. */
	__u32 missing;
	char missing_name[16]; /* IFNAMSIZ */
	/* Likewise: listening endpoints that the table of services has no room for, the user who has most of them, his first. */
	__u32 no_service;
	__u32 no_service_uid;
	__u32 no_service_port;
	__u32 fragments_fair; /* likewise: of these so many were within what their prefix may have in a flood */
	__u32 fragments_fair_expected; /* likewise */
	__u32 rules_unread;            /* the firewall's rules cannot be read: services that obey them are bypassed */
	__u32 pad2[11];

	/* Bits of shakeoff_own_bit(): of each of the host's own addresses. A source whose bit is not set is none of them. */
	__u32 own[SHAKEOFF_OWN_WORDS];
	__u32 own_prefixes; /* own4 and own6 have prefixes of several addresses (local routes) */
	__u32 metadata_secret; /* a random number: by it the tc program knows what the hook tells it (bpf/core/metadata.h) */
	__u32 pad3[6];
	struct shakeoff_plain_routes plain;
};
_Static_assert(sizeof(struct shakeoff_control) == 448, "shakeoff_control is read by several programs");
_Static_assert(__builtin_offsetof(struct shakeoff_control, own) % 64 == 0, "its own cache line");
_Static_assert(__builtin_offsetof(struct shakeoff_control, keys) == 64, "what the hook reads is one cache line");

/* 128 bits, random or derived from a master secret; never all zero when loaded. */
struct shakeoff_key {
	__u64 k0, k1;
};

/*
 * The keys of an epoch. offset: of our timestamps' offset (bpf/lib/cookie.h), which hides the uptime. It is the same in every slot, so that
 * timestamps never go back, until the master is exchanged: then the epochs that had begun keep the old one.
 */
struct shakeoff_epoch_key {
	struct shakeoff_key cookie;
	__u64 offset[2];
};

/*
 * Why the daemon did not carry a validated ACK through to the server. X(CONSTANT, name, help)
 * Counted in shakeoff_service.refused[].
 */
/* clang-format off */
#define SHAKEOFF_REFUSALS(X)                                                                                           \
	X(REFUSED_DESCRIPTORS, "no_descriptor", "the daemon's descriptor limit, or the system's, is reached")          \
	X(REFUSED_MEMORY, "no_memory", "the kernel had no memory for the socket")                                     \
	X(REFUSED_ADDRESS, "address_in_use", "another socket holds the tuple, or the local address is gone")          \
	X(REFUSED_KERNEL, "kernel_error", "the kernel refused the repaired socket for another reason")                 \
	X(REFUSED_NO_SERVER, "no_server", "the service was removed, or has had no server for too long")                  \
	X(REFUSED_CLIENT_RESET, "client_reset", "the client reset the connection before a server took it")             \
	X(REFUSED_SHUTDOWN, "shutdown", "the daemon was stopped while the connection waited")
/* clang-format on */

enum shakeoff_refusal {
#define X(constant, name, help) SHAKEOFF_##constant,
	SHAKEOFF_REFUSALS(X)
#undef X
		SHAKEOFF_REFUSAL_COUNT
};

/* shakeoff_service.flags */
#define SHAKEOFF_SERVICE_USED 0x1u   /* the id belongs to a service */
#define SHAKEOFF_SERVICE_SERVED 0x2u /* a server has listened: SYNs are answered. Stays set while a server restarts. */
#define SHAKEOFF_SERVICE_DISCOVERED                                                                                    \
	0x4u /* of a listening socket that no configured service has; its name is what ss shows: *:80, 10.9.0.1:80 */

/* What a listening socket's options make of its SYN-ACKs. Host byte order. Index: 0 IPv4, 1 IPv6. */
struct shakeoff_socket_offer {
	__u32 rcv_space;    /* tcp_full_space(), include/net/tcp.h: what of the receive buffer is for data */
	__u32 window_clamp; /* TCP_WINDOW_CLAMP; 0: none */
	__u16 user_mss;     /* TCP_MAXSEG; 0: none */
	__s16 hop_limit[2]; /* IP_TTL and IPV6_UNICAST_HOPS; below 0: none */
	__u8 tos[2];        /* IP_TOS and IPV6_TCLASS */
	__u8 rcv_locked;    /* SO_RCVBUF has been set, so rcv_space bounds the window */
	__u8 min_ttl[2];    /* IP_MINTTL and IPV6_MINHOPCOUNT: what comes from farther away is the kernel's; 0: none */
	__u8 pad;
};
_Static_assert(sizeof(struct shakeoff_socket_offer) == 20, "no hidden padding");

/*
 * A service. Each block is a cache line, or two, with one writer: the daemon, the hook, the daemon.
 *
 * Queue handoff: the accept queue holds enqueued - dequeued connections (signed difference; may be briefly off by one a CPU).
 * Listener handoff: enqueued - dequeued are on their way from the hook to the listening socket, whose own queue is the rest;
 * the tc program counts `dequeued`.
 */
struct shakeoff_service {
	char name[SHAKEOFF_NAME_LEN]; /* NUL-terminated */
	__u32 flags;                  /* SHAKEOFF_SERVICE_* */
	__u8 handoff;                 /* enum shakeoff_handoff, never AUTO here */
	__u8 overflow;                /* enum shakeoff_overflow */
	__u8 syncookies;              /* enum shakeoff_syncookies; queue handoff: ALWAYS */
	__u8 bypass; /* enum shakeoff_bypass; listener handoff: BYPASS_NONE unless syncookies is NEVER; queue handoff: BYPASS_SYN_RULES if all endpoints are */
	__u32 capacity; /* so many connections may wait: shakeoff_capacity(), less what others hold of it (service.h) */
	__u32 backlog; /* from the configuration; listener handoff: the hook takes the smaller of it and the socket's */

	__u32 listen_capacity; /* one more than the greatest that a server has given to listen(); 0: none has listened yet */
	__u32 flood_rate;      /* SYNs a second */
	__u16 servers;         /* servers connected now (queue), listening sockets (listener) */
	__u8 fair_share;       /* 0: positions of the accept queue are not shared between sources */
	__u8 source_prefix4; /* the length of what is one source: 24, else 32 */
	__u8 source_prefix6; /* 48, else 64 */
	__u8 pad;
	__u16 bypass_changed_s; /* shakeoff_bypass_clock_s() when an address last came to be bypassed, or was it no more; 0: never */
	__u32 acl_scope;          /* shakeoff_acl_scope() of its name */
	__u32 syn_interval_ns;    /* source-syn-limit: time between two SYNs of a source; 0: no limit */
	__u32 syn_burst;          /* and how many it may send at once, at least 1 */
	__u32 accept_interval_ns; /* the same of source-limit, for connections */
	__u32 accept_burst;
	__u32 syn_hot; /* source-syn-limit: a CPU that counts so many of a source in a window looks closer (bpf/limit/syn_rate.h) */
	struct shakeoff_socket_offer
		offer; /* queue handoff: of the server that registered last; the hook reads a listening socket itself */
	__u32 pad2;

	__u64 enqueued; /* final ACKs validated and given on */
	__u64 dequeued; /* of these, taken by a server or refused; listener handoff: given to the listening socket */
	/* Windows of SHAKEOFF_FLOOD_WINDOW_NS. since_ns: since when SYNs are answered with cookies, with or without a flood */
	struct shakeoff_surge syns;
	__u32 activations;   /* how often it was active */
	__u32 cause;         /* enum shakeoff_cause: of the last time */
	__u32 budget_window; /* number of the present window of the budget (SHAKEOFF_BUDGET_WINDOW_NS) */
	__u32 budget_syns;   /* SYNs let pass in it */

	__u64 fair_share_ns;           /* when a source was last found to hold its share of the accept queue */
	__u32 budget_known;            /* SYNs of known sources that passed in the present window, beyond the budget */
	__u32 last_source;             /* a hash of the source of the last connection; 0: there was none */
	__u64 mixed_ns;                /* when a connection was last of another source than the one before it */
	__u64 positions_from;          /* positions with a smaller number are held no more (source.h) */
	struct shakeoff_surge forgery; /* invalid ACKs, in windows of SHAKEOFF_FORGERY_WINDOW_NS */

	struct shakeoff_surge out_of_state; /* out-of-state segments, in windows of SHAKEOFF_FLOOD_WINDOW_NS */
	__u32 out_of_state_times;           /* how often it began */
	__u32 out_of_state_kind;            /* enum shakeoff_no_socket_kind: of the last time */
	__u64 looked_ns;                    /* of several listening sockets: when the hook last looked at one */
	__u64 short_ns;                     /* when one was last found half full, or might have been */
	__u32 seen_bypass;     /* enum shakeoff_bypass: what the hook saw of a socket that user space cannot see */
	__u32 unrouted_window; /* as budget_window, of SYNs that no answer can get back to */

	__u64 released_ns; /* when it last went back to the kernel; 0: never */
	__u64 established; /* sockets made */
	__u64 accepted;    /* taken by a server, and acknowledged by it */
	__u64 from_kernel; /* of the accepted, those that the kernel's own handshake made (loopback, say) */
	__u64 refused[SHAKEOFF_REFUSAL_COUNT];
	__u64 repeated;  /* SYN-ACKs that the daemon has sent again */
	__u32 half_open; /* in the map half_open, when the daemon last looked */
	__u32 no_room;   /* addresses and ports of it that the table of addresses has no room for */
	/* The first of them: IPv4 mapped, port in host byte order. */
	__be32 no_room_address[4];
	__u16 no_room_port;
	__u16 pad3;
	__u32 unrouted_syns; /* let pass in unrouted_window */
	char bypass_rule
		[SHAKEOFF_RULE_LEN]; /* BYPASS_SYN_RULES of the service or of an address: the rule, or why rules are not known */
};
_Static_assert(sizeof(struct shakeoff_service) == 512, "shakeoff_service is indexed by several programs");
_Static_assert(__builtin_offsetof(struct shakeoff_service, listen_capacity) % 64 == 0, "its own cache line");
_Static_assert(__builtin_offsetof(struct shakeoff_service, enqueued) % 64 == 0, "its own cache line");
_Static_assert(__builtin_offsetof(struct shakeoff_service, fair_share_ns) % 64 == 0, "its own cache line");
_Static_assert(__builtin_offsetof(struct shakeoff_service, out_of_state) % 64 == 0, "its own cache line");
_Static_assert(__builtin_offsetof(struct shakeoff_service, released_ns) % 64 == 0, "its own cache line");

/* The lowest bits of a time in seconds, never 0: who takes a moment 18 hours ago for one of now looks at a few ACKs more. */
static inline __attribute__((always_inline)) __u16 shakeoff_bypass_clock_s(__u64 now_ns)
{
	__u16 seconds = (__u16)(now_ns / 1000000000);

	return seconds ? seconds : 1;
}

/*
 * So many connections may wait: one more than listen() was given, as in the kernel's own queues (sk_acceptq_is_full(),
 * include/net/sock.h), and no more than configured. listen_capacity: as in shakeoff_service.
 */
static inline __attribute__((always_inline)) __u32 shakeoff_capacity(__u32 listen_capacity, __u32 backlog)
{
	return listen_capacity && listen_capacity < backlog ? listen_capacity : backlog;
}

/*
 * With a service's id: this one of its addresses is bypassed (netfilter, routes, firewall rules). Queue handoff: for as long
 * as cookies of ours may come back; then it is withdrawn.
 */
#define SHAKEOFF_ADDRESS_BYPASSED 0x80000000u

/*
 * With a service's id: the address belongs to a VLAN device. Where a frame's tag may have been taken off (shakeoff_interface.vlans),
 * frames without one pass to the kernel: what the hook sent back would leave without the tag, too (listener handoff).
 */
#define SHAKEOFF_ADDRESS_TAGGED 0x20000000u

/* Likewise, for `shakeoff status`: the self-test could not try whether packets reach the address. The hook does not look at it. */
#define SHAKEOFF_ADDRESS_UNTESTED 0x10000000u
#define SHAKEOFF_ADDRESS_FLAGS (SHAKEOFF_ADDRESS_BYPASSED | SHAKEOFF_ADDRESS_TAGGED | SHAKEOFF_ADDRESS_UNTESTED)

/*
 * Instead of an id, at port 0: the address has services. It is how fragments, and packets whose TCP header cannot be read, are
 * known to be for one that is protected.
 */
#define SHAKEOFF_ADDRESS_ITSELF 0x40000000u

/* An endpoint where a service is reached: one of the host's own unicast addresses; with port 0 see SHAKEOFF_ADDRESS_ITSELF. */
struct shakeoff_address4 {
	__be32 address;
	__be16 port;
	__u16 pad;
};

struct shakeoff_address6 {
	__be32 address[4];
	__be16 port;
	__u16 pad;
};
_Static_assert(sizeof(struct shakeoff_address4) == 8 && sizeof(struct shakeoff_address6) == 20,
	       "hash keys: no hidden padding");

/* Whether what the hook validates gets to listening sockets: what the daemon has found of the tc program of an interface. */
enum shakeoff_admits {
	SHAKEOFF_ADMITS_NOTHING, /* there is no tc program, or none that may work */
	SHAKEOFF_ADMITS,
	/* For these SYNs pass to the kernel; cookies that are out are still taken, as far as they get there. */
	SHAKEOFF_ADMITS_BEHIND, /* another program insists on standing before ours, and may let nothing come to it */
	SHAKEOFF_ADMITS_LOST,   /* ours stands first, but validated ACKs do not come to it */
};

#define SHAKEOFF_MACS 8

/*
 * What a SYN-ACK that leaves through an interface offers, as far as listening socket and route say nothing else. Index of `mss` and
 * `hop_limit`: 0 IPv4, 1 IPv6.
 */
struct shakeoff_interface {
	__u16 mss[2];
	__u8 sack;       /* sysctl tcp_sack */
	__u8 timestamps; /* sysctl tcp_timestamps != 0 */
	__u8 ecn;        /* sysctl tcp_ecn is not 0: a client's ECN is taken up (listener handoff only) */
	__u8 admits; /* enum shakeoff_admits: services with the listener handoff can be answered, or why they are not */
	__u8 in_vrf; /* a port of a VRF device: its sockets are bound to that, and the hook does not find them */
	__u8 hop_limit[2];   /* time to live and hop limit, where neither socket nor route says otherwise */
	__u8 window_scaling; /* sysctl tcp_window_scaling */
	__u8 signed_windows; /* sysctl tcp_workaround_signed_windows */
	__u8 reflect_tos;    /* sysctl tcp_reflect_tos */
	__u8 vlans;          /* VLAN devices are above it: a tag may be beside the frame (SHAKEOFF_ADDRESS_TAGGED) */
	__u8 mac_count;
	__u32 window_space; /* the greater of tcp_rmem[2] and net.core.rmem_max: what the window scale is chosen for */
	__u32 route_bit; /* which bit of shakeoff_route.refused is the interface's; 0: routes are not those of the interface (a VRF) */
	/*
	 * Frames for these MAC addresses are the host's: its own first, then those of devices above it (VLAN, macvlan, bridge). Others are
	 * for other hosts, and the kernel drops them: eth_type_trans(), net/ethernet/eth.c.
	 */
	__be16 macs[SHAKEOFF_MACS][3];
};
_Static_assert(sizeof(struct shakeoff_interface) == 72, "no hidden padding");

/* A neighbour on the link, IPv4 mapped, and the interface by which frames of it come in (shakeoff_interface.route_bit). */
struct shakeoff_neighbour {
	__be32 address[4];
	__u32 route_bit;
};

struct shakeoff_next_hop {
	__be16 mac[3];
	__u16 pad;
};
_Static_assert(sizeof(struct shakeoff_neighbour) == 20 && sizeof(struct shakeoff_next_hop) == 8, "no hidden padding");

/* A VLAN tag that the host takes frames with at this interface: index, 802.1ad, id. Indexes above 2^19 have none. */
#define SHAKEOFF_VLAN_TAG(provider, id) (((provider) ? 0x1000u : 0u) | ((id)&0xfffu))
#define SHAKEOFF_VLAN_KEY(ifindex, tag) ((__u32)(ifindex) << 13 | (tag))
#define SHAKEOFF_VLAN_IFINDEX_MAX ((1u << 19) - 1)

/*
 * Listener handoff: what came of ACKs that were validated at an interface, counted by the two programs. Both count each once, so the
 * difference is on its way (microseconds), or was lost on it.
 */
struct shakeoff_admissions {
	__u64 claimed; /* given to the tc program by the hook */
	__u64 reached; /* seen by the tc program; of a bond's members: at the bond */
};
_Static_assert(sizeof(struct shakeoff_admissions) == 16, "no hidden padding");

/* Counted by the hook, per CPU and service. */
struct shakeoff_service_counters {
	__u64 syn;       /* SYNs to the service, of every verdict */
	__u64 synack;    /* SYN-ACKs sent: cookies out */
	__u64 ack_valid; /* final ACKs accepted */
	__u64 ack_invalid;
	__u64 overflow;   /* SYNs and ACKs turned away by a full accept queue */
	__u64 admitted;   /* listener handoff: requests assigned to the listening socket by the tc program */
	__u64 unadmitted; /* listener handoff: the kernel refused the assignment, or no socket listened any more */
	__u64 forgeries;  /* what may be forged cookies: for the hook, which takes them together in batches */
};
_Static_assert(sizeof(struct shakeoff_service_counters) == 64, "one cache line");

/* A connection's four-tuple as the host sees it. IPv4 addresses are mapped: ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). */
struct shakeoff_tuple {
	__be32 remote[4];
	__be32 local[4];
	__be16 remote_port;
	__be16 local_port;
};
_Static_assert(sizeof(struct shakeoff_tuple) == 36, "hash key: no hidden padding");

/* shakeoff_validated.flags, listener handoff only */
#define SHAKEOFF_VALIDATED_ADMITTED 0x1u  /* the tc program has assigned the request */
#define SHAKEOFF_VALIDATED_CONFIRMED 0x2u /* a later segment met its socket: the ACK is not to open it again */
/* The same, queue handoff only */
#define SHAKEOFF_VALIDATED_INPUT 0x4u      /* the ACK was given to the kernel's input path: see SHAKEOFF_INPUT */
#define SHAKEOFF_VALIDATED_TAKEN 0x8u      /* and has come to its end, from where the daemon got it */
#define SHAKEOFF_VALIDATED_UNTRACKED 0x10u /* connection tracking has been told to forget the tuple's last connection */

/* A tuple whose final ACK was accepted. */
struct shakeoff_validated {
	__u64 established_ns; /* 0: there is none */
	struct shakeoff_tuple tuple;
	__u32 client_isn;
	__u32 cookie; /* our ISN */
	__u32 replaced; /* queue: rcv_nxt of the socket in TIME-WAIT that the connection replaces, 0: none; listener: CPUs, below */
	__u16 service; /* id */
	__u8 followed; /* segments that followed the ACK before its socket existed; counted without a lock, so about */
	__u8 flags;    /* SHAKEOFF_VALIDATED_* */
	struct bpf_spin_lock lock; /* of the set, in its first way: for those who enter a tuple */
};
_Static_assert(sizeof(struct shakeoff_validated) == 64, "a cache line, no hidden padding");

/* Listener handoff: where the ACK was seen by the hook, and one more than where by the tc program; 0: not yet. */
#define SHAKEOFF_VALIDATED_HOOK_CPU(entry) ((entry)->replaced & 0xffffu)
#define SHAKEOFF_VALIDATED_TC_CPU(entry) ((entry)->replaced >> 16)

/* Two VLAN tags, IPv6 and 20 bytes of options; even, for words. */
#define SHAKEOFF_SYNACK_FRAME 104

/*
 * A SYN-ACK whose ACK has not come: the frame as the hook sent it, to be sent again. Taken in by the hook while the service is
 * under no flood; taken out by the hook when the ACK or an RST comes, and by the daemon when its time is over.
 */
struct shakeoff_half_open {
	__u64 answered_ns;
	__u32 ifindex;
	__u32 service; /* id */
	__u32 rcv_nxt; /* the client's ISN + 1 */
	__u16 frame_len;
	__u8 frame[SHAKEOFF_SYNACK_FRAME];
	__u8 pad[2];
};
_Static_assert(sizeof(struct shakeoff_half_open) == 128, "no hidden padding");

enum shakeoff_event_type {
	SHAKEOFF_EVENT_OPEN = 1, /* a validated final ACK: make the connection; the packet is the ACK itself */
	SHAKEOFF_EVENT_SEGMENT,  /* a segment that followed it before its socket existed */
};

/* shakeoff_event.flags; meaningful for OPEN */
#define SHAKEOFF_EVENT_SACK 0x1u       /* SACK permitted by both */
#define SHAKEOFF_EVENT_TIMESTAMPS 0x2u /* timestamps negotiated; tsval and tsecr are set */
#define SHAKEOFF_EVENT_TIME_WAIT                                                                                       \
	0x4u /* a socket in TIME-WAIT holds the tuple; RFC 9293, 3.6.1 allows its replacement */
/* And for every type: */
#define SHAKEOFF_EVENT_INPUT 0x8u /* from the end of the kernel's input path */
#define SHAKEOFF_EVENT_PARTIAL                                                                                         \
	0x10u /* its TCP checksum is known to be right, or needed none, but is not in the packet */

/*
 * What travels through the ring buffer: this header, then the packet from its IP header on (no Ethernet header, no
 * padding). A record may be longer than header and packet together.
 */
struct shakeoff_event {
	__u16 type;    /* enum shakeoff_event_type */
	__u16 service; /* id */
	__u32 ifindex; /* where it came in; SHAKEOFF_EVENT_INPUT: as the firewall sees it, a VLAN's or bridge's device too */
	__u64 time_ns;
	struct shakeoff_tuple tuple;
	__u32 packet_len; /* bytes of `packet` that are meant */
	__u16 tcp_offset; /* of the TCP header in `packet` */
	__u16 flags;      /* SHAKEOFF_EVENT_* */

	/* OPEN only, zero otherwise. Sequence numbers and windows are in host byte order. */
	__u32 rcv_nxt; /* client's ISN + 1 */
	__u32 snd_nxt; /* cookie + 1 */
	__u32 rcv_wnd; /* bytes that our SYN-ACK offered */
	__u32 snd_wnd; /* bytes that the ACK offers, scaled */
	__u32 tsval;   /* of the ACK: the client's clock */
	__u32 tsecr; /* what our timestamps say at time_ns: the connection's go on from it, and are not behind the SYN-ACK's */
	__u16 mss;       /* the client's, without options; 536/1220 if it gave none */
	__u8 snd_wscale; /* the client's, or SHAKEOFF_NO_WSCALE */
	__u8 rcv_wscale; /* ours, or SHAKEOFF_NO_WSCALE; both or neither are set */

	__u8 mac[12]; /* destination and source of the frame; zero: not known */
	__u32 taken;  /* in the map handshakes: 1 once it has been given to the daemon; zero in a ring */

	__u8 packet[];
};
_Static_assert(sizeof(struct shakeoff_event) == 104, "no hidden padding");

#endif
