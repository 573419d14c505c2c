/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ACL of sources of this network namespace's datapaths, open to be read and changed: what block, unblock, allow, disallow and acl share. */
#ifndef SHAKEOFF_CLI_ACL_READ_H
#define SHAKEOFF_CLI_ACL_READ_H

#include "acl/store.h"
#include "cli/view.h"

struct acl_access {
	struct view view;
	int lock;
};

/* Waits until no other command changes the lists, for a minute at most. Returns a STATUS_*. */
int acl_access_lock(const char *what, int *lock);
void acl_access_unlock(int *lock);

/* Takes the lock, then opens the view: as view_open(). */
int acl_access_open(struct acl_access *access, const char *what);
void acl_access_close(struct acl_access *access);

/* Whether a service has this name. */
bool acl_has_service(const struct acl_access *access, const char *name);

/* Says that none has, and which may be meant; returns STATUS_FAILURE. */
int acl_fail_service(const struct acl_access *access, const char *what, const char *name);

/* What a change came to: returns a STATUS_*, having said what went wrong. */
int acl_fail(const char *what, int error);

#endif
