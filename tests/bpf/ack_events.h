/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The events of final ACKs, and of the segments that follow them, checked against those segments.
 *
 * Include cmocka.h and the headers it needs before this one.
 */
#ifndef SHAKEOFF_TESTS_ACK_EVENTS_H
#define SHAKEOFF_TESTS_ACK_EVENTS_H

#include "harness.h"

/* Returns bytes of this length that differ by position; valid until the next call. */
struct bytes payload(size_t len);

/* Sends the ACK and returns its OPEN event. Checks everything in the event that does not depend on the options. */
const struct shakeoff_event *opens(const struct client *client);

/* Sends a segment that follows an ACK and returns its event. */
const struct shakeoff_event *follows(const struct segment *segment);

#endif
