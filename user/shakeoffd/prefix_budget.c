/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>

#include <shakeoffd/clock.h>
#include <shakeoffd/prefix_budget.h>

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

/* The first 24 bits of an IPv4 address, 48 of an IPv6 one. */
static uint64_t prefix_of(const __be32 address[4])
{
	if (IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)address))
		return ntohl(address[3]) >> 8;
	return (uint64_t)ntohl(address[0]) << 16 | ntohl(address[1]) >> 16;
}

/* Multiply-shift: with a random odd factor two prefixes seldom meet (Dietzfelbinger et al., 1997). */
static uint32_t slot_of(const struct prefix_budget *budget, const __be32 address[4])
{
	return (uint32_t)(prefix_of(address) * budget->factor >> (64 - PREFIX_BUDGET_BITS));
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
