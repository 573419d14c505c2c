/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The events of final ACKs, and of the segments that follow them, checked against those segments.
 *
 * cmocka.h and what it needs has to be included before.
 */
#ifndef SHAKEOFF_TESTS_ACK_EVENTS_H
#define SHAKEOFF_TESTS_ACK_EVENTS_H

#include "harness.h"

/* Bytes of this length that differ from place to place; valid until the next call. */
struct bytes payload(size_t len);

/* Sends the ACK and returns its OPEN event, checked for all that does not depend on the options. */
const struct shakeoff_event *opens(const struct client *client);

/* Sends a segment that follows an ACK and returns its event. */
const struct shakeoff_event *follows(const struct segment *segment);

#endif
