/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counts how much of a table each user has. A user other than root gets at most a quarter of a table. */
#ifndef SHAKEOFFD_DISCOVERY_USER_QUOTA_H
#define SHAKEOFFD_DISCOVERY_USER_QUOTA_H

#include <stddef.h>
#include <stdint.h>

/* A quarter of a table of this size. */
#define USER_QUOTA_QUARTER(size) ((size) / 4)

struct user_quota {
	uint32_t uid;
	uint32_t count;
	uint32_t away; /* entries without room, while they are counted */
	uint32_t top;  /* for the table: where the search for the user's last entry begins */
	struct user_quota *next;
};

#define USER_QUOTA_BUCKETS 1024

/* All zero: every user has nothing. */
struct user_quotas {
	struct user_quota *buckets[USER_QUOTA_BUCKETS];
};

void user_quotas_close(struct user_quotas *quotas);

/* Returns a user's quota, and makes it if needed. It stays in memory until user_quotas_close(). NULL: no memory. */
struct user_quota *user_quota_of(struct user_quotas *quotas, uint32_t uid);

/* Returns the quota of the user who has most; NULL: every user has nothing. */
struct user_quota *user_quotas_greatest(const struct user_quotas *quotas);

/* Returns the quota of the user with most entries without room; NULL: there are none. */
struct user_quota *user_quotas_most_away(const struct user_quotas *quotas);
void user_quotas_forget_away(struct user_quotas *quotas);

#endif
