/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Turns the routes of a family into those that the hook needs. A table is filled in two passes over the same routes:
 *
 *	route_table_add()     routes with an offer of their own
 *	route_table_index()
 *	route_table_add()     trivial routes if route_table_touches() them: they hide others, or are hidden by them
 *	route_table_settle()
 *
 * so that a router with a full table of trivial routes needs no memory. Pure functions.
 */
#ifndef SHAKEOFFD_ROUTE_ROUTE_TABLE_H
#define SHAKEOFFD_ROUTE_ROUTE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/prefix.h"
#include <shakeoff/route.h>

#define ROUTE_CANDIDATES_MAX (1u << 18) /* 10 MB */

/* Why routes cannot be followed. X(CONSTANT, text): ends a sentence that names a route and a rule. */
#define ROUTE_PROBLEMS(X)                                                                                              \
	X(NONE, "they can be followed")                                                                                \
	X(RULES, "policy rules look them up in another table for some connections, and its routes differ")             \
	X(REFUSE, "a policy rule refuses packets (blackhole, unreachable, prohibit)")                                  \
	X(MANY, "more of them differ from the interfaces than can be followed")                                        \
	X(HOPS, "next hops of the same route differ")                                                                  \
	X(PARTIAL, "one holds only for a TOS or a source, and differs from the others")                                \
	X(UNKNOWN, "the kernel does not list the next hops of one")                                                    \
	X(UNREAD, "they could not be read")                                                                            \
	X(UNTOLD, "they could not be published to the hook")

enum route_problem {
#define X(constant, text) ROUTE_PROBLEM_##constant,
	ROUTE_PROBLEMS(X)
#undef X
		ROUTE_PROBLEM_COUNT
};

/* What one next hop of a route offers. */
struct route_candidate {
	struct prefix prefix;
	uint8_t preference; /* as in route_entry.h, like the two below */
	bool partial;
	uint8_t rank;    /* of its table: route_rules.h */
	uint32_t number; /* of the route, in the kernel's order */
	uint32_t priority;
	struct shakeoff_route offer;
};

struct route_published {
	struct prefix prefix;
	struct shakeoff_route offer;
};

struct route_table {
	struct route_candidate *candidates;
	size_t count;
	bool overflow;

	struct prefix *index; /* prefixes with an offer of their own, sorted */
	size_t index_count;
	bool lengths[129]; /* that occur in the index */

	struct route_published *published; /* sorted; ids are 0 */
	size_t published_count;
};

/* Adds a candidate. 0 or -ENOMEM. Notes if there are too many, for route_table_settle(). */
int route_table_add(struct route_table *table, const struct route_candidate *candidate);

/* Sorts the prefixes with an offer of their own. 0 or -ENOMEM. */
int route_table_index(struct route_table *table);

/* Returns whether a prefix is inside a prefix of the index, or contains one. */
bool route_table_touches(const struct route_table *table, const struct prefix *prefix);
/* Does the same, but ignores prefixes of the index that contain it and are shorter than `shortest`. */
bool route_table_touches_from(const struct route_table *table, const struct prefix *prefix, unsigned int shortest);

/* Finds the routes to publish, at most `most`. On a problem there are none, and *where is the prefix that caused it. */
enum route_problem route_table_settle(struct route_table *table, size_t most, struct prefix *where);
void route_table_free(struct route_table *table);

/* Compares by address, then the shorter prefix first: a prefix sorts before all inside it. */
int route_prefix_compare(const struct prefix *a, const struct prefix *b);
bool route_prefix_contains(const struct prefix *outer, const struct prefix *inner); /* or is the same */

#endif
