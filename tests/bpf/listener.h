/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A service with the listener handoff in front of real listening sockets.
 *
 * Include cmocka.h and the headers it needs before this one.
 */
#ifndef SHAKEOFF_TESTS_LISTENER_H
#define SHAKEOFF_TESTS_LISTENER_H

#include "harness.h"
#include "sockets.h"
#include "metadata.h"

#define SECOND 1000000000ull
#define LISTENER_CLIENTS 8

extern int listener, other_member, clients[LISTENER_CLIENTS]; /* closed after each test */

int listener_setup(void **state); /* for each test */
int listener_teardown(void **state);

/* The value in the hook's map for the service's address: its id and flags. */
void address_set(__u32 value);

/* Gives the service the listener handoff; `listener` listens at its IPv4 address. */
void listens(enum shakeoff_syncookies syncookies);

/* Returns the metadata of the last frame, which must be an ACK for the tc program. */
struct metadata metadata_read(void);

/* Runs a handshake whose ACK is accepted. */
struct metadata admitted(struct client *client, const struct segment *syn);

#endif
