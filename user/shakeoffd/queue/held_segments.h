/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Held frames. The hook hands over what follows a validated ACK until the kernel has the connection's socket. Mostly the
 * ACK comes first; when two CPUs saw the same ACK, a segment can come before it and waits here. Bounded in memory and time:
 * what is dropped is sent again by the client. Each worker has its own.
 */
#ifndef SHAKEOFFD_QUEUE_HELD_SEGMENTS_H
#define SHAKEOFFD_QUEUE_HELD_SEGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <shakeoff/abi.h>

struct park;

int park_open(struct park **park);
void park_close(struct park *park);

enum park_answer {
	PARK_GIVE_BACK, /* its connection has a socket */
	PARK_DROP,      /* its connection was refused, or there is no room */
	PARK_HELD,      /* copied; it comes back from park_take() */
};

/* What is to be done with a SEGMENT. */
enum park_answer park_segment(struct park *park, const struct shakeoff_event *event);

/* Remembers what became of an OPEN, for the segments that are still to come: a socket, or a refusal. */
void park_opened(struct park *park, const struct shakeoff_event *event, bool socket);

/* Takes the oldest held frame of the tuple out, NULL: none (any more). The caller frees it. */
struct shakeoff_event *park_take(struct park *park, const struct shakeoff_tuple *tuple);

/* Drops what has waited for too long. */
void park_expire(struct park *park, uint64_t now_ns);

/* How many frames and bytes are held now. */
size_t park_frames(const struct park *park);
size_t park_bytes(const struct park *park);

#define PARK_MAX_FRAMES 512
#define PARK_MAX_BYTES (1u << 20)
/* Of one connection: a first flight is no longer than the window of a SYN-ACK, 65535 bytes (RFC 7323, section 2.2), and headers. */
#define PARK_MAX_TUPLE_BYTES (1u << 17)
#define PARK_MAX_WAIT_NS (2 * SHAKEOFF_FOLLOW_NS)

#endif
