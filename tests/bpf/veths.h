/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Two veth pairs, one and two, one.5 and four, in a network namespace of this process, and the data path at them.
 * Skipped without root.
 *
 * Include cmocka.h and the headers it needs before this one.
 */
#ifndef SHAKEOFF_TESTS_VETHS_H
#define SHAKEOFF_TESTS_VETHS_H

#include "datapath/datapath.h"

int enter_namespace(void **state); /* for a group */
int make_veths(void **state);      /* for each test */
int remove_veths(void **state);

void need_root(void); /* or skips the test */
void run(const char *command);
void succeeds(int result); /* the result of a function of datapath.h */

struct datapath *loaded(void);
struct datapath_attachment looked(const char *ifname);

/* Attaches a foreign program that lets everything pass. */
void attach_foreign(const char *ifname, uint32_t flags);

/* The directory where this namespace's links are pinned. */
const char *pin_directory(void);

/* Asserts that the link is pinned, unless this mount namespace has no bpffs: then it is attached without a link. */
void is_pinned(const char *name, const char *ifname, const char *owner);

#endif
