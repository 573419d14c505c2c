/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "shakeoffd/route/route_offer.h"
#include "shakeoffd/route/route_table.h"

/* -------------------------------------------------------------------------------------------------------- prefixes */

int route_prefix_compare(const struct prefix *a, const struct prefix *b)
{
	int order = memcmp(a->address, b->address, sizeof(a->address));

	return order ? order : a->len < b->len ? -1 : a->len > b->len;
}

static struct prefix cut(const struct prefix *prefix, unsigned int len)
{
	struct prefix result = *prefix;

	for (unsigned int i = 0; i < 4; i++) {
		unsigned int bits = len > 32 * i ? len - 32 * i : 0;

		if (bits < 32)
			result.address[i] &= htonl(bits ? UINT32_MAX << (32 - bits) : 0);
	}
	result.len = (uint8_t)len;
	return result;
}

bool route_prefix_contains(const struct prefix *outer, const struct prefix *inner)
{
	struct prefix part;

	if (outer->len > inner->len)
		return false;
	part = cut(inner, outer->len);
	return !memcmp(part.address, outer->address, sizeof(part.address));
}

/* ---------------------------------------------------------------------------------------------------------- filling */

int route_table_add(struct route_table *table, const struct route_candidate *candidate)
{
	if (table->count == ROUTE_CANDIDATES_MAX)
		table->overflow = true;
	if (table->overflow)
		return 0;
	return array_append(table->candidates, table->count, *candidate);
}

static int compare_prefixes(const void *a, const void *b)
{
	return route_prefix_compare(a, b);
}

int route_table_index(struct route_table *table)
{
	size_t distinct = 0;

	table->index = calloc(table->count + 1, sizeof(*table->index));
	if (!table->index)
		return -ENOMEM;
	for (size_t i = 0; i < table->count; i++) {
		table->index[i] = table->candidates[i].prefix;
		table->lengths[table->candidates[i].prefix.len] = true;
	}
	qsort(table->index, table->count, sizeof(*table->index), compare_prefixes);
	for (size_t i = 0; i < table->count; i++)
		if (!distinct || route_prefix_compare(&table->index[distinct - 1], &table->index[i]))
			table->index[distinct++] = table->index[i];
	table->index_count = distinct;
	return 0;
}

/* Returns the first entry of the index that does not sort before the prefix. */
static size_t lower_bound(const struct route_table *table, const struct prefix *prefix)
{
	size_t low = 0, high = table->index_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (route_prefix_compare(&table->index[middle], prefix) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool route_table_touches(const struct route_table *table, const struct prefix *prefix)
{
	return route_table_touches_from(table, prefix, 0);
}

bool route_table_touches_from(const struct route_table *table, const struct prefix *prefix, unsigned int shortest)
{
	size_t at;

	if (!table->index_count)
		return false;
	at = lower_bound(table, prefix);
	if (at < table->index_count && route_prefix_contains(prefix, &table->index[at]))
		return true;
	for (unsigned int len = shortest; len < prefix->len; len++) {
		struct prefix outer;

		if (!table->lengths[len])
			continue;
		outer = cut(prefix, len);
		at = lower_bound(table, &outer);
		if (at < table->index_count && !route_prefix_compare(&table->index[at], &outer))
			return true;
	}
	return false;
}

/* ----------------------------------------------------------------------------------------------------------- settle */

/*
 * Compares candidates. For the same prefix the winner sorts first. Those for a TOS sort last: they are compared with
 * the winner.
 */
static int compare_candidates(const void *a, const void *b)
{
	const struct route_candidate *first = a, *second = b;
	int order = route_prefix_compare(&first->prefix, &second->prefix);

	if (order)
		return order;
	if (first->partial != second->partial)
		return first->partial ? 1 : -1;
	if (first->rank != second->rank)
		return first->rank < second->rank ? -1 : 1;
	if (first->priority != second->priority)
		return first->priority < second->priority ? -1 : 1;
	if (first->preference != second->preference)
		return first->preference > second->preference ? -1 : 1;
	return first->number < second->number ? -1 : first->number > second->number;
}

/* A prefix that contains the present one. */
struct around {
	struct prefix prefix;
	struct shakeoff_route offer;
	uint8_t rank; /* the earliest of this prefix and those that contain it */
};

struct settling {
	struct route_table *table;
	size_t most;
	struct around stack[130];
	size_t depth;
	const struct prefix *where;
};

static struct around around_of(const struct settling *settling)
{
	return settling->depth ? settling->stack[settling->depth - 1] : (struct around){ .rank = UINT8_MAX };
}

/*
 * Returns whether the kernel may use either. For IPv4: the next hops of a route, as the first of several routes wins.
 * For IPv6 also those of routes that are alike, as the choice depends on which neighbours respond.
 */
static bool is_rival(const struct route_candidate *winner, const struct route_candidate *other)
{
	if (other->partial || other->rank != winner->rank || other->priority != winner->priority)
		return false;
	return winner->prefix.ipv6 ? other->preference == winner->preference : other->number == winner->number;
}

static enum route_problem check_rivals(const struct route_candidate *list, size_t count)
{
	for (size_t i = 1; i < count && is_rival(&list[0], &list[i]); i++)
		if (!route_offer_equal(&list[0].offer, &list[i].offer))
			return ROUTE_PROBLEM_HOPS;
	return ROUTE_PROBLEM_NONE;
}

/* Publishes a route, unless the longest prefix that contains it has the same offer. */
static enum route_problem publish(struct settling *settling, const struct route_candidate *winner)
{
	struct route_table *table = settling->table;
	const struct around around = around_of(settling);

	if (winner->rank > around.rank) /* an earlier table has a route for all of it */
		return ROUTE_PROBLEM_NONE;
	settling->stack[settling->depth++] = (struct around){ winner->prefix, winner->offer, winner->rank };
	if (route_offer_equal(&winner->offer, &around.offer))
		return ROUTE_PROBLEM_NONE;
	if (table->published_count == settling->most)
		return ROUTE_PROBLEM_MANY;
	table->published[table->published_count++] = (struct route_published){ winner->prefix, winner->offer };
	return ROUTE_PROBLEM_NONE;
}

/* Handles all candidates of a prefix. */
static enum route_problem settle_prefix(struct settling *settling, const struct route_candidate *list, size_t count)
{
	enum route_problem problem = ROUTE_PROBLEM_NONE;
	struct around around;

	settling->where = &list[0].prefix;
	while (settling->depth && !route_prefix_contains(&settling->stack[settling->depth - 1].prefix, &list[0].prefix))
		settling->depth--;
	if (!list[0].partial && list[0].rank <= around_of(settling).rank)
		problem = check_rivals(list, count);
	if (!problem && !list[0].partial)
		problem = publish(settling, &list[0]);
	around = around_of(settling);
	for (size_t i = 0; i < count && !problem; i++)
		if (list[i].partial && list[i].rank <= around.rank && !route_offer_equal(&list[i].offer, &around.offer))
			problem = ROUTE_PROBLEM_PARTIAL;
	return problem;
}

enum route_problem route_table_settle(struct route_table *table, size_t most, struct prefix *where)
{
	struct settling settling = { .table = table, .most = most };
	enum route_problem problem = table->overflow ? ROUTE_PROBLEM_MANY : ROUTE_PROBLEM_NONE;
	size_t end;

	*where = (struct prefix){ 0 };
	table->published = calloc(most < table->count ? most : table->count + 1, sizeof(*table->published));
	if (!table->published)
		return ROUTE_PROBLEM_UNREAD;
	if (table->count)
		qsort(table->candidates, table->count, sizeof(*table->candidates), compare_candidates);
	for (size_t i = 0; i < table->count && !problem; i = end) {
		for (end = i + 1; end < table->count &&
				  !route_prefix_compare(&table->candidates[i].prefix, &table->candidates[end].prefix);)
			end++;
		problem = settle_prefix(&settling, &table->candidates[i], end - i);
	}
	if (problem) {
		table->published_count = 0;
		if (settling.where)
			*where = *settling.where;
	}
	return problem;
}

void route_table_free(struct route_table *table)
{
	free(table->candidates);
	free(table->index);
	free(table->published);
	*table = (struct route_table){ 0 };
}
