/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A source's fair share of the accept queue: its positions, as shakeoff/source.h describes them. */
#ifndef SHAKEOFF_BPF_LIB_FAIR_SHARE_H
#define SHAKEOFF_BPF_LIB_FAIR_SHARE_H

#include <shakeoff/source.h>

#include "lib/compiler.h"

/* The state of a service's accept queue. */
struct queue_state {
	__u64 head;          /* the number of the position that is next to be accepted */
	__s64 free;          /* how many more connections may wait */
	__s64 low_watermark; /* with this many free positions or fewer they are shared; 0: never */
	__u32 capacity;      /* of the whole queue: this datapath's part of it changes as others come and go */
};

/* Returns the shift of the shortest ranges that together are longer than the queue, wherever in one its head is. */
static __always_inline __u8 fair_share_shift(__u32 capacity)
{
	__u32 shift = 0;

	UNROLL
	for (int i = 0; i < 16; i++)
		if ((SHAKEOFF_POSITION_RANGES - 1) << shift < capacity)
			shift++;
	return shift;
}

/* Notes that the source gets the position with this number. */
static __always_inline void fair_share_enter(struct shakeoff_source *source, __u64 position, __u32 capacity)
{
	__u8 shift = fair_share_shift(capacity);
	__u64 range = position >> shift, newest = source->newest;
	__u64 distance = range < newest ? newest - range : range - newest;
	bool apart = shift != source->shift || distance >= SHAKEOFF_POSITION_RANGES;

	for (__u32 i = 0; i < SHAKEOFF_POSITION_RANGES; i++) {
		if (!apart && newest >= range) /* greater: another CPU was faster with a later position */
			break;
		newest++;
		source->counts[newest % SHAKEOFF_POSITION_RANGES] = 0;
	}
	if (apart || range > source->newest)
		source->newest = range;
	source->shift = shift;
	if (source->counts[range % SHAKEOFF_POSITION_RANGES] != 0xffff)
		source->counts[range % SHAKEOFF_POSITION_RANGES]++;
}

/* Returns whether the source may have no more positions. alone: no other source has opened a connection lately. */
static __always_inline bool fair_share_is_used_up(const struct shakeoff_source *source, const struct queue_state *queue,
						  bool alone)
{
	if (queue->free > queue->low_watermark ||
	    (alone && queue->free > (__s64)SHAKEOFF_FAIR_SHARE_RESERVE((__u64)queue->low_watermark)))
		return 0;
	return (__s64)shakeoff_source_held(source, queue->head) >= queue->free;
}

/*
 * Returns the same for a source's site. While one source is alone, the site holds what that source does, and the
 * source's own share bounds that. The positions that it leaves free are for the site's other sources as well as for all
 * others.
 */
static __always_inline bool fair_share_site_is_used_up(const struct shakeoff_source *site,
						       const struct queue_state *queue, bool alone)
{
	return !alone && queue->free <= queue->low_watermark &&
	       (__s64)shakeoff_source_held(site, queue->head) >= queue->free * SHAKEOFF_FAIR_SHARE_SITE;
}

#endif
