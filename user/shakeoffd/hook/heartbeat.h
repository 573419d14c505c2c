/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shows the hook that the daemon lives. Its thread has high priority, so that it does not starve in a flood. It beats
 * only while the event loops of the main thread and of the workers make progress: a daemon with a stuck loop counts as
 * dead.
 */
#ifndef SHAKEOFFD_HOOK_HEARTBEAT_H
#define SHAKEOFFD_HOOK_HEARTBEAT_H

#include <stdbool.h>
#include <stddef.h>

#include "datapath/datapath.h"
#include "shakeoffd/sys/event_loop.h"

struct heartbeat;

/* Starts the thread. loops: the workers'. All arguments have to stay valid until heartbeat_stop(). */
int heartbeat_start(struct heartbeat **heartbeat, struct datapath *const *datapaths, size_t count,
		    struct event_loop *const *loops, size_t loop_count);

/* Notes that the main thread makes progress. If this is not called for HEARTBEAT_STUCK_NS, the heartbeat stops. */
#define HEARTBEAT_STUCK_NS 5000000000ull
void heartbeat_alive(struct heartbeat *heartbeat, uint64_t now_ns);

/* Returns whether all event loops make progress. Any thread. */
bool heartbeat_is_well(const struct heartbeat *heartbeat, uint64_t now_ns);

/* Ends the thread and shows the hook that there is no daemon. */
void heartbeat_stop(struct heartbeat *heartbeat);

#endif
