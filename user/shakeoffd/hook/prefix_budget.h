/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maximum of frames to one prefix (/24 or /48) within a second. A spoofed source address is a victim's, and its
 * neighbours often are, too.
 */
#ifndef SHAKEOFFD_HOOK_PREFIX_BUDGET_H
#define SHAKEOFFD_HOOK_PREFIX_BUDGET_H

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>

#define PREFIX_BUDGET_FRAMES 64
#define PREFIX_BUDGET_BITS 12

/* Prefixes with the same counter share its frames. The mapping is secret. */
struct prefix_budget {
	uint64_t factor; /* random and odd */
	uint64_t second; /* of the clock, in which `used` began to count */
	uint8_t used[1u << PREFIX_BUDGET_BITS];
};

/* Chooses a random mapping. 0 or a negative errno. */
int prefix_budget_open(struct prefix_budget *budget);

/* Returns whether one more frame may go to this address (IPv4 mapped), and counts it. */
bool prefix_budget_take(struct prefix_budget *budget, const __be32 address[4], uint64_t now_ns);

#endif
