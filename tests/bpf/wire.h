/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tc program, after the XDP program, in front of real listening sockets: a client made of frames is at c0, the
 * other end of a veth pair; the programs are attached at s0. Its connections come out of accept(). Skipped before
 * kernel 6.9.
 *
 * Include cmocka.h and the headers it needs before this one.
 */
#ifndef SHAKEOFF_TESTS_WIRE_H
#define SHAKEOFF_TESTS_WIRE_H

#include "harness.h"
#include "sockets.h"

#include "admit.skel.h"

#define TCX_INGRESS 46 /* BPF_TCX_INGRESS, kernel 6.6 */
#define TCX_NEXT (-1)
#define TCX_REDIRECT 7
#define WAIT_NS 15000000ll /* how long a segment waits for its connection's socket */

extern struct admit *admit;                    /* NULL: the kernel does not support it */
extern int listener, other_listener, accepted; /* closed after each test */

int wire_start(void **state); /* for a group */
int wire_stop(void **state);
int wire_setup(void **state); /* for each test */
int wire_teardown(void **state);

int load_admit(void);                                             /* once more: `admit` */
void need_admit(void);                                            /* or skips the test */
void wire_listens(const struct family *family, const char *text); /* `listener`, with cookies always */

/* A packet socket at c0. */
extern int wire;

void wire_send(const struct segment *segment);
void wire_receive(uint16_t port, struct frame *frame, struct reading *reading); /* the next segment to this port */
void wire_empty(void);

void client_asks(struct client *client, const struct segment *syn); /* sends the SYN, and prepares the ACK */
void connects(struct client *client, const struct segment *syn);    /* and sends the ACK, and accepts */
void accepts(void);                                                 /* from `listener`: `accepted` */
void accepts_nothing(void);
void reads(const char *expected); /* from `accepted` */

/* Returns what the tc program has counted for the service. */
struct shakeoff_service_counters counters(void);

/*
 * Makes an ACK that the XDP program has validated, in a test run: it is on its way to the tc program, without metadata.
 */
void client_validated(struct client *client, const struct segment *syn);

/* Runs the tc program alone, `repeats` times, with this mark or none in front of the frame; returns its last action. */
extern int repeats;
int run_admit_marked(const struct segment *segment, uint32_t told);
int run_admit(const struct segment *segment);

#endif
