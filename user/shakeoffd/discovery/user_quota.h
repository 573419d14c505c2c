/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much of a table each user has, where a user who is not root gets a quarter of it at most. */
#ifndef SHAKEOFFD_DISCOVERY_USER_QUOTA_H
#define SHAKEOFFD_DISCOVERY_USER_QUOTA_H

#include <stddef.h>
#include <stdint.h>

/* A quarter of a table with room for so many. */
#define USER_QUOTA_QUARTER(size) ((size) / 4)

struct user_quota {
	uint32_t uid;
	uint32_t count;
	uint32_t away; /* turned away for want of room, while that is counted */
	uint32_t top;  /* for the table: where to begin to look for the last of them */
	struct user_quota *next;
};

#define USER_QUOTA_BUCKETS 1024

/* All zero: nobody has anything. */
struct user_quotas {
	struct user_quota *buckets[USER_QUOTA_BUCKETS];
};

void user_quotas_close(struct user_quotas *quotas);

/* Made if need be; stays where it is until user_quotas_close(). NULL: no memory. */
struct user_quota *user_quota_of(struct user_quotas *quotas, uint32_t uid);

/* Of those that have something, the one that has most; NULL: nobody has. */
struct user_quota *user_quotas_greatest(const struct user_quotas *quotas);

/* The same by what was turned away. */
struct user_quota *user_quotas_most_away(const struct user_quotas *quotas);
void user_quotas_forget_away(struct user_quotas *quotas);

#endif
