/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The socket filter: whether a SYN's tuple can have a socket at all. It spares the hook the kernel's socket look-up,
 * which costs more than all the rest of an answer, for almost every SYN of a flood.
 *
 * A byte per slot: not 0 when a tuple of this slot may have a socket (or a TIME-WAIT), 0 when none has. The hook sets
 * bytes, when it validates an ACK and when it lets a SYN to a service pass; nobody clears one. The daemon builds the other
 * filter of the two from time to time from the sockets that there are, and then makes it the active one. A byte set in
 * vain costs a look-up; a byte is what several CPUs can set at once without an atomic instruction. Tuples of a slot share
 * its bits. SOCKET nobody takes back; a hint that has served goes, and another tuple's of the slot with it.
 *
 * Slots lie in regions, with a byte for each that is set after a slot of it: while a host has a few thousand sockets, most
 * of a flood's SYNs find their region empty, in 16 KiB that stay in the nearest cache, where the slots would not.
 */
#ifndef SHAKEOFF_SOCKET_FILTER_H
#define SHAKEOFF_SOCKET_FILTER_H

#include <shakeoff/abi.h>

#define SHAKEOFF_FILTER_SOCKET 0x1 /* set whenever the byte is not 0 */

/* Listener handoff; hints for a tuple of the slot, and nothing worse than a look-up follows from one too many. */
#define SHAKEOFF_FILTER_PENDING 0x2 /* a validated ACK is on its way to the tc program; or through it, queue handoff */
#define SHAKEOFF_FILTER_UNCONFIRMED 0x4 /* no segment has met its socket yet: see SHAKEOFF_VALIDATED_CONFIRMED */

/*
 * How often the daemon has carried UNCONFIRMED over from one filter to the next, which it does until no cookie of that time is
 * good any more.
 *
 *	 7   6   5   4   3   2   1   0
 *	+---+-----------+---+---+---+---+
 *	| 0 |    age    | 0 | U | P | S |    UNCONFIRMED, PENDING, SOCKET
 *	+---+-----------+---+---+---+---+
 *
 * The hook begins it at 0 with every hint that it sets: the slot may have an older one of another tuple.
 */
#define SHAKEOFF_FILTER_AGE 0x70
#define SHAKEOFF_FILTER_AGE_ONE 0x10

#define SHAKEOFF_FILTER_BITS 18
#define SHAKEOFF_FILTER_BYTES (1u << SHAKEOFF_FILTER_BITS)
#define SHAKEOFF_FILTER_REGION_BITS 4 /* slots of a region */
#define SHAKEOFF_FILTER_REGIONS (SHAKEOFF_FILTER_BYTES >> SHAKEOFF_FILTER_REGION_BITS)

struct shakeoff_filter {
	__u8 slots[SHAKEOFF_FILTER_BYTES];
	__u8 regions[SHAKEOFF_FILTER_REGIONS]; /* 0 or 1 */
};

/* remote, local: the addresses, IPv6 folded to 32 bits by exclusive or, as they lie in the packet; so the ports. */
static inline __attribute__((always_inline)) __u32 shakeoff_filter_slot(__u32 remote, __u32 local, __u32 remote_port,
									__u32 local_port)
{
	/* Multiplicative hashing (Knuth, TAOCP 3, section 6.4); constants of MurmurHash3's finalizer, which mix well. */
	__u32 hash = remote ^ (local * 0x85ebca6bu) ^ ((remote_port | (local_port << 16)) * 0xc2b2ae35u);

	hash ^= hash >> 16;
	hash *= 0x9e3779b1u;
	return hash >> (32 - SHAKEOFF_FILTER_BITS);
}

static inline __attribute__((always_inline)) __u32 shakeoff_filter_fold(const __be32 *address)
{
	return address[0] ^ address[1] ^ address[2] ^ address[3];
}

/* The slot of a tuple with IPv4 addresses mapped. */
static inline __u32 shakeoff_filter_tuple_slot(const struct shakeoff_tuple *tuple)
{
	const __u8 *middle = (const __u8 *)&tuple->local[2];
	bool mapped = !tuple->local[0] && !tuple->local[1] && !middle[0] && !middle[1] && middle[2] == 0xff &&
		      middle[3] == 0xff;

	if (mapped)
		return shakeoff_filter_slot(tuple->remote[3], tuple->local[3], tuple->remote_port, tuple->local_port);
	return shakeoff_filter_slot(shakeoff_filter_fold(tuple->remote), shakeoff_filter_fold(tuple->local),
				    tuple->remote_port, tuple->local_port);
}

#endif
