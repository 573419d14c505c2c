/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A source's share of the accept queue: its places, as shakeoff/source.h describes them. */
#ifndef SHAKEOFF_BPF_LIB_FAIR_SHARE_H
#define SHAKEOFF_BPF_LIB_FAIR_SHARE_H

#include <shakeoff/source.h>

#include "lib/compiler.h"

/* The accept queue of a service at a moment. */
struct queue_state {
	__u64 head;          /* the number of the position that is next to be accepted */
	__s64 free;          /* so many more connections may wait */
	__s64 low_watermark; /* with so many free or less, positions are shared; 0: never */
	__u32 capacity; /* of the whole queue: what is left of it for this datapath changes as others come and go */
};

/* The shortest ranges that together are longer than the queue, wherever in one its head is. */
static __always_inline __u8 fair_share_shift(__u32 capacity)
{
	__u32 shift = 0;

	UNROLL
	for (int i = 0; i < 16; i++)
		if ((SHAKEOFF_POSITION_RANGES - 1) << shift < capacity)
			shift++;
	return shift;
}

/* The source gets the position with this number. */
static __always_inline void fair_share_enter(struct shakeoff_source *source, __u64 position, __u32 capacity)
{
	__u8 shift = fair_share_shift(capacity);
	__u64 range = position >> shift, newest = source->newest;
	__u64 distance = range < newest ? newest - range : range - newest;
	bool apart = shift != source->shift || distance >= SHAKEOFF_POSITION_RANGES;

	for (__u32 i = 0; i < SHAKEOFF_POSITION_RANGES; i++) {
		if (!apart && newest >= range) /* greater: another CPU was quicker with a later position */
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

/* Whether the source may have no more positions. alone: no other has been here lately. */
static __always_inline bool fair_share_is_used_up(const struct shakeoff_source *source, const struct queue_state *queue,
						  bool alone)
{
	if (queue->free > queue->low_watermark ||
	    (alone && queue->free > (__s64)SHAKEOFF_FAIR_SHARE_RESERVE((__u64)queue->low_watermark)))
		return 0;
	return (__s64)shakeoff_source_held(source, queue->head) >= queue->free;
}

/*
 * The same of a source's site. While one source is alone the site holds what that one does, which its own share bounds: what it has left
 * free is for the site's other sources as for anybody's.
 */
static __always_inline bool fair_share_site_is_used_up(const struct shakeoff_source *site,
						       const struct queue_state *queue, bool alone)
{
	return !alone && queue->free <= queue->low_watermark &&
	       (__s64)shakeoff_source_held(site, queue->head) >= queue->free * SHAKEOFF_FAIR_SHARE_SITE;
}

#endif
