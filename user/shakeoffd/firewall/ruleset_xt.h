/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Matches and targets of iptables, which nftables' rules may contain, too. */
#ifndef SHAKEOFFD_FIREWALL_RULESET_XT_H
#define SHAKEOFFD_FIREWALL_RULESET_XT_H

#include "shakeoffd/firewall/ruleset.h"

/* Returns the result of a match with this name and unknown parameters. */
enum rule_answer ruleset_xt_match(const char *name, struct rule *rule);

/* Notes in the rule what a target with this name does. */
void ruleset_xt_target(const char *name, struct rule *rule);

#endif
