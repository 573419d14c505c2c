/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shakeoffd/queue/held_segments.h"
#include "common/tuple.h"

/* Tuples opened lately, in sets of a few; the oldest of a full set gives way. 16384 are 0.16 s at 100,000 a second. */
#define SETS 4096
#define WAYS 4

/* The hook lets segments follow for SHAKEOFF_FOLLOW_NS after the ACK; both times are the hook's own. */
#define OPENED_NS (SHAKEOFF_FOLLOW_NS + SHAKEOFF_FOLLOW_NS / 2)

struct opened {
	struct shakeoff_tuple tuple;
	bool socket;
	uint64_t time_ns; /* 0: free */
};

struct held {
	struct held *next;
	size_t size;
	struct shakeoff_event *event;
};

struct park {
	struct opened opened[SETS][WAYS];
	struct held *first, **end; /* in order of arrival */
	size_t frames, bytes;
};

int park_open(struct park **park)
{
	struct park *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	fresh->end = &fresh->first;
	*park = fresh;
	return 0;
}

static struct opened *set_of(struct park *park, const struct shakeoff_tuple *tuple)
{
	const uint8_t *byte = (const void *)tuple;
	uint32_t hash = 2166136261u; /* FNV-1a: only proven addresses come here, nobody gains from collisions */

	for (size_t i = 0; i < sizeof(*tuple); i++)
		hash = (hash ^ byte[i]) * 16777619u;
	return park->opened[(hash ^ hash >> 16) % SETS];
}

static const struct opened *opened_find(struct park *park, const struct shakeoff_event *event)
{
	struct opened *set = set_of(park, &event->tuple);

	for (unsigned int i = 0; i < WAYS; i++)
		if (set[i].time_ns && tuple_equal(&set[i].tuple, &event->tuple) &&
		    (int64_t)(event->time_ns - set[i].time_ns) < (int64_t)OPENED_NS)
			return &set[i];
	return NULL;
}

void park_opened(struct park *park, const struct shakeoff_event *event, bool socket)
{
	struct opened *set = set_of(park, &event->tuple), *oldest = set;

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

static size_t bytes_of(const struct park *park, const struct shakeoff_tuple *tuple)
{
	size_t bytes = 0;

	for (const struct held *held = park->first; held; held = held->next)
		if (tuple_equal(&held->event->tuple, tuple))
			bytes += held->size;
	return bytes;
}

static enum park_answer hold(struct park *park, const struct shakeoff_event *event)
{
	size_t size = sizeof(*event) + event->packet_len;
	struct held *held;

	if (park->frames >= PARK_MAX_FRAMES || park->bytes + size > PARK_MAX_BYTES ||
	    bytes_of(park, &event->tuple) + size > PARK_MAX_TUPLE_BYTES)
		return PARK_DROP;
	held = malloc(sizeof(*held));
	if (!held)
		return PARK_DROP;
	held->event = malloc(size);
	if (!held->event) {
		free(held);
		return PARK_DROP;
	}
	memcpy(held->event, event, size);
	held->size = size;
	held->next = NULL;
	*park->end = held;
	park->end = &held->next;
	park->frames++;
	park->bytes += size;
	return PARK_HELD;
}

enum park_answer park_segment(struct park *park, const struct shakeoff_event *event)
{
	const struct opened *opened = opened_find(park, event);

	if (opened)
		return opened->socket ? PARK_GIVE_BACK : PARK_DROP;
	return hold(park, event);
}

/* Takes the frame that *link points to out of the list. */
static struct shakeoff_event *unlink_held(struct park *park, struct held **link)
{
	struct held *held = *link;
	struct shakeoff_event *event = held->event;

	*link = held->next;
	if (park->end == &held->next)
		park->end = link;
	park->frames--;
	park->bytes -= held->size;
	free(held);
	return event;
}

struct shakeoff_event *park_take(struct park *park, const struct shakeoff_tuple *tuple)
{
	for (struct held **link = &park->first; *link; link = &(*link)->next)
		if (tuple_equal(&(*link)->event->tuple, tuple))
			return unlink_held(park, link);
	return NULL;
}

void park_expire(struct park *park, uint64_t now_ns)
{
	while (park->first && (int64_t)(now_ns - park->first->event->time_ns) > (int64_t)PARK_MAX_WAIT_NS)
		free(unlink_held(park, &park->first));
}

size_t park_frames(const struct park *park)
{
	return park->frames;
}

size_t park_bytes(const struct park *park)
{
	return park->bytes;
}

void park_close(struct park *park)
{
	if (!park)
		return;
	while (park->first)
		free(unlink_held(park, &park->first));
	free(park);
}
