/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads the kernel's listening sockets again and again, in a thread of its own: every user may have very many of them,
 * and the kernel's list of them takes its time.
 *
 * Looking takes a twentieth of one CPU at most. Where that is not enough for two looks a second, endpoints with very many
 * sockets (SO_REUSEPORT) are left out of most looks, and taken to be as they were; and if it still is not, looks are
 * made later.
 */
#ifndef SHAKEOFFD_DISCOVERY_LISTENER_SCAN_H
#define SHAKEOFFD_DISCOVERY_LISTENER_SCAN_H

#include "common/sock_diag.h"
#include "common/clock.h"
#include "shakeoffd/sys/background_task.h"

#define LISTENER_SCAN_PERIOD_NS (500 * NS_PER_MS)
#define LISTENER_SCAN_SHARE 20

/* Sockets at one endpoint that are worth leaving out. */
#define LISTENER_SCAN_CROWD 256

/* Sockets that do not differ in what is of interest, of which `socket` is one; the backlog is the greatest. */
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
	const uint32_t *own; /* sockets that are left out, by inode and in order: see listener_scan_begin() */
	size_t own_count;
	bool whole;                       /* the present look leaves out no crowd */
	struct listener_scan_list seen;   /* by the last one that is done */
	struct listener_scan_list crowds; /* of the last whole one: all that is at endpoints of crowds */
	struct sock_diag_skip *skips;     /* loopback, then the endpoints of crowds */
	size_t skip_count;
	uint64_t began_ns, whole_ns; /* when the last look, the last whole one began */
	uint64_t cost_ns, whole_cost_ns;
	bool reported; /* that looks are made later */
};

int listener_scan_open(struct listener_scan *scan);
int listener_scan_start(struct listener_scan *scan,
			struct event_loop *loop); /* before, looks are made by who begins them */
void listener_scan_close(struct listener_scan *scan);

/* Whether it is time for one. */
bool listener_scan_is_due(struct listener_scan *scan, uint64_t now_ns);

/* The order of `own`: for qsort(). */
int listener_scan_compare_inodes(const void *a, const void *b);

/* `own` is not to change before listener_scan_take() says that the look is done. */
void listener_scan_begin(struct listener_scan *scan, uint64_t now_ns, const uint32_t *own, size_t own_count);

/* Whether one is done since: what it has seen is in `seen` until the next begins, or *error is a negative errno. */
bool listener_scan_take(struct listener_scan *scan, int *error);

/* The next look is made at once. */
void listener_scan_hurry(struct listener_scan *scan);

#endif
