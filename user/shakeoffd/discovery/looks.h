/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads the kernel's listening sockets again and again, in a thread of its own: every user may have very many of them,
 * and the kernel's list of them takes its time.
 *
 * Looking takes a twentieth of one CPU at most. Where that is not enough for two looks a second, endpoints with very many
 * sockets (SO_REUSEPORT) are left out of most looks, and taken to be as they were; and if it still is not, looks are
 * made later.
 */
#ifndef SHAKEOFFD_DISCOVERY_LOOKS_H
#define SHAKEOFFD_DISCOVERY_LOOKS_H

#include "common/sock_diag.h"
#include "shakeoffd/sys/clock.h"
#include "shakeoffd/sys/errand.h"

#define LOOKS_PERIOD_NS (500 * NS_PER_MS)
#define LOOKS_SHARE 20

/* Sockets at one endpoint that are worth leaving out. */
#define LOOKS_CROWD 256

/* Sockets that do not differ in what is of interest, of which `socket` is one; the backlog is the greatest. */
struct looks_entry {
	struct sock_diag_listener socket;
	uint32_t count;
};

struct looks_list {
	struct looks_entry *list;
	size_t count, room;
};

struct looks {
	struct errand errand;
	const uint32_t *own; /* sockets that are left out, by inode and in order: see looks_begin() */
	size_t own_count;
	bool whole;                   /* the present look leaves out no crowd */
	struct looks_list seen;       /* by the last one that is done */
	struct looks_list crowds;     /* of the last whole one: all that is at endpoints of crowds */
	struct sock_diag_skip *skips; /* loopback, then the endpoints of crowds */
	size_t skip_count;
	uint64_t began_ns, whole_ns; /* when the last look, the last whole one began */
	uint64_t cost_ns, whole_cost_ns;
	bool told; /* that looks are made later */
};

int looks_open(struct looks *looks);
int looks_start(struct looks *looks, struct event_loop *loop); /* before, looks are made by who begins them */
void looks_close(struct looks *looks);

/* Whether it is time for one. */
bool looks_is_due(struct looks *looks, uint64_t now_ns);

/* The order of `own`: for qsort(). */
int looks_compare_inodes(const void *a, const void *b);

/* `own` is not to change before looks_take() says that the look is done. */
void looks_begin(struct looks *looks, uint64_t now_ns, const uint32_t *own, size_t own_count);

/* Whether one is done since: what it has seen is in `seen` until the next begins, or *error is a negative errno. */
bool looks_take(struct looks *looks, int *error);

/* The next look is made at once. */
void looks_hurry(struct looks *looks);

#endif
