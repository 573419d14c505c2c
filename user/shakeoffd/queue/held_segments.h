/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Held frames. The hook hands over segments after a validated ACK until the kernel has the connection's socket. Mostly
 * the ACK comes first. If two CPUs saw the same ACK, a segment can come before it, and waits here. Memory and time are
 * limited: the client sends dropped segments again. Each worker has its own.
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

/* Returns what to do with a SEGMENT. */
enum held_result held_add(struct held_segments *segments, const struct shakeoff_event *event);

/* Remembers the result of an OPEN for later segments: a socket, or a refusal. */
void held_note_open(struct held_segments *segments, const struct shakeoff_event *event, bool socket);

/* Takes out the oldest held frame of the tuple. The caller frees it. NULL: there are no more. */
struct shakeoff_event *held_take(struct held_segments *segments, const struct shakeoff_tuple *tuple);

/* Drops frames that have waited for too long. */
void held_expire(struct held_segments *segments, uint64_t now_ns);

/* Return the number of held frames; of their bytes. */
size_t held_frames(const struct held_segments *segments);
size_t held_bytes(const struct held_segments *segments);

#define HELD_MAX_FRAMES 512
#define HELD_MAX_BYTES (1u << 20)
/*
 * Of one connection: a first flight is at most the window of a SYN-ACK, 65535 bytes (RFC 7323, section 2.2), and
 * headers.
 */
#define HELD_MAX_TUPLE_BYTES (1u << 17)
#define HELD_MAX_WAIT_NS (2 * SHAKEOFF_FOLLOW_NS)

#endif
