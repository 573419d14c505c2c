/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The socket filter: whether a SYN's tuple can have a socket at all. For almost every SYN of a flood it saves the hook
 * the kernel's socket look-up, which costs more than the whole rest of a reply.
 *
 * The filter has a byte per slot: not 0 when a tuple of the slot may have a socket (or a TIME-WAIT), 0 when none has.
 * The hook sets bytes when it validates an ACK and when it lets a SYN to a service pass. Bytes are not cleared. Instead
 * there are two filters: from time to time the daemon builds the inactive one from the existing sockets and makes it
 * the active one. A superfluous byte costs a look-up. Whole bytes are used because several CPUs can set a byte at once
 * without an atomic instruction. Tuples of a slot share its bits. SHAKEOFF_FILTER_SOCKET stays set; a hint is removed
 * after use, and with it the hint of another tuple of the slot.
 *
 * Slots are grouped in regions. A region has a byte that is set after a slot of it. While a host has a few thousand
 * sockets, most SYNs of a flood find their region empty, in 16 KiB that stay in the nearest cache; the slots would not
 * fit there.
 */
#ifndef SHAKEOFF_SOCKET_FILTER_H
#define SHAKEOFF_SOCKET_FILTER_H

#include <shakeoff/abi.h>

#define SHAKEOFF_FILTER_SOCKET 0x1 /* set whenever the byte is not 0 */

/* Listener handoff: hints for a tuple of the slot. A superfluous hint costs only a look-up. */
/* A validated ACK is on its way to the tc program; queue handoff: on its way through the input path. */
#define SHAKEOFF_FILTER_PENDING 0x2
/* No segment has met its socket yet: see SHAKEOFF_VALIDATED_CONFIRMED. */
#define SHAKEOFF_FILTER_UNCONFIRMED 0x4

/*
 * How often the daemon has copied UNCONFIRMED from one filter to the next. It copies the hint until the cookies of that
 * time have expired.
 *
 *	 7   6   5   4   3   2   1   0
 *	+---+-----------+---+---+---+---+
 *	| 0 |    age    | 0 | U | P | S |    UNCONFIRMED, PENDING, SOCKET
 *	+---+-----------+---+---+---+---+
 *
 * The hook resets it to 0 with every hint that it sets, because the slot may have an older hint of another tuple.
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

/*
 * Returns the slot of a tuple. remote, local: the addresses as in the packet, IPv6 folded to 32 bits by exclusive or;
 * the ports also as in the packet.
 */
static inline __attribute__((always_inline)) __u32 shakeoff_filter_slot(__u32 remote, __u32 local, __u32 remote_port,
									__u32 local_port)
{
	/*
	 * Multiplicative hashing (Knuth, TAOCP 3, section 6.4); constants of MurmurHash3's finalizer, which mix well.
	 */
	__u32 hash = remote ^ (local * 0x85ebca6bu) ^ ((remote_port | (local_port << 16)) * 0xc2b2ae35u);

	hash ^= hash >> 16;
	hash *= 0x9e3779b1u;
	return hash >> (32 - SHAKEOFF_FILTER_BITS);
}

static inline __attribute__((always_inline)) __u32 shakeoff_filter_fold(const __be32 *address)
{
	return address[0] ^ address[1] ^ address[2] ^ address[3];
}

/* Returns the slot of a tuple with IPv4 addresses mapped. */
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
