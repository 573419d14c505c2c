/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The lists of sources of the harness's program, changed as commands change them.
 *
 * cmocka.h and what it needs has to be included before.
 */
#ifndef SHAKEOFF_TESTS_LISTED_H
#define SHAKEOFF_TESTS_LISTED_H

#include "acl/store.h"

/* The program's datapath, after listed_start(). */
extern struct datapath *listed_datapath;

int listed_start(void); /* after harness_start() */
void listed_stop(void);
void listed_reset(void); /* nothing is listed; before harness_reset(), which forgets which maps are in use */

/* Lists what these lines say (common/list.h), one after the other. */
void listed(const char *lines);

/* The same, for entries that have expired so long ago; in seconds. */
void listed_ago(const char *lines, unsigned int seconds);

/* What a command that loads these lines would do. */
void listed_load(const char *lines);

/* The entries that there are, in the trie's order, one a line; valid until the next call. */
const char *listed_now(void);

#endif
