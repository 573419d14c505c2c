/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdlib.h>

#include "shakeoffd/discovery/shares.h"

/* Ids that one user may choose (subuid(5)) follow each other, so they share no bucket before there are many. */
static struct share **bucket_of(struct shares *shares, uint32_t uid)
{
	return &shares->buckets[uid % SHARES_BUCKETS];
}

void shares_close(struct shares *shares)
{
	for (size_t i = 0; i < SHARES_BUCKETS; i++) {
		struct share *share;

		while ((share = shares->buckets[i])) {
			shares->buckets[i] = share->next;
			free(share);
		}
	}
}

struct share *shares_of(struct shares *shares, uint32_t uid)
{
	struct share **bucket = bucket_of(shares, uid), *share = *bucket;

	while (share && share->uid != uid)
		share = share->next;
	if (share)
		return share;
	share = calloc(1, sizeof(*share));
	if (!share)
		return NULL;
	share->uid = uid;
	share->next = *bucket;
	*bucket = share;
	return share;
}

struct share *shares_greatest(const struct shares *shares)
{
	struct share *greatest = NULL;

	for (size_t i = 0; i < SHARES_BUCKETS; i++)
		for (struct share *share = shares->buckets[i]; share; share = share->next)
			if (share->count && (!greatest || share->count > greatest->count))
				greatest = share;
	return greatest;
}

struct share *shares_most_away(const struct shares *shares)
{
	struct share *most = NULL;

	for (size_t i = 0; i < SHARES_BUCKETS; i++)
		for (struct share *share = shares->buckets[i]; share; share = share->next)
			if (share->away && (!most || share->away > most->away))
				most = share;
	return most;
}

void shares_forget_away(struct shares *shares)
{
	for (size_t i = 0; i < SHARES_BUCKETS; i++)
		for (struct share *share = shares->buckets[i]; share; share = share->next)
			share->away = 0;
}
