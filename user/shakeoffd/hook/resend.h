/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SYN-ACKs of the hook that no ACK has answered are sent again, as the kernel does with its own.
 *
 * The hook keeps the list (bpf/handle/resend.h), this goes through it several times a second; when each SYN-ACK left says
 * what is to be done with it, so nothing else is remembered, and a restarted daemon goes on where the last one was.
 *
 * Whoever makes SYNs up gains little by it: a service's list is short, the longer it gets the sooner they are given up,
 * there is a bound on what is sent a second, and to one prefix, and in a flood the list is dropped.
 */
#ifndef SHAKEOFFD_HOOK_RESEND_H
#define SHAKEOFFD_HOOK_RESEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"
#include "shakeoffd/hook/prefix_budget.h"

/* Frames sent by one half_open_tick(), over all services. */
#define HALF_OPEN_FRAMES_A_TICK 400

struct half_open_counts;

struct half_open {
	struct datapath **datapaths;
	size_t datapath_count;
	struct half_open_counts *counts; /* one a datapath */
	struct prefix_budget budget;
	int fd;
	uint64_t looked_ns;
	unsigned int retries; /* 0..SHAKEOFF_SYNACK_RETRIES_MAX */
};

/* retries: as half_open_set_retries(). 0 or a negative errno. Needs CAP_NET_RAW. */
int half_open_open(struct half_open *half_open, struct datapath **datapaths, size_t datapath_count,
		   unsigned int retries, uint64_t now_ns);
void half_open_close(struct half_open *half_open); /* also one that is all zero */

/* Sets how often a SYN-ACK is sent again: as the sysctl says, but SHAKEOFF_SYNACK_RETRIES_MAX at most. */
void half_open_set_retries(struct half_open *half_open, unsigned int retries);

/* To be called several times a second, with the hook's clock. 0 or the negative errno of what could not be read. */
int half_open_tick(struct half_open *half_open, uint64_t now_ns);

/*
 * When: the first repetition is 1 s after the SYN-ACK, each next one twice as long after the one before. Whether one falls in
 * (from_ns, to_ns]; and whether there is none to come.
 */
bool half_open_is_due(uint64_t answered_ns, uint64_t from_ns, uint64_t to_ns, unsigned int retries);
bool half_open_is_over(uint64_t answered_ns, uint64_t now_ns, unsigned int retries);

/* How many there are for a service with so many half-open connections. */
unsigned int half_open_retries(unsigned int configured, uint32_t half_open);

#endif
