/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Turns iptables' rules, as iptables-save(8) prints them, into a rule set. */
#ifndef SHAKEOFFD_FIREWALL_RULESET_IPTABLES_H
#define SHAKEOFFD_FIREWALL_RULESET_IPTABLES_H

#include <stdbool.h>

#include "shakeoffd/firewall/ruleset.h"

/*
 * Adds the output of a tool, and cuts the text up. name: of the tables, for display ("iptables", "ip6tables-legacy").
 * The caller has to finish the rule set afterwards. 0 or a negative errno.
 */
int ruleset_iptables_read(struct ruleset *ruleset, char *text, const char *name, bool ipv6);

/* Returns whether such a text, before it is cut up, has a table. */
bool ruleset_iptables_has_table(const char *text, const char *table);

#endif
