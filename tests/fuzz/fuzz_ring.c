/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libFuzzer: any bytes as a record of a ring buffer, through the daemon's steps: it is held, taken out again, gets its
 * checksum, and is given back.
 *
 * link: user/shakeoffd/queue/held_segments.c user/shakeoffd/queue/raw_socket.c
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/ring_record.h"
#include "shakeoffd/queue/held_segments.h"
#include "shakeoffd/queue/raw_socket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct raw_socket raw = { .fd4 = -1, .fd6 = -1, .frames = -1 };
	struct shakeoff_event *event = malloc(size ? size : 1), *held;
	struct held_segments *segments;

	if (!event || held_open(&segments))
		abort();
	memcpy(event, data, size);
	if (ring_record_is_whole(event, size)) {
		raw_give_back(&raw, event);
		if (held_add(segments, event) == HELD_KEPT) {
			held_note_open(segments, event, true);
			held = held_take(segments, &event->tuple);
			if (!held || held->packet_len != event->packet_len ||
			    memcmp(held->packet, event->packet, event->packet_len) != 0)
				abort();
			raw_give_back(&raw, held);
			free(held);
		}
		raw_reset(&raw, event);
	}
	held_close(segments);
	free(event);
	return 0;
}
