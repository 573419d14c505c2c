/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The reply budget (shakeoff/reply.h), told to the hook. */
#ifndef SHAKEOFFD_HOOK_SYNACK_RATE_H
#define SHAKEOFFD_HOOK_SYNACK_RATE_H

#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"

/* rate: replies a second to a prefix; 0: no budget. Returns 0 or a negative errno: there are no random numbers. */
int reply_budget_publish(struct datapath *const *datapaths, size_t count, uint32_t rate);

#endif
