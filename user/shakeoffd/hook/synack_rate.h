/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Publishes the reply budget (shakeoff/synack_rate.h) to the hook. */
#ifndef SHAKEOFFD_HOOK_SYNACK_RATE_H
#define SHAKEOFFD_HOOK_SYNACK_RATE_H

#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"

/*
 * Publishes a budget. rate: replies a second to a prefix; 0: no budget. 0, or a negative errno if there are no random
 * numbers.
 */
int reply_budget_publish(struct datapath *const *datapaths, size_t count, uint32_t rate);

#endif
