/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads the kernel's listening sockets again and again in its own thread, because any user may have very many of them
 * and reading the kernel's list takes long.
 *
 * Scans take at most a twentieth of one CPU. If that is not enough for two scans a second, most scans leave out
 * endpoints with very many sockets (SO_REUSEPORT), and assume that they are unchanged. If that is still not enough,
 * scans are made later.
 */
#ifndef SHAKEOFFD_DISCOVERY_LISTENER_SCAN_H
#define SHAKEOFFD_DISCOVERY_LISTENER_SCAN_H

#include "common/sock_diag.h"
#include "common/clock.h"
#include "shakeoffd/sys/background_task.h"

#define LISTENER_SCAN_PERIOD_NS (500 * NS_PER_MS)
#define LISTENER_SCAN_SHARE 20

/* Minimum of sockets at an endpoint for leaving it out. */
#define LISTENER_SCAN_CROWD 256

/* A group of sockets that agree in all relevant fields. `socket` is one of them, with the greatest backlog. */
struct listener_scan_entry {
	struct sock_diag_listener socket;
	uint32_t count;
};

struct listener_scan_list {
	struct listener_scan_entry *list;
	size_t count, room;
};

struct listener_scan {
	struct background_task task;
	const uint32_t *own; /* inodes of sockets to leave out, sorted: see listener_scan_begin() */
	size_t own_count;
	bool whole;                       /* the present scan leaves out no crowd */
	struct listener_scan_list seen;   /* by the last finished scan */
	struct listener_scan_list crowds; /* by the last whole scan: all sockets at the endpoints of crowds */
	struct sock_diag_skip *skips;     /* loopback, then the endpoints of crowds */
	size_t skip_count;
	uint64_t began_ns, whole_ns; /* when the last scan, the last whole scan began */
	uint64_t cost_ns, whole_cost_ns;
	bool reported; /* that scans are made later */
};

int listener_scan_open(struct listener_scan *scan);

/* Starts the thread of the scans. Before the start, the caller of listener_scan_begin() makes the scan. */
int listener_scan_start(struct listener_scan *scan, struct event_loop *loop);
void listener_scan_close(struct listener_scan *scan);

/* Returns whether it is time for a scan. */
bool listener_scan_is_due(struct listener_scan *scan, uint64_t now_ns);

/* Compares entries of `own`: for qsort(). */
int listener_scan_compare_inodes(const void *a, const void *b);

/* Begins a scan. `own` must not change before listener_scan_take() returns true. */
void listener_scan_begin(struct listener_scan *scan, uint64_t now_ns, const uint32_t *own, size_t own_count);

/*
 * Returns whether a scan has finished since the last call. Its result is in `seen` until the next scan begins, or
 * *error is a negative errno.
 */
bool listener_scan_take(struct listener_scan *scan, int *error);

/* Makes the next scan due at once. */
void listener_scan_hurry(struct listener_scan *scan);

#endif
