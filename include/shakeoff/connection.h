/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A connection in its handshake: its tuple, the SYN-ACK that waits for an ACK, the ACK that was accepted. */
#ifndef SHAKEOFF_CONNECTION_H
#define SHAKEOFF_CONNECTION_H

#ifndef __VMLINUX_H__
#include <linux/bpf.h>
#endif

#include <shakeoff/types.h>

#define SHAKEOFF_MAX_HALF_OPEN (1u << 15)

/*
 * SYN-ACKs are sent again as often as sysctl net.ipv4.tcp_synack_retries says: after 1, 3, 7, 15, 31 and 63 s. A
 * seventh repetition would come after their cookies have expired.
 */
#define SHAKEOFF_SYNACK_RETRIES_MAX 6

/* How long segments of a tuple without a socket follow its accepted final ACK to the daemon. */
#define SHAKEOFF_FOLLOW_NS 100000000ull

/*
 * Maximum number of these segments. It is more than any first flight has, and keeps a single client from filling a
 * ring.
 */
#define SHAKEOFF_FOLLOW_SEGMENTS 64

/* Window scaling was not negotiated. A real window scale is 0..14 (RFC 7323, section 2.3). */
#define SHAKEOFF_NO_WSCALE 15

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

#endif
