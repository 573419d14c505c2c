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
 * The name of the control map ends in the number of this ABI. User space refuses a program of another shakeoff version,
 * whose control map has another number, instead of misreading its maps. Raise the number with every change below.
 */
#define SHAKEOFF_ABI 8
#define SHAKEOFF_CONTROL_PREFIX "shakeoff_v"
#define SHAKEOFF_STRING_OF(x) #x
#define SHAKEOFF_STRING(x) SHAKEOFF_STRING_OF(x)

/* The name of the control map. maps.h has the names of the others. */
#define SHAKEOFF_MAP_CONTROL SHAKEOFF_CONTROL_PREFIX SHAKEOFF_STRING(SHAKEOFF_ABI)

#define SHAKEOFF_MAX_SERVICES 16384  /* configured services, and one for each discovered listening socket */
#define SHAKEOFF_MAX_ADDRESSES 65536 /* of one family: addresses of the host times ports */
#define SHAKEOFF_MAX_INTERFACES 256
#define SHAKEOFF_MAX_VLANS 16384
#define SHAKEOFF_MAX_NEIGHBOURS 16384
#define SHAKEOFF_MAX_OWN 65536 /* of one family: the host's own addresses, and prefixes that are its own */
#define SHAKEOFF_MAX_RINGS 64
#define SHAKEOFF_MAX_HANDSHAKES 16384 /* validated ACKs that the kernel's input path has not let through yet */
#define SHAKEOFF_RING_BYTES (8u << 20)
#define SHAKEOFF_MAX_HALF_OPEN (1u << 15)
#define SHAKEOFF_SERVICE_HALF_OPEN (1u << 13) /* approximate maximum of one service */
#define SHAKEOFF_RULE_LEN 64                  /* of a firewall rule, with its NUL */
#define SHAKEOFF_NAME_LEN 48                  /* of a service, with its NUL; an IPv6 address and port fit */

/*
 * Cookies. An epoch is 64 s: epoch = the low 32 bits of (now + shakeoff_control.epoch_offset_ns) / SHAKEOFF_EPOCH_NS. A
 * cookie is valid in its own epoch and in the next: for 64 to 128 s.
 */
#define SHAKEOFF_EPOCH_NS 64000000000ull
#define SHAKEOFF_COOKIE_LIFETIME_NS (2 * SHAKEOFF_EPOCH_NS)
#define SHAKEOFF_KEY_SLOTS 4

/*
 * SYN-ACKs are sent again as often as sysctl net.ipv4.tcp_synack_retries says: after 1, 3, 7, 15, 31 and 63 s. A
 * seventh repetition would come after their cookies have expired.
 */
#define SHAKEOFF_SYNACK_RETRIES_MAX 6

/* A daemon whose last heartbeat is older than this is dead; the daemon beats several times in this time. */
#define SHAKEOFF_HEARTBEAT_TIMEOUT_NS 2000000000ull
#define SHAKEOFF_HEARTBEAT_PERIOD_NS 200000000ull

/* How long segments of a tuple without a socket follow its accepted final ACK to the daemon. */
#define SHAKEOFF_FOLLOW_NS 100000000ull

/*
 * Maximum number of these segments. It is more than any first flight has, and keeps a single client from filling a
 * ring.
 */
#define SHAKEOFF_FOLLOW_SEGMENTS 64

/* Window scaling was not negotiated. A real window scale is 0..14 (RFC 7323, section 2.3). */
#define SHAKEOFF_NO_WSCALE 15

/*
 * syncookies = adaptive. The SYNs of a service are counted in windows of this length. The hook answers with cookies,
 * beginning with the SYN at hand, when a window has more SYNs than flood_rate allows, or when the listening socket's
 * SYN queue is half full. It goes on while the SYNs of the hold time make half that rate on average: each SYN adds the
 * time that half the rate takes to send it, up to the hold time. A SYN queue or an accept queue that is a quarter full
 * keeps it active for a second at a time.
 */
#define SHAKEOFF_FLOOD_WINDOW_NS 10000000ull
#define SHAKEOFF_FLOOD_HOLD_NS 10000000000ull
#define SHAKEOFF_QUEUE_HOLD_NS 1000000000ull
#define SHAKEOFF_FLOOD_RATE_DEFAULT 20000 /* SYNs a second */

/*
 * A surge: more events of a kind than a rate, counted in windows. last_ns moves on with the events. The surge lasts
 * until the hold time (SHAKEOFF_FLOOD_HOLD_NS) after last_ns is over.
 */
struct shakeoff_surge {
	__u64 since_ns;  /* when it began; 0: there is no surge */
	__u64 last_ns;   /* the hold time before it ends; 0: there was no surge */
	__u64 window_ns; /* start of the present window */
	__u64 counted;   /* events in it */
};
_Static_assert(sizeof(struct shakeoff_surge) == 32, "half a cache line");

/*
 * Returns whether a surge lasts: the hold time after last_ns is not over. The difference is signed because another CPU
 * may have written last_ns after now_ns was read.
 */
static inline __attribute__((always_inline)) bool shakeoff_surge_lasts(__u64 last_ns, __u64 now_ns)
{
	return last_ns && (__s64)(now_ns - last_ns) <= (__s64)SHAKEOFF_FLOOD_HOLD_NS;
}

/*
 * SYNs a second to a service with active syncookies that pass because only the kernel can do what they ask for: SYNs
 * with TCP-AO, and SYNs with a smaller MSS than a cookie can encode. The same number, counted separately, may pass
 * whose source the kernel would not answer.
 */
#define SHAKEOFF_SYN_EXCEPTIONS 20000u
#define SHAKEOFF_BUDGET_WINDOW_NS 100000000ull

/*
 * How long after activation ACKs with a SYN cookie of the kernel pass: the kernel accepts them for TCP_SYNCOOKIE_VALID
 * (include/net/tcp.h).
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
	SHAKEOFF_SYNCOOKIES_ADAPTIVE, /* listener handoff only: during a flood */
	SHAKEOFF_SYNCOOKIES_NEVER,    /* only the kernel can: see shakeoff_service.bypass */
};

/* Why a service is bypassed. X(CONSTANT, name, help) */
/* clang-format off */
#define SHAKEOFF_BYPASS_REASONS(X)                                                                                     \
	X(BYPASS_NONE, "", "not bypassed")                                                                             \
	X(BYPASS_MPTCP, "mptcp", "an MPTCP socket: only the kernel can complete its handshakes")                       \
	X(BYPASS_TCP_AUTH, "tcp_auth", "a socket with TCP-MD5 or TCP-AO keys")                                         \
	X(BYPASS_NETFILTER, "netfilter",                                                                               \
	  "firewall rules, NAT or IPsec keep a SYN, or an ACK without a SYN, from reaching it")                        \
	X(BYPASS_SYNCOOKIES, "syncookies", "sysctl net.ipv4.tcp_syncookies is 0")                                      \
	X(BYPASS_KERNEL, "kernel", "this kernel has no bpf_sk_assign_tcp_reqsk (6.9 and later have it)")               \
	X(BYPASS_DEVICE, "device", "a socket bound to a device that shakeoff is not attached to")                      \
	X(BYPASS_SAVE_SYN, "save_syn", "a socket with TCP_SAVE_SYN: only the kernel can save its clients' SYNs")       \
	X(BYPASS_ROUTE, "route", "the routes of SYN-ACKs cannot be followed: policy rules, or too many routes")        \
	X(BYPASS_BRIDGE, "bridge",                                                                                     \
	  "behind a bridge that gives packets to netfilter (bridge-nf-call-iptables): attach to the bridge itself")    \
	X(BYPASS_SYN_RULES, "syn_rules",                                                                               \
	  "firewall rules match SYNs, which they do not see while the hook answers, or count packets of the queue "    \
	  "handoff; or the rules cannot be read (with syn-rules = ignore the hook answers all the same)")
/* clang-format on */

enum shakeoff_bypass {
#define X(constant, name, help) SHAKEOFF_##constant,
	SHAKEOFF_BYPASS_REASONS(X)
#undef X
		SHAKEOFF_BYPASS_COUNT
};

/* Why the hook began to answer for a service with syncookies = adaptive. X(CONSTANT, name, help) */
/* clang-format off */
#define SHAKEOFF_CAUSES(X)                                                                                             \
	X(CAUSE_NONE, "", "it has not")                                                                                \
	X(CAUSE_SYN_RATE, "syn_rate", "more SYNs a second than flood-rate")                                            \
	X(CAUSE_SYN_QUEUE, "syn_queue", "the listening socket's SYN queue was half full")                              \
	X(CAUSE_ACCEPT_QUEUE, "accept_queue", "its accept queue was half full; the hook can share it fairly")
/* clang-format on */

enum shakeoff_cause {
#define X(constant, name, help) SHAKEOFF_##constant,
	SHAKEOFF_CAUSES(X)
#undef X
		SHAKEOFF_CAUSE_COUNT
};

/*
 * Out-of-state segments: segments without SYN, or SYN-ACKs, to a service, that belong to no socket of the host. While
 * syncookies are idle and these segments are few, they pass and the kernel refuses them with RST. They are counted in
 * windows as SYNs are, with the same rate and the same hold time. Above that rate they are dropped. X(CONSTANT, name,
 * help): which segment came when dropping began.
 */
/* clang-format off */
#define SHAKEOFF_NO_SOCKET_KINDS(X)                                                                                    \
	X(NO_SOCKET_NONE, "", "it has not")                                                                            \
	X(NO_SOCKET_ACK, "no_socket_ack", "more ACKs without a connection than flood-rate")                            \
	X(NO_SOCKET_FIN, "no_socket_fin", "more FINs without a connection than flood-rate")                            \
	X(NO_SOCKET_RST, "no_socket_rst", "more RSTs without a connection than flood-rate")                            \
	X(NO_SOCKET_SYNACK, "no_socket_synack", "more SYN-ACKs without a handshake than flood-rate")                   \
	X(NO_SOCKET_INVALID, "no_socket_invalid", "more invalid segments, which no TCP sends, than flood-rate")
/* clang-format on */

enum shakeoff_no_socket_kind {
#define X(constant, name, help) SHAKEOFF_##constant,
	SHAKEOFF_NO_SOCKET_KINDS(X)
#undef X
		SHAKEOFF_NO_SOCKET_KIND_COUNT
};

/*
 * An attacker tries to forge cookies of a service when more invalid ACKs a second than this rate come in a window of
 * this length; it ends when they are less than half the rate on average over the hold time. At this rate a chance of
 * 2^-26.9 is one forged connection in 35 hours.
 */
#define SHAKEOFF_FORGERY_RATE 1000u
#define SHAKEOFF_FORGERY_WINDOW_NS 100000000ull

/* After this time the cookies that were sent before the forgery began have come back, or are no longer expected. */
#define SHAKEOFF_FORGERY_WARM_NS 2000000000ull

/*
 * IP fragments of TCP that pass to protected addresses, a second. The kernel reassembles them. As without shakeoff, its
 * memory for incomplete packets (net.ipv4.ipfrag_high_thresh, net.ipv6.ip6frag_high_thresh) bounds what a smaller flood
 * can do.
 */
#define SHAKEOFF_FRAGMENT_RATE 10000u

/* Above that rate, a prefix (/24, IPv6 /48) may have this fraction of it. */
#define SHAKEOFF_FRAGMENT_PREFIX 8u
#define SHAKEOFF_FRAGMENT_CELL_BITS 10
#define SHAKEOFF_FRAGMENT_CELLS (1u << SHAKEOFF_FRAGMENT_CELL_BITS)

/* Counts the fragments of all prefixes that share the cell by a salted hash. */
struct shakeoff_fragment_cell {
	__u32 window; /* number of the window (SHAKEOFF_BUDGET_WINDOW_NS) */
	__u32 wanted; /* fragments in it */
	__u32 expected;
	__u32 pad;
};

/* What a full accept queue does with SYNs and final ACKs: sysctl tcp_abort_on_overflow 0 and 1. */
enum shakeoff_overflow {
	SHAKEOFF_OVERFLOW_DROP,
	SHAKEOFF_OVERFLOW_RESET,
};

/* shakeoff_control.flags */
#define SHAKEOFF_KEYS_LOADED 0x1u /* every slot of cookie_keys holds a key: the hook may answer */
/* Hosts whose clocks differ share the keys: cookies of the next epoch are valid, too. */
#define SHAKEOFF_ACCEPT_NEXT_EPOCH 0x2u
#define SHAKEOFF_FILTER_READY 0x8u     /* socket_filter[filter_active] knows every socket of a service */
#define SHAKEOFF_FILTER_BUILDING 0x10u /* note new connections in the other filter, too */
#define SHAKEOFF_RESENDS 0x20u         /* SYN-ACKs are sent again: sysctl net.ipv4.tcp_synack_retries is not 0 */
#define SHAKEOFF_ROUTES4 0x40u         /* routes4 is not empty */
#define SHAKEOFF_ROUTES6 0x80u         /* routes6 is not empty */
/* SYN-ACKs go to the next hop of the route to the client, not to the SYN's sender. */
#define SHAKEOFF_ANSWER_ROUTE 0x400u
#define SHAKEOFF_KEEP_TIME_WAIT 0x4u /* this kernel cannot remove a TIME-WAIT socket: SYNs for it pass */
/*
 * Queue handoff: validated ACKs, and the segments that follow them, pass the kernel's input path. At its end, behind
 * the firewall, the netfilter program gives them to the daemon (bpf/input.bpf.c, kernel 6.4 and later). Without it the
 * hook gives them to the daemon directly.
 */
#define SHAKEOFF_INPUT 0x100u
#define SHAKEOFF_INPUT_MORTAL 0x200u /* the netfilter program ends with the daemon: it could not be pinned */

/*
 * State of the keys for display; the hook does not read it. fingerprint: of the master secret from which the slot's key
 * was derived, never of the key itself; 0: the key is random. epoch: the epoch that the key was made for. A slot keeps
 * its old key when no daemon makes the next.
 */
struct shakeoff_key_state {
	__u64 fingerprint[SHAKEOFF_KEY_SLOTS];
	__u32 epoch[SHAKEOFF_KEY_SLOTS];
	__u32 rotations_asked; /* `shakeoff key rotate` raises it to ask for new random keys */
	__u32 rotations_made;  /* the value of rotations_asked that was granted last */
	__u32 rotated_from;    /* the first epoch that got a new key then */
	/* The newest epoch so far: the epochs of a fleet go back from it by at most one. */
	__u32 newest;
};
_Static_assert(sizeof(struct shakeoff_key_state) == 64, "beside the cache line that the hook reads");

/*
 * The host's own addresses, as sources: their packets do not come in from the wire. A bit rules out nearly all sources
 * of a flood; the others are looked up in own4 and own6. IPv6: the exclusive or of the address's words.
 */
#define SHAKEOFF_OWN_WORDS 8

static inline __attribute__((always_inline)) __u32 shakeoff_own_bit(__u32 address)
{
	return (address * 0x9e3779b1u) >> 24; /* 32 * SHAKEOFF_OWN_WORDS of them; Knuth, TAOCP 3, section 6.4 */
}

/* The daemon writes these fields, except where noted, and the hook reads them. */
struct shakeoff_control {
	__u64 heartbeat_ns;    /* time of the last heartbeat; 0: no daemon has run, or it stopped cleanly */
	__u64 epoch_offset_ns; /* what to add to CLOCK_MONOTONIC before dividing by SHAKEOFF_EPOCH_NS */
	__u32 flags;           /* SHAKEOFF_KEYS_LOADED ... */
	__u32 rings;           /* rings in use: ring = hash of the tuple % rings; 0: no daemon has run */
	__u32 daemon_pid;      /* for display; in the daemon's PID namespace */
	__u32 filter_active;   /* index of the socket_filter that the hook reads: 0 or 1 */
	__u64 started_ns;      /* when the present daemon started, for display */
	__u32 generation;      /* raised after every change of addresses, interfaces and keys; 0: no change yet */
	__u32 half_open;       /* 0: the map half_open is empty. Set by the hook, reset by the daemon */
	__u64 claimed_tick;    /* written by the hook: jiffies when an ACK was last given to the tc program */
	/* SHAKEOFF_ACL_* of acl.h; 0: nothing is listed. The holder of acl_lock() writes this and the next field. */
	__u32 acl;
	__u32 acl_expire_s; /* no entry expires before this second, rounded up; 0: none expires. For the daemon */
	struct shakeoff_key_state keys;
	struct shakeoff_reply_budget replies;

	__u32 fragment_window;    /* written by the hook: number of the present window (SHAKEOFF_BUDGET_WINDOW_NS) */
	__u32 fragments;          /* likewise: fragments that passed in it */
	__u32 fragments_expected; /* likewise: fragments that may come in it, estimated from the windows before */
	__u32 fragments_wanted;   /* likewise: fragments that came in it */

	/* shakeoff_epoch_key.offset of random keys, for the next daemon. The hook does not read it. */
	__u64 tsval_secret[2];
	__u64 input_tick; /* written by the hook: jiffies when a segment was last given to the kernel's input path */
	/*
	 * For `shakeoff status`: number of configured interfaces without this daemon's program, and the name of the
	 * first.
	 */
	__u32 missing;
	char missing_name[16]; /* IFNAMSIZ */
	/*
	 * Likewise: number of listening endpoints that the table of services has no room for, the user who has most of
	 * them, and that user's first port.
	 */
	__u32 no_service;
	__u32 no_service_uid;
	__u32 no_service_port;
	__u32 fragments_fair;          /* written by the hook: fragments in it that passed the limit of their prefix */
	__u32 fragments_fair_expected; /* likewise: these fragments that may come in it */
	__u32 rules_unread;            /* the firewall's rules cannot be read: services that obey them are bypassed */
	__u32 pad2[11];

	/*
	 * shakeoff_own_bit() of each of the host's own addresses. A source whose bit is not set is not an own address.
	 */
	__u32 own[SHAKEOFF_OWN_WORDS];
	__u32 own_prefixes; /* own4 and own6 have prefixes of several addresses (local routes) */
	/* A random number, by which the tc program recognises the hook's metadata (bpf/core/metadata.h). */
	__u32 metadata_secret;
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
 * The keys of an epoch. offset: key of the timestamps' offset (bpf/lib/cookie.h), which hides the uptime. It is the
 * same in every slot, so that timestamps never go back. When the master secret changes, the epochs that have begun keep
 * the old offset key.
 */
struct shakeoff_epoch_key {
	struct shakeoff_key cookie;
	__u64 offset[2];
};

/*
 * Why the daemon did not carry a validated ACK through to the server. X(CONSTANT, name, help) Counted in
 * shakeoff_service.refused[].
 */
/* clang-format off */
#define SHAKEOFF_REFUSALS(X)                                                                                           \
	X(REFUSED_DESCRIPTORS, "no_descriptor", "the daemon's descriptor limit, or the system's, is reached")          \
	X(REFUSED_MEMORY, "no_memory", "the kernel had no memory for the socket")                                      \
	X(REFUSED_ADDRESS, "address_in_use", "another socket holds the tuple, or the local address is gone")           \
	X(REFUSED_KERNEL, "kernel_error", "the kernel refused the repaired socket for another reason")                 \
	X(REFUSED_NO_SERVER, "no_server", "the service was removed, or has had no server for too long")                \
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
#define SHAKEOFF_SERVICE_SERVED 0x2u /* a server has listened: SYNs are answered. Stays set while a server restarts */
/* The service of a discovered listening socket. Its name is what ss shows: *:80, 10.9.0.1:80. */
#define SHAKEOFF_SERVICE_DISCOVERED 0x4u

/* What the options of a listening socket set in its SYN-ACKs. Host byte order. Index: 0 IPv4, 1 IPv6. */
struct shakeoff_socket_offer {
	__u32 rcv_space;    /* tcp_full_space(), include/net/tcp.h: the part of the receive buffer for data */
	__u32 window_clamp; /* TCP_WINDOW_CLAMP; 0: none */
	__u16 user_mss;     /* TCP_MAXSEG; 0: none */
	__s16 hop_limit[2]; /* IP_TTL and IPV6_UNICAST_HOPS; below 0: none */
	__u8 tos[2];        /* IP_TOS and IPV6_TCLASS */
	__u8 rcv_locked;    /* SO_RCVBUF has been set, so rcv_space bounds the window */
	__u8 min_ttl[2];    /* IP_MINTTL and IPV6_MINHOPCOUNT: packets with less pass to the kernel; 0: none */
	__u8 pad;
};
_Static_assert(sizeof(struct shakeoff_socket_offer) == 20, "no hidden padding");

/*
 * A service. Each block is one or two cache lines with one writer: the daemon, the hook, the daemon.
 *
 * Queue handoff: the accept queue holds enqueued - dequeued connections (signed difference; may be briefly off by one a
 * CPU). Listener handoff: enqueued - dequeued connections are on their way from the hook to the listening socket, whose
 * own queue holds the others; the tc program counts `dequeued`.
 */
struct shakeoff_service {
	char name[SHAKEOFF_NAME_LEN]; /* NUL-terminated */
	__u32 flags;                  /* SHAKEOFF_SERVICE_* */
	__u8 handoff;                 /* enum shakeoff_handoff, never AUTO here */
	__u8 overflow;                /* enum shakeoff_overflow */
	__u8 syncookies;              /* enum shakeoff_syncookies; queue handoff: ALWAYS */
	/*
	 * enum shakeoff_bypass. Listener handoff: BYPASS_NONE unless syncookies is NEVER. Queue handoff:
	 * BYPASS_SYN_RULES if all endpoints are bypassed.
	 */
	__u8 bypass;
	/* Maximum of connections that wait: shakeoff_capacity(), less what others hold of it (bpf/socket/service.h). */
	__u32 capacity;
	/* From the configuration. Listener handoff: the hook takes the smaller of it and the socket's. */
	__u32 backlog;

	__u32 listen_capacity; /* one more than the greatest backlog of a server's listen(); 0: no listen() yet */
	__u32 flood_rate;      /* SYNs a second */
	__u16 servers;         /* servers connected now (queue), listening sockets (listener) */
	__u8 fair_share;       /* 0: sources do not share the accept queue fairly */
	__u8 source_prefix4;   /* prefix length of a source: 24, else 32 */
	__u8 source_prefix6;   /* 48, else 64 */
	__u8 pad;
	/* shakeoff_bypass_clock_s() when an address was last bypassed, or ceased to be; 0: never. */
	__u16 bypass_changed_s;
	__u32 acl_scope;          /* shakeoff_acl_scope() of its name */
	__u32 syn_interval_ns;    /* source-syn-limit: time between two SYNs of a source; 0: no limit */
	__u32 syn_burst;          /* SYNs that a source may send at once, at least 1 */
	__u32 accept_interval_ns; /* source-limit: the same for connections */
	__u32 accept_burst;
	/*
	 * source-syn-limit: a CPU that counts this many SYNs of a source in a window checks it closely
	 * (bpf/limit/syn_rate.h).
	 */
	__u32 syn_hot;
	/*
	 * Queue handoff: offer of the server that registered last. Listener handoff: the hook reads the listening
	 * socket itself.
	 */
	struct shakeoff_socket_offer offer;
	__u32 pad2;

	__u64 enqueued; /* final ACKs validated and given on */
	/* Of these, taken by a server or refused. Listener handoff: given to the listening socket. */
	__u64 dequeued;
	/* In windows of SHAKEOFF_FLOOD_WINDOW_NS. since_ns: when SYN cookies began, with or without a flood. */
	struct shakeoff_surge syns;
	__u32 activations;   /* how often it became active */
	__u32 cause;         /* enum shakeoff_cause: of the last activation */
	__u32 budget_window; /* number of the present window of the budget (SHAKEOFF_BUDGET_WINDOW_NS) */
	__u32 budget_syns;   /* SYNs that passed in it */

	__u64 fair_share_ns;           /* when a source was last found to hold its fair share of the accept queue */
	__u32 budget_known;            /* SYNs of known sources that passed in the present window, beyond the budget */
	__u32 last_source;             /* a hash of the last connection's source; 0: no connection yet */
	__u64 mixed_ns;                /* when a connection last had another source than the one before it */
	__u64 positions_from;          /* positions with a smaller number are no longer held (source.h) */
	struct shakeoff_surge forgery; /* invalid ACKs, in windows of SHAKEOFF_FORGERY_WINDOW_NS */

	struct shakeoff_surge out_of_state; /* out-of-state segments, in windows of SHAKEOFF_FLOOD_WINDOW_NS */
	__u32 out_of_state_times;           /* how often dropping began */
	__u32 out_of_state_kind;            /* enum shakeoff_no_socket_kind: of the last time */
	__u64 looked_ns;                    /* with several listening sockets: when the hook last checked one of them */
	__u64 short_ns;                     /* when one of them was last found half full, or might have been */
	/* enum shakeoff_bypass: what the hook found at a socket that user space cannot see. */
	__u32 seen_bypass;
	__u32 unrouted_window; /* as budget_window, for SYNs that no SYN-ACK can get back to */

	__u64 released_ns; /* when it last became idle again; 0: never */
	__u64 established; /* sockets made */
	__u64 accepted;    /* taken by a server, and acknowledged by it */
	__u64 from_kernel; /* accepted connections of the kernel's own handshake (loopback, for example) */
	__u64 refused[SHAKEOFF_REFUSAL_COUNT];
	__u64 repeated;  /* SYN-ACKs that the daemon has sent again */
	__u32 half_open; /* entries in the map half_open when the daemon last counted */
	__u32 no_room;   /* its addresses and ports that the table of addresses has no room for */
	/* The first of them: IPv4 mapped, port in host byte order. */
	__be32 no_room_address[4];
	__u16 no_room_port;
	__u16 pad3;
	__u32 unrouted_syns; /* SYNs that passed in unrouted_window */
	/* BYPASS_SYN_RULES of the service or of an address: the rule, or why the rules are not known. */
	char bypass_rule[SHAKEOFF_RULE_LEN];
};
_Static_assert(sizeof(struct shakeoff_service) == 512, "shakeoff_service is indexed by several programs");
_Static_assert(__builtin_offsetof(struct shakeoff_service, listen_capacity) % 64 == 0, "its own cache line");
_Static_assert(__builtin_offsetof(struct shakeoff_service, enqueued) % 64 == 0, "its own cache line");
_Static_assert(__builtin_offsetof(struct shakeoff_service, fair_share_ns) % 64 == 0, "its own cache line");
_Static_assert(__builtin_offsetof(struct shakeoff_service, out_of_state) % 64 == 0, "its own cache line");
_Static_assert(__builtin_offsetof(struct shakeoff_service, released_ns) % 64 == 0, "its own cache line");

/*
 * Returns the low bits of a time in seconds, never 0. They repeat after 18 hours; a time that is taken for a recent one
 * then costs the hook a check of a few more ACKs.
 */
static inline __attribute__((always_inline)) __u16 shakeoff_bypass_clock_s(__u64 now_ns)
{
	__u16 seconds = (__u16)(now_ns / 1000000000);

	return seconds ? seconds : 1;
}

/*
 * Returns the maximum of connections that wait: one more than listen() was given, as in the kernel's own queues
 * (sk_acceptq_is_full(), include/net/sock.h), and at most the configured backlog. listen_capacity: as in
 * shakeoff_service.
 */
static inline __attribute__((always_inline)) __u32 shakeoff_capacity(__u32 listen_capacity, __u32 backlog)
{
	return listen_capacity && listen_capacity < backlog ? listen_capacity : backlog;
}

/*
 * Flag beside a service id: this address of the service is bypassed (netfilter, routes, firewall rules). Queue handoff:
 * the address stays while cookies of shakeoff may come back; then it is withdrawn.
 */
#define SHAKEOFF_ADDRESS_BYPASSED 0x80000000u

/*
 * Flag beside a service id: the address belongs to a VLAN device. Where a frame's tag may have been stripped
 * (shakeoff_interface.vlans), frames without a tag pass to the kernel, because the hook's reply would leave without the
 * tag, too (listener handoff).
 */
#define SHAKEOFF_ADDRESS_TAGGED 0x20000000u

/*
 * Likewise, for `shakeoff status`: the self-test could not try whether packets reach the address. The hook ignores it.
 */
#define SHAKEOFF_ADDRESS_UNTESTED 0x10000000u
#define SHAKEOFF_ADDRESS_FLAGS (SHAKEOFF_ADDRESS_BYPASSED | SHAKEOFF_ADDRESS_TAGGED | SHAKEOFF_ADDRESS_UNTESTED)

/*
 * Instead of an id, at port 0: the address has services. Fragments, and packets whose TCP header cannot be read, are
 * recognised by it as packets for a protected address.
 */
#define SHAKEOFF_ADDRESS_ITSELF 0x40000000u

/*
 * An endpoint of a service: one of the host's own unicast addresses, and a port; with port 0 see
 * SHAKEOFF_ADDRESS_ITSELF.
 */
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

/*
 * Whether the ACKs that the hook validates reach listening sockets: what the daemon found out about the tc program of
 * an interface.
 */
enum shakeoff_admits {
	SHAKEOFF_ADMITS_NOTHING, /* there is no tc program, or none that may work */
	SHAKEOFF_ADMITS,
	/*
	 * With the next two values SYNs pass to the kernel. Cookies that were sent are still accepted if the tc program
	 * gets their ACKs.
	 */
	SHAKEOFF_ADMITS_BEHIND, /* another program insists on running before it, and may keep packets from it */
	SHAKEOFF_ADMITS_LOST,   /* it runs first, but validated ACKs do not reach it */
};

#define SHAKEOFF_MACS 8

/*
 * What a SYN-ACK that leaves through an interface offers, unless listening socket or route say otherwise. Index of
 * `mss` and `hop_limit`: 0 IPv4, 1 IPv6.
 */
struct shakeoff_interface {
	__u16 mss[2];
	__u8 sack;       /* sysctl tcp_sack */
	__u8 timestamps; /* sysctl tcp_timestamps is not 0 */
	__u8 ecn;        /* sysctl tcp_ecn is not 0: a client's ECN is accepted (listener handoff only) */
	/* enum shakeoff_admits: whether services with the listener handoff are answered, or why they are not. */
	__u8 admits;
	__u8 in_vrf; /* a port of a VRF device: its sockets are bound to the VRF, and the hook does not find them */
	__u8 hop_limit[2];   /* time to live and hop limit, unless socket or route say otherwise */
	__u8 window_scaling; /* sysctl tcp_window_scaling */
	__u8 signed_windows; /* sysctl tcp_workaround_signed_windows */
	__u8 reflect_tos;    /* sysctl tcp_reflect_tos */
	__u8 vlans;          /* it has VLAN devices: a tag may be stripped from the frame (SHAKEOFF_ADDRESS_TAGGED) */
	__u8 mac_count;
	__u32 window_space; /* the greater of tcp_rmem[2] and net.core.rmem_max: the window scale is chosen for it */
	/* The interface's bit in shakeoff_route.refused; 0: the routes do not apply to the interface (a VRF). */
	__u32 route_bit;
	/*
	 * Frames to these MAC addresses are for the host: first the interface's own, then those of devices above it
	 * (VLAN, macvlan, bridge). The kernel drops all other frames: eth_type_trans(), net/ethernet/eth.c.
	 */
	__be16 macs[SHAKEOFF_MACS][3];
};
_Static_assert(sizeof(struct shakeoff_interface) == 72, "no hidden padding");

/* A neighbour on the link, IPv4 mapped, and the interface where its frames come in (shakeoff_interface.route_bit). */
struct shakeoff_neighbour {
	__be32 address[4];
	__u32 route_bit;
};

struct shakeoff_next_hop {
	__be16 mac[3];
	__u16 pad;
};
_Static_assert(sizeof(struct shakeoff_neighbour) == 20 && sizeof(struct shakeoff_next_hop) == 8, "no hidden padding");

/*
 * A VLAN tag of frames that the host accepts at this interface: index, 802.1ad, id. Interface indexes of 2^19 and above
 * have no key.
 */
#define SHAKEOFF_VLAN_TAG(provider, id) (((provider) ? 0x1000u : 0u) | ((id)&0xfffu))
#define SHAKEOFF_VLAN_KEY(ifindex, tag) ((__u32)(ifindex) << 13 | (tag))
#define SHAKEOFF_VLAN_IFINDEX_MAX ((1u << 19) - 1)

/*
 * Listener handoff: validated ACKs of an interface, counted by the two programs. Each counts an ACK once, so the
 * difference is on its way (microseconds) or was lost.
 */
struct shakeoff_admissions {
	__u64 claimed; /* given to the tc program by the hook */
	__u64 reached; /* seen by the tc program; for members of a bond: at the bond */
};
_Static_assert(sizeof(struct shakeoff_admissions) == 16, "no hidden padding");

/* Counted by the hook, per CPU and service. */
struct shakeoff_service_counters {
	__u64 syn;       /* SYNs to the service, of every verdict */
	__u64 synack;    /* SYN-ACKs with cookies sent */
	__u64 ack_valid; /* final ACKs accepted */
	__u64 ack_invalid;
	__u64 overflow;   /* SYNs and ACKs refused because the accept queue was full */
	__u64 admitted;   /* listener handoff: requests assigned to the listening socket by the tc program */
	__u64 unadmitted; /* listener handoff: the kernel refused the assignment, or no socket listened any more */
	__u64 forgeries;  /* possibly forged cookies; for the hook, which adds them up in batches */
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
#define SHAKEOFF_VALIDATED_CONFIRMED 0x2u /* a later segment met its socket: the ACK must not open it again */
/* The same, queue handoff only */
#define SHAKEOFF_VALIDATED_INPUT 0x4u      /* the ACK was given to the kernel's input path: see SHAKEOFF_INPUT */
#define SHAKEOFF_VALIDATED_TAKEN 0x8u      /* the daemon got the ACK from the end of the input path */
#define SHAKEOFF_VALIDATED_UNTRACKED 0x10u /* connection tracking has dropped the tuple's last connection */

/* A tuple whose final ACK was accepted. */
struct shakeoff_validated {
	__u64 established_ns; /* 0: the entry is empty */
	struct shakeoff_tuple tuple;
	__u32 client_isn;
	__u32 cookie; /* the ISN of the SYN-ACK */
	/*
	 * Queue: rcv_nxt of the socket in TIME-WAIT that the connection replaces, 0: none. Listener: CPUs, see below.
	 */
	__u32 replaced;
	__u16 service; /* id */
	__u8 followed; /* segments that followed the ACK before its socket existed; approximate, without a lock */
	__u8 flags;    /* SHAKEOFF_VALIDATED_* */
	struct bpf_spin_lock lock; /* lock of the set, used in its first way, for programs that add a tuple */
};
_Static_assert(sizeof(struct shakeoff_validated) == 64, "a cache line, no hidden padding");

/*
 * Listener handoff: the CPU that saw the ACK in the hook, and one plus the CPU that saw it in the tc program; 0: not
 * seen yet.
 */
#define SHAKEOFF_VALIDATED_HOOK_CPU(entry) ((entry)->replaced & 0xffffu)
#define SHAKEOFF_VALIDATED_TC_CPU(entry) ((entry)->replaced >> 16)

/* Two VLAN tags, IPv6 and 20 bytes of options; even, because it is read in words. */
#define SHAKEOFF_SYNACK_FRAME 104

/*
 * A SYN-ACK that waits for its ACK: the frame as the hook sent it, to be sent again. The hook adds it while the service
 * is not flooded. The hook removes it when the ACK or an RST comes; the daemon removes it when its time is over.
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
/* A socket in TIME-WAIT has the tuple; RFC 9293, 3.6.1 allows its replacement. */
#define SHAKEOFF_EVENT_TIME_WAIT 0x4u
/* And for every type: */
#define SHAKEOFF_EVENT_INPUT 0x8u /* from the end of the kernel's input path */
/* Its TCP checksum is known to be right, or is not needed, but is not in the packet. */
#define SHAKEOFF_EVENT_PARTIAL 0x10u

/*
 * A record of the ring buffer: this header, then the packet from its IP header on (no Ethernet header, no padding). A
 * record may be longer than header and packet together.
 */
struct shakeoff_event {
	__u16 type;    /* enum shakeoff_event_type */
	__u16 service; /* id */
	/* Where it came in. SHAKEOFF_EVENT_INPUT: as the firewall sees it, also the device of a VLAN or a bridge. */
	__u32 ifindex;
	__u64 time_ns;
	struct shakeoff_tuple tuple;
	__u32 packet_len; /* used bytes of `packet` */
	__u16 tcp_offset; /* of the TCP header in `packet` */
	__u16 flags;      /* SHAKEOFF_EVENT_* */

	/* OPEN only, zero otherwise. Sequence numbers and windows are in host byte order. */
	__u32 rcv_nxt; /* client's ISN + 1 */
	__u32 snd_nxt; /* cookie + 1 */
	__u32 rcv_wnd; /* bytes that the SYN-ACK offered */
	__u32 snd_wnd; /* bytes that the ACK offers, scaled */
	__u32 tsval;   /* of the ACK: the client's clock */
	/*
	 * The timestamp clock at time_ns. The connection's timestamps go on from it, and are not behind the SYN-ACK's.
	 */
	__u32 tsecr;
	__u16 mss;       /* the client's MSS, without options; 536/1220 if it gave none */
	__u8 snd_wscale; /* the client's, or SHAKEOFF_NO_WSCALE */
	__u8 rcv_wscale; /* the host's, or SHAKEOFF_NO_WSCALE; both or neither are set */

	__u8 mac[12]; /* destination and source of the frame; zero: not known */
	__u32 taken;  /* in the map handshakes: 1 once the daemon has got it; zero in a ring */

	__u8 packet[];
};
_Static_assert(sizeof(struct shakeoff_event) == 104, "no hidden padding");

#endif
