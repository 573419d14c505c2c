/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The broker: a process beside the daemon that keeps only CAP_SYS_ADMIN, for the one task that still needs it once
 * everything is attached: opening BPF objects by their ids (datapath_find()). The daemon, which reads packets, netlink
 * and local users' messages, no longer has it. The broker ends with the daemon, and the daemon cannot go on without the
 * broker.
 */
#ifndef SHAKEOFFD_HOOK_BROKER_H
#define SHAKEOFFD_HOOK_BROKER_H

#include "shakeoffd/sys/event_loop.h"

/*
 * Forks the broker; datapath's functions use it from then on. Call it while there is one thread, with as few open
 * descriptors as possible. Logs what failed; 0 or a negative errno.
 */
int broker_start(void);

/* Has the loop call ended() when the broker has ended by itself. */
int broker_watch(struct event_loop *loop, void (*ended)(void *context), void *context);

/* Ends the broker. */
void broker_stop(void);

#endif
