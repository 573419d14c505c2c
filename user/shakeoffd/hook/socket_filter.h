/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keeps the hook's socket filter (shakeoff/filter.h) near to the sockets that there are. */
#ifndef SHAKEOFFD_HOOK_SOCKET_FILTER_H
#define SHAKEOFFD_HOOK_SOCKET_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"
#include "shakeoffd/sys/background_task.h"

struct socket_filter {
	struct datapath **datapaths;
	size_t datapath_count;
	struct background_task task; /* reads the sockets: there may be very many */
	bool built;                  /* there has been one since the last restart */
	bool finishing; /* what is read is for the filter that is built, otherwise for addresses that are new */
	bool building;
	bool note_again;   /* connections may have been made meanwhile that are in no filter */
	bool unknown;      /* and until they are noted, the hook is not to trust it */
	uint64_t cost_ns;  /* CPU time of the last reading */
	uint64_t since_ns; /* when the building began, or when the last one ended; 0: there has been none */
	uint64_t aged_ns;  /* when hints were last carried over as older than before */
};

void socket_filter_open(struct socket_filter *filter, struct datapath **datapaths, size_t datapath_count);

/* From now on the sockets are read by a thread of its own, if reading them takes long. 0 or a negative errno. */
int socket_filter_start(struct socket_filter *filter, struct event_loop *loop);
void socket_filter_close(struct socket_filter *filter);

/*
 * The hook is about to be given other addresses: connections that came to them before were none of its business, and are in no
 * filter. Notes all sockets, now and, for those that come in between, with the next tick. Where they are so many that it takes long, the
 * hook looks sockets up itself until they are noted; at the start and where that fails, until a new filter is there.
 */
void socket_filter_note_sockets(struct socket_filter *filter);

/*
 * Called several times a second, with CLOCK_MONOTONIC: begins a new filter now and then, and finishes it. drained_ns: when
 * every ring was last seen empty. Returns 0, or the negative errno of the kernel's list of sockets; the filter in use then
 * stays, and the next call tries again.
 */
int socket_filter_tick(struct socket_filter *filter, uint64_t now_ns, uint64_t drained_ns);

#endif
