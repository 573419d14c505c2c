/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is remembered of sources that have proved their address, service by service: when a handshake last succeeded, how many
 * more may (source-limit), and how many positions of the accept queue they hold. A source is a prefix: an address of IPv4, or
 * its /24; a /64 of IPv6, or its /48.
 *
 * Sites. One holder of IPv6 addresses has a /48 to /56, and so 65536 to 256 sources (RFC 6177). So the /48 of each /64 is counted as
 * well, with an entry of its own, and refuses what would be more than several of its sources may have together. It may be a
 * provider's, with a /64 for each of many customers: it has 16 times the limits of one, and four times its share. And in one turn of
 * ten minutes it makes 1024 sources known, a 64th of the table, so that no holder of a /48 can make the others be forgotten.
 *
 * Positions. Accept queues are first in, first out, and shakeoff_service.enqueued numbers every position that the hook gives away;
 * what lies before the queue's head, enqueued - waiting, has been accepted. So a source needs no list of its positions, but a
 * histogram over the last ones: how many it got in each of 16 ranges of numbers, which together are longer than the queue.
 *
 *	 range    n - 15                        n - 2     n - 1       n (newest)
 *	         |  ... |xx.x..x..|.x.xx...x|..x......|....x...x|.xx.
 *	                     ^                                       ^
 *	                     head                                    enqueued
 *
 * In the range in which the head is, positions are taken to be evenly spread: what is reckoned is wrong by less than the source got in
 * that one, at most an eighth of the queue. Positions that the kernel's own handshake gave away, and those of another listening socket
 * of the same service, have no number; they put the head back, and what is reckoned is more than it is. They never put it behind
 * shakeoff_service.positions_from, the position that was next when the kernel last made the handshakes.
 */
#ifndef SHAKEOFF_SOURCE_H
#define SHAKEOFF_SOURCE_H

#include <shakeoff/abi.h>

#define SHAKEOFF_MAX_SOURCES (1u << 16)
#define SHAKEOFF_MAX_SYN_SOURCES (1u << 14)

/* So long after a handshake of its a source is known, and preferred where there is not enough for all. */
#define SHAKEOFF_SOURCE_KNOWN_NS 600000000000ull

/*
 * The positions of an accept queue are shared once a quarter of it is taken: then a source may hold no more than are still
 * free (dynamic threshold, factor 1: Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches",
 * IEEE/ACM Transactions on Networking 6 (1998)). One that is alone, as a proxy in front of everybody, may hold more, as long as some
 * are free for who comes next. Small queues are not shared: a few connections are nobody's attack.
 */
#define SHAKEOFF_FAIR_SHARE_CAPACITY_MIN 16u
#define SHAKEOFF_LOW_WATERMARK(capacity) ((capacity) - (capacity) / 4)
#define SHAKEOFF_FAIR_SHARE_RESERVE(low_watermark) ((low_watermark) / 6) /* an eighth of the queue */

/* A source is alone when no other has opened a connection for so long. */
#define SHAKEOFF_FAIR_SHARE_ALONE_NS 1000000000ull

/*
 * source-syn-limit: SYNs are counted in windows of 2^28 ns (268 ms). Sources of which a CPU sees shakeoff_service.syn_hot in one,
 * half its share of what the limit allows, are looked at closely.
 */
#define SHAKEOFF_SYN_WINDOW_SHIFT 28
#define SHAKEOFF_SYN_HOT_MAX 200u

/* So long after a source was found to hold its share SYNs are asked whether they come from one, too. */
#define SHAKEOFF_FAIR_SHARE_WATCH_NS 1000000000ull

/* shakeoff_source_key.service: the id, and this for IPv6 */
#define SHAKEOFF_SOURCE_IPV6 0x80000000u

/* And this for the /48 of sources that are a /64. */
#define SHAKEOFF_SOURCE_SITE 0x40000000u

#define SHAKEOFF_SITE_LIMITS 16u    /* times the limits of one source */
#define SHAKEOFF_FAIR_SHARE_SITE 4u /* positions for each that is free: four fifths of a queue */
#define SHAKEOFF_SITE_SOURCES 1024u /* are remembered of a site in each turn of SHAKEOFF_SOURCE_KNOWN_NS */

struct shakeoff_source_key {
	__u32 service;
	__be32 prefix[2]; /* of the address; zero behind its length, and the second of IPv4 */
};
_Static_assert(sizeof(struct shakeoff_source_key) == 12, "hash key: no hidden padding");

#define SHAKEOFF_POSITION_RANGES 16u

struct shakeoff_source {
	__u64 known_ns;    /* when a handshake of its last succeeded */
	__u64 accepted_ns; /* source-limit: when all the connections that it has had would be due (bpf/lib/rate.h) */
	__u64 newest;      /* the number of the range of its last position */
	__u16 counts
		[SHAKEOFF_POSITION_RANGES]; /* its positions in the range; index: the range's number % SHAKEOFF_POSITION_RANGES */
	__u8 shift;                         /* a range is 2^shift positions long */
	__u8 pad;
	__u16 window; /* the lowest bits of a number: a window of the reply budget (synack_rate.h), or a site's turn */
	__u32 count; /* replies that the source was sent in it beyond its prefix's budget; sources that the site has made known */
};
_Static_assert(sizeof(struct shakeoff_source) == 64, "no hidden padding");

/* The number of the position at the head of a listening socket's queue: not before positions_from. head: as if every position had one. */
static inline __attribute__((always_inline)) __u64 shakeoff_listener_head(const struct shakeoff_service *service,
									  __u64 head)
{
	return head > service->positions_from ? head : service->positions_from;
}

/* How many positions the source holds, about. head: the number of the position at the head of the queue. */
static inline __attribute__((always_inline)) __u32 shakeoff_source_held(const struct shakeoff_source *source,
									__u64 head)
{
	__u32 shift = source->shift & 31, held = 0;
	__u64 first = head >> shift;

	for (__u32 i = 0; i < SHAKEOFF_POSITION_RANGES; i++) {
		__u64 range = source->newest - i;
		__u64 count = source->counts[range % SHAKEOFF_POSITION_RANGES];

		if (range < first || range > source->newest)
			break;
		if (range == first)
			count = (count * ((1ull << shift) - (head - (first << shift))) + (1ull << shift) - 1) >> shift;
		held += count;
	}
	return held;
}

#endif
