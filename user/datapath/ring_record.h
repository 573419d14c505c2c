/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The hook writes the ring buffer. Its lengths are checked all the same before anything else is read. */
#ifndef SHAKEOFF_DATAPATH_RING_RECORD_H
#define SHAKEOFF_DATAPATH_RING_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include <shakeoff/abi.h>

static inline bool ring_record_is_whole(const struct shakeoff_event *event, size_t size)
{
	return size >= sizeof(*event) && event->packet_len <= size - sizeof(*event) &&
	       event->tcp_offset <= event->packet_len;
}

#endif
