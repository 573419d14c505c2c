/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tells the hook that the daemon lives, from a thread of its own and with priority: not to starve in a flood. */
#ifndef SHAKEOFF_HEARTBEAT_H
#define SHAKEOFF_HEARTBEAT_H

#include <stddef.h>

#include <common/datapath.h>

struct heartbeat;

int heartbeat_start(struct heartbeat **heartbeat, struct datapath *const *datapaths, size_t count);

/* Says that the main thread lives: without this for HEARTBEAT_STUCK_NS the hook hears nothing more. */
#define HEARTBEAT_STUCK_NS 5000000000ull
void heartbeat_alive(struct heartbeat *heartbeat, uint64_t now_ns);

/* Ends the thread and tells the hook that no daemon is there. */
void heartbeat_stop(struct heartbeat *heartbeat);

#endif
