/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How many frames may go to one prefix, /24 or /48, within a second: an address that somebody made up is a victim's, and so are
 * often those beside it.
 */
#ifndef SHAKEOFFD_HOOK_PREFIX_BUDGET_H
#define SHAKEOFFD_HOOK_PREFIX_BUDGET_H

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>

#define PREFIX_BUDGET_FRAMES 64
#define PREFIX_BUDGET_BITS 12

/* Prefixes that meet in a slot share its frames; which ones do, nobody outside knows. */
struct prefix_budget {
	uint64_t factor; /* random and odd */
	uint64_t second; /* of the clock, in which `used` was begun */
	uint8_t used[1u << PREFIX_BUDGET_BITS];
};

/* 0 or a negative errno. */
int prefix_budget_open(struct prefix_budget *budget);

/* Whether one more may go to this address (IPv4 mapped), and takes note of it. */
bool prefix_budget_take(struct prefix_budget *budget, const __be32 address[4], uint64_t now_ns);

#endif
