/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A service: what is configured for it, when the hook answers for it, and what is counted. */
#ifndef SHAKEOFF_SERVICE_H
#define SHAKEOFF_SERVICE_H

#include <shakeoff/types.h>

#define SHAKEOFF_MAX_SERVICES 16384           /* configured services, and one for each discovered listening socket */
#define SHAKEOFF_SERVICE_HALF_OPEN (1u << 13) /* approximate maximum of one service */
#define SHAKEOFF_RULE_LEN 64                  /* of a firewall rule, with its NUL */
#define SHAKEOFF_NAME_LEN 48                  /* of a service, with its NUL; an IPv6 address and port fit */

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

/* What a full accept queue does with SYNs and final ACKs: sysctl tcp_abort_on_overflow 0 and 1. */
enum shakeoff_overflow {
	SHAKEOFF_OVERFLOW_DROP,
	SHAKEOFF_OVERFLOW_RESET,
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

#endif
