/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ACL of sources of this network namespace's datapaths, open to be read and changed. The commands block, unblock,
 * allow, disallow and acl share it.
 */
#ifndef SHAKEOFF_CLI_ACL_READ_H
#define SHAKEOFF_CLI_ACL_READ_H

#include "acl/store.h"
#include "cli/view.h"

struct acl_access {
	struct view view;
	int lock;
};

/* Waits at most a minute until no other command changes the ACL. Returns a STATUS_*. */
int acl_access_lock(const char *what, int *lock);
void acl_access_unlock(int *lock);

/* Takes the lock, then opens the view. Returns as view_open(). */
int acl_access_open(struct acl_access *access, const char *what);
void acl_access_close(struct acl_access *access);

/* Returns whether a service has this name. */
bool acl_has_service(const struct acl_access *access, const char *name);

/* Reports that no service has the name, and suggests a similar one; returns STATUS_FAILURE. */
int acl_fail_service(const struct acl_access *access, const char *what, const char *name);

/* Reports what went wrong with a change, if anything. Returns a STATUS_*. */
int acl_fail(const char *what, int error);

#endif
