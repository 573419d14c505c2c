/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ACL of sources (shakeoff/acl.h) in a datapath. Callers of these functions hold acl_lock(). Functions return 0 or
 * a negative errno; on failure the ACL stays unchanged.
 */
#ifndef SHAKEOFF_ACL_STORE_H
#define SHAKEOFF_ACL_STORE_H

#include "datapath/datapath.h"
#include "acl/acl.h"

/*
 * Adds an entry, or changes the one of the same prefix and scope. name: of the scope, NULL for all services. -EEXIST:
 * another service with entries has the same scope.
 */
int datapath_acl_set(struct datapath *datapath, const struct acl_entry *entry, const char *name);

/* Looks up the entry of a prefix and scope, live or not. -ENOENT: there is none. */
int datapath_acl_get(struct datapath *datapath, const struct prefix *prefix, uint32_t scope, struct acl_entry *entry);

/* Removes an entry. -ENOENT: there is none. */
int datapath_acl_remove(struct datapath *datapath, const struct prefix *prefix, uint32_t scope);

/*
 * Replaces the entries that were loaded before by `list`, at once for the hook. Entries that were added by hand stay,
 * and take precedence over loaded ones.
 */
int datapath_acl_load(struct datapath *datapath, const struct acl *list);

/* Removes everything. */
int datapath_acl_clear(struct datapath *datapath);

/* Adds every live entry, and the names of their scopes, to *list. */
int datapath_acl_read(struct datapath *datapath, struct acl *list);

/* Returns whether something is listed, live or not. */
bool datapath_acl_in_use(struct datapath *datapath);

/* Returns when the first entry expires that may still be there: CLOCK_MONOTONIC; 0: none expires. */
uint64_t datapath_acl_expiry(struct datapath *datapath);

/*
 * Keeps the ACL for the next program and restores it, because it outlives the program that it was made for. keep() pins
 * it in bpffs, beside the links, and restore() moves it from there to a datapath. A datapath that has an ACL already
 * keeps its own, and the kept one is given up. keep(): -EOPNOTSUPP: nothing can be pinned here. restore(): 1: the ACL
 * applies again, 0: none was kept.
 */
int datapath_acl_keep(struct datapath *datapath);
int datapath_acl_restore(struct datapath *datapath);

/*
 * An iteration that removes expired entries in steps; the lock may be released between them. To begin it needs the
 * privilege to open maps by id. datapath_acl_sweep() removes entries that have expired by now_ns, runs for budget_ns
 * and returns 1 while there is more to do, 0 at the end. Entries may come and go in between; loading a list ends the
 * iteration.
 */
struct datapath_sweep;
int datapath_acl_sweep_begin(struct datapath *datapath, struct datapath_sweep **sweep);
int datapath_acl_sweep(struct datapath_sweep *sweep, uint64_t now_ns, uint64_t budget_ns);
void datapath_acl_sweep_end(struct datapath_sweep *sweep);

#endif
