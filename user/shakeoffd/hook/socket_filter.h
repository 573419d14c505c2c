/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keeps the hook's socket filter (shakeoff/socket_filter.h) close to the existing sockets. */
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
	bool built;                  /* a filter was built since the last restart */
	bool finishing; /* the reading is for the filter that is being built, otherwise for new addresses */
	bool building;
	bool note_again;   /* connections may have been made meanwhile that are in no filter */
	bool unknown;      /* and the hook must not trust the filter until they are noted */
	uint64_t cost_ns;  /* CPU time of the last reading */
	uint64_t since_ns; /* when the building began, or when the last one ended; 0: there has been none */
	uint64_t aged_ns;  /* when the ages of hints were last raised */
};

void socket_filter_open(struct socket_filter *filter, struct datapath **datapaths, size_t datapath_count);

/* Starts a thread that reads the sockets from now on if reading them takes long. 0 or a negative errno. */
int socket_filter_start(struct socket_filter *filter, struct event_loop *loop);
void socket_filter_close(struct socket_filter *filter);

/*
 * Notes all sockets, because the hook is about to get other addresses: it has ignored connections to them so far, so
 * these are in no filter. Notes them now and, for those that come in between, with the next tick. If there are too many
 * to read at once, the hook looks sockets up itself until they are noted. At the start and after a failure, it does so
 * until a new filter is built.
 */
void socket_filter_note_sockets(struct socket_filter *filter);

/*
 * Begins a new filter now and then, and finishes it. Call it several times a second, with CLOCK_MONOTONIC. drained_ns:
 * when every ring was last seen empty. Returns 0, or the negative errno of reading the kernel's list of sockets; the
 * filter in use then stays, and the next call tries again.
 */
int socket_filter_tick(struct socket_filter *filter, uint64_t now_ns, uint64_t drained_ns);

#endif
