/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ACL of sources of the harness's program, changed as commands change it.
 *
 * Include cmocka.h and the headers it needs before this one.
 */
#ifndef SHAKEOFF_TESTS_ACL_FIXTURE_H
#define SHAKEOFF_TESTS_ACL_FIXTURE_H

#include "acl/store.h"

/* The program's datapath, after acl_fixture_start(). */
extern struct datapath *acl_fixture_datapath;

int acl_fixture_start(void); /* after harness_start() */
void acl_fixture_stop(void);
void acl_fixture_reset(void); /* Empties the ACL; call before harness_reset(), which forgets which maps are in use. */

/* Adds the entries in these lines (common/list.h), one after the other. */
void acl_fixture_add(const char *lines);

/* Adds entries that expired this long ago, in seconds. */
void acl_fixture_expired(const char *lines, unsigned int seconds);

/* Does what a command that loads these lines would do. */
void acl_fixture_load(const char *lines);

/* Returns all entries, in the trie's order, one a line; valid until the next call. */
const char *acl_fixture_entries(void);

#endif
