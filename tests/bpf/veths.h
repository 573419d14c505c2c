/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Two veth pairs, one and two, one.5 and four, in a network namespace of this process, and the data path at them. Skipped
 * without root.
 *
 * cmocka.h and what it needs has to be included before.
 */
#ifndef SHAKEOFF_TESTS_VETHS_H
#define SHAKEOFF_TESTS_VETHS_H

#include "datapath/datapath.h"

int enter_namespace(void **state); /* for a group */
int make_veths(void **state);      /* for each test */
int remove_veths(void **state);

void need_root(void); /* or skips the test */
void run(const char *command);
void succeeds(int result); /* of a function of datapath.h */

struct datapath *loaded(void);
struct datapath_attachment looked(const char *ifname);

/* A program that lets everything pass, and is not ours. */
void attach_foreign(const char *ifname, uint32_t flags);

/* Where this namespace's links are pinned. */
const char *pin_directory(void);

/* Unless there is no place to pin in this mount namespace: attached without a link. */
void is_pinned(const char *name, const char *ifname, const char *owner);

#endif
