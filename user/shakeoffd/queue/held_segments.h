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

struct held_segments;

int held_open(struct held_segments **segments);
void held_close(struct held_segments *segments);

enum held_result {
	HELD_GIVE_BACK, /* its connection has a socket */
	HELD_DROP,      /* its connection was refused, or there is no room */
	HELD_KEPT,      /* copied; it comes back from held_take() */
};

/* What is to be done with a SEGMENT. */
enum held_result held_add(struct held_segments *segments, const struct shakeoff_event *event);

/* Remembers what became of an OPEN, for the segments that are still to come: a socket, or a refusal. */
void held_note_open(struct held_segments *segments, const struct shakeoff_event *event, bool socket);

/* Takes the oldest held frame of the tuple out, NULL: none (any more). The caller frees it. */
struct shakeoff_event *held_take(struct held_segments *segments, const struct shakeoff_tuple *tuple);

/* Drops what has waited for too long. */
void held_expire(struct held_segments *segments, uint64_t now_ns);

/* How many frames and bytes are held now. */
size_t held_frames(const struct held_segments *segments);
size_t held_bytes(const struct held_segments *segments);

#define HELD_MAX_FRAMES 512
#define HELD_MAX_BYTES (1u << 20)
/* Of one connection: a first flight is no longer than the window of a SYN-ACK, 65535 bytes (RFC 7323, section 2.2), and headers. */
#define HELD_MAX_TUPLE_BYTES (1u << 17)
#define HELD_MAX_WAIT_NS (2 * SHAKEOFF_FOLLOW_NS)

#endif
