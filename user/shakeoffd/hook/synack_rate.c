/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <sys/random.h>

#include "shakeoffd/sys/cpus.h"
#include "shakeoffd/hook/synack_rate.h"

/* Publishes the budget. The salt is written before the value that makes the hook use it. */
static void publish(struct shakeoff_reply_budget *shared, const struct shakeoff_reply_budget *budget)
{
	__atomic_store_n(&shared->batch, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&shared->rate, budget->rate, __ATOMIC_RELAXED);
	__atomic_store_n(&shared->limit, budget->limit, __ATOMIC_RELAXED);
	__atomic_store_n(&shared->spare, budget->spare, __ATOMIC_RELAXED);
	__atomic_store_n(&shared->source, budget->source, __ATOMIC_RELAXED);
	__atomic_store_n(&shared->salt, budget->salt, __ATOMIC_RELAXED);
	__atomic_store_n(&shared->batch, budget->batch, __ATOMIC_RELEASE);
}

int reply_budget_publish(struct datapath *const *datapaths, size_t count, uint32_t rate)
{
	uint64_t salt;

	if (getrandom(&salt, sizeof(salt), 0) != sizeof(salt))
		return errno ? -errno : -EIO;
	for (size_t i = 0; i < count; i++) {
		const struct shakeoff_reply_budget budget = shakeoff_reply_budget(salt, rate, online_cpus());

		publish(&datapath_control(datapaths[i])->replies, &budget);
	}
	return 0;
}
