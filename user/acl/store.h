/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ACL of sources (shakeoff/list.h) in a datapath. Whoever calls any of these holds acl_lock(). Functions return 0 or a
 * negative errno; what was listed stays listed on failure.
 */
#ifndef SHAKEOFF_ACL_STORE_H
#define SHAKEOFF_ACL_STORE_H

#include "datapath/datapath.h"
#include "acl/acl.h"

/*
 * Adds an entry, or changes the one of the same prefix and scope. name: of the scope, NULL for all services. -EEXIST: another
 * service with entries has the same scope.
 */
int datapath_acl_set(struct datapath *datapath, const struct acl_entry *entry, const char *name);

/* Looks up the entry of a prefix and scope, live or not. -ENOENT: there is none. */
int datapath_acl_get(struct datapath *datapath, const struct prefix *prefix, uint32_t scope, struct acl_entry *entry);

/* -ENOENT: there is none. */
int datapath_acl_remove(struct datapath *datapath, const struct prefix *prefix, uint32_t scope);

/* Replaces what was loaded before by `list`, at once for the hook. What was added by hand stays, and beats what is loaded. */
int datapath_acl_load(struct datapath *datapath, const struct acl *list);

/* Removes everything. */
int datapath_acl_clear(struct datapath *datapath);

/* Adds every live entry, and the names of their scopes, to *list. */
int datapath_acl_read(struct datapath *datapath, struct acl *list);

/* Whether something is listed, live or not. */
bool datapath_acl_in_use(struct datapath *datapath);

/* When the first entry expires that may still be there: CLOCK_MONOTONIC; 0: none does. */
uint64_t datapath_acl_expiry(struct datapath *datapath);

/*
 * Lists outlive the program that they were made for: keep() leaves them in bpffs, beside the links, restore() takes them from there
 * to a datapath. One that has lists already goes on with them, and what was kept is given up. keep(): -EOPNOTSUPP: nothing can be
 * left here. restore(): 1: they hold again, 0: there are none to take.
 */
int datapath_acl_keep(struct datapath *datapath);
int datapath_acl_restore(struct datapath *datapath);

/*
 * An iteration that removes expired entries, in steps: the lock need not be held between them. Beginning it takes the privilege to open
 * maps by id. datapath_acl_sweep() removes what has expired by now_ns, goes on for budget_ns and returns 1 while there is more
 * to do, 0 at the end; in between, entries that come and go are no trouble, and a list that is loaded ends it.
 */
struct datapath_sweep;
int datapath_acl_sweep_begin(struct datapath *datapath, struct datapath_sweep **sweep);
int datapath_acl_sweep(struct datapath_sweep *sweep, uint64_t now_ns, uint64_t budget_ns);
void datapath_acl_sweep_end(struct datapath_sweep *sweep);

#endif
