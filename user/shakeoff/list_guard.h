/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Entries of the lists that nobody means: the whole internet, or what the admin's own session comes by. */
#ifndef SHAKEOFF_LIST_GUARD_H
#define SHAKEOFF_LIST_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/list.h"

struct guarded;

struct list_guard {
	struct guarded *list; /* sorted */
	size_t count;
};

/*
 * Learns the addresses that a block must not hold: the host's own (without those that never come by an interface), its gateways,
 * the other end of the SSH session that this command was given in. 0 or a negative errno.
 */
int list_guard_open(struct list_guard *guard);
void list_guard_close(struct list_guard *guard);

/*
 * Whether an entry needs --force: a prefix shorter than /8, or /16 of IPv6, and a block that holds one of these addresses. Then
 * `why` is a sentence that names it.
 */
bool list_guard_refuses(const struct list_guard *guard, const struct list_entry *entry, char *why, size_t size);

#endif
