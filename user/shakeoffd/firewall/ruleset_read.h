/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads all rules of this network namespace: nftables' rules by libnftables, iptables-legacy's by its own tool. Rules
 * made by iptables-nft are read by its tool, because nftables does not show their contents. Needs its own process:
 * libraries and tools may take any amount of time and memory, and may end the process.
 */
#ifndef SHAKEOFFD_FIREWALL_RULESET_READ_H
#define SHAKEOFFD_FIREWALL_RULESET_READ_H

#include <stddef.h>

#include "shakeoffd/firewall/ruleset.h"

/* Returns 0 and a finished rule set, or a negative errno and `why`, a sentence without its full stop. */
int ruleset_read(struct ruleset *ruleset, char *why, size_t size);

#endif
