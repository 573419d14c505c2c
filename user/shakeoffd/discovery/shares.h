/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much of a table each user has, where a user who is not root gets a quarter of it at most. */
#ifndef SHAKEOFFD_DISCOVERY_SHARES_H
#define SHAKEOFFD_DISCOVERY_SHARES_H

#include <stddef.h>
#include <stdint.h>

/* A quarter of a table with room for so many. */
#define SHARES_QUARTER(size) ((size) / 4)

struct share {
	uint32_t uid;
	uint32_t count;
	uint32_t away; /* turned away for want of room, while that is counted */
	uint32_t top;  /* for the table: where to begin to look for the last of them */
	struct share *next;
};

#define SHARES_BUCKETS 1024

/* All zero: nobody has anything. */
struct shares {
	struct share *buckets[SHARES_BUCKETS];
};

void shares_close(struct shares *shares);

/* Made if need be; stays where it is until shares_close(). NULL: no memory. */
struct share *shares_of(struct shares *shares, uint32_t uid);

/* Of those that have something, the one that has most; NULL: nobody has. */
struct share *shares_greatest(const struct shares *shares);

/* The same by what was turned away. */
struct share *shares_most_away(const struct shares *shares);
void shares_forget_away(struct shares *shares);

#endif
