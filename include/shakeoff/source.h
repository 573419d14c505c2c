/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is remembered of a source that has proved its address, for each service: when a handshake last succeeded, how
 * many more may succeed (source-limit), and how many positions of the accept queue it holds. A source is a prefix: an
 * IPv4 address or its /24; an IPv6 /64 or its /48.
 *
 * Sites. A holder of IPv6 addresses has a /48 to /56, and so 65536 to 256 sources (RFC 6177). So the /48 of each /64 is
 * counted as well, in an entry of its own, and refuses more than several of its sources together may have. It may
 * belong to a provider, with a /64 for each of many customers: it has 16 times the limits of a source, and four times
 * its fair share. In a turn of ten minutes it makes at most 1024 sources known, a 64th of the table, so that the holder
 * of a /48 cannot push all others out.
 *
 * Positions. Accept queues are first in, first out, and shakeoff_service.enqueued numbers every position that the hook
 * assigns. Positions before the queue's head, enqueued - waiting, have been accepted. So a source needs no list of its
 * positions but a histogram of the last ones: how many it got in each of 16 ranges of numbers, which together are
 * longer than the queue.
 *
 *	 range    n - 15                        n - 2     n - 1       n (newest)
 *	         |  ... |xx.x..x..|.x.xx...x|..x......|....x...x|.xx.
 *	                     ^                                       ^
 *	                     head                                    enqueued
 *
 * In the range of the head, positions are assumed to be evenly spread. The estimate is wrong by less than the source
 * got in that range, at most an eighth of the queue. Positions assigned by the kernel's own handshake, and those of
 * another listening socket of the same service, have no number. They move the head back, so the estimate is too high.
 * They never move it behind shakeoff_service.positions_from, the position that was next when the kernel last made the
 * handshakes.
 */
#ifndef SHAKEOFF_SOURCE_H
#define SHAKEOFF_SOURCE_H

#include <shakeoff/abi.h>

#define SHAKEOFF_MAX_SOURCES (1u << 16)
#define SHAKEOFF_MAX_SYN_SOURCES (1u << 14)

/* How long a source is known, and preferred when resources are scarce, after a completed handshake. */
#define SHAKEOFF_SOURCE_KNOWN_NS 600000000000ull

/*
 * The positions of an accept queue are shared once a quarter of it is taken: then a source may hold at most as many as
 * are still free (dynamic threshold, factor 1: Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory
 * packet switches", IEEE/ACM Transactions on Networking 6 (1998)). A source that is alone, such as a proxy in front of
 * all clients, may hold more, while some stay free for other sources. Small queues are not shared, because a few
 * connections are no attack.
 */
#define SHAKEOFF_FAIR_SHARE_CAPACITY_MIN 16u
#define SHAKEOFF_LOW_WATERMARK(capacity) ((capacity) - (capacity) / 4)
#define SHAKEOFF_FAIR_SHARE_RESERVE(low_watermark) ((low_watermark) / 6) /* an eighth of the queue */

/* A source is alone when no other source has opened a connection for this long. */
#define SHAKEOFF_FAIR_SHARE_ALONE_NS 1000000000ull

/*
 * source-syn-limit: SYNs are counted in windows of 2^28 ns (268 ms). A source is checked closely when a CPU sees
 * shakeoff_service.syn_hot of its SYNs in a window: half of the CPU's part of what the limit allows.
 */
#define SHAKEOFF_SYN_WINDOW_SHIFT 28
#define SHAKEOFF_SYN_HOT_MAX 200u

/* How long after a source was found to hold its fair share SYNs, too, are checked for such sources. */
#define SHAKEOFF_FAIR_SHARE_WATCH_NS 1000000000ull

/* shakeoff_source_key.service: the service id, and this flag for IPv6 */
#define SHAKEOFF_SOURCE_IPV6 0x80000000u

/* And this flag for the /48 of sources that are a /64. */
#define SHAKEOFF_SOURCE_SITE 0x40000000u

#define SHAKEOFF_SITE_LIMITS 16u    /* times the limits of one source */
#define SHAKEOFF_FAIR_SHARE_SITE 4u /* positions for each free position: four fifths of a queue */
/* Maximum of sources that a site makes known in a turn of SHAKEOFF_SOURCE_KNOWN_NS. */
#define SHAKEOFF_SITE_SOURCES 1024u

struct shakeoff_source_key {
	__u32 service;
	__be32 prefix[2]; /* of the address; zero behind its length, and the second word of IPv4 */
};
_Static_assert(sizeof(struct shakeoff_source_key) == 12, "hash key: no hidden padding");

#define SHAKEOFF_POSITION_RANGES 16u

struct shakeoff_source {
	__u64 known_ns;    /* when it last completed a handshake */
	__u64 accepted_ns; /* source-limit: when all connections that it has had would be due (bpf/lib/rate.h) */
	__u64 newest;      /* number of its last position's range */
	/* Its positions in each range; index: the range's number % SHAKEOFF_POSITION_RANGES. */
	__u16 counts[SHAKEOFF_POSITION_RANGES];
	__u8 shift; /* a range is 2^shift positions long */
	__u8 pad;
	__u16 window; /* low bits of a number: a window of the reply budget (synack_rate.h), or a site's turn */
	/* In that window: replies beyond the prefix's budget. In that turn: sources that the site has made known. */
	__u32 count;
};
_Static_assert(sizeof(struct shakeoff_source) == 64, "no hidden padding");

/*
 * Returns the number of the position at the head of a listening socket's queue: positions_from or later. head: the
 * number as if every position had one.
 */
static inline __attribute__((always_inline)) __u64 shakeoff_listener_head(const struct shakeoff_service *service,
									  __u64 head)
{
	return head > service->positions_from ? head : service->positions_from;
}

/* Estimates how many positions the source holds. head: the number of the position at the head of the queue. */
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
