/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ack_events.h"

static uint8_t data[20000];

struct bytes payload(size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = i * 31 + (i >> 8);
	return (struct bytes){ data, len };
}

/* Asserts that the event's packet is the segment's packet, from the IP header to the last byte of the IP length. */
static void assert_event_carries(const struct shakeoff_event *event, const struct segment *segment)
{
	struct segment bare = *segment;
	static struct frame frame;

	bare.padding = 0;
	frame_make(&frame, &bare);
	assert_int_equal(event->packet_len, frame.len - frame.l3);
	assert_int_equal(event->tcp_offset, frame.l4 - frame.l3);
	assert_memory_equal(event->packet, frame.bytes + frame.l3, event->packet_len);
}

static void assert_event_names(const struct shakeoff_event *event, const struct segment *segment)
{
	struct shakeoff_tuple tuple = tuple_of_segment(segment);
	uint64_t now = monotonic_ns();

	assert_int_equal(event->service, SERVICE);
	assert_int_equal(event->ifindex, harness.ifindex);
	assert_memory_equal(&event->tuple, &tuple, sizeof(tuple));
	assert_true(event->time_ns <= now && now - event->time_ns < 2000000000);
	assert_int_equal(event->taken, 0);
}

const struct shakeoff_event *opens(const struct client *client)
{
	const struct shakeoff_event *event;

	assert_verdict(&client->ack, SHAKEOFF_ACK_VALID);
	event = expect_event(SHAKEOFF_EVENT_OPEN);
	assert_event_names(event, &client->ack);
	assert_event_carries(event, &client->ack);
	assert_int_equal(event->rcv_nxt, client->syn.seq + 1);
	assert_int_equal(event->snd_nxt, client->synack.seq + 1);
	assert_int_equal(event->rcv_wnd, client->synack.window);
	expect_no_event();
	return event;
}

const struct shakeoff_event *follows(const struct segment *segment)
{
	const struct shakeoff_event *event;

	assert_verdict(segment, SHAKEOFF_SEGMENT_QUEUED);
	event = expect_event(SHAKEOFF_EVENT_SEGMENT);
	assert_event_names(event, segment);
	assert_event_carries(event, segment);
	assert_int_equal(event->rcv_nxt | event->snd_nxt | event->rcv_wnd | event->snd_wnd | event->mss | event->flags,
			 0);
	expect_no_event();
	return event;
}
