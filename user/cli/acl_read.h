/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The lists of sources of this network namespace's datapaths, open to be read and changed: what block, unblock, allow, disallow and acl share. */
#ifndef SHAKEOFF_CLI_ACL_READ_H
#define SHAKEOFF_CLI_ACL_READ_H

#include "acl/store.h"
#include "cli/view.h"

struct lists {
	struct view view;
	int lock;
};

/* Waits until no other command changes the lists, for a minute at most. Returns a STATUS_*. */
int acl_access_lock(const char *what, int *lock);
void lists_unlock(int *lock);

/* Takes the lock, then opens the view: as view_open(). */
int lists_open(struct lists *lists, const char *what);
void lists_close(struct lists *lists);

/* Whether a service has this name. */
bool lists_has_service(const struct lists *lists, const char *name);

/* Says that none has, and which may be meant; returns STATUS_FAILURE. */
int lists_fail_service(const struct lists *lists, const char *what, const char *name);

/* What a change came to: returns a STATUS_*, having said what went wrong. */
int lists_fail(const char *what, int error);

#endif
