/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The policy rules of a family (ip-rule(8)): the tables that the kernel looks routes up in, and their order. */
#ifndef SHAKEOFFD_ROUTE_ROUTE_RULES_H
#define SHAKEOFFD_ROUTE_ROUTE_RULES_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROUTE_LOOKUPS_MAX 16
#define ROUTE_OTHERS_MAX 64

#define ROUTE_NOT_LOOKED_UP (-1)

struct route_lookup {
	uint32_t table;
	int suppressed; /* the look-up ignores prefixes of this length and shorter; -1: it ignores none */
};

struct route_rules {
	struct route_lookup lookups[ROUTE_LOOKUPS_MAX]; /* for every SYN-ACK, in this order */
	size_t lookup_count;
	struct {
		uint32_t table, priority;
	} others[ROUTE_OTHERS_MAX]; /* for some SYN-ACKs: by source, mark, TOS ... */
	size_t other_count;
	bool overflow; /* there are more than these */
	bool refuse;   /* a rule refuses packets: blackhole, unreachable, prohibit */
	uint32_t refuse_priority;
};

/* Adds an RTM_NEWRULE message; they come in the order of their priorities. */
void route_rules_add(struct route_rules *rules, const struct nlmsghdr *header);

/* Returns how early a prefix of this length in this table is found (0: the earliest), or ROUTE_NOT_LOOKED_UP. */
int route_rules_rank(const struct route_rules *rules, uint32_t table, unsigned int prefix_len);

/* Returns whether only some SYN-ACKs are looked up in this table; *priority: of the rule that decides it. */
bool route_rules_have_other(const struct route_rules *rules, uint32_t table, uint32_t *priority);

#endif
