/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A service with the listener handoff in front of real listening sockets.
 *
 * cmocka.h and what it needs has to be included before.
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

/* What the hook finds at the service's address: its id, and what stands beside it. */
void address_set(__u32 value);

/* The service has the listener handoff, and `listener` listens at its IPv4 address. */
void listens(enum shakeoff_syncookies syncookies);

/* The metadata of the last frame: it is an ACK for the tc program. */
struct metadata metadata_read(void);

/* A handshake whose ACK is accepted. */
struct metadata admitted(struct client *client, const struct segment *syn);

#endif
