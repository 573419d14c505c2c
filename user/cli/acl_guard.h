/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds ACL entries that are probably a mistake: the whole internet, or the path of the admin's own session. */
#ifndef SHAKEOFF_CLI_ACL_GUARD_H
#define SHAKEOFF_CLI_ACL_GUARD_H

#include <stddef.h>

#include "acl/acl.h"

/*
 * Returns whether one of the entries needs --force: a prefix shorter than /8, or /16 of IPv6, or a block that holds an
 * address of the host (except those that never come in at an interface), of one of its gateways, or of the other end of
 * the SSH session of this command. 1: `why` is a sentence that names the entry; 0: none; or a negative errno.
 */
int acl_guard_check(const struct acl_entry *entries, size_t count, char *why, size_t size);

#endif
