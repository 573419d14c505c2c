/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the daemon and the programs tell each other about a datapath as a whole: settings, state, keys. */
#ifndef SHAKEOFF_CONTROL_H
#define SHAKEOFF_CONTROL_H

#include <shakeoff/route.h>
#include <shakeoff/synack_rate.h>
#include <shakeoff/types.h>

/*
 * Cookies. An epoch is 64 s: epoch = the low 32 bits of (now + shakeoff_control.epoch_offset_ns) / SHAKEOFF_EPOCH_NS. A
 * cookie is valid in its own epoch and in the next: for 64 to 128 s.
 */
#define SHAKEOFF_EPOCH_NS 64000000000ull
#define SHAKEOFF_COOKIE_LIFETIME_NS (2 * SHAKEOFF_EPOCH_NS)
#define SHAKEOFF_KEY_SLOTS 4

/* A daemon whose last heartbeat is older than this is dead; the daemon beats several times in this time. */
#define SHAKEOFF_HEARTBEAT_TIMEOUT_NS 2000000000ull
#define SHAKEOFF_HEARTBEAT_PERIOD_NS 200000000ull

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

#define SHAKEOFF_MAX_OWN 65536 /* of one family: the host's own addresses, and prefixes that are its own */

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

#endif
