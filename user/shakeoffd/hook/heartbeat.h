/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tells the hook that the daemon lives, from a thread of its own and with priority: not to starve in a flood. What it tells is that
 * the event loops get on, that of the main thread and those of the workers: one that is stuck is as good as dead.
 */
#ifndef SHAKEOFFD_HOOK_HEARTBEAT_H
#define SHAKEOFFD_HOOK_HEARTBEAT_H

#include <stdbool.h>
#include <stddef.h>

#include "datapath/datapath.h"
#include "shakeoffd/sys/event_loop.h"

struct heartbeat;

/* loops: the workers'. All of it has to stay until heartbeat_stop(). */
int heartbeat_start(struct heartbeat **heartbeat, struct datapath *const *datapaths, size_t count,
		    struct event_loop *const *loops, size_t loop_count);

/* Says that the main thread gets on: without this for HEARTBEAT_STUCK_NS the hook hears nothing more. */
#define HEARTBEAT_STUCK_NS 5000000000ull
void heartbeat_alive(struct heartbeat *heartbeat, uint64_t now_ns);

/* Whether all of them get on. Any thread. */
bool heartbeat_is_well(const struct heartbeat *heartbeat, uint64_t now_ns);

/* Ends the thread and tells the hook that no daemon is there. */
void heartbeat_stop(struct heartbeat *heartbeat);

#endif
