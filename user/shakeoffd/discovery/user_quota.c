/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdlib.h>

#include "shakeoffd/discovery/user_quota.h"

/*
 * Hashes a user id. Ids that one user may choose (subuid(5)) are consecutive, so they share buckets only when there are
 * many.
 */
static struct user_quota **bucket_of(struct user_quotas *quotas, uint32_t uid)
{
	return &quotas->buckets[uid % USER_QUOTA_BUCKETS];
}

void user_quotas_close(struct user_quotas *quotas)
{
	for (size_t i = 0; i < USER_QUOTA_BUCKETS; i++) {
		struct user_quota *quota;

		while ((quota = quotas->buckets[i])) {
			quotas->buckets[i] = quota->next;
			free(quota);
		}
	}
}

struct user_quota *user_quota_of(struct user_quotas *quotas, uint32_t uid)
{
	struct user_quota **bucket = bucket_of(quotas, uid), *quota = *bucket;

	while (quota && quota->uid != uid)
		quota = quota->next;
	if (quota)
		return quota;
	quota = calloc(1, sizeof(*quota));
	if (!quota)
		return NULL;
	quota->uid = uid;
	quota->next = *bucket;
	*bucket = quota;
	return quota;
}

struct user_quota *user_quotas_greatest(const struct user_quotas *quotas)
{
	struct user_quota *greatest = NULL;

	for (size_t i = 0; i < USER_QUOTA_BUCKETS; i++)
		for (struct user_quota *quota = quotas->buckets[i]; quota; quota = quota->next)
			if (quota->count && (!greatest || quota->count > greatest->count))
				greatest = quota;
	return greatest;
}

struct user_quota *user_quotas_most_away(const struct user_quotas *quotas)
{
	struct user_quota *most = NULL;

	for (size_t i = 0; i < USER_QUOTA_BUCKETS; i++)
		for (struct user_quota *quota = quotas->buckets[i]; quota; quota = quota->next)
			if (quota->away && (!most || quota->away > most->away))
				most = quota;
	return most;
}

void user_quotas_forget_away(struct user_quotas *quotas)
{
	for (size_t i = 0; i < USER_QUOTA_BUCKETS; i++)
		for (struct user_quota *quota = quotas->buckets[i]; quota; quota = quota->next)
			quota->away = 0;
}
