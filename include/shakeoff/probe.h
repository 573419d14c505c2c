/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The probes of the self-test: ACKs without a SYN, and SYNs, that are put into the receive path of an interface. They
 * show whether netfilter lets such packets reach TCP at a service's address.
 *
 *	bpf/probe.bpf.c, run by the daemon:       writes the frames, each with its own sequence number and target
 *	bpf/handle/probe.h, in the tc program:    recognises them, gives them to the daemon's listening socket
 *	netfilter, routing, IP, TCP:              as for every ACK that the tc program admits, or every SYN
 *	bpf/probe.bpf.c, at the daemon's socket:  notes in the frame's own map element that it arrived, and drops it
 *
 * The destination of the frames is a group address. So the XDP program ignores them where it runs in generic mode, and
 * TCP drops them if there is no tc program to make them unicast.
 */
#ifndef SHAKEOFF_PROBE_H
#define SHAKEOFF_PROBE_H

#include <shakeoff/types.h>

#define SHAKEOFF_MAP_PROBE "probe" /* ARRAY[1] of shakeoff_probe; of the tc program */

#define SHAKEOFF_PROBE_MAX 512 /* maximum of frames in one run, which takes 20 to 25 ms, nearly all of it set-up */

/* Ethernet, IPv6 and TCP with an MSS; frames with IPv4 and ACKs are shorter and have padding. */
#define SHAKEOFF_PROBE_FRAME_LEN 78
#define SHAKEOFF_PROBE_TCP4 34 /* offset of the TCP header */
#define SHAKEOFF_PROBE_TCP6 54

/* What all probes of a run have in common. */
struct shakeoff_probe {
	__u32 count;   /* 0: no run */
	__u32 seq;     /* sequence number of the first, the others count up from it; random; host byte order */
	__u32 ack;     /* acknowledgment number of ACKs; random; host byte order */
	__u8 group[6]; /* destination of the frames: a group address, random */
	__u8 mac[6];   /* the interface's own, which replaces `group` */
	__be16 source_port;
	__be16 listener4; /* port of the daemon's listening socket at 127.0.0.1 */
	__be16 listener6; /* at ::1 */
	__u16 pad;
};
_Static_assert(sizeof(struct shakeoff_probe) == 32, "no hidden padding");

struct shakeoff_probe_frame {
	__u8 frame[SHAKEOFF_PROBE_FRAME_LEN];
	__u8 arrived; /* set when it met the daemon's socket with its addresses and ports unchanged */
	__u8 pad;
};
_Static_assert(sizeof(struct shakeoff_probe_frame) == 80, "a multiple of 8: elements of a map lie side by side");

#endif
