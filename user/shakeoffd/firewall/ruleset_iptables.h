/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* iptables' rules as iptables-save(8) prints them, made into a rule set. */
#ifndef SHAKEOFFD_FIREWALL_RULESET_IPTABLES_H
#define SHAKEOFFD_FIREWALL_RULESET_IPTABLES_H

#include <stdbool.h>

#include "shakeoffd/firewall/ruleset.h"

/*
 * Adds what a tool has printed, which is cut up meanwhile. name: of what it is, to be shown ("iptables", "ip6tables-legacy").
 * The rule set is to be finished afterwards. 0 or a negative errno.
 */
int ruleset_iptables_read(struct ruleset *ruleset, char *text, const char *name, bool ipv6);

/* Whether a table stands in such a text, which is not cut up yet. */
bool ruleset_iptables_has_table(const char *text, const char *table);

#endif
