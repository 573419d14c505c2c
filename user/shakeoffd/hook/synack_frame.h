/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A SYN-ACK that the hook has sent, to be sent again. */
#ifndef SHAKEOFFD_HOOK_SYNACK_FRAME_H
#define SHAKEOFFD_HOOK_SYNACK_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Sets its timestamp later by so many milliseconds, its checksum with it: the client's echo tells the round trip, and an old one
 * would tell the time since the first SYN-ACK. Returns whether there was a timestamp; a frame that has none, or is no SYN-ACK, stays.
 */
bool synack_frame_later(uint8_t *frame, size_t len, uint32_t ms);

#endif
