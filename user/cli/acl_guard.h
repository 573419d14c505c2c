/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Entries of the lists that nobody means: the whole internet, or what the admin's own session comes by. */
#ifndef SHAKEOFF_CLI_ACL_GUARD_H
#define SHAKEOFF_CLI_ACL_GUARD_H

#include <stddef.h>

#include "acl/acl.h"

/*
 * Whether one of the entries needs --force: a prefix shorter than /8, or /16 of IPv6, or a block that holds an address of the host's own
 * (without those that never come by an interface), of one of its gateways, or of the other end of the SSH session that this command was
 * given in. 1: `why` is a sentence that names it; 0: none; or a negative errno.
 */
int acl_guard_check(const struct acl_entry *entries, size_t count, char *why, size_t size);

#endif
