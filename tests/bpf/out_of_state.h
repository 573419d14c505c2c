/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A service with the listener handoff in front of listening sockets of both families, and segments that have no socket.
 *
 * Include cmocka.h and the headers it needs before this one.
 */
#ifndef SHAKEOFF_TESTS_OUT_OF_STATE_H
#define SHAKEOFF_TESTS_OUT_OF_STATE_H

#include "harness.h"
#include "sockets.h"

#define SECOND 1000000000ull
#define WINDOWS_A_SECOND (SECOND / SHAKEOFF_FLOOD_WINDOW_NS)

extern int listeners[2], client, accepted; /* closed after each test */

int out_of_state_start(void **state); /* for a group */
int out_of_state_setup(void **state); /* for each test */
int out_of_state_teardown(void **state);

/* Makes a service with the listener handoff, with a listening socket for each family. */
void listens(enum shakeoff_syncookies syncookies);

/* Makes it look as if too many segments had had no socket for a minute; the last one just now, or this long ago. */
void surge_note(void);
void surge_since(uint64_t surge_age_ns);

#endif
