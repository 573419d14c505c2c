/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Turns nftables' rules, as libnftables lists them (JSON: libnftables-json(5)), into a rule set. Unknown expressions
 * and statements count as something that may happen to any packet.
 */
#ifndef SHAKEOFFD_FIREWALL_RULESET_NFT_H
#define SHAKEOFFD_FIREWALL_RULESET_NFT_H

#include <jansson.h>
#include <stdbool.h>

#include "shakeoffd/firewall/ruleset.h"

/* Looks up the elements of a set or map that was listed without them (terse): an array, or NULL. The caller owns it. */
typedef json_t *(*ruleset_nft_elements)(void *context, const char *family, const char *table, const char *name,
					bool map);

/* Returns whether a table of iptables (family: "ip" or "ip6") has been read in another way. */
typedef bool (*ruleset_nft_skips)(void *context, const char *family, const char *table);

struct ruleset_nft_source {
	void *context;
	ruleset_nft_elements elements;
	ruleset_nft_skips skips;
};

/*
 * Adds all chains and rules of a list to the rule set. The caller has to finish it afterwards. 0 or a negative errno.
 */
int ruleset_nft_read(struct ruleset *ruleset, json_t *list, const struct ruleset_nft_source *source);

/*
 * Returns whether a list has rules in iptables' own form, of this family ("ip" or "ip6"): iptables shows more of them.
 */
bool ruleset_nft_has_xt(json_t *list, const char *family);

#endif
