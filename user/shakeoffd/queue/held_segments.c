/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "shakeoffd/queue/held_segments.h"
#include "common/tuple.h"

/*
 * Tuples that were opened recently, in small sets; the oldest of a full set gives way. 16384 are 0.16 s at 100,000 a
 * second.
 */
#define SETS 4096
#define WAYS 4

/* The hook hands over segments for SHAKEOFF_FOLLOW_NS after the ACK; both times are the hook's own. */
#define OPENED_NS (SHAKEOFF_FOLLOW_NS + SHAKEOFF_FOLLOW_NS / 2)

struct handshake_seen {
	struct shakeoff_tuple tuple;
	bool socket;
	uint64_t time_ns; /* 0: free */
};

struct held {
	struct held *next;
	size_t size;
	struct shakeoff_event *event;
};

struct held_segments {
	struct handshake_seen opened[SETS][WAYS];
	struct held *first, **end; /* in order of arrival */
	size_t frames, bytes;
};

int held_open(struct held_segments **segments)
{
	struct held_segments *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	fresh->end = &fresh->first;
	*segments = fresh;
	return 0;
}

/* Only proven addresses come here, so that no attacker gains from collisions. */
static struct handshake_seen *set_of(struct held_segments *segments, const struct shakeoff_tuple *tuple)
{
	uint64_t hash = hash_update(HASH_INIT, tuple, sizeof(*tuple));

	return segments->opened[(hash ^ hash >> 32) % SETS];
}

static const struct handshake_seen *handshake_find(struct held_segments *segments, const struct shakeoff_event *event)
{
	struct handshake_seen *set = set_of(segments, &event->tuple);

	for (unsigned int i = 0; i < WAYS; i++)
		if (set[i].time_ns && tuple_equal(&set[i].tuple, &event->tuple) &&
		    (int64_t)(event->time_ns - set[i].time_ns) < (int64_t)OPENED_NS)
			return &set[i];
	return NULL;
}

void held_note_open(struct held_segments *segments, const struct shakeoff_event *event, bool socket)
{
	struct handshake_seen *set = set_of(segments, &event->tuple), *oldest = set;

	for (unsigned int i = 0; i < WAYS; i++) {
		if (set[i].time_ns && tuple_equal(&set[i].tuple, &event->tuple)) {
			oldest = &set[i];
			break;
		}
		if (set[i].time_ns < oldest->time_ns)
			oldest = &set[i];
	}
	oldest->tuple = event->tuple;
	oldest->socket = socket;
	oldest->time_ns = event->time_ns;
}

static size_t bytes_of(const struct held_segments *segments, const struct shakeoff_tuple *tuple)
{
	size_t bytes = 0;

	for (const struct held *held = segments->first; held; held = held->next)
		if (tuple_equal(&held->event->tuple, tuple))
			bytes += held->size;
	return bytes;
}

static enum held_result hold(struct held_segments *segments, const struct shakeoff_event *event)
{
	size_t size = sizeof(*event) + event->packet_len;
	struct held *held;

	if (segments->frames >= HELD_MAX_FRAMES || segments->bytes + size > HELD_MAX_BYTES ||
	    bytes_of(segments, &event->tuple) + size > HELD_MAX_TUPLE_BYTES)
		return HELD_DROP;
	held = malloc(sizeof(*held));
	if (!held)
		return HELD_DROP;
	held->event = malloc(size);
	if (!held->event) {
		free(held);
		return HELD_DROP;
	}
	memcpy(held->event, event, size);
	held->size = size;
	held->next = NULL;
	*segments->end = held;
	segments->end = &held->next;
	segments->frames++;
	segments->bytes += size;
	return HELD_KEPT;
}

enum held_result held_add(struct held_segments *segments, const struct shakeoff_event *event)
{
	const struct handshake_seen *opened = handshake_find(segments, event);

	if (opened)
		return opened->socket ? HELD_GIVE_BACK : HELD_DROP;
	return hold(segments, event);
}

/* Takes the frame that *link points to out of the list. */
static struct shakeoff_event *unlink_held(struct held_segments *segments, struct held **link)
{
	struct held *held = *link;
	struct shakeoff_event *event = held->event;

	*link = held->next;
	if (segments->end == &held->next)
		segments->end = link;
	segments->frames--;
	segments->bytes -= held->size;
	free(held);
	return event;
}

struct shakeoff_event *held_take(struct held_segments *segments, const struct shakeoff_tuple *tuple)
{
	for (struct held **link = &segments->first; *link; link = &(*link)->next)
		if (tuple_equal(&(*link)->event->tuple, tuple))
			return unlink_held(segments, link);
	return NULL;
}

void held_expire(struct held_segments *segments, uint64_t now_ns)
{
	while (segments->first && (int64_t)(now_ns - segments->first->event->time_ns) > (int64_t)HELD_MAX_WAIT_NS)
		free(unlink_held(segments, &segments->first));
}

size_t held_frames(const struct held_segments *segments)
{
	return segments->frames;
}

size_t held_bytes(const struct held_segments *segments)
{
	return segments->bytes;
}

void held_close(struct held_segments *segments)
{
	if (!segments)
		return;
	while (segments->first)
		free(unlink_held(segments, &segments->first));
	free(segments);
}
