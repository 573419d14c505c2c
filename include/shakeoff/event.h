/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs give to the daemon through a ring buffer: validated ACKs, and the segments that follow them. */
#ifndef SHAKEOFF_EVENT_H
#define SHAKEOFF_EVENT_H

#include <shakeoff/connection.h>
#include <shakeoff/types.h>

#define SHAKEOFF_MAX_RINGS 64
#define SHAKEOFF_RING_BYTES (8u << 20)
#define SHAKEOFF_MAX_HANDSHAKES 16384 /* validated ACKs that the kernel's input path has not let through yet */

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
