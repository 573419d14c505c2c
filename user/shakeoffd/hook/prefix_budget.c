/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>

#include <shakeoff/prefix_hash.h>
#include "common/clock.h"
#include "shakeoffd/hook/prefix_budget.h"

_Static_assert(PREFIX_BUDGET_FRAMES <= UINT8_MAX, "a byte counts them");

int prefix_budget_open(struct prefix_budget *budget)
{
	struct prefix_budget fresh = { 0 };

	if (getrandom(&fresh.factor, sizeof(fresh.factor), 0) != sizeof(fresh.factor))
		return -errno;
	fresh.factor |= 1;
	*budget = fresh;
	return 0;
}

static uint32_t slot_of(const struct prefix_budget *budget, const __be32 address[4])
{
	bool mapped = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)address);
	uint64_t prefix = shakeoff_prefix_number(!mapped, mapped ? &address[3] : address);

	return shakeoff_hash_index(prefix, budget->factor, PREFIX_BUDGET_BITS);
}

bool prefix_budget_take(struct prefix_budget *budget, const __be32 address[4], uint64_t now_ns)
{
	uint64_t second = now_ns / NS_PER_S;
	uint8_t *used = &budget->used[slot_of(budget, address)];

	if (budget->second != second) {
		budget->second = second;
		memset(budget->used, 0, sizeof(budget->used));
	}
	if (*used == PREFIX_BUDGET_FRAMES)
		return false;
	++*used;
	return true;
}
