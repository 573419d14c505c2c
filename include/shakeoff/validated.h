/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of tuples whose final ACK was accepted: set-associative, in an array. A tuple is in one of the few ways of
 * its set, and each way is a cache line.
 *
 * Every connection is in it and is looked up several times, so it has to be cheap. An LRU hash of the kernel took as
 * long as the whole rest of the hook, and a table of many megabytes costs every connection a page that is in no cache.
 * So the table is small, and a full set gives up its oldest entry. Entries must last for the next tenth of a second
 * (segments that follow an ACK before its socket exists): at 120,000 connections a second less than 5 in 1000 are gone
 * by then. After that time the table recognises late duplicates of ACKs: nearly all of the last ten thousand. A
 * duplicate of a forgotten ACK may open a connection twice, as with the kernel's cookies, which are never remembered.
 * An attacker who opens connections from chosen ports to fill a set gains no more.
 */
#ifndef SHAKEOFF_VALIDATED_H
#define SHAKEOFF_VALIDATED_H

#include <shakeoff/abi.h>
#include <shakeoff/socket_filter.h>

#define SHAKEOFF_VALIDATED_WAYS 4
#define SHAKEOFF_VALIDATED_SET_BITS 14
#define SHAKEOFF_MAX_VALIDATED (SHAKEOFF_VALIDATED_WAYS << SHAKEOFF_VALIDATED_SET_BITS)

/* Returns the index of the first way of a set. slot: the tuple's slot in the socket filter. */
static inline __attribute__((always_inline)) __u32 shakeoff_validated_set(__u32 slot)
{
	return (slot >> (SHAKEOFF_FILTER_BITS - SHAKEOFF_VALIDATED_SET_BITS)) * SHAKEOFF_VALIDATED_WAYS;
}

#endif
