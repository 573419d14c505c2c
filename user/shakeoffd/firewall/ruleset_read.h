/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads all rules of this network namespace: nftables' by libnftables, iptables-legacy's by its own tool, and those that
 * iptables-nft has made by that, because nftables does not tell what is in them. For a process of its own: libraries and
 * tools take what time and memory they want, and may end it.
 */
#ifndef SHAKEOFFD_FIREWALL_RULESET_READ_H
#define SHAKEOFFD_FIREWALL_RULESET_READ_H

#include <stddef.h>

#include "shakeoffd/firewall/ruleset.h"

/* Returns 0 and a finished rule set; on failure a negative errno and `why`, a sentence without its full stop. */
int ruleset_read(struct ruleset *ruleset, char *why, size_t size);

#endif
