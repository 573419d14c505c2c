/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The broker: a process beside the daemon that keeps CAP_SYS_ADMIN, and nothing else, for the one thing that still needs it once
 * everything is attached: descriptors of BPF objects by their ids (datapath_find()). The daemon, which reads packets, netlink and
 * local users' messages, has it no more. It ends with the daemon, and the daemon cannot go on without it.
 */
#ifndef SHAKEOFFD_HOOK_BROKER_H
#define SHAKEOFFD_HOOK_BROKER_H

#include "shakeoffd/sys/event_loop.h"

/*
 * Forks it; datapath's functions ask it from then on. While there is one thread, with as few descriptors open as possible. Says
 * what failed; 0 or a negative errno.
 */
int broker_start(void);

/* Has the loop call ended() when it has ended by itself. */
int broker_watch(struct event_loop *loop, void (*ended)(void *context), void *context);

/* Ends it. */
void broker_stop(void);

#endif
