/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of tuples whose final ACK was accepted: a set-associative one, in an array. A tuple lies in one of the few ways of its
 * set, and each way is a cache line.
 *
 * Every connection is in it and is looked up several times, so it has to be cheap: an LRU hash of the kernel's took as long for that
 * as all the rest of the hook, and a table of many megabytes costs a page that no cache knows of for every connection. So it is
 * small, and a set that is full gives up its oldest. What must not be lost is what the next tenth of a second needs (segments that
 * follow an ACK before its socket exists): of 120,000 connections a second less than 5 in 1000 are gone by then. Beyond that it
 * tells late duplicates of ACKs, of the last ten thousand nearly all. One that it has forgotten may open a connection twice, as
 * with the kernel's cookies, which are never remembered; nor does he gain more who opens connections of chosen ports to fill one
 * set.
 */
#ifndef SHAKEOFF_VALIDATED_H
#define SHAKEOFF_VALIDATED_H

#include <shakeoff/abi.h>
#include <shakeoff/socket_filter.h>

#define SHAKEOFF_VALIDATED_WAYS 4
#define SHAKEOFF_VALIDATED_SET_BITS 14
#define SHAKEOFF_MAX_VALIDATED (SHAKEOFF_VALIDATED_WAYS << SHAKEOFF_VALIDATED_SET_BITS)

/* The index of the first way of a set. slot: that of the tuple in the socket filter. */
static inline __attribute__((always_inline)) __u32 shakeoff_validated_set(__u32 slot)
{
	return (slot >> (SHAKEOFF_FILTER_BITS - SHAKEOFF_VALIDATED_SET_BITS)) * SHAKEOFF_VALIDATED_WAYS;
}

#endif
