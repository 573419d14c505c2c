/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A SYN-ACK that the hook has sent, to be sent again. */
#ifndef SHAKEOFFD_HOOK_SYNACK_FRAME_H
#define SHAKEOFFD_HOOK_SYNACK_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Moves its timestamp later by this number of milliseconds, and adapts its checksum: the client's echo shows the round
 * trip, and an old timestamp would show the time since the first SYN-ACK. Returns whether there was a timestamp; a
 * frame that has none, or is no SYN-ACK, stays unchanged.
 */
bool synack_frame_later(uint8_t *frame, size_t len, uint32_t ms);

#endif
