/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Clients of many sources: their SYNs and handshakes, and what has been counted of them before.
 *
 * Include cmocka.h and the headers it needs before this one.
 */
#ifndef SHAKEOFF_TESTS_SOURCES_H
#define SHAKEOFF_TESTS_SOURCES_H

#include "harness.h"
#include "acl_fixture.h"
#include "sockets.h"

#define MS 1000000ull
#define SECOND 1000000000ull
#define CAPACITY 32 /* of the accept queue, where sources share it */

extern int listener, connected[CAPACITY]; /* closed after each test */

int sources_start(void **state); /* for a group */
int sources_stop(void **state);
int sources_setup(void **state); /* for each test */
int sources_teardown(void **state);

/* Sets how many SYN-ACKs every prefix has been sent in this window, in the table of all CPUs. */
void replies_sent(uint32_t window, uint32_t sent);

/* Returns the number of entries of a map. */
int count_of(int map);

/* Sends a SYN of a source, each from another port; returns its verdict. */
struct segment syn_from(const char *from);
enum shakeoff_verdict syn_result(const char *from);
#define assert_syn(from, verdict) assert_string_equal(verdict_name(syn_result(from)), verdict_name(verdict))

/* Returns how many of `count` SYNs have this verdict; all others must have the second. */
int syns_that(const char *from, int count, enum shakeoff_verdict verdict, enum shakeoff_verdict otherwise);

/* Returns the verdict on the ACK, or on the SYN if it gets no reply. */
enum shakeoff_verdict opens(const char *from);
#define assert_opens(from, verdict) assert_string_equal(verdict_name(opens(from)), verdict_name(verdict))

/* Gives the service a queue of CAPACITY positions. */
void shared_queue(void);

/* Makes another source have a handshake just before. */
void others_come(void);

/* Opens connections of this source until one is refused, beside other sources; returns how many it got. */
int takes(const char *from, enum shakeoff_verdict refusal);

/* Returns the i-th /64 of a /48. */
const char *of_a_site(int i);

/* Opens one connection from each /64 of a /48, until one has this verdict. Returns how many opened. */
int site_takes(enum shakeoff_verdict refusal);

#endif
